-- 0004: circuit breakers.
create table stepkeel.breakers (
    name text collate "C" primary key,
    version bigint not null,
    state text not null check (state in ('closed', 'open', 'half_open')),
    recent text not null,
    until bigint not null,
    opened_at bigint not null,
    changed_at bigint not null,
    reason text not null
) with (fillfactor = 50);
