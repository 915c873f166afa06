-- Every statement of the PostgreSQL store, by the name of what runs it. Composed at run time: only the WHERE of lists.
--
-- clock($1) stands for the database's time in microseconds; a test may hand in its own instead of null.
-- Connections that run these plan without sequential scans, hash and merge joins: plans are kept, and one made while a
-- table was small must not walk over it when it has grown. Hence the shape: rows of `instances` are reached one by one
-- through its key, by LATERAL or by the target of an UPDATE; sets are compared by `(x in (select ...)) is true`, which
-- hashes; locks are taken in the order of ids.

-- name: now
select clock($1);

-- name: lock
-- All instances that a transaction of several statements touches, before anything else.
select count(*) from (select id from unnest($1::text[]) as w(id) order by id) w
cross join lateral (select 1 from stepkeel.instances i where i.id = w.id for update) l;

-- name: write
-- Starts and commits, each with its history. Keys come first, then instances by id. A start whose key is another's inserts
-- nothing; a commit that does not match its row changes nothing. Answers with counts, and with ids where one is missing.
with keyed as (
    insert into stepkeel.start_keys (tenant, definition, key, instance_id)
    select s.tenant, s.definition, s.key, s.id from unnest($2::text[], $3::text[], $4::text[], $6::text[]) as s(id, tenant, definition, key)
    where s.key is not null order by s.tenant, s.definition, s.key
    on conflict do nothing
    returning instance_id
), born as (
    insert into stepkeel.instances (id, tenant, definition, version, key, status, state, label, revision, snapshot, attributes,
        wake_at, owner, epoch, takeovers, inbox, seen, fault, priority, correlation_id, created_at, updated_at, completed_at,
        parent)
    select s.id, s.tenant, s.definition, s.version, s.key, s.status, s.state, s.label, s.revision, s.snapshot, s.attributes::jsonb,
        s.wake_at, s.owner, 1, 0, 0, 0, null, s.priority, s.correlation_id, s.at, s.at, s.completed_at, s.parent
    from unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
        $11::bytea[], $12::text[], $13::bigint[], $14::text[], $15::smallint[], $16::text[], $17::bigint[], $18::bigint[],
        $19::text[])
        as s(id, tenant, definition, version, key, status, state, label, revision, snapshot, attributes, wake_at, owner, priority,
            correlation_id, at, completed_at, parent)
    where s.key is null or s.id in (select instance_id from keyed)
    on conflict (id) do nothing
    returning id
), locked as materialized (
    select c.* from (
        select * from unnest($20::text[], $21::text[], $22::bigint[], $23::bigint[], $24::bigint[], $25::bytea[], $26::bigint[],
            $27::bigint[], $28::text[], $29::text[], $30::text[], $31::bool[], $32::bool[], $33::bigint[], $34::text[])
            as c(id, owner, epoch, expected, revision, snapshot, seen, at, status, state, label, release, ended, wake_at, fault)
        where (select count(*) from keyed) >= 0
        order by c.id
    ) c cross join lateral (
        select i.owner, i.epoch, i.revision from stepkeel.instances i where i.id = c.id for update
    ) l
    where l.owner is not distinct from c.owner and l.epoch = c.epoch and l.revision = c.expected
), stepped as (
    update stepkeel.instances i set
        revision = c.revision,
        snapshot = coalesce(c.snapshot, i.snapshot),
        seen = greatest(i.seen, c.seen),
        updated_at = c.at,
        takeovers = 0,
        fault = c.fault,
        status = c.status,
        state = case when c.fault is null then c.state else i.state end,
        label = case when c.fault is null then c.label else i.label end,
        completed_at = case when c.ended then coalesce(i.completed_at, c.at) end,
        owner = case when c.release then null else i.owner end,
        epoch = case when c.release then i.epoch + 1 else i.epoch end,
        -- The inbox is compared on the row itself: what came since the decision wakes the instance at once.
        wake_at = case when not c.release then i.wake_at when c.ended then null when i.inbox > c.seen then clock($1) else c.wake_at end
    from locked c
    where i.id = c.id and i.epoch = c.epoch and i.revision = c.expected
    returning i.id, i.inbox, c.ended, c.at
), written as (
    insert into stepkeel.history (instance_id, revision, tenant, at, actor, worker, events, changes)
    select h.* from unnest($35::text[], $36::bigint[], $37::text[], $38::bigint[], $39::text[], $40::text[], $41::bytea[], $42::bytea[])
        as h(instance_id, revision, tenant, at, actor, worker, events, changes)
    where (h.instance_id in (select id from stepped union all select id from born)) is true
), settled as (
    update stepkeel.signals s set status = x.status, reason = x.reason, processed_at = x.at
    from unnest($43::text[], $44::bigint[], $45::text[], $46::text[], $47::bigint[]) as x(id, seq, status, reason, at)
    where s.instance_id = x.id and s.seq = x.seq and s.status = 'pending' and (x.id in (select id from stepped)) is true
), left_over as (
    update stepkeel.signals s
    set status = case s.kind when 'control' then 'rejected' else 'ignored' end, reason = 'the instance ended', processed_at = e.at
    from stepped e
    where e.ended and e.inbox > 0 and s.instance_id = e.id and s.status = 'pending'
        and ((s.instance_id, s.seq) in (select * from unnest($43::text[], $44::bigint[]))) is not true
)
select case when (select count(*) from born) < cardinality($2::text[]) then array(select id from born) end,
    case when (select count(*) from stepped) < cardinality($20::text[]) then array(select id from stepped) end;

