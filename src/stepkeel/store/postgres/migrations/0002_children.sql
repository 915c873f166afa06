-- 0002: children: who began an instance, and what it tells that one.
alter table stepkeel.instances add column parent text collate "C";
alter table stepkeel.archive_instances add column parent text collate "C";
create index instances_parent on stepkeel.instances (parent) where parent is not null;
alter table stepkeel.signals drop constraint signals_kind_check;
alter table stepkeel.signals add constraint signals_kind_check check (kind in ('signal', 'control', 'grant', 'child', 'task'));
