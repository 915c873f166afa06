-- 0009: the audit log.
create table stepkeel.audit (
    tenant text collate "C" not null,
    seq bigint not null,
    at bigint not null,
    actor text not null,
    verb text collate "C" not null,
    kind text collate "C" not null,
    subject text collate "C" not null,
    instance_id text collate "C" not null,
    entry bytea not null,
    digest bytea not null,
    primary key (tenant, seq)
);
create index audit_instance on stepkeel.audit (tenant, instance_id, seq) where instance_id <> '';
create table stepkeel.audit_heads (
    tenant text collate "C" primary key,
    seq bigint not null,
    digest bytea not null
) with (fillfactor = 50);
