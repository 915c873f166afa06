"""Crashes, lost answers, several workers: nothing is lost, nothing runs twice that committed once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stepkeel import Context, Engine, State, Workflow, activity
from stepkeel.clock import SystemClock
from stepkeel.errors import Unavailable
from stepkeel.facade import open_store
from stepkeel.model.commit import Answer, Batch, Commit, Step
from stepkeel.runtime.worker import Worker
from stepkeel.store.port import Store, Wanted
from tests.flows import FAST, ChainFlow, Go, Job, OrderFlow, WaitFlow, World, ship


@activity
async def take_note(ctx: Context[Job, Go], world: World) -> None:
    ctx.heartbeat({"taking": True})
    await world.do("note", ctx.idempotency_key)
    ctx.data.note = ctx.input.note


def disconnect(store: Any) -> None:
    """A process that is gone has no connections."""
    for name in ("_commits", "_work", "_people"):
        lane = getattr(store, name, None)
        if lane is not None:
            lane.abandon()
    transactions = getattr(store, "_transactions", None)
    if transactions is not None:
        transactions.close()
    for name in ("_listener", "_teller"):
        part = getattr(store, name, None)
        if part is not None and part._task is not None:
            part._task.cancel()


def crash(engine: Engine) -> None:
    """What `kill -9` leaves behind, within this process: nothing runs on, nothing is given back."""
    process = engine.process
    worker: Worker = process.worker
    for part in (worker._task, process._takeover and process._takeover._task, process.committer._task):
        if part:
            part.cancel()
    for resident in list(worker.residents.values()):
        resident.drop()
    worker.residents.clear()
    if process._heartbeat:
        process._heartbeat._stop.set()
        if process._heartbeat._ticker:
            process._heartbeat._ticker.cancel()
    process.executor.close()
    process.granter._task and process.granter._task.cancel()
    disconnect(engine.store)
    engine._process = None


async def crashed_engine(url: str, flows: Any, world: World, services: Any = None) -> Engine:
    engine = Engine(url, flows, {World: world, **(services or {})}, settings=FAST)
    return await engine.open()


async def test_a_worker_killed_between_effect_and_commit_runs_the_activity_again_with_the_same_key(url: str) -> None:
    world = World()
    world.gate("charge")
    first = await crashed_engine(url, [ChainFlow], world)
    job = await first.start(ChainFlow, Job())
    await world.entered["charge"].wait()
    crash(first)
    world.gates.clear()
    async with Engine(url, [ChainFlow], {World: world}, settings=FAST) as second:
        result = await second.instance(job.id, ChainFlow).wait(10)
        assert result.status == "completed"
        effects = {k.rpartition("/")[2]: n for k, n in world.effects.items()}
        assert effects == {"reserve": 1, "charge": 2, "ship": 1}, "what had committed before does not run again"
        assert "activity_lost" in [e.type for h in await second.history(job.id) for e in h.events]
        assert (await second.doctor()).clean


async def test_a_crash_right_after_start_is_recovered_without_any_call(url: str) -> None:
    world = World()
    async with Engine(url, [ChainFlow], {World: world}, worker=False) as client:
        job = await client.start(ChainFlow, Job())
        assert (await client.get(job.id)).status == "created"
    async with Engine(url, [ChainFlow], {World: world}, settings=FAST) as engine:
        assert (await engine.wait(job.id, 10)).status == "completed"


async def test_instances_of_dead_workers_are_taken_over_in_whatever_status_they_were(url: str) -> None:
    world = World()
    gate = world.gate("undo-charge")
    first = await crashed_engine(url, [ChainFlow, OrderFlow], world)
    undoing = await first.start(ChainFlow, Job(note="explode"))
    await world.entered["undo-charge"].wait()
    world.gate("reserve")
    pausing = await first.start(OrderFlow, Job())
    await world.entered["reserve"].wait()
    await pausing.pause()
    assert (await pausing.get()).owner is not None
    crash(first)
    gate.set()
    world.gates.clear()
    async with Engine(url, [ChainFlow, OrderFlow], {World: world}, settings=FAST) as second:
        assert (await second.wait(undoing.id, 10)).status == "failed"
        async with asyncio.timeout(10):
            while (await second.get(pausing.id)).owner is not None:
                await asyncio.sleep(0.01)
        assert (await second.get(pausing.id)).status == "paused"
        await second.resume(pausing.id)
        assert not (await second.wait(pausing.id, 10, state="waiting")).timed_out
        assert (await second.doctor()).clean


async def test_a_worker_stopped_beyond_its_lease_cannot_commit(url: str) -> None:
    world = World()
    gate = world.gate("charge")
    async with Engine(url, [ChainFlow], {World: world}, settings=FAST, name="stopped") as stopped:
        job = await stopped.start(ChainFlow, Job())
        await world.entered["charge"].wait()
        old = stopped.process.worker.id
        stopped.process._heartbeat._stop.set()  # type: ignore[union-attr]
        async with Engine(url, [ChainFlow], {World: world}, settings=FAST, name="other") as other:
            async with asyncio.timeout(10):
                while (await other.get(job.id)).owner in (old, None):
                    await asyncio.sleep(0.01)
            taken = (await other.get(job.id)).revision
            gate.set()
            result = await other.wait(job.id, 10)
            assert result.status == "completed"
            assert result.data.log == ["reserve", "charge", "ship"], "nothing is doubled"
            writers = {h.worker for h in await other.history(job.id) if h.revision > taken}
            assert old not in writers
            assert (await other.doctor()).clean


class Lossy:
    """A store whose answers get lost: the commit lands, the caller hears nothing. Or it does not land at all."""

    def __init__(self, store: Store, lose: set[int], drop: set[int]) -> None:
        self._store = store
        self._lose, self._drop = lose, drop
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, batch: Batch) -> Answer:
        self.commits += 1
        if self.commits in self._drop:
            raise Unavailable("dropped")
        answer = await self._store.commit(batch)
        if self.commits in self._lose:
            raise Unavailable("lost")
        return answer


@pytest.mark.parametrize("lose", [{n} for n in range(1, 6)] + [{1, 2, 3}, {2, 4, 6}], ids=str)
async def test_a_lost_commit_answer_strands_nothing_and_doubles_nothing(url: str, lose: set[int]) -> None:
    world = World()

    store: Any = Lossy(open_store(url, SystemClock()), lose, {5})
    async with Engine(url, [OrderFlow], {World: world}, store=store, settings=FAST) as engine:
        job = await engine.start(OrderFlow, Job(), key="k")
        assert job.created
        receipt = await job.signal(Go(note="once"), key="s")
        assert receipt.status in ("pending", "processed")
        result = await job.wait(20)
        assert result.status == "completed"
        assert result.data.log == ["reserve", "charge", "ship"]
        assert [s.status for s in await job.signals()] == ["processed"]
        assert set(world.effects.values()) == {1}
        assert (await engine.doctor()).clean
        assert store.commits > max(lose)


class Slow(Lossy):
    """The first commit lands; its answer comes when `answer` is set."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, set(), set())
        self.landed, self.answer = asyncio.Event(), asyncio.Event()

    async def commit(self, batch: Batch) -> Answer:
        answer = await super().commit(batch)
        if not self.landed.is_set():
            self.landed.set()
            await self.answer.wait()
        return answer