-- name: keys
-- Who holds these keys: a new statement, so that it sees what a lost race has waited for.
select s.id, k.instance_id from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as s(id, tenant, definition, key)
cross join lateral (
    select k.instance_id from stepkeel.start_keys k where k.tenant = s.tenant and k.definition = s.definition and k.key = s.key
) k;

-- name: deliver
-- Counting and waking on the row itself, then the rows of the inbox. What is not stored here, `receipts` tells why.
with locked as materialized (
    select w.*, l.inbox, l.revision, l.owner, row_number() over (partition by w.id, w.kind, w.name, w.key order by w.n) as copy
    from (
        select * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::text[], $9::bigint[], $10::bigint[])
            with ordinality as w(id, tenant, kind, name, payload, key, actor, at, most, n)
        order by w.id, w.n
    ) w cross join lateral (
        select i.inbox, i.revision, i.owner, i.status from stepkeel.instances i where i.id = w.id and i.tenant = w.tenant for update
    ) l
    where l.status not in ('completed', 'failed', 'cancelled', 'terminated')
), unknown as (
    select l.*, row_number() over (partition by l.id order by l.n) as place from locked l
    where l.copy = 1
        and not exists (select 1 from stepkeel.signals s
            where s.instance_id = l.id and s.kind = l.kind and s.name = l.name and s.key = l.key)
), fresh as materialized (
    select l.*, l.inbox + row_number() over (partition by l.id order by l.n) as seq from unknown l
    where l.kind <> 'signal' or l.inbox + l.place <= l.most or l.most >= l.place + (
        select count(*) from stepkeel.signals s where s.instance_id = l.id and s.status = 'pending')
), counted as (
    update stepkeel.instances i set inbox = i.inbox + f.n, wake_at = case
        when i.owner is null and (i.status <> 'paused' or f.control) then least(coalesce(i.wake_at, clock($1)), clock($1))
        else i.wake_at end
    from (select id, count(*) as n, bool_or(kind = 'control') as control from fresh group by id) f
    where i.id = f.id
), stored as (
    insert into stepkeel.signals (instance_id, seq, kind, tenant, name, payload, key, stamp, actor, status, reason, received_at)
    select f.id, f.seq, f.kind, f.tenant, f.name, f.payload, f.key, f.revision, f.actor, 'pending', '', f.at from fresh f
    on conflict do nothing
    returning instance_id, seq
)
select f.n, f.seq, f.owner from fresh f where ((f.id, f.seq) in (select instance_id, seq from stored)) is true;

-- name: receipts
-- What is known of deliveries that stored nothing: a row of the same key, or how the instance stands.
select w.n, s.seq, s.status, s.reason, coalesce(i.status, a.status), i.owner, i.id is not null
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) with ordinality as w(id, tenant, kind, name, key, n)
left join lateral (select id, status, owner from stepkeel.instances i where i.id = w.id and i.tenant = w.tenant) i on true
left join lateral (select status from stepkeel.archive_instances a where a.id = w.id and a.tenant = w.tenant) a on true
left join lateral (
    select seq, status, reason from stepkeel.signals s
    where s.instance_id = w.id and s.kind = w.kind and s.name = w.name and s.key = w.key and s.tenant = w.tenant
    union all
    select seq, status, reason from stepkeel.archive_signals s
    where s.instance_id = w.id and s.kind = w.kind and s.name = w.name and s.key = w.key and s.tenant = w.tenant
) s on true
order by w.n;

