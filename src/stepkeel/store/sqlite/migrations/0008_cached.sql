-- 0008: results of activities, kept for the same input.
create table cached (
    tenant text not null,
    activity text not null,
    key text not null,
    result blob not null,
    expires_at integer not null,
    primary key (tenant, activity, key)
);
create index cached_over on cached (expires_at);
