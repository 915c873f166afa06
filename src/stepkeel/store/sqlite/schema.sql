-- The schema of a Stepkeel database on SQLite (PRAGMA user_version is its version; application_id 'STPK').
-- Migrations build exactly this; a test holds them to it.
--
-- Instants are integer microseconds since 1970, UTC. Ids are UUIDv7 text: time-ordered, so that writes of instances
-- that run at the same time stay close together in every tree. No triggers, no foreign keys, no rules: those are the
-- program's. What stands here as CHECK is the law that nothing is ever stranded, as far as one row can tell it.

-- What code registered: enough to explain and draw an instance without that code.
create table definitions (
    tenant text not null,                  -- '*': for all tenants
    name text not null,
    version integer not null,
    shape text not null,                   -- digest of states, nodes, names, policies
    code text not null,                    -- digest of guards and mappings; '' unknown
    document blob not null,                -- the outline, JSON
    status text not null,
    primary key (tenant, name, version)
) without rowid;

-- One row is one instance, with all that is needed to claim, run and park it.
create table instances (
    id text primary key not null,
    tenant text not null,
    definition text not null,
    version integer not null,
    key text,                              -- of its start
    status text not null check (status in
        ('created', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled', 'terminated')),
    state text not null,                   -- the author's place
    label text not null,
    revision integer not null,             -- of the last history entry; every commit is fenced by it
    snapshot blob not null,                -- JSON
    attributes blob not null,              -- JSON, for searching
    wake_at integer,                       -- when somebody has to look at it; null: owned, ended, or waiting for its inbox
    owner text,                            -- the worker that holds it
    epoch integer not null,                -- grows with every claim, give-back, takeover: names one residency
    takeovers integer not null,            -- since its last commit
    inbox integer not null,                -- rows ever put into its inbox
    seen integer not null,                 -- inbox as of the last decision that took account of it
    fault text,                            -- why it was set aside
    priority integer not null,             -- 0 first, 4 last
    correlation_id text,
    created_at integer not null,
    updated_at integer not null,
    completed_at integer,
    parent text,                           -- the instance that began it
    check (owner is null or wake_at is null),
    check (status not in ('completed', 'failed', 'cancelled', 'terminated') or (owner is null and wake_at is null))
) without rowid;

-- All work is in this index: a start, a due timer, a retry, a signal, a recovered row are "wake_at has come".
create index instances_wake on instances (definition, version, priority, wake_at)
    where wake_at is not null and owner is null;
-- The same by tenant, for when more is due than there is room for. Its condition is said in other words, so that a statement
-- which means the one index cannot be planned with the other: what has a `wake_at` has no owner.
create index instances_turn on instances (definition, version, priority, tenant, wake_at) where wake_at >= 0;
create index instances_owner on instances (owner) where owner is not null;
create index instances_status on instances (tenant, definition, status, state);
create index instances_completed on instances (completed_at) where completed_at is not null;
create index instances_correlation on instances (correlation_id) where correlation_id is not null;
create index instances_parent on instances (parent) where parent is not null;

-- Append-only: one entry a decision. Folded from the start, the changes give the snapshot of any revision.
create table history (
    instance_id text not null,
    revision integer not null,
    tenant text not null,
    at integer not null,
    actor text not null,
    worker text not null,
    events blob not null,
    changes blob not null,
    commit_no integer,  -- in the order of commits, null: older than this column
    primary key (instance_id, revision)
) without rowid;
create index history_commit on history (commit_no) where commit_no is not null;

-- The inbox: signals and control requests, in order of arrival. A row is never deleted while its instance is kept.
create table signals (
    instance_id text not null,
    seq integer not null,
    kind text not null check (kind in ('signal', 'control', 'grant', 'child', 'task')),
    tenant text not null,
    name text not null,
    payload blob not null,
    key text not null,                     -- the same kind, name and key is the same row
    stamp integer not null,                -- the instance's revision when it was accepted
    actor text not null,
    status text not null check (status in ('pending', 'processed', 'ignored', 'rejected', 'failed')),
    reason text not null,
    received_at integer not null,
    processed_at integer,
    primary key (instance_id, seq)
) without rowid;
create unique index signals_key on signals (instance_id, kind, name, key);

-- Who holds slots of pools and who waits for one: asked for and returned in the commits of the instance itself, granted by
-- whoever looks next. `rank` is the time of asking, later for the less urgent.
create table tickets (
    instance_id text not null,
    path text not null,
    pool text not null,
    n integer not null,                    -- tells this asking from earlier ones of the same path
    tenant text not null,
    size integer not null,                 -- of the pool, as whoever asked knows it
    per integer,                           -- microseconds, where the pool is a rate: the row then stays that long
    rank integer not null,
    granted_at integer,
    amount integer not null default 1,     -- how many slots it takes, together
    primary key (instance_id, path, pool, n)
) without rowid;
create index tickets_waiting on tickets (pool, rank, instance_id, path, n) where granted_at is null;
create index tickets_held on tickets (pool, granted_at) where granted_at is not null;

-- Tasks: work for people. Written by the commits of their instances; kept when they are closed, until the instance is purged.
create table tasks (
    instance_id text not null,
    id text not null,
    tenant text not null,
    definition text not null,
    version integer not null,
    path text not null,                    -- of the node that asks for it
    title text not null,
    status text not null check (status in ('open', 'completed', 'withdrawn')),
    role text not null,
    assignee text not null,
    candidates text not null,              -- a JSON list of names
    excluded text not null,
    claimed_by text not null,
    form text not null,                    -- the name of the type that a completion is checked against
    priority integer not null,
    due_at integer,
    opened_at integer not null,
    updated_at integer not null,
    closed_at integer,
    closed_by text not null,
    result blob not null,
    reminded integer not null,
    escalated integer not null,
    primary key (instance_id, id)
) without rowid;
create unique index tasks_id on tasks (id);
create index tasks_open on tasks (tenant, role, assignee) where status = 'open';
create index tasks_due on tasks (due_at) where status = 'open' and due_at is not null;

-- Circuit breakers: what the fleet knows of services that failed lately.
create table breakers (
    name text not null primary key,
    version integer not null,             -- grows with each change; who writes says which they have read
    state text not null check (state in ('closed', 'open', 'half_open')),
    recent text not null,                  -- the last attempts: 1 failed
    until integer not null,
    opened_at integer not null,
    changed_at integer not null,
    reason text not null
) without rowid;

-- Results of activities, kept for others that are given the same.
create table cached (
    tenant text not null,
    activity text not null,
    key text not null,                     -- of the input, and of the activity's code
    result blob not null,
    expires_at integer not null,
    primary key (tenant, activity, key)
);
create index cached_over on cached (expires_at);

-- Start keys: inserted with their instance, kept as long as it is, archive included.
create table start_keys (
    tenant text not null,
    definition text not null,
    key text not null,
    instance_id text not null,
    primary key (tenant, definition, key)
) without rowid;

-- Live workers. Deleting a row is how a worker dies; whoever finds it expired does it.
create table workers (
    id text primary key not null,
    name text not null,
    capabilities text not null,
    started_at integer not null,
    expires_at integer not null
) without rowid;

-- Ended instances taken out of the lists. Readable; only purge changes them.
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
    completed_at integer,
    parent text
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
    commit_no integer,
    primary key (instance_id, revision)
) without rowid;
create index archive_history_commit on archive_history (commit_no) where commit_no is not null;

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

-- The outbox: messages that no sink has taken yet.
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

create table api_keys (
    id text primary key,
    tenant text not null,                 -- '*': it reaches any
    name text not null,
    digest text not null,                 -- SHA-256 of the key
    roles blob not null,
    scopes blob not null,
    made_by text not null,
    made_at integer not null,
    ends_at integer,
    used_at integer
);
create index api_keys_tenant on api_keys (tenant, made_at);

-- Append-only: what somebody did. Each entry has the digest of the one before it, per tenant (model/act.py).
create table audit (
    tenant text not null,
    seq integer not null,                 -- 1, 2, 3 ... in the order of commits
    at integer not null,
    actor text not null,
    verb text not null,
    kind text not null,
    subject text not null,
    instance_id text not null,            -- '': about none
    entry blob not null,                  -- the JSON that the digest is of; the columns before only repeat it
    digest blob not null,                 -- SHA-256
    primary key (tenant, seq)
) without rowid;
create index audit_instance on audit (tenant, instance_id, seq) where instance_id <> '';

-- The last entry of each chain.
create table audit_heads (
    tenant text primary key,
    seq integer not null,
    digest blob not null
) without rowid;

-- The number of the last commit that wrote history: one row.
create table commits (n integer not null);
insert into commits values (0);