async def test_a_start_that_is_answered_after_its_worker_was_declared_dead_is_left_to_whoever_has_it(url: str) -> None:
    world = World()
    store: Any = Slow(open_store(url, SystemClock()))
    async with (
        Engine(url, [ChainFlow], {World: world}, settings=FAST) as other,
        Engine(url, [ChainFlow], {World: world}, store=store, settings=FAST) as engine,
    ):
        starting = asyncio.create_task(engine.start(ChainFlow, Job(), key="k"))
        await store.landed.wait()
        worker = engine.process.worker
        await other.store.remove_worker(worker.id)
        assert len(await other.store.take_over(10)) == 1
        job = await other.start(ChainFlow, Job(), key="k")
        assert (await job.wait(20)).status == "completed"
        await worker.died()
        store.answer.set()
        assert (await starting).id == job.id
        assert not worker.residents
        assert set(world.effects.values()) == {1}, "nothing was run here"


async def test_a_row_whose_claim_was_never_answered_is_given_back(url: str) -> None:
    async with Engine(url, [WaitFlow], settings=FAST) as engine:
        job = await engine.start(WaitFlow, Job())
        await job.wait(10, state=WaitFlow.ready)
        # A delayed timer that comes due makes the row claimable; what is claimed here never reaches the worker.
        row = (await engine.store.load([job.id]))[job.id]
        me = engine.process.worker.id
        parked = Step(row.status, row.state, row.label, row.revision, None, row.updated_at, row.seen, release=True, wake_at=1)
        engine.process.worker.claiming = False
        await engine.store.commit(Batch(commits=(Commit(row.id, row.tenant, None, row.epoch, row.revision, parked),)))
        assert len((await engine.store.claim(me, [Wanted("WaitFlow", 1)], 10)).rows) == 1
        engine.process.worker.claiming = True
        async with asyncio.timeout(10):
            while (await engine.get(job.id)).owner is not None:
                await asyncio.sleep(0.01)
        assert (await job.signal(Go(), wait=10)).status == "processed"


async def test_two_workers_never_both_advance_an_instance(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'two.db'}"
    world = World()
    engines = [await Engine(url, [ChainFlow], {World: world}, settings=FAST, concurrency=20).open() for _ in range(3)]
    async with Engine(url, [ChainFlow], {World: world}, worker=False) as client:
        jobs = await client.start_many(ChainFlow, [Job(str(n)) for n in range(150)])
        for job in jobs:
            result = await job.wait(30)
            assert result.status == "completed"
        assert set(world.effects.values()) == {1}
        workers = {h.worker for job in jobs for h in await job.history() if h.worker}
        assert len(workers) > 1, "they share the work"
        for engine in engines:
            await engine.close()
        assert (await client.doctor()).clean
        assert await client.store.workers() == []


