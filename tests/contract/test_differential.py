"""One stream of operations, crashes and clock jumps into memory, SQLite and PostgreSQL: the same answers and the same stored

facts at each step. A failing seed is named; STEPKEEL_SEED=n runs it alone.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stepkeel.model.act import Act, ActQuery, Head, misfit
from stepkeel.model.commit import (
    Ask,
    Batch,
    Commit,
    Delivery,
    HistoryRow,
    Return,
    Row,
    Settled,
    Start,
    StartRow,
    Step,
    TicketRow,
)
from stepkeel.store.memory import MemoryStore
from stepkeel.store.port import Query, Store, Wanted, WorkerRow
from stepkeel.store.postgres.store import PostgresStore
from stepkeel.store.sqlite.store import SqliteStore
from stepkeel.testing import VirtualClock
from tests import postgres

SEEDS, STEPS = 200, 40
WANTED = [Wanted("flow", 1), Wanted("other", 2)]
TERMINAL = ("completed", "failed", "cancelled", "terminated")
LEASE = 5_000_000


def _plain(value: Any) -> Any:
    """An answer as it can be compared: attributes by value, sets and rows in order."""
    if isinstance(value, Row):
        fields = msgspec.structs.asdict(value)
        return {**fields, "attributes": msgspec.json.decode(value.attributes)}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else value


class Stream:
    """Draws operations from a seed, looking at the first store to know what could make sense."""

    def __init__(self, stores: list[Store], clock: VirtualClock, seed: int) -> None:
        self.stores = stores
        self.clock = clock
        self.chance = random.Random(seed)
        self.seed = seed
        self.ids: list[str] = []
        self.workers = ["w0"]
        self.rows: dict[str, Row] = {}
        self.log: list[str] = []

    async def all(self, what: str, work: Callable[[Store], Awaitable[Any]]) -> Any:
        self.log.append(what)
        answers = [_plain(await work(s)) for s in self.stores]
        for store, answer in zip(self.stores[1:], answers[1:], strict=True):
            if answer != answers[0]:
                story = "\n".join(f"{n}: {line[:600]}" for n, line in enumerate(self.log))
                kind = store.url.partition(":")[0]
                pytest.fail(f"seed {self.seed}: {kind} answers\n{answer}\nmemory\n{answers[0]}\nafter\n{story}", pytrace=False)
        return answers[0]

    async def facts(self, *, everything: bool) -> None:
        await self.all("rows", lambda s: s.load(self.ids))
        self.rows = await self.stores[0].load(self.ids)
        if not everything:
            return
        for i in self.ids:
            await self.all(f"history {i}", lambda s, i=i: s.history(i))
            await self.all(f"signals {i}", lambda s, i=i: s.signals(i))
            await self.all(f"tickets {i}", lambda s, i=i: self._of_live(s.tickets(i)))
        await self.all("metrics", lambda s: s.metrics(None))
        await self.all("workers", _workers)
        for status in ("waiting", "completed", "paused"):
            query = Query(status=(status,), descending=self.chance.random() < 0.5, limit=5)
            await self.all(f"list {query}", lambda s, q=query: s.list(q))
        for tenant in ("default", "acme"):
            await self.all(f"head of {tenant}", lambda s, t=tenant: s.audit_head(t))
            query = ActQuery(tenant=tenant, descending=True, limit=200)
            await self.all(f"acts {query}", lambda s, q=query: s.acts(q))

    def _act(self, verb: str, instance_id: str, tenant: str) -> Act | None:
        """Of about half of them somebody wants to know who it was."""
        if self.chance.random() < 0.5:
            return None
        return Act(tenant=tenant, at=self.clock.now(), verb=verb, kind="instance", subject=instance_id, detail={"n": len(self.log)})

    async def step(self) -> None:
        self.clock.advance(self.chance.choice((0.000001, 0.001, 0.5, 2.0, 7.0)))
        kinds = (self.start, self.start, self.claim, self.commit, self.commit, self.commit, self.signal, self.signal)
        kinds += (self.give_back, self.sweep, self.renew, self.grant, self.purge, self.batch)
        await self.chance.choice(kinds)()
        await self.facts(everything=False)

    # -- operations

    def _step(self, row: Row | None, revision: int) -> Step:
        draw = self.chance
        kind = draw.choice(("run", "park", "park", "sleep", "end", "fault", "archive"))
        ended = kind in ("end", "archive") or (kind == "archive" and row is not None)
        status = draw.choice(TERMINAL) if ended else "paused" if kind == "fault" else "waiting" if kind != "run" else "running"
        pool, size, per = draw.choice((("p", 1, None), ("q", 2, 3_000_000), ("r", 3, None)))
        asked = (Ask("a/b", pool, revision, size, per, self.clock.now(), draw.randint(1, size)),)
        held = self._held(row)
        settled = tuple(Settled(n, "processed", "", self.clock.now()) for n in range(1, row.inbox + 1)) if row else ()
        return Step(
            status, draw.choice(("a", "b")), draw.choice(("", "label")), revision,
            None if kind == "fault" and row else b'{"n":%d}' % revision, self.clock.now(),
            row.inbox if row and draw.random() < 0.7 else 0,
            (HistoryRow(revision, self.clock.now(), "ann", "w", b"[]", b"{}"),),
            settled[: draw.randint(0, 2)], kind != "run", self.clock.now() + 3_000_000 if kind == "sleep" else None, ended,
            "broken" if kind == "fault" else None, True, False,
            asked if kind == "park" and draw.random() < 0.5 else (), held if ended or draw.random() < 0.7 else (),
        )  # fmt: skip

    def _held(self, row: Row | None) -> tuple[Return, ...]:
        memory: Any = self.stores[0]
        tickets: list[TicketRow] = memory._tickets.all()
        return tuple(Return(t.path, t.pool, t.n) for t in tickets if row is not None and t.instance_id == row.id)

    def _start(self) -> Start:
        draw = self.chance
        i = f"i{len(self.ids):03}"
        self.ids.append(i)
        name, version = draw.choice((("flow", 1), ("other", 2), ("unserved", 3)))
        key = draw.choice((None, "k1", "k2", f"k{i}"))
        attributes = draw.choice((b"{}", b'{"region": "north", "n": 1}', b'{"vip": true}'))
        row = StartRow(
            draw.choice(("default", "acme")), name, version, key, draw.choice((None, "c")), draw.randint(0, 4), attributes
        )
        step = self._step(None, 1)
        owner = draw.choice((None, "w0"))
        parked = step.release or owner is None
        wake = self.clock.now() if parked and not step.ended and draw.random() < 0.8 else None
        return Start(
            i, row, msgspec.structs.replace(step, release=parked, wake_at=wake, settled=(), returned=(), fault=None), owner,
            self._act("start", i, row.tenant),
        )  # fmt: skip

    async def start(self) -> None:
        start = self._start()
        await self.all(f"start {start}", lambda s: s.commit(Batch(starts=(start,))))
        if self.chance.random() < 0.2:
            await self.all("the same again", lambda s: s.commit(Batch(starts=(start,))))

    def _commit(self) -> Commit | None:
        live = [r for r in self.rows.values() if not r.archived]
        if not live:
            return None
        row = self.chance.choice(live)
        stale = self.chance.random() < 0.15
        archive = row.status in TERMINAL
        step = self._step(row, row.revision + 1)
        if archive:
            step = msgspec.structs.replace(
                step, status=row.status, ended=True, release=True, archive=True, wake_at=None, fault=None, asked=(), snapshot=b"{}"
            )
        return Commit(row.id, row.tenant, row.owner, row.epoch + stale, row.revision, step, self._act("step", row.id, row.tenant))

    async def commit(self) -> None:
        commit = self._commit()
        if commit is not None:
            await self.all(f"commit {commit}", lambda s: s.commit(Batch(commits=(commit,))))
            if self.chance.random() < 0.2:
                await self.all("the same again", lambda s: s.commit(Batch(commits=(commit,))))

    def _delivery(self) -> Delivery | None:
        if not self.ids:
            return None
        draw = self.chance
        kind: Any = draw.choice(("signal", "signal", "control"))
        to, tenant = draw.choice([*self.ids, "nowhere"]), draw.choice(("default", "default", "acme"))
        return Delivery(
            to, tenant, kind, draw.choice(("Go", "Stop")), b'{"x":1}', f"key{draw.randint(0, 20)}", "ann", self.clock.now(),
            draw.choice((10_000, 2)), self._act("send", to, tenant),
        )  # fmt: skip

    async def signal(self) -> None:
        delivery = self._delivery()
        if delivery is not None:
            await self.all(f"deliver {delivery}", lambda s: s.commit(Batch(deliveries=(delivery,))))

    async def batch(self) -> None:
        """Starts, a commit and deliveries in one transaction."""
        starts = tuple(self._start() for _ in range(2))
        commits = tuple(c for c in (self._commit(),) if c is not None)
        deliveries = tuple(d for d in (self._delivery(), self._delivery()) if d is not None)
        whole = Batch(starts, commits, deliveries)
        await self.all(f"batch {whole}", lambda s: s.commit(whole))

    async def claim(self) -> None:
        worker = self.chance.choice([*self.workers, "nobody"])

        async def left(store: Store) -> Any:
            claims = await store.claim(worker, WANTED, 0)
            return claims.rows, sorted(claims.left)

        async def work(store: Store) -> Any:
            claims = await store.claim(worker, WANTED, 1_000)
            return claims.now, sorted(map(_plain, claims.rows), key=lambda r: r["id"]), claims.next_wake if claims.rows else None

        await self.all("who waits", left)
        await self.all(f"claim {worker}", work)

    async def give_back(self) -> None:
        worker = self.chance.choice(self.workers)
        mine = {r.id: r.epoch - (self.chance.random() < 0.1) for r in self.rows.values() if r.owner == worker}
        await self.all(f"give back {mine}", lambda s: s.give_back(worker, mine))
        await self.all("news", lambda s: s.news(worker))

    async def sweep(self) -> None:
        """A crash shows itself as a lease that runs out."""
        dead = await self.all("bury", _buried)
        self.workers = [w for w in self.workers if w not in dead]

        async def freed(store: Store) -> Any:
            return sorted(await store.take_over(1_000))

        await self.all("take over", freed)
        if not self.workers or self.chance.random() < 0.3:
            new = f"w{len(self.log)}"
            self.workers.append(new)
            row = WorkerRow(new, new, "[]", self.clock.now(), self.clock.now() + LEASE)
            await self.all(f"worker {new}", lambda s: s.add_worker(row))

    async def renew(self) -> None:
        for worker in self.workers:
            row = WorkerRow(worker, worker, "[]", self.clock.now(), self.clock.now() + LEASE)
            await self.all(f"renew {worker}", lambda s, row=row: s.add_worker(row))

    async def grant(self) -> None:
        async def work(store: Store) -> Any:
            grants = await store.grant(100)
            return grants.count, sorted(map(str, grants.owners)), grants.next_at

        await self.all("grant", work)
        await self.all("pool", lambda s: self._of_live(s.pool("p")))
        await self.all("held", _held)

    async def _of_live(self, asked: Awaitable[list[TicketRow]]) -> list[TicketRow]:
        """When tickets that count for nothing any more are swept out is each store's own business."""
        live = {r.id for r in self.rows.values() if r.status not in TERMINAL}
        now = self.clock.now()
        found = await asked
        over = [t for t in found if t.per is not None and t.granted_at is not None and t.granted_at + t.per <= now]
        return [t for t in found if t.instance_id in live and t not in over]

    async def purge(self) -> None:
        query = Query(status=("completed",), archived=self.chance.random() < 0.5, limit=2)
        act = self._act("purge", "", "default")
        await self.all(f"purge {query}", lambda s: s.purge(query, act))
        old = Query(status=("failed", "cancelled"), completed_to=self.clock.now() - 5_000_000, limit=1)
        await self.all(f"archive {old}", lambda s: s.archive(old, act))