-- name: due
-- One probe for each (definition, version, priority): equality on the three, so nobody walks over others' rows. Where there
-- are more than $4 in all, the tenants of whom something is due: a skip scan, $5 of them at most, behind $6.
with t as materialized (select clock($1) as now), d as materialized (
    select w.definition, w.version, p.priority,
        (select count(*) from (
            select 1 from stepkeel.instances i
            where i.definition = w.definition and i.version = w.version and i.priority = p.priority
                and i.owner is null and i.wake_at is not null and i.wake_at <= t.now
            limit $4 + 1
        ) c) as due,
        (select i.wake_at from stepkeel.instances i
            where i.definition = w.definition and i.version = w.version and i.priority = p.priority
                and i.owner is null and i.wake_at is not null and i.wake_at > t.now
            order by i.wake_at limit 1) as ahead
    from t
    cross join unnest($2::text[], $3::int[]) as w(definition, version)
    cross join (values (0::smallint), (1::smallint), (2::smallint), (3::smallint), (4::smallint)) as p(priority)
)
select t.now, d.definition, d.version, d.priority, d.due, d.ahead,
    case when d.due > 0 and (select sum(due) from d) > $4 then (
        with recursive tenants (tenant, since, k) as (
            (select i.tenant, i.wake_at, 1 from stepkeel.instances i
                where i.definition = d.definition and i.version = d.version and i.priority = d.priority
                    and i.wake_at >= 0 and i.tenant > $6
                order by i.tenant, i.wake_at limit 1)
            union all
            select n.tenant, n.wake_at, q.k + 1 from tenants q cross join lateral (
                select i.tenant, i.wake_at from stepkeel.instances i
                where i.definition = d.definition and i.version = d.version and i.priority = d.priority
                    and i.wake_at >= 0 and i.tenant > q.tenant
                order by i.tenant, i.wake_at limit 1
            ) n where q.k < $5
        )
        select jsonb_agg(jsonb_build_array(q.tenant, case when q.since <= t.now then (
            select count(*) from (
                select 1 from stepkeel.instances i
                where i.definition = d.definition and i.version = d.version and i.priority = d.priority and i.tenant = q.tenant
                    and i.wake_at >= 0 and i.wake_at <= t.now
                limit greatest($4, 1)
            ) c
        ) else 0 end, q.since) order by q.k)::text from tenants q
    ) end
from t cross join d;

-- name: claim
-- Rows that another worker is just claiming are passed over, not waited for.
with picked as materialized (
    select i.id, i.wake_at from unnest($3::text[], $4::int[], $5::smallint[], $6::int[]) as w(definition, version, priority, most)
    cross join lateral (
        select i.id, i.wake_at from stepkeel.instances i
        where i.definition = w.definition and i.version = w.version and i.priority = w.priority
            and i.owner is null and i.wake_at is not null and i.wake_at <= $1
        order by i.wake_at limit w.most for update skip locked
    ) i
)
update stepkeel.instances i set owner = $2, epoch = i.epoch + 1, wake_at = null
from picked p
where i.id = p.id and i.owner is null and i.wake_at is not null and exists (select 1 from stepkeel.workers where id = $2)
returning i.id, i.tenant, i.definition, i.version, i.key, i.status, i.state, i.label, i.revision, i.snapshot, i.attributes::text,
    p.wake_at, i.owner, i.epoch, i.takeovers, i.inbox, i.seen, i.fault, i.priority, i.correlation_id, i.created_at, i.updated_at,
    i.completed_at, i.parent;

-- name: claim_portable
-- Without SKIP LOCKED: look first, then lock by id and ask again.
with seen as materialized (
    select i.id from unnest($3::text[], $4::int[], $5::smallint[], $6::int[]) as w(definition, version, priority, most)
    cross join lateral (
        select i.id from stepkeel.instances i
        where i.definition = w.definition and i.version = w.version and i.priority = w.priority
            and i.owner is null and i.wake_at is not null and i.wake_at <= $1
        order by i.wake_at limit w.most
    ) i
), picked as materialized (
    select s.id, l.wake_at from (select id from seen order by id) s
    cross join lateral (select i.wake_at, i.owner from stepkeel.instances i where i.id = s.id for update) l
    where l.owner is null and l.wake_at is not null and l.wake_at <= $1
)
update stepkeel.instances i set owner = $2, epoch = i.epoch + 1, wake_at = null
from picked p
where i.id = p.id and i.owner is null and i.wake_at is not null and exists (select 1 from stepkeel.workers where id = $2)
returning i.id, i.tenant, i.definition, i.version, i.key, i.status, i.state, i.label, i.revision, i.snapshot, i.attributes::text,
    p.wake_at, i.owner, i.epoch, i.takeovers, i.inbox, i.seen, i.fault, i.priority, i.correlation_id, i.created_at, i.updated_at,
    i.completed_at, i.parent;

-- name: claim_turns
-- The same of one tenant each.
with picked as materialized (
    select i.id, i.wake_at from unnest($3::text[], $4::int[], $5::smallint[], $6::text[], $7::int[])
        as w(definition, version, priority, tenant, most)
    cross join lateral (
        select i.id, i.wake_at from stepkeel.instances i
        where i.definition = w.definition and i.version = w.version and i.priority = w.priority and i.tenant = w.tenant
            and i.wake_at >= 0 and i.wake_at <= $1
        order by i.wake_at limit w.most for update skip locked
    ) i
)
update stepkeel.instances i set owner = $2, epoch = i.epoch + 1, wake_at = null
from picked p
where i.id = p.id and i.owner is null and i.wake_at is not null and exists (select 1 from stepkeel.workers where id = $2)
returning i.id, i.tenant, i.definition, i.version, i.key, i.status, i.state, i.label, i.revision, i.snapshot, i.attributes::text,
    p.wake_at, i.owner, i.epoch, i.takeovers, i.inbox, i.seen, i.fault, i.priority, i.correlation_id, i.created_at, i.updated_at,
    i.completed_at, i.parent;