async def test_a_graceful_shutdown_hands_back_and_burns_no_attempt(url: str) -> None:
    world = World()
    world.gate("charge")
    async with Engine(url, [ChainFlow], {World: world}, settings=FAST) as first:
        job = await first.start(ChainFlow, Job())
        await world.entered["charge"].wait()
    world.gates.clear()
    async with Engine(url, [ChainFlow], {World: world}, settings=FAST) as second:
        result = await second.wait(job.id, 10)
        assert result.status == "completed"
        events = [e.type for h in await second.history(job.id) for e in h.events]
        assert "activity_deferred" in events
        assert "activity_lost" not in events


async def test_parking_against_a_signal_loses_no_wake_up(url: str) -> None:
    async with Engine(url, [WaitFlow], settings=FAST) as engine:
        for n in range(100):
            job = await engine.start(WaitFlow, Job())
            if n % 3 == 1:
                await asyncio.sleep(0)
            receipt = await job.signal(Go())
            assert receipt.status in ("pending", "processed")
            assert (await job.wait(10)).status == "completed"


async def test_instances_waiting_for_a_month_cost_the_worker_no_memory(url: str) -> None:
    from stepkeel.cli.bench import BenchSleeperFlow

    async with Engine(url, [BenchSleeperFlow], settings=FAST) as engine:
        await engine.start_many(BenchSleeperFlow, [{"order_id": str(n), "customer_id": "c", "amount": 1.0} for n in range(10_000)])
        async with asyncio.timeout(60):
            while not engine.process.worker.idle:
                await asyncio.sleep(0.01)
        worker = engine.process.worker
        assert worker.residents == {}
        looks = worker.looks
        await asyncio.sleep(0.5)
        assert worker.looks - looks <= 20, "no timer is near, so it hardly looks"


async def test_a_shutdown_lets_attempts_finish_and_begins_nothing_new(url: str) -> None:
    world = World()
    gate = world.gate("reserve")
    async with Engine(url, [ChainFlow], {World: world}, settings=FAST) as first:
        job = await first.start(ChainFlow, Job())
        await world.entered["reserve"].wait()
        asyncio.get_running_loop().call_later(0.1, gate.set)
    assert world.order == ["reserve"], "it was let finish, and charge was not begun"
    async with Engine(url, [ChainFlow], {World: world}, settings=FAST) as second:
        result = await second.wait(job.id, 10)
        assert result.status == "completed"
        assert set(world.effects.values()) == {1}


async def test_a_timeout_that_cannot_fire_yet_costs_no_cpu(url: str) -> None:
    world = World()
    gate = world.gate("ship")

    class Slow(Workflow[Job]):
        a = State(ship)
        done = State.completed()
        late = State.terminated()
        a.to(done, when=lambda job: False)
        a.after(0.01, to=late)

    async with Engine(url, [Slow], {World: world}, settings=FAST) as engine:
        job = await engine.start(Slow, Job())
        await world.entered["ship"].wait()
        looks = engine.process.worker.looks
        await asyncio.sleep(0.5)
        assert engine.process.worker.looks - looks <= 40
        gate.set()
        assert (await job.wait(10)).status == "terminated"


class Buggy:
    """A store with a bug: now and then a method raises what nobody expects."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def claim(self, *rest: Any) -> Any:
        self.calls += 1
        if self.calls % 3 == 0:
            raise RuntimeError("a bug in a look")
        return await self._store.claim(*rest)

    async def commit(self, batch: Batch) -> Answer:
        if len(batch) > 1:
            raise RuntimeError("a bug with batches")
        return await self._store.commit(batch)


async def test_an_unexpected_error_strands_nobody(url: str) -> None:
    store: Any = Buggy(open_store(url, SystemClock()))
    async with Engine(url, [OrderFlow], {World: World()}, store=store, settings=FAST) as engine:
        jobs = await engine.start_many(OrderFlow, [Job(str(n)) for n in range(10)])
        for job in jobs:
            await job.signal(Go())
        for job in jobs:
            assert (await job.wait(10)).status == "completed"


async def test_a_crash_in_a_signals_handler_runs_it_again_with_the_signal_at_hand(url: str) -> None:
    class Handles(Workflow[Job]):
        ready = State[Job]()
        done = State.completed()
        ready.on(Go, to=done, do=take_note)

    world = World()
    world.gate("note")
    first = await crashed_engine(url, [Handles], world)
    job = await first.start(Handles, Job())
    await job.signal(Go(note="remember"))
    await world.entered["note"].wait()
    crash(first)
    world.gates.clear()
    async with Engine(url, [Handles], {World: world}, settings=FAST) as second:
        result = await second.wait(job.id, 10)
        assert (result.status, result.data.note) == ("completed", "remember")
        assert [s.status for s in await second.signals(job.id)] == ["processed"]
        assert set(world.effects.values()) == {2}
