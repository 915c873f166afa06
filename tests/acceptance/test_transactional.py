"""Transactional activities: what they write and their step are one commit, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stepkeel import Context, Engine, Fail, Own, Retry, State, TryAgain, Workflow, activity, parallel
from stepkeel.errors import BadRequest
from tests import postgres
from tests.acceptance.crash import crash, crashed_engine
from tests.flows import FAST, Go, Job, World


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'shop.db'}"
    else:
        with postgres.fresh_schema() as made:
            yield made


class Ledger:
    """A table of the application's own, in the database of the engine."""

    def __init__(self, engine: Engine) -> None:
        self._store: Any = engine.store
        self.on_postgres = hasattr(self._store, "server")
        self.table = f'"{self._store.server.schema}".ledger' if self.on_postgres else "ledger"

    async def made(self) -> Ledger:
        await self.ask(f"create table {self.table} (key text not null, amount integer not null check (amount < 1000))")
        return self

    async def ask(self, sql: str) -> list[Any]:
        if self.on_postgres:
            return [tuple(r) for r in await self._store._people.fetch(sql)]
        return list(self._store._write_to.db.execute(sql).fetchall())

    async def rows(self) -> list[Any]:
        return sorted(await self.ask(f"select key, amount from {self.table}"))


async def write(ctx: Context[Job], table: str, amount: int) -> None:
    if "." in table:
        await ctx.connection.execute(f"insert into {table} values ($1, $2)", ctx.idempotency_key, amount)
    else:
        ctx.connection.execute(f"insert into {table} values (?, ?)", (ctx.idempotency_key, amount))


class Names:
    table = ""


@activity(transactional=True, retry=Retry(attempts=3))
async def book(ctx: Context[Job], names: Names, world: World) -> Any:
    await write(ctx, names.table, ctx.data.amount)
    await world.do("book", ctx.idempotency_key)
    ctx.data.log.append("booked")
    if ctx.data.note == "business":
        raise Fail("NO")
    if ctx.data.note == "discard" and ctx.attempt == 1:
        return TryAgain("not yet", discard=True)
    return None


class Booking(Workflow[Job]):
    booking = State(book)
    ready = State[Job]()
    done = State.completed()
    booking.to(ready)
    ready.on(Go, to=done)


async def test_rows_and_step_are_there_together_and_once(url: str) -> None:
    names, world = Names(), World()
    async with Engine(url, [Booking], {Names: names, World: world}, settings=FAST) as engine:
        ledger = await Ledger(engine).made()
        names.table = ledger.table
        jobs = [await engine.start(Booking, Job(amount=n)) for n in range(12)]
        for job in jobs:
            result = await job.wait(10, state="ready")
            assert result.state == "ready", result
            await job.signal(Go())
            assert (await job.wait(10)).status == "completed"
        assert await ledger.rows() == sorted((f"{j.id}/booking/book", n) for n, j in enumerate(jobs))


class TwoBookings(Workflow[Job]):
    booking = State[Job](parallel(one=book, two=book, three=[book, book], data=Own("nothing")))
    done = State.completed()
    booking.to(done)


async def test_branches_that_write_wait_for_each_other_and_all_rows_are_there_once(url: str) -> None:
    names, world = Names(), World()
    async with Engine(url, [TwoBookings], {Names: names, World: world}, settings=FAST) as engine:
        ledger = await Ledger(engine).made()
        names.table = ledger.table
        jobs = [await engine.start(TwoBookings, Job(amount=n)) for n in range(5)]
        for job in jobs:
            assert (await job.wait(30)).status == "completed"
        places = ("one/book", "two/book", "three/book", "three/book-2")
        assert await ledger.rows() == sorted((f"{j.id}/booking/parallel:{p}", n) for n, j in enumerate(jobs) for p in places)