-- name: claim_turns_portable
-- Without SKIP LOCKED: look first, then lock by id and ask again.
with seen as materialized (
    select i.id from unnest($3::text[], $4::int[], $5::smallint[], $6::text[], $7::int[])
        as w(definition, version, priority, tenant, most)
    cross join lateral (
        select i.id from stepkeel.instances i
        where i.definition = w.definition and i.version = w.version and i.priority = w.priority and i.tenant = w.tenant
            and i.wake_at >= 0 and i.wake_at <= $1
        order by i.wake_at limit w.most
    ) i
), picked as materialized (
    select s.id, l.wake_at from (select id from seen order by id) s
    cross join lateral (select i.wake_at, i.owner from stepkeel.instances i where i.id = s.id for update) l
    where l.owner is null and l.wake_at is not null and l.wake_at <= $1
)
update stepkeel.instances i set owner = $2, epoch = i.epoch + 1, wake_at = null
from picked p
where i.id = p.id and i.owner is null and i.wake_at is not null and exists (select 1 from stepkeel.workers where id = $2)
returning i.id, i.tenant, i.definition, i.version, i.key, i.status, i.state, i.label, i.revision, i.snapshot, i.attributes::text,
    p.wake_at, i.owner, i.epoch, i.takeovers, i.inbox, i.seen, i.fault, i.priority, i.correlation_id, i.created_at, i.updated_at,
    i.completed_at, i.parent;

-- name: owned
select id, epoch from stepkeel.instances where owner = $1;

-- name: news
select id, inbox from stepkeel.instances where owner = $1 and inbox > seen;

-- name: give_back
with locked as materialized (
    select w.* from (select * from unnest($3::text[], $4::bigint[]) as w(id, epoch) order by w.id) w
    cross join lateral (select i.owner, i.epoch from stepkeel.instances i where i.id = w.id for update) l
    where l.owner = $2 and l.epoch = w.epoch
)
update stepkeel.instances i set owner = null, wake_at = clock($1), epoch = i.epoch + 1
from locked w where i.id = w.id and i.owner = $2 and i.epoch = w.epoch;

-- name: dead_owners
-- A skip scan: one probe of the index for each owner, however many rows each has.
with recursive owners (owner) as (
    (select i.owner from stepkeel.instances i where i.owner is not null order by i.owner limit 1)
    union all
    select (select i.owner from stepkeel.instances i where i.owner > o.owner and i.owner is not null order by i.owner limit 1)
    from owners o where o.owner is not null
)
select o.owner from owners o where o.owner is not null and not exists (select 1 from stepkeel.workers w where w.id = o.owner);

-- name: take_over
-- The owner is compared again: the row may have been parked and claimed by a live worker meanwhile.
with dead as materialized (
    select id from stepkeel.instances where owner = $2 order by id limit $3 for update skip locked
)
update stepkeel.instances i set owner = null, wake_at = clock($1), epoch = i.epoch + 1, takeovers = i.takeovers + 1
from dead d where i.id = d.id and i.owner = $2
returning i.id;

-- name: take_over_portable
with dead as materialized (
    select id from stepkeel.instances where owner = $2 order by id limit $3 for update
)
update stepkeel.instances i set owner = null, wake_at = clock($1), epoch = i.epoch + 1, takeovers = i.takeovers + 1
from dead d where i.id = d.id and i.owner = $2
returning i.id;

-- name: add_worker
-- $5 is how long the lease is: it begins now, by the database's clock.
insert into stepkeel.workers (id, name, capabilities, started_at, expires_at) values ($2, $3, $4, clock($1), clock($1) + $5::bigint)
on conflict (id) do update set expires_at = excluded.expires_at, capabilities = excluded.capabilities;

-- name: remove_worker
delete from stepkeel.workers where id = $1;

-- name: workers
select id, name, capabilities, started_at, expires_at from stepkeel.workers order by id;

-- name: bury
delete from stepkeel.workers where expires_at < clock($1) returning id;

-- name: renew
update stepkeel.workers set expires_at = clock($1) + $3::bigint where id = $2 returning id;

-- name: find_key
select instance_id from stepkeel.start_keys where tenant = $1 and definition = $2 and key = $3;

-- name: fences
select i.id, i.owner, i.epoch, i.revision, i.status from unnest($1::text[]) as w(id)
cross join lateral (select * from stepkeel.instances i where i.id = w.id) i;

-- name: inbox
-- The counter and the rows are of one snapshot.
select i.id, i.inbox, s.seq, s.kind, s.name, s.payload, s.key, s.stamp, s.actor, s.status, s.reason, s.received_at, s.processed_at
from unnest($1::text[], $2::bigint[]) as w(id, beyond)
cross join lateral (select i.id, i.inbox from stepkeel.instances i where i.id = w.id) i
left join lateral (
    select * from stepkeel.signals s where s.instance_id = i.id and s.seq > w.beyond and s.status = 'pending' order by s.seq limit $3
) s on true;

