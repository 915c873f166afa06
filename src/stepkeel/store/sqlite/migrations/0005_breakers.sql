-- 0005: circuit breakers.
create table breakers (
    name text not null primary key,
    version integer not null,
    state text not null check (state in ('closed', 'open', 'half_open')),
    recent text not null,
    until integer not null,
    opened_at integer not null,
    changed_at integer not null,
    reason text not null
) without rowid;