async def _held(store: Store) -> Any:
    """Those that wait, and had ended, are swept out whenever each store does."""
    return [(p.name, p.held) for p in await store.pools(None, None, "", 100) if p.held]


async def _buried(store: Store) -> Any:
    return sorted(await store.bury())


async def _workers(store: Store) -> Any:
    return sorted((w.id, w.expires_at) for w in await store.workers())


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[tuple[list[Store], VirtualClock]]:
    clock = VirtualClock()
    with postgres.fresh_schema() as url:
        made: list[Store] = [MemoryStore(clock=clock), SqliteStore(str(tmp_path / "d.db"), clock=clock), PostgresStore(url, clock)]
        for store in made:
            await store.open()
        yield made, clock
        for store in made:
            await store.close()


@pytest.mark.parametrize("part", range(10))
async def test_the_same_stream_gives_the_same_answers_and_facts_on_every_store(
    stores: tuple[list[Store], VirtualClock], part: int
) -> None:
    made, clock = stores
    only = os.environ.get("STEPKEEL_SEED")
    seeds = range(SEEDS * part // 10, SEEDS * (part + 1) // 10) if only is None else [int(only)] * (part == 0)
    for seed in seeds:
        await _emptied(made)
        stream = Stream(made, clock, seed)
        await stream.all("worker", lambda s: s.add_worker(WorkerRow("w0", "w0", "[]", clock.now(), clock.now() + LEASE)))
        for _ in range(STEPS):
            await stream.step()
        await stream.facts(everything=True)
    for tenant in ("default", "acme"):
        before, rows = Head(), await made[0].acts(ActQuery(tenant=tenant, limit=100_000))
        for row in rows:
            assert misfit(row, before) is None
            before = Head(row.seq, row.digest)
        assert len(rows) > 10, "there is something to compare"


TABLES = ["instances", "history", "signals", "tickets", "pools", "start_keys", "workers"]
TABLES += ["archive_instances", "archive_history", "archive_signals"]


async def _emptied(stores: list[Store]) -> None:
    """Each seed begins with nothing; the connections stay."""
    memory: Any = stores[0]
    for kept in (memory._rows, memory._history, memory._inbox, memory._keys, memory._workers, memory._tickets):
        kept.clear()
    sqlite: Any = stores[1]
    for table in TABLES:
        if table != "pools":
            sqlite._write_to.db.execute(f"delete from {table}")
    server: Any = stores[2]
    await server._people.fetch("; ".join(f'delete from "{server.server.schema}".{t}' for t in TABLES[:1]))
    for table in TABLES[1:]:
        await server._people.fetch(f'delete from "{server.server.schema}".{table}')