-- name: signals
-- A row that an ending has not seen is ignored, as if the ending had: nothing can reach an ended instance.
select s.instance_id, s.seq, s.kind, s.name, s.payload, s.key, s.stamp, s.actor,
    case when s.status <> 'pending' or i.completed_at is null then s.status when s.kind = 'control' then 'rejected' else 'ignored' end,
    case when s.status <> 'pending' or i.completed_at is null then s.reason else 'the instance ended' end,
    s.received_at, coalesce(s.processed_at, i.completed_at)
from stepkeel.signals s left join stepkeel.instances i on i.id = s.instance_id
where s.instance_id = $1
union all
select instance_id, seq, kind, name, payload, key, stamp, actor, status, reason, received_at, processed_at
from stepkeel.archive_signals where instance_id = $1
order by 2;

-- name: history
select revision, at, actor, worker, events, changes from stepkeel.history where instance_id = $1 and revision > $2
union all
select revision, at, actor, worker, events, changes from stepkeel.archive_history where instance_id = $1 and revision > $2
order by revision limit $3;

-- name: rows
select i.id, i.tenant, i.definition, i.version, i.key, i.status, i.state, i.label, i.revision, i.snapshot, i.attributes::text,
    i.wake_at, i.owner, i.epoch, i.takeovers, i.inbox, i.seen, i.fault, i.priority, i.correlation_id, i.created_at, i.updated_at,
    i.completed_at, i.parent
from unnest($1::text[]) as w(id) cross join lateral (select * from stepkeel.instances i where i.id = w.id) i;

-- name: archived_rows
select i.id, i.tenant, i.definition, i.version, i.key, i.status, i.state, i.label, i.revision, i.snapshot, i.attributes::text,
    i.wake_at, i.owner, i.epoch, i.takeovers, i.inbox, i.seen, i.fault, i.priority, i.correlation_id, i.created_at, i.updated_at,
    i.completed_at, i.parent
from unnest($1::text[]) as w(id) cross join lateral (select * from stepkeel.archive_instances i where i.id = w.id) i;

-- name: columns
select id, tenant, definition, version, key, status, state, label, revision, snapshot, attributes::text, wake_at, owner, epoch,
    takeovers, inbox, seen, fault, priority, correlation_id, created_at, updated_at, completed_at, parent;

-- name: tenants
-- A skip scan: one probe of the index for each.
with recursive names (tenant) as (
    (select min(i.tenant) from stepkeel.instances i where i.tenant > $1)
    union all
    select (select min(i.tenant) from stepkeel.instances i where i.tenant > n.tenant) from names n where n.tenant is not null
)
select tenant from (
    select tenant from names where tenant is not null
    union
    select k.tenant from stepkeel.api_keys k where k.tenant > $1 and k.tenant <> '*'
) known order by tenant limit $2;

-- name: metrics
select definition, version, status, state, count(*) from stepkeel.instances where $1::text is null or tenant = $1
group by definition, version, status, state order by definition, version, status, state;

-- name: ended
-- `bounds_reached(duration)` stands for a ladder of comparisons: see `statements`.
select (i.completed_at - $2::bigint) / $4::bigint as span, i.status,
    bounds_reached(i.completed_at - i.created_at) as size, count(*)::int
from stepkeel.instances i
where i.completed_at >= $2 and i.completed_at < $3 and ($1::text is null or i.tenant = $1)
group by 1, 2, 3 order by 1, 2, 3;

-- name: all_due
select definition, version, count(*), min(wake_at) from stepkeel.instances
where owner is null and wake_at is not null and wake_at <= $2::bigint and ($1::text is null or tenant = $1)
group by definition, version order by definition, version;

-- name: definitions
select tenant, name, version, shape, code, document, status from stepkeel.definitions order by tenant, name, version;

-- name: feed
-- Of transactions older than the oldest that runs: none that could still commit belongs before what is told.
with horizon as (select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as at)
select * from (
    (select h.commit_no, h.instance_id, h.revision, h.at, h.actor, h.worker, h.events, h.changes from stepkeel.history h
    where h.commit_no >= $2::bigint and h.commit_no < (select at from horizon) and h.tenant = $1
        and (h.commit_no, h.instance_id, h.revision) > ($2::bigint, $3::text collate "C", $4::bigint)
    order by h.commit_no, h.instance_id, h.revision limit $5::int)
    union all
    (select h.commit_no, h.instance_id, h.revision, h.at, h.actor, h.worker, h.events, h.changes from stepkeel.archive_history h
    where h.commit_no >= $2::bigint and h.commit_no < (select at from horizon) and h.tenant = $1
        and (h.commit_no, h.instance_id, h.revision) > ($2::bigint, $3::text collate "C", $4::bigint)
    order by h.commit_no, h.instance_id, h.revision limit $5::int)
    union all
    select at - 1, null, null, null, null, null, null, null from horizon
) f order by instance_id is null, commit_no, instance_id, revision;

-- name: put_definition
insert into stepkeel.definitions as d (tenant, name, version, shape, code, document, status) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (tenant, name, version) do update set shape = excluded.shape, code = excluded.code,
    document = excluded.document, status = excluded.status
where (d.shape, d.code, d.document, d.status) is distinct from (excluded.shape, excluded.code, excluded.document, excluded.status)
returning d.name;

