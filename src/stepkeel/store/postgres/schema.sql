-- The schema of a Stepkeel database on PostgreSQL (table meta has its version). Migrations build exactly this; a test
-- holds them to it. The name of the schema is `stepkeel` unless the URL says ?schema=other; it is put in by the program.
--
-- Instants are integer microseconds since 1970, UTC. Ids are UUIDv7 text: time-ordered, so that writes of instances
-- that run at the same time stay close together in every tree; "C" compares them as bytes, as all stores do. instance_id
-- leads the key of every table of an instance, so that they can be distributed by it. No triggers, sequences, enum types,
-- foreign keys; no rules: those are the program's. What stands here as CHECK is the law that nothing is ever stranded, as
-- far as one row can tell it.

create table stepkeel.meta (
    name text collate "C" primary key,
    value text not null
);

-- What code registered: enough to explain and draw an instance without that code.
create table stepkeel.definitions (
    tenant text collate "C" not null,      -- '*': for all tenants
    name text collate "C" not null,
    version integer not null,
    shape text not null,                   -- digest of states, nodes, names, policies
    code text not null,                    -- digest of guards and mappings; '' unknown
    document bytea not null,               -- the outline, JSON
    status text not null,
    primary key (tenant, name, version)
);

-- One row is one instance, with all that is needed to claim, run and park it. Every step updates it: room is left in the
-- pages, so that a new version of a row finds a place beside the old one and no index has to learn of it.
create table stepkeel.instances (
    id text collate "C" primary key,
    tenant text collate "C" not null,
    definition text collate "C" not null,
    version integer not null,
    key text collate "C",                  -- of its start
    status text collate "C" not null check (status in
        ('created', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled', 'terminated')),
    state text collate "C" not null,       -- the author's place
    label text collate "C" not null,
    revision bigint not null,              -- of the last history entry; every commit is fenced by it
    snapshot bytea not null,               -- JSON
    attributes jsonb not null,             -- for searching
    wake_at bigint,                        -- when somebody has to look at it; null: owned, ended, or waiting for its inbox
    owner text collate "C",                -- the worker that holds it
    epoch bigint not null,                 -- grows with every claim, give-back, takeover: names one residency
    takeovers integer not null,            -- since its last commit
    inbox bigint not null,                 -- rows ever put into its inbox
    seen bigint not null,                  -- inbox as of the last decision that took account of it
    fault text,                            -- why it was set aside
    priority smallint not null,            -- 0 first, 4 last
    correlation_id text collate "C",
    created_at bigint not null,
    updated_at bigint not null,
    completed_at bigint,
    parent text collate "C",               -- the instance that began it
    check (owner is null or wake_at is null),
    check (status not in ('completed', 'failed', 'cancelled', 'terminated') or (owner is null and wake_at is null))
) with (
    fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);

-- All work is in this index: a start, a due timer, a retry, a signal, a recovered row are "wake_at has come".
create index instances_wake on stepkeel.instances (definition, version, priority, wake_at)
    where wake_at is not null and owner is null;
-- The same by tenant, for when more is due than there is room for. Its condition is said in other words, so that a statement
-- which means the one index cannot be planned with the other: what has a `wake_at` has no owner.
create index instances_turn on stepkeel.instances (definition, version, priority, tenant, wake_at) where wake_at >= 0;
create index instances_owner on stepkeel.instances (owner) where owner is not null;
create index instances_status on stepkeel.instances (tenant, definition, status, state);
create index instances_correlation on stepkeel.instances (correlation_id) where correlation_id is not null;
create index instances_parent on stepkeel.instances (parent) where parent is not null;
create index instances_completed on stepkeel.instances (completed_at) where completed_at is not null;
create index instances_attributes on stepkeel.instances using gin (attributes jsonb_path_ops) where attributes <> '{}';

-- Append-only: one entry a decision. Folded from the start, the changes give the snapshot of any revision.
create table stepkeel.history (
    instance_id text collate "C" not null,
    revision bigint not null,
    tenant text collate "C" not null,
    at bigint not null,
    actor text not null,
    worker text not null,
    events bytea not null,
    changes bytea not null,
    commit_no bigint default pg_current_xact_id()::text::bigint,  -- the transaction that wrote it, null: older than this column
    primary key (instance_id, revision)
) with (autovacuum_vacuum_insert_scale_factor = 0.1);
create index history_commit on stepkeel.history (commit_no) where commit_no is not null;

-- The inbox: signals and control requests, in order of arrival. A row is never deleted while its instance is kept.
create table stepkeel.signals (
    instance_id text collate "C" not null,
    seq bigint not null,
    kind text collate "C" not null check (kind in ('signal', 'control', 'grant', 'child', 'task')),
    tenant text collate "C" not null,
    name text collate "C" not null,
    payload bytea not null,
    key text collate "C" not null,         -- the same kind, name and key is the same row
    stamp bigint not null,                 -- the instance's revision when it was accepted
    actor text not null,
    status text collate "C" not null check (status in ('pending', 'processed', 'ignored', 'rejected', 'failed')),
    reason text not null,
    received_at bigint not null,
    processed_at bigint,
    primary key (instance_id, seq)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
create unique index signals_key on stepkeel.signals (instance_id, kind, name, key);

-- Who holds slots of pools and who waits for one: asked for and returned in the commits of the instance itself, granted by
-- whoever looks next. `rank` is the time of asking, later for the less urgent.
create table stepkeel.tickets (
    instance_id text collate "C" not null,
    path text collate "C" not null,
    pool text collate "C" not null,
    n bigint not null,                     -- tells this asking from earlier ones of the same path
    tenant text collate "C" not null,
    size integer not null,                 -- of the pool, as whoever asked knows it
    per bigint,                            -- microseconds, where the pool is a rate: the row then stays that long
    rank bigint not null,
    granted_at bigint,
    amount integer not null default 1,     -- how many slots it takes, together
    primary key (instance_id, path, pool, n)
) with (autovacuum_vacuum_scale_factor = 0.02);
create index tickets_waiting on stepkeel.tickets (pool, rank, instance_id, path, n) where granted_at is null;
create index tickets_held on stepkeel.tickets (pool, granted_at) where granted_at is not null;

-- A row to lock while slots of a pool are given; it comes and goes with the need.
create table stepkeel.pools (
    name text collate "C" primary key
);

-- Tasks: work for people. Written by the commits of their instances; kept when they are closed, until the instance is purged.
create table stepkeel.tasks (
    instance_id text collate "C" not null,
    id text collate "C" not null,
    tenant text collate "C" not null,
    definition text collate "C" not null,
    version integer not null,
    path text collate "C" not null,                    -- of the node that asks for it
    title text not null,
    status text collate "C" not null check (status in ('open', 'completed', 'withdrawn')),
    role text collate "C" not null,
    assignee text collate "C" not null,
    candidates jsonb not null,              -- a JSON list of names
    excluded jsonb not null,
    claimed_by text collate "C" not null,
    form text not null,                    -- the name of the type that a completion is checked against
    priority smallint not null,
    due_at bigint,
    opened_at bigint not null,
    updated_at bigint not null,
    closed_at bigint,
    closed_by text not null,
    result bytea not null,
    reminded integer not null,
    escalated integer not null,
    primary key (instance_id, id)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
create unique index tasks_id on stepkeel.tasks (id);
create index tasks_open on stepkeel.tasks (tenant, role, assignee) where status = 'open';
create index tasks_due on stepkeel.tasks (due_at) where status = 'open' and due_at is not null;

-- The outbox: messages that no sink has taken yet.
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

-- Circuit breakers: what the fleet knows of services that failed lately.
create table stepkeel.breakers (
    name text collate "C" primary key,
    version bigint not null,             -- grows with each change; who writes says which they have read
    state text not null check (state in ('closed', 'open', 'half_open')),
    recent text not null,                  -- the last attempts: 1 failed
    until bigint not null,
    opened_at bigint not null,
    changed_at bigint not null,
    reason text not null
) with (fillfactor = 50);

-- Results of activities, kept for others that are given the same.
create table stepkeel.cached (
    tenant text collate "C" not null,
    activity text collate "C" not null,
    key text collate "C" not null,         -- of the input, and of the activity's code
    result bytea not null,
    expires_at bigint not null,
    primary key (tenant, activity, key)
);
create index cached_over on stepkeel.cached (expires_at);

create table stepkeel.api_keys (
    id text collate "C" primary key,
    tenant text collate "C" not null,
    name text not null,
    digest text collate "C" not null,
    roles bytea not null,
    scopes bytea not null,
    made_by text not null,
    made_at bigint not null,
    ends_at bigint,
    used_at bigint
);
create index api_keys_tenant on stepkeel.api_keys (tenant, made_at);

-- Start keys: inserted with their instance, kept as long as it is, archive included.
create table stepkeel.start_keys (
    tenant text collate "C" not null,
    definition text collate "C" not null,
    key text collate "C" not null,
    instance_id text collate "C" not null,
    primary key (tenant, definition, key)
);

-- Live workers. Deleting a row is how a worker dies; whoever finds it expired does it.
create table stepkeel.workers (
    id text collate "C" primary key,
    name text not null,
    capabilities text not null,
    started_at bigint not null,
    expires_at bigint not null
) with (fillfactor = 50);

-- Ended instances taken out of the lists. Readable; only purge changes them. In parts by the month of their start, which
-- their ids begin with, so that a read by id looks at one part; `stepkeel db upgrade` makes the parts of the months
-- ahead, the last one here takes what has none.
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
    parent text collate "C",
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
    commit_no bigint,
    primary key (instance_id, revision)
) partition by range (instance_id);
create index archive_history_commit on stepkeel.archive_history (commit_no) where commit_no is not null;
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

-- Append-only: what somebody did. Each entry has the digest of the one before it, per tenant (model/act.py).
create table stepkeel.audit (
    tenant text collate "C" not null,
    seq bigint not null,                  -- 1, 2, 3 ... in the order of commits
    at bigint not null,
    actor text not null,
    verb text collate "C" not null,
    kind text collate "C" not null,
    subject text collate "C" not null,
    instance_id text collate "C" not null,   -- '': about none
    entry bytea not null,                 -- the JSON that the digest is of; the columns before only repeat it
    digest bytea not null,                -- SHA-256
    primary key (tenant, seq)
);
create index audit_instance on stepkeel.audit (tenant, instance_id, seq) where instance_id <> '';

-- The last entry of each chain. Locked by the last statement but one of a transaction; updated in place, so with room for that.
create table stepkeel.audit_heads (
    tenant text collate "C" primary key,
    seq bigint not null,
    digest bytea not null
) with (fillfactor = 50);
