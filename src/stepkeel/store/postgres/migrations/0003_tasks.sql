-- 0003: tasks: work for people.
create table stepkeel.tasks (
    instance_id text collate "C" not null,
    id text collate "C" not null,
    tenant text collate "C" not null,
    definition text collate "C" not null,
    version integer not null,
    path text collate "C" not null,
    title text not null,
    status text collate "C" not null check (status in ('open', 'completed', 'withdrawn')),
    role text collate "C" not null,
    assignee text collate "C" not null,
    candidates jsonb not null,
    excluded jsonb not null,
    claimed_by text collate "C" not null,
    form text not null,
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
