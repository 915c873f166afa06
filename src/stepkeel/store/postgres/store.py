"""The store on PostgreSQL. Every method is one transaction, nearly every one a single statement."""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stepkeel.clock import Clock
from stepkeel.errors import Unavailable
from stepkeel.model.commit import Answer, Batch, HistoryRow, InboxRow, PoolRow, Row, TicketRow
from stepkeel.model.message import MessageRow
from stepkeel.model.task import TaskRow
from stepkeel.store.desk import task_of
from stepkeel.store.fact import EndedRow
from stepkeel.store.feed import FeedRow, Page, Place, end_of, page_of
from stepkeel.store.outbox import ANY, row_of
from stepkeel.store.port import (
    Claims,
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
from stepkeel.store.postgres.check import remarks
from stepkeel.store.postgres.claim import read
from stepkeel.store.postgres.connection import Lane, Server, connect
from stepkeel.store.postgres.gather import Gather
from stepkeel.store.postgres.keeping import Keeping
from stepkeel.store.postgres.listener import Listener, Teller
from stepkeel.store.postgres.query import list_statement, statements, tasks_statement
from stepkeel.store.postgres.schema import prepare, upgrade
from stepkeel.store.postgres.transaction import Transactions
from stepkeel.store.postgres.wall import Walled
from stepkeel.store.postgres.write import Writer, text
from stepkeel.store.queue import in_order
from stepkeel.store.share import TENANTS

__all__ = ["PostgresStore"]

POOLS = 200  # given slots of in one transaction
VIEWS = 1_000  # of tenants, kept for their next request
_log = logging.getLogger("stepkeel.store")


def _row(record: Any, *, archived: bool = False) -> Row:
    columns = list(record)
    columns[10] = columns[10].encode()
    return Row(*columns, archived=archived)


class _Time:
    """The server's time as last read, and when that was here."""

    at, then = 0, 0.0


class PostgresStore(Keeping):
    """Three connections, each made when first needed: commits, what a worker asks, what people ask (it may take long).

    `clock` None: the server's, the only one that is compared. A test may hand in its own.
    """

    batch_rows = 500
    transactional = True

    def __init__(self, url: str, clock: Clock | None = None, patience: float = 10.0) -> None:
        server = Server.of(url, patience)
        self.url = server.url
        self.server = server
        self._clock = clock
        self._sql = statements(server.schema)
        self._time = _Time()
        self._whole = self  # the store that a view is of
        self._views: dict[str, PostgresStore] = {}
        self._heard: list[Callable[[str | None], None]] = []
        self._listener: Listener | None = None
        self._loads: Gather[Row] = Gather(self._load)
        self._after = ""  # the tenant behind whom the next look at what is due begins
        self._lanes: tuple[Lane, ...] = ()
        self._commits: Lane
        self._work: Lane | Walled
        self._people: Lane | Walled
        self._quick: Lane  # the same two for tenants' requests
        self._slow: Lane
        self._writer: Writer
        self._teller: Teller
        self._transactions: Transactions

    async def open(self, *, make: bool = True) -> None:
        connection = await connect(self.server, first=True, planning=False)
        try:
            await prepare(connection, self.server, make=make)
        finally:
            await connection.close()
        self._commits, work = Lane(self.server), Lane(self.server)
        self._work, self._people = work, Lane(self.server, planning=False)
        self._quick = Lane(self.server, role=self.server.tenant_role)
        self._slow = Lane(self.server, planning=False, role=self.server.tenant_role)
        self._lanes = (self._commits, work, self._people, self._quick, self._slow)
        self._writer = Writer(self._commits, self._sql, self._given)
        self._transactions = Transactions(self.server, self._writer)
        self._teller = Teller(work, self._sql["notify"], self.server.schema)
        self._read((await self._work.fetch(self._sql["now"], self._given()))[0][0])

    async def upgrade(self) -> Upgrade:
        return await upgrade(self.server)

    async def check(self) -> Sequence[Remark]:
        return await self._people.transact(lambda c: remarks(c, self.server))

    async def close(self) -> None:
        await self._teller.close()
        if self._listener is not None:
            await self._listener.close()
        self._transactions.close()
        for lane in self._lanes:
            await lane.close()

    def within(self, tenant: str | None) -> PostgresStore:
        whole = self._whole
        if tenant is None or not self.server.tenant_role:
            return whole
        view = whole._views.pop(tenant, None)
        if view is None:
            view = copy.copy(whole)
            view._work, view._people = Walled(whole._quick, tenant), Walled(whole._slow, tenant)
            view._loads = Gather(view._load)
        whole._views[tenant] = view  # the last one asked for goes last
        if len(whole._views) > VIEWS:
            del whole._views[next(iter(whole._views))]
        return view

    # -- time

    def _given(self) -> int | None:
        return None if self._clock is None else self._clock.now()

    def _read(self, now: int) -> int:
        self._time.at, self._time.then = now, time.monotonic()
        return now

    def now(self) -> int:
        """The server's time as last read, moved on by a clock that never steps back."""
        if self._clock is not None:
            return self._clock.now()
        return self._time.at + round((time.monotonic() - self._time.then) * 1e6)

    # -- hints

    def version(self) -> None:
        return None

    def listen(self, heard: Callable[[str | None], None]) -> None:
        if not self.server.portable and not self.server.pooled:
            self._listener = self._listener or Listener(self.server, self.server.schema, self._pass_on)
            self._heard.append(heard)

    def _pass_on(self, worker: str | None) -> None:
        for heard in self._heard:
            heard(worker)

    def tell(self, worker: str | None) -> None:
        if not self.server.portable:
            self._teller.tell(worker)

    # -- workers

    def pulse(self) -> PostgresPulse:
        return PostgresPulse(self.server, self._sql["renew"], self._given)

    async def add_worker(self, worker: WorkerRow) -> None:
        lease = worker.expires_at - worker.started_at
        await self._work.fetch(self._sql["add_worker"], self._given(), worker.id, worker.name, worker.capabilities, lease)

    async def remove_worker(self, worker: str) -> None:
        await self._work.fetch(self._sql["remove_worker"], worker)

    async def workers(self) -> list[WorkerRow]:
        return [WorkerRow(*r) for r in await self._work.fetch(self._sql["workers"])]

    async def bury(self) -> list[str]:
        return [r[0] for r in await self._work.fetch(self._sql["bury"], self._given())]

    async def take_over(self, limit: int) -> list[str]:
        taken: list[str] = []
        sql = self._sql["take_over_portable" if self.server.portable else "take_over"]
        for (owner,) in await self._work.fetch(self._sql["dead_owners"]):
            taken += [r[0] for r in await self._work.fetch(sql, self._given(), owner, limit - len(taken))]
            if len(taken) >= limit:
                break
        return taken

    # -- claims

    async def claim(self, worker: str, wanted: Sequence[Wanted], limit: int, held: Held = nobody, spare: int = 0) -> Claims:
        names, versions = [w.definition for w in wanted], [w.version for w in wanted]
        told = await self._work.fetch(self._sql["due"], self._given(), names, versions, limit, TENANTS, self._after)
        found = read(told, limit, held, spare, self._after)
        self._after = found.after
        rows: list[Row] = []
        now = self._read(told[0][0]) if told else self.now()
        if found.asked:
            sql = self._sql[found.statement + ("_portable" if self.server.portable else "")]
            columns = map(list, zip(*found.asked, strict=True))
            rows = [_row(r) for r in await self._work.fetch(sql, now, worker, *columns)]
        soonest = [*found.ahead, now] if len(rows) < found.due else found.ahead
        return Claims(now, tuple(rows), min(soonest, default=None), found.left)

    async def owned(self, worker: str) -> dict[str, int]:
        return {r[0]: r[1] for r in await self._work.fetch(self._sql["owned"], worker)}

    async def news(self, worker: str) -> dict[str, int]:
        return {r[0]: r[1] for r in await self._work.fetch(self._sql["news"], worker)}

    async def give_back(self, worker: str, rows: Mapping[str, int]) -> int:
        ids, epochs = list(rows), list(rows.values())

        async def work(connection: Any) -> int:
            status = await connection.execute(self._sql["give_back"], self._given(), worker, ids, epochs)
            return int(status.rpartition(" ")[2])

        return await self._work.transact(work)

    # -- pools

    async def grant(self, limit: int) -> Grants:
        waiting = await self._work.fetch(self._sql["waiting_pools"], self._given())
        owners: list[str | None] = []
        free = [r[0] for r in waiting if r[1] - r[3] >= r[6]][:POOLS]
        if free:
            lock = "lock_pools_portable" if self.server.portable else "lock_pools"
            now = waiting[0][5]
            owners = await self._work.transact(lambda c: self._writer.grant(c, free, now, limit, lock))
            waiting = await self._work.fetch(self._sql["waiting_pools"], self._given())
        free_at = [r[4] + r[2] for r in waiting if r[2] is not None and r[4] is not None]
        return Grants(len(owners), frozenset(owners), min(free_at, default=None))

    async def pools(self, tenant: str | None, name: str | None, after: str, limit: int) -> list[PoolRow]:
        rows = await self._people.fetch(self._sql["pools"], tenant, name, after, limit, self.now())
        return [PoolRow(*r) for r in rows]

    async def pool(self, name: str, limit: int = 100) -> list[TicketRow]:
        return [TicketRow(*r) for r in await self._work.fetch(self._sql["pool"], name, limit)]

    async def tickets(self, instance_id: str) -> list[TicketRow]:
        return in_order(TicketRow(*r) for r in await self._work.fetch(self._sql["tickets"], instance_id))

    # -- the one write verb

    async def commit(self, batch: Batch) -> Answer:
        return await self._writer.apply(batch)

    async def begin(self) -> Transaction:
        return await self._transactions.begin()

    async def fences(self, ids: Sequence[str]) -> dict[str, Fence]:
        return {r[0]: Fence(*tuple(r)[1:]) for r in await self._work.fetch(self._sql["fences"], list(ids))}

    # -- reading

    async def inbox(self, after: Mapping[str, int], limit: int = 100) -> dict[str, tuple[int, list[InboxRow]]]:
        found: dict[str, tuple[int, list[InboxRow]]] = {i: (0, []) for i in after}
        for r in await self._work.fetch(self._sql["inbox"], list(after), list(after.values()), limit):
            rows = found[r[0]][1]
            found[r[0]] = (r[1], rows)
            if r[2] is not None:
                rows.append(InboxRow(r[0], *tuple(r)[2:]))
        return found

    async def signals(self, instance_id: str) -> list[InboxRow]:
        return [InboxRow(*r) for r in await self._work.fetch(self._sql["signals"], instance_id)]

    async def load(self, ids: Sequence[str]) -> dict[str, Row]:
        return await self._loads.get(ids)

    async def _load(self, ids: Sequence[str]) -> dict[str, Row]:
        found = {r[0]: _row(r) for r in await self._work.fetch(self._sql["rows"], list(ids))}
        missing = [i for i in ids if i not in found]
        if missing:
            rows = await self._work.fetch(self._sql["archived_rows"], missing)
            found |= {r[0]: _row(r, archived=True) for r in rows}
        return found

    async def list(self, query: Query) -> list[Row]:
        if self is not self._whole and query.attributes:
            # What they are found by is no condition that an index helps with behind the wall: found before it, read through it.
            ids = tuple(r.id for r in await self._whole.list(query))
            query = replace(query, ids=ids, attributes={})
            if not ids:
                return []
        sql, values = list_statement(query, self.server.schema)
        return [_row(r, archived=query.archived) for r in await self._people.fetch(sql, *values)]

    async def history(self, instance_id: str, after: int = 0, limit: int = 10_000) -> list[HistoryRow]:
        return [HistoryRow(*r) for r in await self._work.fetch(self._sql["history"], instance_id, after, limit)]

    async def feed(self, tenant: str, after: Place | None, limit: int) -> Page:
        none = after is None  # then only the last row is asked for: how far the transactions have come
        at = after or end_of(0)
        *found, horizon = await self._work.fetch(self._sql["feed"], tenant, *at, 0 if none else limit)
        rows = [FeedRow(r[0], r[1], HistoryRow(*r[2:])) for r in found[:limit]]
        return page_of(rows, limit, horizon[0], at)

    async def find_key(self, tenant: str, definition: str, key: str) -> str | None:
        rows = await self._work.fetch(self._sql["find_key"], tenant, definition, key)
        return rows[0][0] if rows else None

    async def tenants(self, after: str, limit: int) -> list[str]:
        return [r[0] for r in await self._people.fetch(self._sql["tenants"], after, limit)]

    async def metrics(self, tenant: str | None) -> list[MetricRow]:
        return [MetricRow(*r) for r in await self._people.fetch(self._sql["metrics"], tenant)]

    async def ended(self, tenant: str | None, since: int, until: int, width: int) -> list[EndedRow]:
        return [EndedRow(*r) for r in await self._people.fetch(self._sql["ended"], tenant, since, until, width)]

    async def due(self, tenant: str | None) -> list[DueRow]:
        return [DueRow(*r) for r in await self._people.fetch(self._sql["all_due"], tenant, self.now())]

    async def tasks(self, query: TaskQuery) -> list[TaskRow]:
        sql, values = tasks_statement(query, self.server.schema)
        return [task_of(r) for r in await (self._work if query.ids else self._people).fetch(sql, *values)]

    async def take_messages(self, topics: Sequence[str], until: int, limit: int) -> list[MessageRow]:
        now = self.now()
        if not await self._work.fetch(self._sql["any_message"], now):
            return []

        async def work(connection: Any) -> list[MessageRow]:
            await connection.fetch(self._sql["outbox_gate"])  # one at a time: else two take what is in order between them
            rows = await connection.fetch(self._sql["take_messages"], now, until, ANY in topics, list(topics), limit)
            return [row_of(tuple(r)) for r in rows]

        return sorted(await self._work.transact(work, again=False), key=lambda m: m.seq)

    async def settle_messages(self, done: Sequence[MessageRow], failed: Sequence[MessageRow]) -> None:
        if done:
            await self._work.fetch(self._sql["delivered"], [m.seq for m in done])
        for m in failed:
            await self._work.fetch(self._sql["undelivered"], m.seq, m.tries, m.due_at, text(m.error))

    async def outbox(self, limit: int = 100, tenant: str | None = None) -> list[MessageRow]:
        return [row_of(tuple(r)) for r in await self._people.fetch(self._sql["outbox"], tenant, limit)]


class PostgresPulse:
    """The heartbeat's own connection, on an event loop of its own thread."""

    def __init__(self, server: Server, sql: str, given: Callable[[], int | None]) -> None:
        self._url = server.url
        self._lane = Lane(server, planning=False)
        self._sql = sql
        self._given = given
        self._runner = asyncio.Runner()

    def renew(self, worker: str, lease: int) -> bool:
        return self._runner.run(self._renew(worker, lease))

    async def _renew(self, worker: str, lease: int) -> bool:
        try:
            async with asyncio.timeout(max(1.0, lease / 3e6)):
                return bool(await self._lane.fetch(self._sql, self._given(), worker, lease, again=False))
        except TimeoutError:
            raise Unavailable(f"{self._url} does not answer") from None

    def close(self) -> None:
        self._runner.run(self._lane.close())
        self._runner.close()