-- name: archive
-- The row as it is after the commit before it, with all that belongs to it.
with h as (
    delete from stepkeel.history where instance_id = any($1::text[]) returning *
), s as (
    delete from stepkeel.signals where instance_id = any($1::text[]) returning *
), i as (
    delete from stepkeel.instances where id = any($1::text[]) returning *
), kept_history as (
    insert into stepkeel.archive_history select * from h
), kept_signals as (
    insert into stepkeel.archive_signals select * from s
)
insert into stepkeel.archive_instances select * from i;

-- name: purge
-- The ids were read before; what is no ended row any more stays.
with i as (
    delete from stepkeel.instances
    where id = any($1::text[]) and status in ('completed', 'failed', 'cancelled', 'terminated')
    returning id, tenant, definition, key
), h as (
    delete from stepkeel.history where instance_id in (select id from i)
), s as (
    delete from stepkeel.signals where instance_id in (select id from i)
), t as (
    delete from stepkeel.tickets where instance_id in (select id from i)
), p as (
    delete from stepkeel.tasks where instance_id in (select id from i)
), k as (
    delete from stepkeel.start_keys k using i
    where k.tenant = i.tenant and k.definition = i.definition and k.key = i.key and k.instance_id = i.id
)
select count(*) from i;

-- name: purge_archived
with i as (
    delete from stepkeel.archive_instances where id = any($1::text[]) returning id, tenant, definition, key
), h as (
    delete from stepkeel.archive_history where instance_id in (select id from i)
), s as (
    delete from stepkeel.archive_signals where instance_id in (select id from i)
), p as (
    delete from stepkeel.tasks where instance_id in (select id from i)
), k as (
    delete from stepkeel.start_keys k using i
    where k.tenant = i.tenant and k.definition = i.definition and k.key = i.key and k.instance_id = i.id
)
select count(*) from i;

-- name: notify
select pg_notify($1, $2);

-- name: ask
insert into stepkeel.tickets (instance_id, path, pool, n, tenant, size, per, rank, amount)
select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::int[], $7::bigint[], $8::bigint[], $9::int[])
on conflict do nothing;

-- name: return
-- One that counts for a rate stays until its span is over.
delete from stepkeel.tickets t using unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as r(instance_id, path, pool, n)
where t.instance_id = r.instance_id and t.path = r.path and t.pool = r.pool and t.n = r.n and (t.per is null or t.granted_at is null);

-- name: waiting_pools
-- A skip scan: one probe for each pool that somebody waits for; of each the size that its first ticket tells, what is held, and how many
-- slots that ticket takes.
with recursive waiting (pool) as (
    (select t.pool from stepkeel.tickets t where t.granted_at is null order by t.pool limit 1)
    union all
    select (select t.pool from stepkeel.tickets t where t.granted_at is null and t.pool > w.pool order by t.pool limit 1)
    from waiting w where w.pool is not null
)
select w.pool, h.size, h.per, c.held, c.oldest, t.now, h.amount
from (select clock($1) as now) t cross join waiting w
cross join lateral (
    select t.size, t.per, t.amount from stepkeel.tickets t where t.pool = w.pool and t.granted_at is null
    order by t.rank, t.instance_id, t.path, t.n limit 1
) h cross join lateral (
    select coalesce(sum(k.amount), 0)::int as held, min(k.granted_at) as oldest from stepkeel.tickets k
    where k.pool = w.pool and k.granted_at is not null and (h.per is null or k.granted_at > t.now - h.per)
) c
where w.pool is not null;

-- name: make_pools
insert into stepkeel.pools (name) select * from unnest($1::text[]) as p(name) order by 1 on conflict do nothing;

-- name: lock_pools
select name from stepkeel.pools where name = any($1::text[]) order by name for update skip locked;

-- name: lock_pools_portable
select name from stepkeel.pools where name = any($1::text[]) order by name for update;

-- name: first_waiting
-- Asked in a statement of its own, behind the lock of the pools: it sees what others granted before.
select f.instance_id, f.path, f.pool, f.n, f.tenant, f.size, f.per, f.rank, f.granted_at, f.amount
from unnest($2::text[]) as w(pool)
cross join lateral (
    select t.size, t.per from stepkeel.tickets t where t.pool = w.pool and t.granted_at is null
    order by t.rank, t.instance_id, t.path, t.n limit 1
) h cross join lateral (
    select coalesce(sum(k.amount), 0)::int as held from stepkeel.tickets k
    where k.pool = w.pool and k.granted_at is not null and (h.per is null or k.granted_at > $1 - h.per)
) c cross join lateral (
    select * from (
        select t.*, sum(t.amount) over (order by t.rank, t.instance_id, t.path, t.n) as together from (
            select t.* from stepkeel.tickets t where t.pool = w.pool and t.granted_at is null
            order by t.rank, t.instance_id, t.path, t.n limit greatest(h.size - c.held, 0)
        ) t
    ) t where t.together <= h.size - c.held
) f
limit $3;

