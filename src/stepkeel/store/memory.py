"""The store in memory: for tests, harnesses and experiments. Same contract, nothing survives the process."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from msgspec.structs import replace

from stepkeel.clock import Clock, SystemClock
from stepkeel.errors import Unavailable
from stepkeel.model.act import Act
from stepkeel.model.commit import (
    HistoryRow,
    InboxRow,
    PoolRow,
    Row,
    TicketRow,
)
from stepkeel.model.message import MessageRow
from stepkeel.model.snapshot import TERMINAL
from stepkeel.model.task import TaskRow
from stepkeel.store.desk import matching as tasks_matching
from stepkeel.store.fact import SIZES, EndedRow
from stepkeel.store.feed import Page, Place, end_of, page_of
from stepkeel.store.match import matching
from stepkeel.store.outbox import ANY
from stepkeel.store.port import (
    Claims,
    DefinitionRow,
    DueRow,
    Fence,
    Grants,
    Held,
    MetricRow,
    Query,
    Remark,
    TaskQuery,
    Transaction,
    Upgrade,
    Wanted,
    WorkerRow,
    nobody,
)
from stepkeel.store.queue import choose, grant_of, in_order, pools_of
from stepkeel.store.share import Turn, divide, shares
from stepkeel.store.shared_memory import SharedMemory
from stepkeel.store.written import Written

__all__ = ["MemoryStore"]


class MemoryStore(Written, SharedMemory):
    """One lock around plain dicts: each method is one transaction."""

    batch_rows = 1_000
    transactional = False

    def __init__(self, url: str = "memory://", clock: Clock | None = None) -> None:
        super().__init__()
        self.url = url
        self._clock = clock or SystemClock()
        SharedMemory.__init__(self)
        self._workers: dict[str, WorkerRow] = {}
        self._definitions: dict[tuple[str, str, int], DefinitionRow] = {}

    async def open(self, *, make: bool = True) -> None:
        return

    async def upgrade(self) -> Upgrade:
        return Upgrade(1, 1)

    async def check(self) -> Sequence[Remark]:
        return (Remark("durability", "none", "use sqlite:/// or postgresql:// for what must not be lost"),)

    def within(self, tenant: str | None) -> MemoryStore:
        return self

    async def close(self) -> None:
        return

    def now(self) -> int:
        return self._clock.now()

    def pulse(self) -> MemoryPulse:
        return MemoryPulse(self)

    def rows(self) -> list[Row]:
        """All rows, for harnesses."""
        with self._lock:
            return [*self._rows.values()]

    def version(self) -> int:
        return self._version

    def listen(self, heard: Callable[[str | None], None]) -> None:
        return

    def tell(self, worker: str | None) -> None:
        return

    # -- workers

    def renew(self, worker: str, lease: int) -> bool:
        with self._lock:
            row = self._workers.get(worker)
            if row is None:
                return False
            self._workers[worker] = WorkerRow(row.id, row.name, row.capabilities, row.started_at, self.now() + lease)
            return True

    async def add_worker(self, worker: WorkerRow) -> None:
        with self._lock:
            now, lease = self.now(), worker.expires_at - worker.started_at
            self._workers[worker.id] = WorkerRow(worker.id, worker.name, worker.capabilities, now, now + lease)

    async def remove_worker(self, worker: str) -> None:
        with self._lock:
            self._workers.pop(worker, None)

    async def workers(self) -> list[WorkerRow]:
        with self._lock:
            return list(self._workers.values())

    async def bury(self) -> list[str]:
        with self._lock:
            now = self.now()
            dead = [w.id for w in self._workers.values() if w.expires_at < now]
            for worker in dead:
                del self._workers[worker]
            return dead

    async def take_over(self, limit: int) -> list[str]:
        with self._lock:
            orphans = [r for r in self._rows.values() if r.owner is not None and r.owner not in self._workers][:limit]
            for row in orphans:
                self._put(row, owner=None, wake_at=self.now(), epoch=row.epoch + 1, takeovers=row.takeovers + 1)
            return [r.id for r in orphans]

    # -- claims

    async def claim(self, worker: str, wanted: Sequence[Wanted], limit: int, held: Held = nobody, spare: int = 0) -> Claims:
        with self._lock:
            now = self.now()
            known = {(w.definition, w.version) for w in wanted}
            mine = [
                r
                for r in self._rows.values()
                if r.owner is None and r.wake_at is not None and not r.archived and (r.definition, r.version) in known
            ]
            due = sorted((r for r in mine if r.wake_at is not None and r.wake_at <= now), key=lambda r: (r.wake_at, r.id))
            taken: list[Row] = []
            left = frozenset(r.tenant for r in due) if len(due) > limit else frozenset[str]()
            if (limit or spare) and worker in self._workers:
                taken = _turns(due, held(), limit, spare) if len(left) > 1 or not limit else _oldest(due, limit)
            rows = tuple(self._put(r, owner=worker, epoch=r.epoch + 1, wake_at=None) for r in taken)
            ids = {r.id for r in rows}
            rest = [r.wake_at for r in mine if r.id not in ids and r.wake_at is not None]
            # A claimed row still tells when it was due: decisions are never made before that.
            return Claims(
                now,
                tuple(replace(r, wake_at=t.wake_at) for r, t in zip(rows, taken, strict=True)),
                min(rest, default=None),
                left,
            )

    async def owned(self, worker: str) -> dict[str, int]:
        with self._lock:
            return {r.id: r.epoch for r in self._rows.values() if r.owner == worker}

    async def news(self, worker: str) -> dict[str, int]:
        with self._lock:
            return {r.id: r.inbox for r in self._rows.values() if r.owner == worker and r.inbox > r.seen}

    async def give_back(self, worker: str, rows: Mapping[str, int]) -> int:
        with self._lock:
            mine = [r for i, e in rows.items() if (r := self._rows.get(i)) and r.owner == worker and r.epoch == e]
            for row in mine:
                self._put(row, owner=None, wake_at=self.now(), epoch=row.epoch + 1)
            return len(mine)

    # -- pools

    async def grant(self, limit: int) -> Grants:
        with self._lock:
            now = self.now()
            self._tickets.sweep(now, lambda i: (row := self._rows.get(i)) is not None and row.status not in TERMINAL)
            chosen, next_at = choose(self._tickets.all(), now, limit)
            self._tickets.granted(chosen, now)
            owners = frozenset(self._deliver(grant_of(t, now)).owner for t in chosen)
            self._version += bool(chosen)
            return Grants(len(chosen), owners, next_at)

    async def pools(self, tenant: str | None, name: str | None, after: str, limit: int) -> list[PoolRow]:
        with self._lock:
            return pools_of(self._tickets.all(), tenant, name, after, limit, self.now())

    async def pool(self, name: str, limit: int = 100) -> list[TicketRow]:
        with self._lock:
            return in_order(t for t in self._tickets.all() if t.pool == name)[:limit]

    async def tickets(self, instance_id: str) -> list[TicketRow]:
        with self._lock:
            return in_order(t for t in self._tickets.all() if t.instance_id == instance_id)

    async def begin(self) -> Transaction:
        raise Unavailable("the store in memory has no transactions", remedy="sqlite:/// or postgresql://")

    async def fences(self, ids: Sequence[str]) -> dict[str, Fence]:
        with self._lock:
            rows = [self._rows[i] for i in ids if i in self._rows]
            return {r.id: Fence(r.owner, r.epoch, r.revision, r.status) for r in rows}

    # -- reading

    async def inbox(self, after: Mapping[str, int], limit: int = 100) -> dict[str, tuple[int, list[InboxRow]]]:
        with self._lock:
            return {i: self._pending(i, seq, limit) for i, seq in after.items()}

    def _pending(self, instance_id: str, after: int, limit: int) -> tuple[int, list[InboxRow]]:
        row = self._rows.get(instance_id)
        pending = [r for s, r in sorted(self._inbox.get(instance_id, {}).items()) if s > after and r.status == "pending"]
        return (row.inbox if row else 0), pending[:limit]

    async def signals(self, instance_id: str) -> list[InboxRow]:
        with self._lock:
            return [r for _, r in sorted(self._inbox.get(instance_id, {}).items())]

    async def load(self, ids: Sequence[str]) -> dict[str, Row]:
        with self._lock:
            return {i: self._rows[i] for i in ids if i in self._rows}

    async def list(self, query: Query) -> list[Row]:
        with self._lock:
            return matching(self._rows.values(), query)

    async def history(self, instance_id: str, after: int = 0, limit: int = 10_000) -> list[HistoryRow]:
        with self._lock:
            return [h for h in self._history.get(instance_id, ()) if h.revision > after][:limit]

    async def feed(self, tenant: str, after: Place | None, limit: int) -> Page:
        with self._lock:
            at = after or end_of(self._newest)
            first = bisect_left(self._feed, at.commit, key=lambda each: each[1].commit)
            rows = islice((r for whose, r in self._feed[first:] if whose == tenant and r.place > at), limit)
            return page_of(list(rows), limit, self._newest, at)

    async def find_key(self, tenant: str, definition: str, key: str) -> str | None:
        with self._lock:
            return self._keys.get((tenant, definition, key))

    async def tenants(self, after: str, limit: int) -> list[str]:
        with self._lock:
            known = {r.tenant for r in self._rows.values() if not r.archived} | {k.tenant for k in self._api_keys.values()}
            return sorted(name for name in known - {"*"} if name > after)[:limit]

    async def metrics(self, tenant: str | None) -> list[MetricRow]:
        with self._lock:
            counts: dict[tuple[str, int, str, str], int] = {}
            for row in self._rows.values():
                if not row.archived and tenant in (None, row.tenant):
                    group = (row.definition, row.version, row.status, row.state)
                    counts[group] = counts.get(group, 0) + 1
            return [MetricRow(*group, count) for group, count in sorted(counts.items())]

    async def ended(self, tenant: str | None, since: int, until: int, width: int) -> list[EndedRow]:
        with self._lock:
            counts = Counter[tuple[int, str, int]]()
            for row in self._rows.values():
                at = row.completed_at
                if at is not None and since <= at < until and not row.archived and tenant in (None, row.tenant):
                    counts[(at - since) // width, row.status, bisect_right(SIZES, at - row.created_at)] += 1
            return [EndedRow(*group, count) for group, count in sorted(counts.items())]

    async def due(self, tenant: str | None) -> list[DueRow]:
        with self._lock:
            now, found = self.now(), dict[tuple[str, int], list[int]]()
            for row in self._rows.values():
                if row.owner is None and row.wake_at is not None and row.wake_at <= now and tenant in (None, row.tenant):
                    found.setdefault((row.definition, row.version), []).append(row.wake_at)
            return [DueRow(*group, len(times), min(times)) for group, times in sorted(found.items())]

    async def tasks(self, query: TaskQuery) -> Sequence[TaskRow]:
        with self._lock:
            return tasks_matching(self._tasks.values(), query)

    async def take_messages(self, topics: Sequence[str], until: int, limit: int) -> Sequence[MessageRow]:
        with self._lock:
            now = self.now()
            held = [m for m in self._outbox.values() if m.due_at > now]
            wanted = [m for m in self._outbox.values() if m.due_at <= now and (ANY in topics or m.topic in topics)]
            free = [
                m for m in wanted if not any((h.instance_id, h.topic) == (m.instance_id, m.topic) and h.seq < m.seq for h in held)
            ]
            taken = [replace(m, due_at=until, tries=m.tries + 1) for m in free[:limit]]
            self._outbox |= {m.id: m for m in taken}
            return taken

    async def settle_messages(self, done: Sequence[MessageRow], failed: Sequence[MessageRow]) -> None:
        with self._lock:
            for message in done:
                self._outbox.pop(message.id, None)
            for message in failed:
                known = self._outbox.get(message.id)
                if known is not None and known.tries == message.tries:
                    self._outbox[message.id] = message

    async def outbox(self, limit: int = 100, tenant: str | None = None) -> Sequence[MessageRow]:
        with self._lock:
            return [m for m in self._outbox.values() if tenant is None or m.tenant == tenant][:limit]

    # -- definitions, retention

    async def definitions(self) -> list[DefinitionRow]:
        with self._lock:
            return list(self._definitions.values())

    async def put_definition(self, row: DefinitionRow, act: Act | None = None) -> None:
        with self._lock:
            place = (row.tenant, row.name, row.version)
            if self._definitions.get(place) != row:
                self._definitions[place] = row
                self._told(act)

    async def archive(self, query: Query, act: Act | None = None) -> int:
        with self._lock:
            gone = [self._put(r, archived=True) for r in matching(self._rows.values(), query) if r.status in TERMINAL]
            self._told(act, len(gone), counting=True)
            return len(gone)

    async def purge(self, query: Query, act: Act | None = None) -> int:
        with self._lock:
            gone = [r for r in matching(self._rows.values(), query) if r.status in TERMINAL]
            for row in gone:
                del self._rows[row.id]
                self._feed = [(whose, r) for whose, r in self._feed if r.instance_id != row.id]
                self._history.pop(row.id, None)
                self._inbox.pop(row.id, None)
                self._tickets.forget(row.id)
                self._tasks = {i: t for i, t in self._tasks.items() if t.instance_id != row.id}
                if row.key is not None:
                    self._keys.pop((row.tenant, row.definition, row.key), None)
            self._told(act, len(gone), counting=True)
            return len(gone)


class MemoryPulse:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def renew(self, worker: str, lease: int) -> bool:
        return self._store.renew(worker, lease)

    def close(self) -> None:
        return


def _oldest(due: Sequence[Row], limit: int) -> list[Row]:
    room = shares(Counter(r.priority for r in due), limit)
    taken: list[Row] = []
    for row in due:
        if room.get(row.priority, 0) > 0:
            room[row.priority] -= 1
            taken.append(row)
    return taken


def _turns(due: Sequence[Row], held: Mapping[str, int], limit: int, spare: int) -> list[Row]:
    by_turn: dict[tuple[str, int, int, str], list[Row]] = {}
    for row in due:
        by_turn.setdefault((row.definition, row.version, row.priority, row.tenant), []).append(row)
    turns = [Turn(*place, min(len(rows), max(limit, 1)), rows[0].wake_at or 0) for place, rows in by_turn.items()]
    return [r for t, n in divide(turns, held, limit, spare) for r in by_turn[t.definition, t.version, t.priority, t.tenant][:n]]
