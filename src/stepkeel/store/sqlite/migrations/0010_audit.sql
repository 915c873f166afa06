-- 0010: the audit log.
create table audit (
    tenant text not null,
    seq integer not null,
    at integer not null,
    actor text not null,
    verb text not null,
    kind text not null,
    subject text not null,
    instance_id text not null,
    entry blob not null,
    digest blob not null,
    primary key (tenant, seq)
) without rowid;
create index audit_instance on audit (tenant, instance_id, seq) where instance_id <> '';
create table audit_heads (
    tenant text primary key,
    seq integer not null,
    digest blob not null
) without rowid;