-- name: granted
-- A ticket that was returned meanwhile is not there any more.
update stepkeel.tickets t set granted_at = $1
from unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) with ordinality as g(instance_id, path, pool, n, i)
where t.instance_id = g.instance_id and t.path = g.path and t.pool = g.pool and t.n = g.n and t.granted_at is null
returning g.i;

-- name: expired
delete from stepkeel.tickets t where t.pool = any($2::text[]) and t.per is not null and t.granted_at is not null and t.granted_at <= $1 - t.per;

-- name: delete_tickets
delete from stepkeel.tickets t using unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as r(instance_id, path, pool, n)
where t.instance_id = r.instance_id and t.path = r.path and t.pool = r.pool and t.n = r.n;

-- name: drop_pools
delete from stepkeel.pools p where p.name = any($1::text[])
    and not exists (select 1 from stepkeel.tickets t where t.pool = p.name and t.granted_at is null);

-- name: pools
-- A skip scan over both partial indexes: one probe for each pool. The first that waits says how large its pool is; where none does,
-- the first that holds.
with recursive names (pool) as (
    (select least(
        (select min(t.pool) from stepkeel.tickets t where t.granted_at is null and t.pool > $3),
        (select min(t.pool) from stepkeel.tickets t where t.granted_at is not null and t.pool > $3)))
    union all
    select least(
        (select min(t.pool) from stepkeel.tickets t where t.granted_at is null and t.pool > n.pool),
        (select min(t.pool) from stepkeel.tickets t where t.granted_at is not null and t.pool > n.pool))
    from names n where n.pool is not null
)
select n.pool, h.size, h.per, k.held, w.waiting
from names n
cross join lateral (
    (select t.size, t.per from stepkeel.tickets t where t.pool = n.pool and t.granted_at is null order by t.rank, t.instance_id, t.path, t.n limit 1)
    union all
    (select t.size, t.per from stepkeel.tickets t where t.pool = n.pool and t.granted_at is not null
        order by t.granted_at, t.rank, t.instance_id, t.path, t.n limit 1)
    limit 1
) h
cross join lateral (
    select coalesce(sum(t.amount), 0)::int as held from stepkeel.tickets t
    where t.pool = n.pool and t.granted_at is not null and (h.per is null or t.granted_at > $5::bigint - h.per)
) k
cross join lateral (
    select count(*)::int as waiting from stepkeel.tickets t where t.pool = n.pool and t.granted_at is null
) w
where n.pool is not null and ($2::text is null or n.pool = $2)
    and ($1::text is null
        or exists (select from stepkeel.tickets t where t.pool = n.pool and t.granted_at is null and t.tenant = $1)
        or exists (select from stepkeel.tickets t where t.pool = n.pool and t.granted_at is not null and t.tenant = $1))
order by n.pool limit $4;

-- name: pool
(select instance_id, path, pool, n, tenant, size, per, rank, granted_at, amount from stepkeel.tickets
    where pool = $1 and granted_at is not null order by granted_at limit $2)
union all
(select instance_id, path, pool, n, tenant, size, per, rank, granted_at, amount from stepkeel.tickets
    where pool = $1 and granted_at is null order by rank, instance_id, path, n limit $2)
limit $2;

-- name: tickets
select instance_id, path, pool, n, tenant, size, per, rank, granted_at, amount from stepkeel.tickets where instance_id = $1;

-- name: open_tasks
insert into stepkeel.tasks (instance_id, id, tenant, definition, version, path, title, status, role, assignee, candidates, excluded, claimed_by, form,
    priority, due_at, opened_at, updated_at, closed_at, closed_by, result, reminded, escalated)
select t.instance_id, t.id, t.tenant, t.definition, t.version, t.path, t.title, t.status, t.role, t.assignee, t.candidates::jsonb, 
    t.excluded::jsonb, t.claimed_by, t.form, t.priority, t.due_at, t.opened_at, t.updated_at, t.closed_at, t.closed_by, t.result, t.reminded, t.escalated
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
    $13::text[], $14::text[], $15::smallint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::text[], $21::bytea[], $22::int[], $23::int[])
    as t(instance_id, id, tenant, definition, version, path, title, status, role, assignee, candidates, excluded, claimed_by, form,
    priority, due_at, opened_at, updated_at, closed_at, closed_by, result, reminded, escalated)
on conflict do nothing;

-- name: change_tasks
update stepkeel.tasks t set status = c.status, role = c.role, assignee = c.assignee, claimed_by = c.claimed_by, updated_at = c.at,
    closed_at = case when c.status <> 'open' then coalesce(t.closed_at, c.at) end, closed_by = c.closed_by, result = c.result,
    candidates = case when t.escalated = c.escalated then t.candidates else '[]' end, reminded = c.reminded, escalated = c.escalated
from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[], $10::int[],
    $11::int[]) as c(instance_id, id, at, status, role, assignee, claimed_by, closed_by, result, reminded, escalated)
where t.instance_id = c.instance_id and t.id = c.id;

