-- Every statement of the SQLite store, by the name of what runs it. Composed at run time: only the WHERE of lists.

-- name: row
select id, tenant, definition, version, key, status, state, label, revision, snapshot, attributes, wake_at, owner, epoch,
    takeovers, inbox, seen, fault, priority, correlation_id, created_at, updated_at, completed_at, parent
from instances where id = ?;

-- name: archived_row
select id, tenant, definition, version, key, status, state, label, revision, snapshot, attributes, wake_at, owner, epoch,
    takeovers, inbox, seen, fault, priority, correlation_id, created_at, updated_at, completed_at, parent, true
from archive_instances where id = ?;

-- name: fence
select owner, epoch, revision, status from instances where id = ?;

-- name: due
-- One probe for each (definition, version, priority): equality on the three, so nobody walks over others' rows.
select id, wake_at from instances
where definition = ? and version = ? and priority = ? and owner is null and wake_at is not null and wake_at <= ?
order by wake_at limit ?;

-- name: due_of
-- What `due` finds, of one tenant.
select id, wake_at from instances
where definition = ? and version = ? and priority = ? and tenant = ? and wake_at >= 0 and wake_at <= ?
order by wake_at limit ?;

-- name: turns
-- A skip scan: one probe of the index for each tenant of whom anything is due or will be, `:tenants` of them behind `:after`.
with recursive tenants (tenant, k) as (
    select min(tenant), 1 from instances
    where definition = :definition and version = :version and priority = :priority and wake_at >= 0 and tenant > :after
    union all
    select (
        select min(i.tenant) from instances i
        where i.definition = :definition and i.version = :version and i.priority = :priority and i.wake_at >= 0
            and i.tenant > t.tenant
    ), t.k + 1
    from tenants t where t.tenant is not null and t.k < :tenants
), firsts (tenant, since) as materialized (
    select t.tenant, (
        select min(i.wake_at) from instances i
        where i.definition = :definition and i.version = :version and i.priority = :priority and i.tenant = t.tenant
            and i.wake_at >= 0
    )
    from tenants t where t.tenant is not null
)
select f.tenant, case when f.since <= :now then (
    select count(*) from (
        select 1 from instances i
        where i.definition = :definition and i.version = :version and i.priority = :priority and i.tenant = f.tenant
            and i.wake_at >= 0 and i.wake_at <= :now
        limit :limit
    )
) else 0 end, f.since
from firsts f;

-- name: next_wake
select min(wake_at) from instances
where definition = ? and version = ? and priority = ? and owner is null and wake_at is not null and wake_at > ?;

-- name: claim
update instances set owner = :worker, epoch = epoch + 1, wake_at = null
where id = :id and owner is null and wake_at is not null and exists (select 1 from workers where id = :worker);

-- name: owned
select id, epoch from instances where owner = ?;

-- name: news
select id, inbox from instances where owner = ? and inbox > seen;

-- name: give_back
update instances set owner = null, wake_at = :now, epoch = epoch + 1 where id = :id and owner = :worker and epoch = :epoch;

-- name: dead_owners
-- A skip scan: one probe of the index for each owner, however many rows each has.
with recursive owners (owner) as (
    select min(owner) from instances where owner is not null
    union all
    select (select min(i.owner) from instances i where i.owner > o.owner and i.owner is not null) from owners o where o.owner is not null
)
select owner from owners where owner is not null and owner not in (select id from workers);

-- name: take_over
-- The owner is compared again: the row may have been parked and claimed by a live worker meanwhile.
update instances set owner = null, wake_at = :now, epoch = epoch + 1, takeovers = takeovers + 1
where owner = :dead and id in (select id from instances where owner = :dead limit :limit)
returning id;

-- name: add_worker
insert into workers (id, name, capabilities, started_at, expires_at) values (?, ?, ?, ?, ?)
on conflict (id) do update set expires_at = excluded.expires_at, capabilities = excluded.capabilities;

-- name: remove_worker
delete from workers where id = ?;

-- name: workers
select id, name, capabilities, started_at, expires_at from workers;

-- name: bury
delete from workers where expires_at < ? returning id;

-- name: renew
update workers set expires_at = ? where id = ?;

