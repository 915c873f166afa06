"""One tenant never sees or moves another's instances."""

from __future__ import annotations

import asyncio

import pytest

from stepkeel import Context, Engine, State, Workflow, activity
from stepkeel.errors import NotFound
from stepkeel.runtime.settings import Settings
from tests.flows import Go, Job, WaitFlow, World


async def test_tenants_are_strangers_to_each_other(url: str) -> None:
    async with Engine(url, [WaitFlow], tenant="red") as red, Engine(url, [WaitFlow], tenant="blue", worker=False) as blue:
        mine = await red.start(WaitFlow, Job("mine"), key="same")
        other = await blue.start(WaitFlow, Job("other"), key="same")
        assert other.created
        assert other.id != mine.id
        theirs = blue.instance(mine.id, WaitFlow)
        for call in (theirs.signal(Go()), theirs.get(), theirs.cancel(), theirs.history(), theirs.explain(), theirs.wait(1)):
            with pytest.raises(NotFound):
                await call
        assert [i.id for i in (await blue.list()).items] == [other.id]
        assert await mine.signals() == []
        assert (await mine.signal(Go(), key="k", wait=10)).status == "processed"
        with pytest.raises(NotFound):
            await theirs.signal(Go(), key="k")
        await other.signal(Go(), wait=10)
        assert (await other.wait(10)).status == "completed", "one worker serves all tenants"
        assert await blue.purge(definition="WaitFlow") == 1
        assert (await mine.wait(10)).status == "completed"


@activity
async def hold_on(ctx: Context[Job], world: World) -> None:
    await world.do(ctx.data.name, ctx.idempotency_key)


class HoldFlow(Workflow[Job]):
    work = State(hold_on)
    done = State.completed()
    work.to(done)


async def test_a_tenant_whose_instances_fill_the_worker_does_not_hold_up_another(url: str) -> None:
    """Eight slots, all of them held by one tenant that has more waiting: the other has its first at once, not its second."""
    world = World()
    gate = world.gate("big")
    settings = Settings(concurrency=8)
    async with (
        Engine(url, [HoldFlow], {World: world}, tenant="big", settings=settings) as engine,
        Engine(url, [HoldFlow], {World: world}, tenant="small", worker=False) as small,
    ):
        flood = await engine.start_many(HoldFlow, [Job("big") for _ in range(20)])
        async with asyncio.timeout(20):
            while world.order.count("big") < 8:
                await asyncio.sleep(0.005)
            for n in range(3):
                mine = await small.start(HoldFlow, Job(f"small {n}"))
                assert (await mine.wait(10)).status == "completed", "one after the other, while the flood stands still"
        assert world.order.count("big") == 8, "nobody but a tenant that holds none goes beyond the concurrency"
        gate.set()
        for each in flood:
            assert (await each.wait(20)).status == "completed"


async def test_a_start_gives_way_to_tenants_that_wait(url: str) -> None:
    """What is started in the worker's own process takes no slot that another tenant waits for."""
    world = World()
    gates = {name: world.gate(name) for name in ("big", "small")}
    async with (
        Engine(url, [HoldFlow], {World: world}, tenant="big", settings=Settings(concurrency=2)) as engine,
        Engine(url, [HoldFlow], {World: world}, tenant="small", worker=False) as small,
    ):
        first = await engine.start_many(HoldFlow, [Job("big") for _ in range(2)])
        waiting = await small.start(HoldFlow, Job("small"))
        assert engine.process is not None
        worker = engine.process.worker
        async with asyncio.timeout(20):
            while "small" not in worker.room.left:
                await asyncio.sleep(0.005)
        more = [asyncio.ensure_future(engine.start(HoldFlow, Job("big"))) for _ in range(20)]
        gates["big"].set()
        await asyncio.wait_for(world.entered["small"].wait(), 20)
        assert world.order.index("small") <= 3, "of 22 that want a slot it had one of the next"
        gates["small"].set()
        for each in (*first, waiting, *(await asyncio.gather(*more))):
            assert (await each.wait(20)).status == "completed"