async def test_an_attempt_that_fails_leaves_no_row_and_the_next_one_sees_none(url: str) -> None:
    names, world = Names(), World()
    world.fail["book"] = 2
    async with Engine(url, [Booking], {Names: names, World: world}, settings=FAST) as engine:
        ledger = await Ledger(engine).made()
        names.table = ledger.table
        job = await engine.start(Booking, Job(amount=7))
        await job.wait(15, state="ready")
        assert await ledger.rows() == [(f"{job.id}/booking/book", 7)]
        assert world.effects[f"{job.id}/booking/book"] == 3
        refused = await engine.start(Booking, Job(note="business"))
        assert (await refused.wait(10)).status == "failed"
        discarded = await engine.start(Booking, Job(note="discard", amount=3))
        await discarded.wait(10, state="ready")
        too_much = await engine.start(Booking, Job(amount=5000))
        assert (await too_much.wait(10)).failure is not None
        assert await ledger.rows() == sorted([(f"{job.id}/booking/book", 7), (f"{discarded.id}/booking/book", 3)])
        assert (await discarded.get()).data.log == ["booked"]


async def test_a_crash_before_the_step_is_durable_takes_the_rows_with_it(url: str) -> None:
    names, world = Names(), World()
    world.gate("book")
    first = await crashed_engine(url, [Booking], world, {Names: names})
    names.table = (await Ledger(first).made()).table
    job = await first.start(Booking, Job(amount=1))
    await world.entered["book"].wait()
    crash(first)
    world.gates.clear()
    async with Engine(url, [Booking], {Names: names, World: world}, settings=FAST) as engine:
        await engine.instance(job.id, Booking).wait(15, state="ready")
        assert await Ledger(engine).rows() == [(f"{job.id}/booking/book", 1)]
        assert world.effects[f"{job.id}/booking/book"] == 2


async def test_a_worker_that_lost_the_instance_meanwhile_commits_nothing(url: str) -> None:
    names, world = Names(), World()
    gate = world.gate("book")
    async with Engine(url, [Booking], {Names: names, World: world}, settings=FAST) as engine:
        ledger = await Ledger(engine).made()
        names.table = ledger.table
        if not ledger.on_postgres:
            pytest.skip("SQLite's write lock keeps others from taking the instance")
        job = await engine.start(Booking, Job(amount=1))
        await world.entered["book"].wait()
        schema = ledger.table.partition(".")[0]
        await ledger.ask(f"update {schema}.instances set epoch = epoch + 1 where id = '{job.id}'")
        gate.set()
        async with asyncio.timeout(10):
            while world.effects[f"{job.id}/booking/book"] < 2:
                await asyncio.sleep(0.01)
        await job.wait(10, state="ready")
        assert await ledger.rows() == [(f"{job.id}/booking/book", 1)]


async def test_signals_and_heartbeats_meanwhile_wait_for_its_commit_and_are_not_lost(url: str) -> None:
    names, world = Names(), World()
    gate = world.gate("book")
    async with Engine(url, [Booking], {Names: names, World: world}, settings=FAST) as engine:
        ledger = await Ledger(engine).made()
        names.table = ledger.table
        job = await engine.start(Booking, Job(amount=1))
        await world.entered["book"].wait()
        if ledger.on_postgres:
            await job.signal(Go())
            await asyncio.sleep(0.1)
            gate.set()
        else:
            sending = asyncio.create_task(job.signal(Go()))
            await asyncio.sleep(0.1)
            gate.set()
            await sending
        assert (await job.wait(10)).status == "completed"
        assert await ledger.rows() == [(f"{job.id}/booking/book", 1)]


async def test_what_cannot_be_is_said(url: str) -> None:
    @activity(transactional=True)
    async def checkpoints(ctx: Context[Job]) -> None:
        await ctx.step("one", lambda: 1)

    @activity
    async def no_transaction(ctx: Context[Job]) -> None:
        ctx.connection.execute("select 1")

    class Wrong(Workflow[Job]):
        a = State(checkpoints)
        b = State(no_transaction)
        done = State.completed()
        a.to(b)
        b.to(done)
        a.on_failure(to=b)

    async with Engine(url, [Wrong], settings=FAST) as engine:
        job = await engine.start(Wrong, Job())
        result = await job.wait(10)
        assert result.failure is not None
        assert "say @activity(transactional=True)" in result.failure.message
        texts = [e.detail.get("message", "") for h in await job.history() for e in h.events]
        assert any("all it does is one step" in t for t in texts)
    with pytest.raises(BadRequest, match="book is transactional, and memory:// has no transactions"):
        await Engine("memory://", [Booking], {Names: Names(), World: World()}).open()
