"""The one write verb on PostgreSQL: a batch as arrays, one statement where it can be one.

A batch of starts and commits is a single statement and so a single round trip. Deliveries are a second statement, and
the way into the archive a third; both then stand in one transaction that has locked all its instances first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from stepkeel.errors import Unavailable
from stepkeel.model.act import Act
from stepkeel.model.commit import Answer, Batch, Commit, Delivery, Receipt, Start, Step, TicketRow
from stepkeel.model.snapshot import TERMINAL
from stepkeel.store.desk import columns_of
from stepkeel.store.outbox import COLUMNS, values_of
from stepkeel.store.postgres.audit import append
from stepkeel.store.postgres.connection import Lane
from stepkeel.store.queue import grant_of

__all__ = ["Writer", "text"]


def text(value: str | None) -> str | None:
    """Free text as PostgreSQL takes it: an error's message may hold what no text may."""
    if value is None or (value.isascii() and "\0" not in value):
        return value
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


class Writer:
    def __init__(self, lane: Lane, sql: dict[str, str], clock: Callable[[], int | None]) -> None:
        self._lane = lane
        self._sql = sql
        self._clock = clock

    async def apply(self, batch: Batch) -> Answer:
        if not batch.deliveries and not _more(batch):
            born, stepped = (await self._lane.fetch(self._sql["write"], *self._arguments(batch), again=False))[0]
            return await self._answer(batch, born, stepped, ())
        if not batch.starts and not batch.commits and not any(d.act for d in batch.deliveries):
            stored = await self._lane.fetch(self._sql["deliver"], *self._deliveries(batch.deliveries), again=False)
            return Answer((), (), await self._receipts(batch.deliveries, stored))
        born, stepped, stored, reached = await self._lane.transact(lambda c: self.within(c, batch), again=False)
        return await self._answer(batch, born, stepped, await self._receipts(batch.deliveries, stored), reached)

    async def within(self, connection: Any, batch: Batch) -> tuple[Any, Any, list[Any], dict[str, str | None]]:
        """The batch within a transaction that its caller has begun.

        Ids born and stepped (None: all), deliveries stored, and who owns the rows that its steps have sent something to.
        """
        sent = [d for s in (*batch.starts, *batch.commits) for d in s.step.sent]
        ids = [*(c.id for c in batch.commits), *(d.instance_id for d in (*batch.deliveries, *sent))]
        await connection.fetch(self._sql["lock"], ids)
        born, stepped = await connection.fetchrow(self._sql["write"], *self._arguments(batch))
        rows = _written(batch, born, stepped)
        await self._queue(connection, rows)
        children = tuple(child for _, _, step in rows for child in step.children)
        if children:
            await connection.fetchrow(self._sql["write"], *self._arguments(Batch(children)))
        await self._ask_people(connection, rows)
        emitted = [values_of(m) for _, _, step in rows for m in step.emitted]
        if emitted:
            await connection.fetch(self._sql["emit"], *_columns(emitted, len(COLUMNS)))
        archived = [i for i, _, step in rows if step.archive]
        if archived:
            await connection.execute(self._sql["archive"], archived)
        letters: list[Delivery] = list(batch.deliveries)
        letters += [d for _, _, step in rows for d in step.sent]
        stored: list[Any] = await connection.fetch(self._sql["deliver"], *self._deliveries(letters)) if letters else []
        asked = len(batch.deliveries)
        delivered = [batch.deliveries[n - 1] for n in sorted(int(n) for n, *_ in stored) if n <= asked]
        acts = _acts(batch, {i for i, _, _ in rows}, delivered)
        if acts:
            await append(connection, self._sql, acts)
        reached = {str(letters[int(n) - 1].instance_id): owner for n, _, owner in stored if n > asked}
        return born, stepped, [s for s in stored if s[0] <= asked], reached

    async def _queue(self, connection: Any, rows: Sequence[tuple[str, str, Step]]) -> None:
        """Tickets of pools, asked for and returned by the rows that were written."""
        asked = [(i, a.path, a.pool, a.n, t, a.size, a.per, a.rank, a.amount) for i, t, s in rows for a in s.asked]
        returned = [(i, r.path, r.pool, r.n) for i, _, s in rows for r in s.returned]
        if asked:
            await connection.fetch(self._sql["ask"], *_columns(asked, 9))
        if returned:
            await connection.fetch(self._sql["return"], *_columns(returned, 4))

    async def _ask_people(self, connection: Any, rows: Sequence[tuple[str, str, Step]]) -> None:
        """Tasks, opened and changed by the rows that were written. A change follows those before it of the same task."""
        opened = [columns_of(t) for _, _, step in rows for t in step.opened]
        if opened:
            await connection.fetch(self._sql["open_tasks"], *_columns(opened, 23))
        last = {c.id: (i, c) for i, _, step in rows for c in step.changed}
        if last:
            told = [
                (i, c.id, c.at, c.status, c.role, c.assignee, c.claimed_by, c.closed_by, c.result, c.reminded, c.escalated)
                for i, c in last.values()
            ]
            await connection.fetch(self._sql["change_tasks"], *_columns(told, 11))

    # -- pools

    async def grant(self, connection: Any, pools: Sequence[str], now: int, limit: int, lock: str) -> list[str | None]:
        """Give slots of these pools, in a transaction begun by the caller; the owners of the rows that got one."""
        await connection.fetch(self._sql["make_pools"], list(pools))
        held = [r[0] for r in await connection.fetch(self._sql[lock], list(pools))]
        if not held:
            return []
        await connection.fetch(self._sql["expired"], now, held)
        found = [TicketRow(*r) for r in await connection.fetch(self._sql["first_waiting"], now, held, limit)]
        # Instances before tickets: so do the commits that return them.
        await connection.fetch(self._sql["lock"], sorted({t.instance_id for t in found}))
        places = [(t.instance_id, t.path, t.pool, t.n) for t in found]
        given = {r[0] for r in await connection.fetch(self._sql["granted"], now, *_columns(places, 4))}
        tickets = [t for i, t in enumerate(found, 1) if i in given]
        stored = await connection.fetch(self._sql["deliver"], *self._deliveries([grant_of(t, now) for t in tickets]))
        told = {n: owner for n, _, owner in stored}
        lost = [(t.instance_id, t.path, t.pool, t.n) for n, t in enumerate(tickets, 1) if n not in told]
        if lost:  # of instances that have ended, or are gone
            await connection.fetch(self._sql["delete_tickets"], *_columns(lost, 4))
        await connection.fetch(self._sql["drop_pools"], held)
        return list(told.values())

    async def _answer(
        self, batch: Batch, born: Any, stepped: Any, receipts: tuple[Receipt, ...], reached: dict[str, str | None] | None = None
    ) -> Answer:
        if stepped is None:
            commits = (True,) * len(batch.commits)
        else:
            matched = set(stepped)
            commits = tuple(c.id in matched for c in batch.commits)
        starts = tuple(s.id for s in batch.starts)
        if born is not None:
            starts = await self._held(batch.starts, set(born))
        return Answer(starts, commits, receipts, reached or {})

    async def _held(self, starts: Sequence[Start], born: set[str]) -> tuple[str, ...]:
        """Who holds the keys of the starts that inserted nothing: themselves, sent before, or another."""
        asked = [s for s in starts if s.id not in born and s.row.key is not None]
        rows = [(s.id, s.row.tenant, s.row.definition, s.row.key) for s in asked]
        held: dict[str, str] = {}
        if rows:
            found = await self._lane.fetch(self._sql["keys"], *map(list, zip(*rows, strict=True)))
            held = {r[0]: r[1] for r in found}
        if len(held) < len(asked):
            raise Unavailable("a start key was removed while it was asked for", remedy="send the start again")
        return tuple(held.get(s.id, s.id) for s in starts)

    # -- arrays

    def _arguments(self, batch: Batch) -> list[Any]:
        return [self._clock(), *_starts(batch.starts), *_commits(batch.commits), *_history(batch), *_settled(batch.commits)]

    def _deliveries(self, deliveries: Sequence[Delivery]) -> list[Any]:
        rows = [(d.instance_id, d.tenant, d.kind, d.name, d.payload, d.key, d.actor, d.at, d.limit) for d in deliveries]
        return [self._clock(), *_columns(rows, 9)]

    async def _receipts(self, deliveries: Sequence[Delivery], stored: list[Any]) -> tuple[Receipt, ...]:
        found: dict[int, Receipt] = {}
        for n, seq, owner in stored:
            found[int(n)] = Receipt(seq, "pending", "", deliveries[int(n) - 1].key, owner=owner)
        if len(found) < len(deliveries):
            left = [(n, d) for n, d in enumerate(deliveries, 1) if n not in found]
            columns = _columns([(d.instance_id, d.tenant, d.kind, d.name, d.key) for _, d in left], 5)
            for (n, d), row in zip(left, await self._lane.fetch(self._sql["receipts"], *columns), strict=True):
                found[n] = _receipt(d, *tuple(row)[1:])
        return tuple(found[n] for n in range(1, len(deliveries) + 1))


