-- 0001: the foundation. schema.sql explains it.
create table definitions (
    tenant text not null,
    name text not null,
    version integer not null,
    shape text not null,
    code text not null,
    document blob not null,
    status text not null,
    primary key (tenant, name, version)
) without rowid;
create table instances (
    id text primary key not null,
    tenant text not null,
    definition text not null,
    version integer not null,
    key text,
    status text not null check (status in
        ('created', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled', 'terminated')),
    state text not null,
    label text not null,
    revision integer not null,
    snapshot blob not null,
    attributes blob not null,
    wake_at integer,
    owner text,
    epoch integer not null,
    takeovers integer not null,
    inbox integer not null,
    seen integer not null,
    fault text,
    priority integer not null,
    correlation_id text,
    created_at integer not null,
    updated_at integer not null,
    completed_at integer,
    check (owner is null or wake_at is null),
    check (status not in ('completed', 'failed', 'cancelled', 'terminated') or (owner is null and wake_at is null))
) without rowid;
create index instances_wake on instances (definition, version, priority, wake_at)
    where wake_at is not null and owner is null;
create index instances_owner on instances (owner) where owner is not null;
create index instances_status on instances (tenant, definition, status, state);
create index instances_correlation on instances (correlation_id) where correlation_id is not null;
create table history (
    instance_id text not null,
    revision integer not null,
    tenant text not null,
    at integer not null,
    actor text not null,
    worker text not null,
    events blob not null,
    changes blob not null,
    primary key (instance_id, revision)
) without rowid;
create table signals (
    instance_id text not null,
    seq integer not null,
    kind text not null check (kind in ('signal', 'control')),
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
create unique index signals_key on signals (instance_id, kind, name, key);
create table start_keys (
    tenant text not null,
    definition text not null,
    key text not null,
    instance_id text not null,
    primary key (tenant, definition, key)
) without rowid;
create table workers (
    id text primary key not null,
    name text not null,
    capabilities text not null,
    started_at integer not null,
    expires_at integer not null
) without rowid;
create table archive_instances (
    id text primary key not null,
    tenant text not null,
    definition text not null,
    version integer not null,
    key text,
    status text not null,
    state text not null,
    label text not null,
    revision integer not null,
    snapshot blob not null,
    attributes blob not null,
    wake_at integer,
    owner text,
    epoch integer not null,
    takeovers integer not null,
    inbox integer not null,
    seen integer not null,
    fault text,
    priority integer not null,
    correlation_id text,
    created_at integer not null,
    updated_at integer not null,
    completed_at integer
) without rowid;
create table archive_history (
    instance_id text not null,
    revision integer not null,
    tenant text not null,
    at integer not null,
    actor text not null,
    worker text not null,
    events blob not null,
    changes blob not null,
    primary key (instance_id, revision)
) without rowid;
create table archive_signals (
    instance_id text not null,
    seq integer not null,
    kind text not null,
    tenant text not null,
    name text not null,
    payload blob not null,
    key text not null,
    stamp integer not null,
    actor text not null,
    status text not null,
    reason text not null,
    received_at integer not null,
    processed_at integer,
    primary key (instance_id, seq)
) without rowid;
