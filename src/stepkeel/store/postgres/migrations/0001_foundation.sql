-- 0001: the foundation. schema.sql explains it.
create table stepkeel.meta (
    name text collate "C" primary key,
    value text not null
);

create table stepkeel.definitions (
    tenant text collate "C" not null,
    name text collate "C" not null,
    version integer not null,
    shape text not null,
    code text not null,
    document bytea not null,
    status text not null,
    primary key (tenant, name, version)
);

create table stepkeel.instances (
    id text collate "C" primary key,
    tenant text collate "C" not null,
    definition text collate "C" not null,
    version integer not null,
    key text collate "C",
    status text collate "C" not null check (status in
        ('created', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled', 'terminated')),
    state text collate "C" not null,
    label text collate "C" not null,
    revision bigint not null,
    snapshot bytea not null,
    attributes jsonb not null,
    wake_at bigint,
    owner text collate "C",
    epoch bigint not null,
    takeovers integer not null,
    inbox bigint not null,
    seen bigint not null,
    fault text,
    priority smallint not null,
    correlation_id text collate "C",
    created_at bigint not null,
    updated_at bigint not null,
    completed_at bigint,
    check (owner is null or wake_at is null),
    check (status not in ('completed', 'failed', 'cancelled', 'terminated') or (owner is null and wake_at is null))
) with (
    fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);

create index instances_wake on stepkeel.instances (definition, version, priority, wake_at)
    where wake_at is not null and owner is null;
create index instances_owner on stepkeel.instances (owner) where owner is not null;
create index instances_status on stepkeel.instances (tenant, definition, status, state);
create index instances_correlation on stepkeel.instances (correlation_id) where correlation_id is not null;
create index instances_completed on stepkeel.instances (completed_at) where completed_at is not null;
create index instances_attributes on stepkeel.instances using gin (attributes jsonb_path_ops) where attributes <> '{}';

create table stepkeel.history (
    instance_id text collate "C" not null,
    revision bigint not null,
    tenant text collate "C" not null,
    at bigint not null,
    actor text not null,
    worker text not null,
    events bytea not null,
    changes bytea not null,
    primary key (instance_id, revision)
) with (autovacuum_vacuum_insert_scale_factor = 0.1);

create table stepkeel.signals (
    instance_id text collate "C" not null,
    seq bigint not null,
    kind text collate "C" not null check (kind in ('signal', 'control', 'grant')),
    tenant text collate "C" not null,
    name text collate "C" not null,
    payload bytea not null,
    key text collate "C" not null,
    stamp bigint not null,
    actor text not null,
    status text collate "C" not null check (status in ('pending', 'processed', 'ignored', 'rejected', 'failed')),
    reason text not null,
    received_at bigint not null,
    processed_at bigint,
    primary key (instance_id, seq)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
create unique index signals_key on stepkeel.signals (instance_id, kind, name, key);

create table stepkeel.tickets (
    instance_id text collate "C" not null,
    path text collate "C" not null,
    pool text collate "C" not null,
    n bigint not null,
    tenant text collate "C" not null,
    size integer not null,
    per bigint,
    rank bigint not null,
    granted_at bigint,
    primary key (instance_id, path, pool, n)
) with (autovacuum_vacuum_scale_factor = 0.02);
create index tickets_waiting on stepkeel.tickets (pool, rank, instance_id, path, n) where granted_at is null;
create index tickets_held on stepkeel.tickets (pool, granted_at) where granted_at is not null;

create table stepkeel.pools (
    name text collate "C" primary key
);

create table stepkeel.start_keys (
    tenant text collate "C" not null,
    definition text collate "C" not null,
    key text collate "C" not null,
    instance_id text collate "C" not null,
    primary key (tenant, definition, key)
);

create table stepkeel.workers (
    id text collate "C" primary key,
    name text not null,
    capabilities text not null,
    started_at bigint not null,
    expires_at bigint not null
) with (fillfactor = 50);

create table stepkeel.archive_instances (
    id text collate "C" not null,
    tenant text collate "C" not null,
    definition text collate "C" not null,
    version integer not null,
    key text collate "C",
    status text collate "C" not null,
    state text collate "C" not null,
    label text collate "C" not null,
    revision bigint not null,
    snapshot bytea not null,
    attributes jsonb not null,
    wake_at bigint,
    owner text collate "C",
    epoch bigint not null,
    takeovers integer not null,
    inbox bigint not null,
    seen bigint not null,
    fault text,
    priority smallint not null,
    correlation_id text collate "C",
    created_at bigint not null,
    updated_at bigint not null,
    completed_at bigint,
    primary key (id)
) partition by range (id);
create table stepkeel.archive_instances_rest partition of stepkeel.archive_instances default;

create table stepkeel.archive_history (
    instance_id text collate "C" not null,
    revision bigint not null,
    tenant text collate "C" not null,
    at bigint not null,
    actor text not null,
    worker text not null,
    events bytea not null,
    changes bytea not null,
    primary key (instance_id, revision)
) partition by range (instance_id);
create table stepkeel.archive_history_rest partition of stepkeel.archive_history default;

create table stepkeel.archive_signals (
    instance_id text collate "C" not null,
    seq bigint not null,
    kind text collate "C" not null,
    tenant text collate "C" not null,
    name text collate "C" not null,
    payload bytea not null,
    key text collate "C" not null,
    stamp bigint not null,
    actor text not null,
    status text collate "C" not null,
    reason text not null,
    received_at bigint not null,
    processed_at bigint,
    primary key (instance_id, seq)
) partition by range (instance_id);
create table stepkeel.archive_signals_rest partition of stepkeel.archive_signals default;