-- name: task_columns
select id, instance_id, tenant, definition, version, path, title, status, role, assignee, candidates::text, excluded::text, claimed_by, form, priority,
    due_at, opened_at, updated_at, closed_at, closed_by, result, reminded, escalated;

-- name: breakers
select name, version, state, recent, until, opened_at, changed_at, reason from stepkeel.breakers
where cardinality($1::text[]) = 0 or name = any($1::text[]) order by name;

-- name: put_breaker
insert into stepkeel.breakers as b (name, version, state, recent, until, opened_at, changed_at, reason)
select $1::text, $2::bigint, $3::text, $4::text, $5::bigint, $6::bigint, $7::bigint, $8::text
where $2::bigint = 1 or exists (select 1 from stepkeel.breakers where name = $1::text)
on conflict (name) do update set version = excluded.version, state = excluded.state, recent = excluded.recent,
    until = excluded.until, opened_at = excluded.opened_at, changed_at = excluded.changed_at, reason = excluded.reason
where b.version = excluded.version - 1
returning b.name;

-- name: cached
select result from stepkeel.cached where tenant = $1::text and activity = $2::text and key = $3::text and expires_at > $4::bigint;

-- name: put_cached
with gone as (
    delete from stepkeel.cached where ctid = any (array (
        select ctid from stepkeel.cached
        where expires_at <= $6::bigint and (tenant, activity, key) <> ($1::text, $2::text, $3::text)
        limit $7::int for update skip locked))
)
insert into stepkeel.cached (tenant, activity, key, result, expires_at)
values ($1::text, $2::text, $3::text, $4::bytea, $5::bigint)
on conflict (tenant, activity, key) do update set result = excluded.result, expires_at = excluded.expires_at;

-- name: forget_cached
delete from stepkeel.cached where tenant = $1::text and ($2::text = '' or activity = $2::text) returning activity;

-- name: api_key
select id, tenant, name, digest, roles, scopes, made_by, made_at, ends_at, used_at from stepkeel.api_keys where id = $1::text;

-- name: api_keys
select id, tenant, name, digest, roles, scopes, made_by, made_at, ends_at, used_at from stepkeel.api_keys where tenant = $1::text order by made_at, id;

-- name: add_api_key
insert into stepkeel.api_keys (id, tenant, name, digest, roles, scopes, made_by, made_at, ends_at, used_at)
values ($1::text, $2::text, $3::text, $4::text, $5::bytea, $6::bytea, $7::text, $8::bigint, $9::bigint, $10::bigint)
on conflict (id) do nothing returning id;

-- name: end_api_key
update stepkeel.api_keys set ends_at = $3::bigint
where tenant = $1::text and id = $2::text and (ends_at is null or ends_at > $3::bigint) returning id;

-- name: use_api_key
update stepkeel.api_keys set used_at = $2::bigint where id = $1::text and (used_at is null or used_at < $2::bigint);

-- name: audit_head
select seq, digest from stepkeel.audit_heads where tenant = $1::text;

-- name: lock_audit_heads
-- In one order, also those that are made now.
insert into stepkeel.audit_heads as h (tenant, seq, digest) select t, 0, $2::bytea from unnest($1::text[]) as w(t) order by t
on conflict (tenant) do update set seq = h.seq
returning h.tenant, h.seq, h.digest;

-- name: add_acts
with added as (
    insert into stepkeel.audit (tenant, seq, at, actor, verb, kind, subject, instance_id, entry, digest)
    select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[],
        $10::bytea[])
)
update stepkeel.audit_heads h set seq = w.seq, digest = w.digest
from unnest($11::text[], $12::bigint[], $13::bytea[]) as w(tenant, seq, digest) where h.tenant = w.tenant;

-- name: emit
insert into stepkeel.outbox (id, instance_id, tenant, definition, version, path, topic, payload, at, due_at, tries, error)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::bytea[], $9::bigint[], $10::bigint[],
    $11::int[], $12::text[])
on conflict do nothing;

-- name: any_message
select 1 from stepkeel.outbox where due_at <= $1::bigint limit 1;

-- name: outbox_gate
select id from stepkeel.outbox_gate for update;

-- name: take_messages
update stepkeel.outbox m set due_at = $2::bigint, tries = tries + 1
where seq in (
    select o.seq from stepkeel.outbox o
    where o.due_at <= $1::bigint and ($3::bool or o.topic = any($4::text[]))
        and not exists (
            select 1 from stepkeel.outbox e
            where e.instance_id = o.instance_id and e.topic = o.topic and e.seq < o.seq and e.due_at > $1::bigint
        )
    order by o.seq limit $5::int
)
returning id, instance_id, tenant, definition, version, path, topic, payload, at, due_at, tries, error, seq;

-- name: delivered
delete from stepkeel.outbox where seq = any($1::bigint[]);

-- name: undelivered
update stepkeel.outbox set due_at = $3::bigint, error = $4::text where seq = $1::bigint and tries = $2::int;

-- name: outbox
select id, instance_id, tenant, definition, version, path, topic, payload, at, due_at, tries, error, seq from stepkeel.outbox where $1::text is null or tenant = $1::text order by seq limit $2::int;