def _more(batch: Batch) -> bool:
    """It has rows that only some batches have: tickets, children, letters to others, ways into the archive."""
    for each in (*batch.starts, *batch.commits):
        s = each.step
        if s.wide or s.archive or each.act is not None:
            return True
    return False


def _written(batch: Batch, born: Any, stepped: Any) -> list[tuple[str, str, Step]]:
    """Id, tenant and step of the rows that were written: of all where nothing is said."""
    news, moved = None if born is None else set(born), None if stepped is None else set(stepped)
    rows = [(s.id, s.row.tenant, s.step) for s in batch.starts if news is None or s.id in news]
    return rows + [(c.id, c.tenant, c.step) for c in batch.commits if moved is None or c.id in moved]


def _acts(batch: Batch, written: set[str], delivered: Sequence[Delivery]) -> list[Act]:
    """What was done by the rows that were applied."""
    rows = (*(r for r in (*batch.starts, *batch.commits) if r.act is not None and r.id in written), *delivered)
    return [r.act for r in rows if r.act is not None]


def _receipt(
    d: Delivery, seq: int | None, status: str, reason: str, instance: str | None, owner: str | None, live: bool
) -> Receipt:
    if seq is not None:
        return Receipt(seq, status, reason, d.key, duplicate=True, owner=owner)
    if instance is None:
        return Receipt(refused="not_found", key=d.key)
    if instance in TERMINAL or not live:
        return Receipt(refused="instance_ended", reason=instance, key=d.key)
    return Receipt(refused="inbox_full", key=d.key)


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(c) for c in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _starts(starts: Sequence[Start]) -> list[list[Any]]:
    rows = [
        (
            s.id, s.row.tenant, s.row.definition, s.row.version, s.row.key, s.step.status, s.step.state, s.step.label,
            s.step.revision, s.step.snapshot, s.row.attributes.decode(), None if s.step.ended else s.step.wake_at,
            None if s.step.release else s.owner, s.row.priority, s.row.correlation_id, s.step.at,
            s.step.at if s.step.ended else None, s.row.parent,
        )
        for s in starts
    ]  # fmt: skip
    return _columns(rows, 18)


def _commits(commits: Sequence[Commit]) -> list[list[Any]]:
    rows = [
        (
            c.id, c.owner, c.epoch, c.revision, s.revision, s.snapshot, s.seen, s.at, s.status, s.state, s.label, s.release,
            s.status in TERMINAL, s.wake_at, text(s.fault),
        )
        for c in commits
        for s in (c.step,)
    ]  # fmt: skip
    return _columns(rows, 15)


def _history(batch: Batch) -> list[list[Any]]:
    rows = [
        (s.id, h.revision, s.row.tenant, h.at, h.actor, h.worker, h.events, h.changes) for s in batch.starts for h in s.step.history
    ]
    rows += [
        (c.id, h.revision, c.tenant, h.at, h.actor, h.worker, h.events, h.changes) for c in batch.commits for h in c.step.history
    ]
    return _columns(rows, 8)


def _settled(commits: Sequence[Commit]) -> list[list[Any]]:
    return _columns([(c.id, x.seq, x.status, text(x.reason), x.at) for c in commits for x in c.step.settled], 5)