-- name: start_key
insert into start_keys (tenant, definition, key, instance_id) values (?, ?, ?, ?) on conflict do nothing;

-- name: find_key
select instance_id from start_keys where tenant = ? and definition = ? and key = ?;

-- name: start
insert into instances (id, tenant, definition, version, key, status, state, label, revision, snapshot, attributes, wake_at,
    owner, epoch, takeovers, inbox, seen, fault, priority, correlation_id, created_at, updated_at, completed_at, parent)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, 0, null, ?, ?, ?, ?, ?, ?)
on conflict (id) do nothing;

-- name: history_add
insert into history (instance_id, revision, tenant, at, actor, worker, events, changes, commit_no) values (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: count_commit
update commits set n = n + 1 returning n;

-- name: newest_commit
select n from commits;

-- name: feed
select * from (
    select commit_no, instance_id, revision, at, actor, worker, events, changes from history
    where commit_no >= :commit and tenant = :tenant and (commit_no, instance_id, revision) > (:commit, :instance_id, :revision)
    order by commit_no, instance_id, revision limit :limit
) union all select * from (
    select commit_no, instance_id, revision, at, actor, worker, events, changes from archive_history
    where commit_no >= :commit and tenant = :tenant and (commit_no, instance_id, revision) > (:commit, :instance_id, :revision)
    order by commit_no, instance_id, revision limit :limit
) order by 1, 2, 3 limit :limit;

-- name: step
-- The commonest: nothing that stands in an index changes.
update instances set revision = ?, snapshot = ?, seen = max(seen, ?), updated_at = ?, takeovers = 0, fault = null
where id = ? and owner is ? and epoch = ? and revision = ?;

-- name: move
update instances set revision = :revision, snapshot = coalesce(:snapshot, snapshot), seen = max(seen, :seen), updated_at = :at,
    takeovers = 0, fault = :fault, status = :status,
    state = case when :fault is null then :state else state end, label = case when :fault is null then :label else label end,
    completed_at = case when :ended then coalesce(completed_at, :at) end
where id = :id and owner is :owner and epoch = :epoch and revision = :expected;

-- name: release
-- The inbox is compared on the row itself: what came since the decision wakes the instance at once.
update instances set revision = :revision, snapshot = coalesce(:snapshot, snapshot), seen = max(seen, :seen), updated_at = :at,
    takeovers = 0, fault = :fault, status = :status,
    state = case when :fault is null then :state else state end, label = case when :fault is null then :label else label end,
    completed_at = case when :ended then coalesce(completed_at, :at) end,
    owner = null, epoch = epoch + 1,
    wake_at = case when :ended then null when inbox > :seen then :now else :wake_at end
where id = :id and owner is :owner and epoch = :epoch and revision = :expected;

-- name: settle
update signals set status = ?, reason = ?, processed_at = ? where instance_id = ? and seq = ? and status = 'pending';

-- name: settle_rest
update signals set status = case kind when 'control' then 'rejected' else 'ignored' end, reason = 'the instance ended',
    processed_at = ?
where instance_id = ? and status = 'pending';

-- name: receipt
select s.seq, s.status, s.reason, s.key, i.owner from signals s left join instances i on i.id = s.instance_id
where s.instance_id = ? and s.kind = ? and s.name = ? and s.key = ? and s.tenant = ?;

-- name: archived_receipt
select seq, status, reason, key from archive_signals
where instance_id = ? and kind = ? and name = ? and key = ? and tenant = ?;

-- name: pending_count
select count(*) from signals where instance_id = ? and status = 'pending';

-- name: deliver
-- Counting and waking in one statement; an ended instance is not matched.
update instances set inbox = inbox + 1,
    wake_at = case when owner is null and (status <> 'paused' or :control) then min(coalesce(wake_at, :now), :now) else wake_at end
where id = :id and tenant = :tenant and status not in ('completed', 'failed', 'cancelled', 'terminated')
returning inbox, revision, owner;

-- name: deliver_row
insert into signals (instance_id, seq, kind, tenant, name, payload, key, stamp, actor, status, reason, received_at)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', '', ?);

-- name: live_inbox
select inbox from instances
where id = ? and tenant = ? and status not in ('completed', 'failed', 'cancelled', 'terminated');

-- name: inbox_count
select inbox from instances where id = ?;

-- name: inbox
select instance_id, seq, kind, name, payload, key, stamp, actor, status, reason, received_at, processed_at
from signals where instance_id = ? and seq > ? and status = 'pending' order by seq limit ?;

-- name: signals
select instance_id, seq, kind, name, payload, key, stamp, actor, status, reason, received_at, processed_at
from signals where instance_id = :id
union all
select instance_id, seq, kind, name, payload, key, stamp, actor, status, reason, received_at, processed_at
from archive_signals where instance_id = :id
order by seq;

-- name: history
select revision, at, actor, worker, events, changes from history where instance_id = :id and revision > :after
union all
select revision, at, actor, worker, events, changes from archive_history where instance_id = :id and revision > :after
order by revision limit :limit;

-- name: tenants
-- A skip scan: one probe of the index for each.
with recursive names (tenant) as (
    select min(i.tenant) from instances i where i.tenant > :after
    union all
    select (select min(i.tenant) from instances i where i.tenant > n.tenant) from names n where n.tenant is not null
)
select tenant from (
    select tenant from names where tenant is not null
    union
    select k.tenant from api_keys k where k.tenant > :after and k.tenant <> '*'
) known order by tenant limit :limit;

-- name: metrics
select definition, version, status, state, count(*) from instances where :tenant is null or tenant = :tenant
group by definition, version, status, state order by definition, version, status, state;

-- name: ended
-- `bounds_reached(duration)` stands for a ladder of comparisons: see `statements`.
select (i.completed_at - :since) / :width as span, i.status,
    bounds_reached(i.completed_at - i.created_at) as size, count(*)
from instances i
where i.completed_at >= :since and i.completed_at < :until and (:tenant is null or i.tenant = :tenant)
group by 1, 2, 3 order by 1, 2, 3;

-- name: all_due
select definition, version, count(*), min(wake_at) from instances
where owner is null and wake_at is not null and wake_at <= :now and (:tenant is null or tenant = :tenant)
group by definition, version order by definition, version;

-- name: definitions
select tenant, name, version, shape, code, document, status from definitions;

-- name: put_definition
insert into definitions (tenant, name, version, shape, code, document, status) values (?, ?, ?, ?, ?, ?, ?)
on conflict (tenant, name, version) do update set shape = excluded.shape, code = excluded.code,
    document = excluded.document, status = excluded.status
where (definitions.shape, definitions.code, definitions.document, definitions.status)
    is not (excluded.shape, excluded.code, excluded.document, excluded.status);

-- name: archive_row
insert into archive_instances select * from instances where id = ?;

-- name: archive_history
insert into archive_history select * from history where instance_id = ?;

-- name: archive_signals
insert into archive_signals select * from signals where instance_id = ?;

-- name: delete_instance
delete from instances where id = ?;

-- name: delete_history
delete from history where instance_id = ?;

-- name: delete_signals
delete from signals where instance_id = ?;

-- name: delete_archived_instance
delete from archive_instances where id = ?;

-- name: delete_archived_history
delete from archive_history where instance_id = ?;

-- name: delete_archived_signals
delete from archive_signals where instance_id = ?;

-- name: delete_key
delete from start_keys where instance_id = ? and tenant = ? and definition = ? and key = ?;

-- name: ask
insert into tickets (instance_id, path, pool, n, tenant, size, per, rank, amount) values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing;

-- name: return
-- One that counts for a rate stays until its span is over.
delete from tickets where instance_id = ? and path = ? and pool = ? and n = ? and (per is null or granted_at is null);

-- name: waiting_pools
-- A skip scan: one probe for each pool that somebody waits for; of each the size that its first ticket tells, what is held, and how many
-- slots that ticket takes.
with recursive waiting (pool) as (
    select min(pool) from tickets where granted_at is null
    union all
    select (select min(t.pool) from tickets t where t.granted_at is null and t.pool > w.pool) from waiting w where w.pool is not null
), heads as (
    select w.pool, (select t.size from tickets t where t.pool = w.pool and t.granted_at is null order by t.rank, t.instance_id, t.path, t.n limit 1) as size,
        (select t.per from tickets t where t.pool = w.pool and t.granted_at is null order by t.rank, t.instance_id, t.path, t.n limit 1) as per,
        (select t.amount from tickets t where t.pool = w.pool and t.granted_at is null order by t.rank, t.instance_id, t.path, t.n limit 1) as amount
    from waiting w where w.pool is not null
)
select h.pool, h.size, h.per,
    (select coalesce(sum(t.amount), 0) from tickets t where t.pool = h.pool and t.granted_at is not null and (h.per is null or t.granted_at > :now - h.per)),
    (select min(t.granted_at) from tickets t where t.pool = h.pool and t.granted_at is not null and (h.per is null or t.granted_at > :now - h.per)),
    h.amount
from heads h;

-- name: first_waiting
select instance_id, path, pool, n, tenant, size, per, rank, granted_at, amount from tickets
where pool = ? and granted_at is null order by rank, instance_id, path, n limit ?;

-- name: granted
update tickets set granted_at = ? where instance_id = ? and path = ? and pool = ? and n = ?;

-- name: expired
delete from tickets where pool = :pool and per is not null and granted_at is not null and granted_at <= :now - per;

-- name: delete_ticket
delete from tickets where instance_id = ? and path = ? and pool = ? and n = ?;

-- name: delete_tickets
delete from tickets where instance_id = ?;

-- name: pools
-- A skip scan over both partial indexes: one probe for each pool; it ends with the page. The first that waits says how large its pool
-- is; where none does, the first that holds.
with recursive names (pool) as (
    select min(p) from (select min(pool) as p from tickets where granted_at is null and pool > :after
        union all select min(pool) from tickets where granted_at is not null and pool > :after)
    union all
    select (select min(p) from (select min(t.pool) as p from tickets t where t.granted_at is null and t.pool > n.pool
        union all select min(t.pool) from tickets t where t.granted_at is not null and t.pool > n.pool))
    from names n where n.pool is not null
), chosen as (
    select n.pool, exists (select 1 from tickets t where t.pool = n.pool and t.granted_at is null) as waits
    from names n where n.pool is not null and (:name is null or n.pool = :name) and (:tenant is null
        or exists (select 1 from tickets t where t.pool = n.pool and t.granted_at is null and t.tenant = :tenant)
        or exists (select 1 from tickets t where t.pool = n.pool and t.granted_at is not null and t.tenant = :tenant))
    limit :limit
), heads as (
    select n.pool,
        case when n.waits then (select t.size from tickets t
            where t.pool = n.pool and t.granted_at is null order by t.rank, t.instance_id, t.path, t.n limit 1)
        else (select t.size from tickets t
            where t.pool = n.pool and t.granted_at is not null order by t.granted_at, t.rank, t.instance_id, t.path, t.n limit 1) end as size,
        case when n.waits then (select t.per from tickets t
            where t.pool = n.pool and t.granted_at is null order by t.rank, t.instance_id, t.path, t.n limit 1)
        else (select t.per from tickets t
            where t.pool = n.pool and t.granted_at is not null order by t.granted_at, t.rank, t.instance_id, t.path, t.n limit 1) end as per
    from chosen n
)
select h.pool, h.size, h.per,
    (select coalesce(sum(t.amount), 0) from tickets t where t.pool = h.pool and t.granted_at is not null and (h.per is null or t.granted_at > :now - h.per)),
    (select count(*) from tickets t where t.pool = h.pool and t.granted_at is null)
from heads h order by h.pool;

-- name: pool
select * from (select instance_id, path, pool, n, tenant, size, per, rank, granted_at, amount from tickets
    where pool = :pool and granted_at is not null order by granted_at limit :limit)
union all
select * from (select instance_id, path, pool, n, tenant, size, per, rank, granted_at, amount from tickets
    where pool = :pool and granted_at is null order by rank, instance_id, path, n limit :limit);

-- name: tickets
select instance_id, path, pool, n, tenant, size, per, rank, granted_at, amount from tickets where instance_id = ?;

-- name: open_task
insert into tasks (instance_id, id, tenant, definition, version, path, title, status, role, assignee, candidates, excluded, claimed_by, form,
    priority, due_at, opened_at, updated_at, closed_at, closed_by, result, reminded, escalated)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing;

-- name: change_task
update tasks set status = :status, role = :role, assignee = :assignee, claimed_by = :claimed_by, updated_at = :at,
    closed_at = case when :status <> 'open' then coalesce(closed_at, :at) end, closed_by = :closed_by, result = :result,
    candidates = case when escalated = :escalated then candidates else '[]' end, reminded = :reminded, escalated = :escalated
where instance_id = :instance_id and id = :id;

-- name: task
select id, instance_id, tenant, definition, version, path, title, status, role, assignee, candidates, excluded, claimed_by, form, priority,
    due_at, opened_at, updated_at, closed_at, closed_by, result, reminded, escalated
from tasks where id = ?;

-- name: delete_instance_tasks
delete from tasks where instance_id = ?;

-- name: breakers
select name, version, state, recent, until, opened_at, changed_at, reason from breakers order by name;

-- name: put_breaker
insert into breakers (name, version, state, recent, until, opened_at, changed_at, reason)
select :name, :version, :state, :recent, :until, :opened_at, :changed_at, :reason
where :version = 1 or exists (select 1 from breakers where name = :name)
on conflict (name) do update set version = excluded.version, state = excluded.state, recent = excluded.recent,
    until = excluded.until, opened_at = excluded.opened_at, changed_at = excluded.changed_at, reason = excluded.reason
where breakers.version = excluded.version - 1;

-- name: cached
select result from cached where tenant = ? and activity = ? and key = ? and expires_at > ?;

-- name: drop_cached
delete from cached where rowid in (select rowid from cached where expires_at <= ? limit ?);

-- name: put_cached
insert into cached (tenant, activity, key, result, expires_at) values (:tenant, :activity, :key, :result, :expires_at)
on conflict (tenant, activity, key) do update set result = excluded.result, expires_at = excluded.expires_at;

-- name: forget_cached
delete from cached where tenant = :tenant and (:activity = '' or activity = :activity);

-- name: api_key
select id, tenant, name, digest, roles, scopes, made_by, made_at, ends_at, used_at from api_keys where id = ?;

-- name: api_keys
select id, tenant, name, digest, roles, scopes, made_by, made_at, ends_at, used_at from api_keys where tenant = ? order by made_at, id;

-- name: add_api_key
insert into api_keys (id, tenant, name, digest, roles, scopes, made_by, made_at, ends_at, used_at) values (:id, :tenant, :name, :digest, :roles, :scopes, :made_by, :made_at, :ends_at, :used_at)
on conflict do nothing;

-- name: end_api_key
update api_keys set ends_at = :at where tenant = :tenant and id = :id and (ends_at is null or ends_at > :at);

-- name: use_api_key
update api_keys set used_at = :at where id = :id and (used_at is null or used_at < :at);

-- name: audit_head
select seq, digest from audit_heads where tenant = ?;

-- name: put_audit_head
insert into audit_heads (tenant, seq, digest) values (?, ?, ?)
on conflict (tenant) do update set seq = excluded.seq, digest = excluded.digest;

-- name: add_act
insert into audit (tenant, seq, at, actor, verb, kind, subject, instance_id, entry, digest) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: emit
insert into outbox (id, instance_id, tenant, definition, version, path, topic, payload, at, due_at, tries, error) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing;

-- name: any_message
select 1 from outbox where due_at <= ? limit 1;

-- name: take_messages
update outbox set due_at = :until, tries = tries + 1
where seq in (
    select o.seq from outbox o
    where o.due_at <= :now and (:any or o.topic in (select value from json_each(:topics)))
        and not exists (
            select 1 from outbox e where e.instance_id = o.instance_id and e.topic = o.topic and e.seq < o.seq and e.due_at > :now
        )
    order by o.seq limit :limit
)
returning id, instance_id, tenant, definition, version, path, topic, payload, at, due_at, tries, error, seq;

-- name: delivered
delete from outbox where seq = ?;

-- name: undelivered
update outbox set due_at = ?, error = ? where seq = ? and tries = ?;

-- name: outbox
select id, instance_id, tenant, definition, version, path, topic, payload, at, due_at, tries, error, seq from outbox where ? is null or tenant = ? order by seq limit ?;
