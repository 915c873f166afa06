-- 0006: the outbox.
create table outbox (
    seq integer primary key autoincrement,
    id text not null unique,              -- instance id / path
    instance_id text not null,
    tenant text not null,
    definition text not null,
    version integer not null,
    path text not null,
    topic text not null,
    payload blob not null,
    at integer not null,
    due_at integer not null,              -- later than now while somebody delivers it, or after it failed
    tries integer not null,
    error text not null
);
create index outbox_due on outbox (due_at);
create index outbox_order on outbox (instance_id, topic, seq);
