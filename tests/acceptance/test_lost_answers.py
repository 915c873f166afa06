"""What landed and was not answered, or did not land: nothing is stranded, nothing is done twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepkeel import Engine, State, Workflow, delay
from stepkeel.clock import SystemClock
from stepkeel.errors import Unavailable
from stepkeel.facade import open_store
from stepkeel.model.commit import Answer, Batch, Commit, Step
from stepkeel.store.port import Store, Wanted
from tests.acceptance.proxy import Proxy
from tests.flows import FAST, ChainFlow, Go, Job, OrderFlow, WaitFlow, World, reserve, ship


class Lossy(Proxy):
    """A store whose answers get lost: the commit lands, the caller hears nothing. Or it does not land at all."""

    def __init__(self, store: Store, lose: set[int], drop: set[int]) -> None:
        super().__init__(store)
        self._lose, self._drop = lose, drop
        self.commits = 0

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
        orders = 0
        while store.commits <= max(lose | {5}):  # a group commit may carry much: as many orders as it takes to meet every loss
            orders += 1
            job = await engine.start(OrderFlow, Job(), key=f"k{orders}")
            assert job.created
            receipt = await job.signal(Go(note="once"), key="s")
            assert receipt.status in ("pending", "processed")
            result = await job.wait(20)
            assert result.status == "completed"
            assert result.data.log == ["reserve", "charge", "ship"]
            assert [s.status for s in await job.signals()] == ["processed"]
        assert len(world.effects) == 3 * orders
        assert set(world.effects.values()) == {1}
        assert (await engine.doctor()).clean


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
        engine.process.worker.room.claiming = False
        await engine.store.commit(Batch(commits=(Commit(row.id, row.tenant, None, row.epoch, row.revision, parked),)))
        assert len((await engine.store.claim(me, [Wanted("WaitFlow", 1)], 10)).rows) == 1
        engine.process.worker.room.claiming = True
        async with asyncio.timeout(10):
            while (await engine.get(job.id)).owner is not None:
                await asyncio.sleep(0.01)
        assert (await job.signal(Go(), wait=10)).status == "processed"


class Napping(Workflow[Job]):
    nap = State[Job](reserve, delay(0.05), ship)
    done = State.completed()
    nap.to(done)


class LateAnswer(Proxy):
    """The commit that parks an instance lands; its answer comes when `answer` is set."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.answer = asyncio.Event()

    async def commit(self, batch: Batch) -> Answer:
        found = await self._store.commit(batch)
        if any(c.step.release for c in batch.commits) and not self.answer.is_set():
            await self.answer.wait()
        return found


async def test_an_instance_claimed_again_before_the_answer_that_it_was_parked_stays_with_its_worker() -> None:
    world = World()
    gate = world.gate("ship")
    store = LateAnswer(open_store("memory://", SystemClock()))
    async with Engine("memory://", [Napping], {World: world}, store=store, settings=FAST) as engine:  # type: ignore[arg-type]
        job = await engine.start(Napping, Job())
        worker = engine.process.worker
        async with asyncio.timeout(5):
            while (held := worker.residents.get(job.id)) is None or not held.releasing:
                await asyncio.sleep(0.005)
            while worker.residents.get(job.id) is held:
                await asyncio.sleep(0.005)
        again = worker.residents[job.id]
        store.answer.set()
        await asyncio.wait_for(world.entered["ship"].wait(), 5)
        assert worker.residents.get(job.id) is again, "the answer is about what it was before"
        gate.set()
        assert (await job.wait(10)).status == "completed"
        assert set(world.effects.values()) == {1}
