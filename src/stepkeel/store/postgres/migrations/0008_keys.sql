-- 0008: API keys.
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
