-- 0005: the outbox.
create table stepkeel.outbox (
    seq bigint generated always as identity primary key,
    id text collate "C" not null unique,   -- instance id / path
    instance_id text collate "C" not null,
    tenant text collate "C" not null,
    definition text collate "C" not null,
    version integer not null,
    path text collate "C" not null,
    topic text collate "C" not null,
    payload bytea not null,
    at bigint not null,
    due_at bigint not null,                -- later than now while somebody delivers it, or after it failed
    tries integer not null,
    error text not null
) with (autovacuum_vacuum_scale_factor = 0.05);
create index outbox_due on stepkeel.outbox (due_at);
create index outbox_order on stepkeel.outbox (instance_id, topic, seq);
create table stepkeel.outbox_gate (id integer primary key);
insert into stepkeel.outbox_gate values (1);
