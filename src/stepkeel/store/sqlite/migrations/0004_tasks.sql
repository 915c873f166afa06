-- 0004: tasks: work for people.
create table tasks (
    instance_id text not null,
    id text not null,
    tenant text not null,
    definition text not null,
    version integer not null,
    path text not null,
    title text not null,
    status text not null check (status in ('open', 'completed', 'withdrawn')),
    role text not null,
    assignee text not null,
    candidates text not null,
    excluded text not null,
    claimed_by text not null,
    form text not null,
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
