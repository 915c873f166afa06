"""Crashes, lost answers, several workers: nothing is lost, nothing runs twice that committed once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from stepkeel import Context, Engine, State, Workflow, activity, loop
from stepkeel.clock import SystemClock
from stepkeel.facade import open_store
from stepkeel.model.commit import Answer, Batch
from stepkeel.store.port import Store
from tests.acceptance.crash import crash, crashed_engine
from tests.acceptance.proxy import Proxy
from tests.flows import FAST, ChainFlow, Go, Job, OrderFlow, WaitFlow, World, ship


@activity
async def take_note(ctx: Context[Job, Go], world: World) -> None:
    ctx.heartbeat({"taking": True})
    await world.do("note", ctx.idempotency_key)
    ctx.data.note = ctx.input.note


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


@activity
async def lap(ctx: Context[Job], world: World) -> None:
    await world.do(f"lap {ctx.data.amount + 1}", ctx.idempotency_key)
    ctx.data.amount += 1


class LapFlow(Workflow[Job]):
    laps = State(loop(lap, until=lambda job: job.amount >= 10))
    done = State.completed()
    laps.to(done)


async def test_a_crash_in_iteration_7_of_10_goes_on_there_and_runs_no_finished_one_again(url: str) -> None:
    world = World()
    world.gate("lap 7")
    first = await crashed_engine(url, [LapFlow], world)
    job = await first.start(LapFlow, Job())
    await world.entered["lap 7"].wait()
    crash(first)
    world.gates.clear()
    async with Engine(url, [LapFlow], {World: world}, settings=FAST) as second:
        result = await second.instance(job.id, LapFlow).wait(10)
        assert (result.status, result.data.amount) == ("completed", 10)
        assert [k.partition("/")[2] for k, n in world.effects.items() if n > 1] == ["laps/loop@7/lap"], "only what was on its way"
        assert len(world.effects) == 10, "each iteration has a key of its own"
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


class Buggy(Proxy):
    """A store with a bug: now and then a method raises what nobody expects."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.calls = 0

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
