-- 0012: the order of commits, for whoever follows a tenant.
alter table history add column commit_no integer;
alter table archive_history add column commit_no integer;
create index history_commit on history (commit_no) where commit_no is not null;
create index archive_history_commit on archive_history (commit_no) where commit_no is not null;
create table commits (n integer not null);
insert into commits values (0);
