-- 0003: children: who began an instance, and what it tells that one.
alter table instances add column parent text;
alter table archive_instances add column parent text;
create index instances_parent on instances (parent) where parent is not null;

drop index signals_key;
alter table signals rename to signals_before;
create table signals (
    instance_id text not null,
    seq integer not null,
    kind text not null check (kind in ('signal', 'control', 'grant', 'child', 'task')),
    tenant text not null,
    name text not null,
    payload blob not null,
    key text not null,
    stamp integer not null,
    actor text not null,
    status text not null check (status in ('pending', 'processed', 'ignored', 'rejected', 'failed')),
    reason text not null,
    received_at integer not null,
    processed_at integer,
    primary key (instance_id, seq)
) without rowid;
insert into signals select * from signals_before;
drop table signals_before;
create unique index signals_key on signals (instance_id, kind, name, key);
