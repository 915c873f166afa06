-- 0002: pools: tickets, and grants in the inbox. Retention: ended instances by age.
create index instances_completed on instances (completed_at) where completed_at is not null;

create table tickets (
    instance_id text not null,
    path text not null,
    pool text not null,
    n integer not null,
    tenant text not null,
    size integer not null,
    per integer,
    rank integer not null,
    granted_at integer,
    primary key (instance_id, path, pool, n)
) without rowid;
create index tickets_waiting on tickets (pool, rank, instance_id, path, n) where granted_at is null;
create index tickets_held on tickets (pool, granted_at) where granted_at is not null;

drop index signals_key;
alter table signals rename to signals_before;
create table signals (
    instance_id text not null,
    seq integer not null,
    kind text not null check (kind in ('signal', 'control', 'grant')),
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
