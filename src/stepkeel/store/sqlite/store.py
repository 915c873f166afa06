"""The store on one SQLite file.

A batch is made durable on the event loop's own thread: handing it to another costs more than the flush does. A slow
disk, or a file that another process is writing, sends it to the writer thread, so that the loop does not wait for them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import apsw

from stepkeel.clock import Clock, SystemClock
from stepkeel.errors import Unavailable
from stepkeel.model.codec import to_json
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
from stepkeel.store.queue import in_order
from stepkeel.store.sqlite.claim import Dues, take
from stepkeel.store.sqlite.connection import Connection, prepare
from stepkeel.store.sqlite.keeping import Keeping
from stepkeel.store.sqlite.query import list_statement, migrations, statements, tasks_statement
from stepkeel.store.sqlite.transaction import SqliteTransaction
from stepkeel.store.sqlite.write import Writer

__all__ = ["SqliteStore"]

T = TypeVar("T")
INLINE_ROWS = 128
INLINE_SECONDS = 0.008


class SqliteStore(Keeping):
    batch_rows = INLINE_ROWS
    transactional = True

    def __init__(self, path: str, url: str = "", clock: Clock | None = None) -> None:
        self.url = url or f"sqlite:///{path}"
        self._path = path
        self._clock = clock or SystemClock()
        self._sql = statements()
        self._flush = 0.0  # seconds a small commit takes, as lately seen
        self._version = -1
        self._handed_over = 0  # writes given to the thread and not yet answered: the connection is theirs
        self._turn = asyncio.Lock()
        self._write_to: Connection
        self._read_from: Connection
        self._scan_from: Connection
        self._dues: Dues
        self._writer: Writer
        self._threads: ThreadPoolExecutor
        self._scanners: ThreadPoolExecutor

    async def open(self, *, make: bool = True) -> None:
        folder = Path(self._path).resolve().parent
        if not folder.is_dir():
            raise Unavailable(f"{self.url}: the folder {folder} does not exist", remedy="make it, or name another")
        if not make and not Path(self._path).exists():
            raise Unavailable(f"{self.url}: there is no such file", remedy="is the path right? an engine with workflows makes it")
        self._write_to = Connection(self._path, self.url)
        try:
            prepare(self._write_to, self._path)
        except BaseException:
            self._write_to.close()
            raise
        self._read_from = Connection(self._path, self.url)
        self._scan_from = Connection(self._path, self.url)
        self._dues = Dues(self._read_from, self._sql)
        self._writer = Writer(self._write_to.db, self._sql, self.now)
        self._threads = ThreadPoolExecutor(1, "stepkeel-writer")
        self._scanners = ThreadPoolExecutor(1, "stepkeel-reader")

    async def upgrade(self) -> Upgrade:
        """The file is brought up to date whenever it is opened."""
        known = len(migrations())
        before = 0
        if Path(self._path).exists():
            probe = Connection(self._path, self.url)
            try:
                before = int(probe.all("pragma user_version")[0][0])
            finally:
                probe.close()
        await self.open()
        await self.close()
        return Upgrade(before, known)

    async def check(self) -> Sequence[Remark]:
        def pragma(name: str) -> str:
            return str(self._read_from.all(f"pragma {name}")[0][0])

        size = int(pragma("page_count")) * int(pragma("page_size"))
        free = int(pragma("freelist_count")) * int(pragma("page_size"))
        mode = pragma("journal_mode")
        return (
            Remark("schema", pragma("user_version")),
            Remark("sqlite", apsw.sqlite_lib_version()),
            Remark("journal_mode", mode, "" if mode == "wal" else "others block each other: is the folder on a network?"),
            Remark("size", f"{size / 1e6:.1f} MB", "vacuum it when no worker runs" if free > max(size / 2, 1e8) else ""),
        )

    def within(self, tenant: str | None) -> SqliteStore:
        return self

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._scanners, self._scan_from.close)
        self._threads.shutdown(wait=True)
        self._scanners.shutdown(wait=True)
        self._read_from.close()
        self._write_to.close()

    def now(self) -> int:
        return self._clock.now()

    def pulse(self) -> SqlitePulse:
        return SqlitePulse(self._path, self.url, self._sql["renew"], self.now)

    def version(self) -> int:
        if not self._handed_over:
            self._version = int(self._write_to.db.pragma("data_version"))
        return self._version

    def listen(self, heard: Callable[[str | None], None]) -> None:
        return  # others see the version move

    def tell(self, worker: str | None) -> None:
        return

    async def _write(self, work: Callable[[], T], rows: int = 1) -> T:
        if rows <= INLINE_ROWS and self._flush < INLINE_SECONDS and not self._handed_over:
            began = time.perf_counter()
            try:
                result = self._write_to.write(work, patient=False)
            except Unavailable:
                pass  # busy: wait for it elsewhere
            else:
                self._flush += 0.1 * (time.perf_counter() - began - self._flush)
                return result
        self._flush *= 0.99  # so that one slow spell does not keep small batches off the loop for ever
        self._handed_over += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._write_to.write, work)
        finally:
            self._handed_over -= 1

    async def _scan(self, sql: str, values: Any = ()) -> list[Any]:
        """A read that may be long, off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._scanners, self._scan_from.all, sql, values)

    # -- workers

    async def add_worker(self, worker: WorkerRow) -> None:
        lease = worker.expires_at - worker.started_at

        def add() -> None:  # it may have waited for the lock
            now = self.now()
            row = (worker.id, worker.name, worker.capabilities, now, now + lease)
            self._write_to.db.execute(self._sql["add_worker"], row)

        await self._write(add)

    async def remove_worker(self, worker: str) -> None:
        await self._write(lambda: self._write_to.db.execute(self._sql["remove_worker"], (worker,)))

    async def workers(self) -> list[WorkerRow]:
        return [WorkerRow(*r) for r in self._read_from.all(self._sql["workers"])]

    async def bury(self) -> list[str]:
        now = self.now()
        if not any(w.expires_at < now for w in await self.workers()):
            return []
        return await self._write(lambda: [r[0] for r in self._write_to.db.execute(self._sql["bury"], (now,)).fetchall()])

    async def take_over(self, limit: int) -> list[str]:
        dead = [r[0] for r in self._read_from.all(self._sql["dead_owners"])]
        if not dead:
            return []

        def work() -> list[str]:
            taken: list[str] = []
            for owner in [r[0] for r in self._write_to.db.execute(self._sql["dead_owners"]).fetchall()]:
                values = {"dead": owner, "now": self.now(), "limit": limit - len(taken)}
                taken += [r[0] for r in self._write_to.db.execute(self._sql["take_over"], values).fetchall()]
                if len(taken) >= limit:
                    break
            return taken

        return await self._write(work)

    # -- claims

    async def claim(self, worker: str, wanted: Sequence[Wanted], limit: int, held: Held = nobody, spare: int = 0) -> Claims:
        now = self.now()
        found = self._dues.look(now, wanted, limit, held, spare)
        picked = found.picked
        rows = await self._write(lambda: take(self._write_to, self._sql, worker, picked), len(picked)) if picked else []
        return Claims(now, tuple(rows), found.next_wake, found.left)

    async def owned(self, worker: str) -> dict[str, int]:
        return dict(self._read_from.all(self._sql["owned"], (worker,)))

    async def news(self, worker: str) -> dict[str, int]:
        return dict(self._read_from.all(self._sql["news"], (worker,)))

    async def give_back(self, worker: str, rows: Mapping[str, int]) -> int:
        def work() -> int:
            before = self._write_to.db.total_changes()
            for instance_id, epoch in rows.items():
                values = {"now": self.now(), "id": instance_id, "worker": worker, "epoch": epoch}
                self._write_to.db.execute(self._sql["give_back"], values)
            return self._write_to.db.total_changes() - before

        return await self._write(work, len(rows))

    # -- pools

    async def grant(self, limit: int) -> Grants:
        now = self.now()
        waiting = self._read_from.all(self._sql["waiting_pools"], {"now": now})
        count, owners = 0, set[str | None]()
        if any(size - held >= amount for _, size, _, held, _, amount in waiting):
            count, owners = await self._write(lambda: self._writer.grant(limit), limit)
            waiting = self._read_from.all(self._sql["waiting_pools"], {"now": now})
        free_at = [oldest + per for _, _, per, _, oldest, _ in waiting if per is not None and oldest is not None]
        return Grants(count, frozenset(owners), min(free_at, default=None))

    async def pools(self, tenant: str | None, name: str | None, after: str, limit: int) -> list[PoolRow]:
        given = {"tenant": tenant, "name": name, "after": after, "limit": limit, "now": self.now()}
        return [PoolRow(*r) for r in await self._scan(self._sql["pools"], given)]

    async def pool(self, name: str, limit: int = 100) -> list[TicketRow]:
        return [TicketRow(*r) for r in self._read_from.all(self._sql["pool"], {"pool": name, "limit": limit})][:limit]

    async def tickets(self, instance_id: str) -> list[TicketRow]:
        return in_order(TicketRow(*r) for r in self._read_from.all(self._sql["tickets"], (instance_id,)))

    # -- the one write verb

    async def commit(self, batch: Batch) -> Answer:
        return await self._write(lambda: self._writer.apply(batch), len(batch))

    async def begin(self) -> Transaction:
        return await SqliteTransaction.begun(self._path, self.url, self._turn, self._sql, self.now)

    async def fences(self, ids: Sequence[str]) -> dict[str, Fence]:
        return {i: Fence(*r[0]) for i in ids if (r := self._read_from.all(self._sql["fence"], (i,)))}

    # -- reading

    async def inbox(self, after: Mapping[str, int], limit: int = 100) -> dict[str, tuple[int, list[InboxRow]]]:
        return {i: self._pending(i, seq, limit) for i, seq in after.items()}

    def _pending(self, instance_id: str, after: int, limit: int) -> tuple[int, list[InboxRow]]:
        count = self._read_from.all(self._sql["inbox_count"], (instance_id,))
        if not count:
            return 0, []
        rows = self._read_from.all(self._sql["inbox"], (instance_id, after, limit))
        return count[0][0], [InboxRow(*r) for r in rows]

    async def signals(self, instance_id: str) -> list[InboxRow]:
        return [InboxRow(*r) for r in self._read_from.all(self._sql["signals"], {"id": instance_id})]

    async def load(self, ids: Sequence[str]) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for instance_id in ids:
            rows = self._read_from.all(self._sql["row"], (instance_id,))
            rows = rows or self._read_from.all(self._sql["archived_row"], (instance_id,))
            if rows:
                found[instance_id] = Row(*rows[0][:24], archived=len(rows[0]) > 24)
        return found

    async def list(self, query: Query) -> list[Row]:
        sql, values = list_statement(query)
        return [Row(*r[:24], archived=bool(r[24])) for r in await self._scan(sql, values)]

    async def history(self, instance_id: str, after: int = 0, limit: int = 10_000) -> list[HistoryRow]:
        values = {"id": instance_id, "after": after, "limit": limit}
        return [HistoryRow(*r) for r in self._read_from.all(self._sql["history"], values)]

    async def feed(self, tenant: str, after: Place | None, limit: int) -> Page:
        newest = self._read_from.all(self._sql["newest_commit"], ())[0][0]  # first: what comes meanwhile is told next time
        after = after or end_of(newest)
        values = {"tenant": tenant, **after._asdict(), "limit": limit}
        rows = [FeedRow(r[0], r[1], HistoryRow(*r[2:])) for r in await self._scan(self._sql["feed"], values)]
        return page_of(rows, limit, newest, after)

    async def find_key(self, tenant: str, definition: str, key: str) -> str | None:
        rows = self._read_from.all(self._sql["find_key"], (tenant, definition, key))
        return rows[0][0] if rows else None

    async def tenants(self, after: str, limit: int) -> list[str]:
        return [r[0] for r in await self._scan(self._sql["tenants"], {"after": after, "limit": limit})]

    async def metrics(self, tenant: str | None) -> list[MetricRow]:
        return [MetricRow(*r) for r in await self._scan(self._sql["metrics"], {"tenant": tenant})]

    async def ended(self, tenant: str | None, since: int, until: int, width: int) -> list[EndedRow]:
        given = {"tenant": tenant, "since": since, "until": until, "width": width}
        return [EndedRow(*r) for r in await self._scan(self._sql["ended"], given)]

    async def due(self, tenant: str | None) -> list[DueRow]:
        return [DueRow(*r) for r in await self._scan(self._sql["all_due"], {"tenant": tenant, "now": self.now()})]

    async def tasks(self, query: TaskQuery) -> list[TaskRow]:
        sql, values = tasks_statement(query)
        rows = self._read_from.all(sql, values) if query.ids else await self._scan(sql, values)
        return [task_of(r) for r in rows]

    async def take_messages(self, topics: Sequence[str], until: int, limit: int) -> list[MessageRow]:
        values = {"now": self.now(), "until": until, "any": ANY in topics, "topics": to_json([*topics]).decode(), "limit": limit}
        if not self._read_from.all(self._sql["any_message"], (values["now"],)):
            return []  # nearly always: no lock is taken for that
        rows = await self._write(lambda: self._write_to.db.execute(self._sql["take_messages"], values).fetchall())
        return sorted((row_of(r) for r in rows), key=lambda m: m.seq)

    async def settle_messages(self, done: Sequence[MessageRow], failed: Sequence[MessageRow]) -> None:
        def settle() -> None:
            db = self._write_to.db
            db.executemany(self._sql["delivered"], [(m.seq,) for m in done])
            db.executemany(self._sql["undelivered"], [(m.due_at, m.error, m.seq, m.tries) for m in failed])

        await self._write(settle)

    async def outbox(self, limit: int = 100, tenant: str | None = None) -> list[MessageRow]:
        return [row_of(r) for r in self._read_from.all(self._sql["outbox"], (tenant, tenant, limit))]


class SqlitePulse:
    """The heartbeat's own connection."""

    def __init__(self, path: str, url: str, sql: str, now: Callable[[], int]) -> None:
        self._now = now
        self._connection = Connection(path, url)
        self._sql = sql

    def renew(self, worker: str, lease: int) -> bool:
        db = self._connection.db

        def work() -> bool:
            db.execute(self._sql, (self._now() + lease, worker))
            return db.changes() == 1

        return self._connection.write(work)

    def close(self) -> None:
        self._connection.close()
