-- 0009: API keys.
create table api_keys (
    id text primary key,
    tenant text not null,
    name text not null,
    digest text not null,
    roles blob not null,
    scopes blob not null,
    made_by text not null,
    made_at integer not null,
    ends_at integer,
    used_at integer
);
create index api_keys_tenant on api_keys (tenant, made_at);
