-- 0007: results of activities, kept for the same input.
create table stepkeel.cached (
    tenant text collate "C" not null,
    activity text collate "C" not null,
    key text collate "C" not null,
    result bytea not null,
    expires_at bigint not null,
    primary key (tenant, activity, key)
);
create index cached_over on stepkeel.cached (expires_at);
