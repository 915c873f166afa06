"""What a tenant may use holds for it in the whole fleet, and for nobody else: those beyond it wait in order, and say why."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from stepkeel import Context, Engine, Instance, Limit, Retry, State, Workflow, activity, child, hold
from stepkeel.errors import BadRequest
from stepkeel.model.tier import TIERS, Tier
from stepkeel.testing import Harness
from tests.acceptance.crash import crash, crashed_engine
from tests.flows import FAST, ChainFlow, Go, Job, WaitFlow, World


async def ready(engine: Engine) -> Instance[Job]:
    job = await engine.start(WaitFlow, Job())
    await job.wait(20, state="ready")
    return job


class Meter:
    def __init__(self) -> None:
        self.within: Counter[str] = Counter()
        self.most: Counter[str] = Counter()


@activity
async def measure(ctx: Context[Job], meter: Meter) -> None:
    tenant = ctx.data.note
    meter.within[tenant] += 1
    meter.most[tenant] = max(meter.most[tenant], meter.within[tenant])
    await asyncio.sleep(0.02)
    meter.within[tenant] -= 1


class Measured(Workflow[Job]):
    work = State(measure, measure)
    done = State.completed()
    work.to(done)


async def test_a_tenant_has_at_most_so_many_attempts_at_once_on_all_workers_together(url: str) -> None:
    meter = Meter()
    tenants = {"small": Tier(parallel_steps=2)}
    async with (
        Engine(url, [Measured], {Meter: meter}, tenant="small", tenants=tenants, settings=FAST) as small,
        Engine(url, [Measured], {Meter: meter}, tenant="large", tenants=tenants, settings=FAST) as large,
    ):
        jobs = await small.start_many(Measured, [Job(note="small") for _ in range(12)])
        jobs += await large.start_many(Measured, [Job(note="large") for _ in range(12)])
        for job in jobs:
            assert (await job.wait(30)).status == "completed"
        assert meter.most["small"] == 2
        assert meter.most["large"] > 2
        assert not await small.store.pool("tier/small/steps")


async def test_instances_beyond_those_of_a_tenant_wait_and_say_for_what(url: str) -> None:
    tenants = {"small": Tier(instances=2)}
    async with (
        Engine(url, [WaitFlow], tenant="small", tenants=tenants, settings=FAST) as small,
        Engine(url, [WaitFlow], tenant="large", tenants=tenants, worker=False) as large,
    ):
        first, second = [await ready(small) for _ in range(2)]
        third, fourth = [await small.start(WaitFlow, Job()) for _ in range(2)]
        async with asyncio.timeout(20):
            while "tier/small/instances" not in str(await third.explain()):
                await asyncio.sleep(0.01)
        assert (await third.get()).state == ""
        others = await asyncio.gather(*(large.start(WaitFlow, Job()) for _ in range(5)))
        for each in others:
            await each.wait(20, state="ready")
        await third.cancel()
        assert (await third.wait(20)).status == "cancelled", "who waits for a slot can be told to stop"
        await first.signal(Go())
        await fourth.wait(20, state="ready")
        await second.signal(Go())
        await fourth.signal(Go())
        assert (await fourth.wait(20)).status == "completed"
        assert not await small.store.pool("tier/small/instances")


@activity(limits=Limit(1, name="zebra"))
async def within(ctx: Context[Job]) -> None:
    await asyncio.sleep(0.001)


@activity
async def inside(ctx: Context[Job]) -> None:
    await asyncio.sleep(0.001)


class Limited(Workflow[Job]):
    work = State(within)
    done = State.completed()
    work.to(done)


class Holding(Workflow[Job]):
    work = State[Job](hold(Limit(1, name="zebra"), inside))
    done = State.completed()
    work.to(done)


async def test_who_has_a_step_of_the_tenant_waits_for_no_other_slot(url: str) -> None:
    """Else one that holds the slot would wait for the step, and who has the step for the slot."""
    async with Engine(url, [Limited, Holding], tenants={"*": Tier(parallel_steps=1)}, settings=FAST) as engine:
        jobs = [await engine.start(flow, Job()) for _ in range(10) for flow in (Limited, Holding)]
        for job in jobs:
            assert (await job.wait(30)).status == "completed", str(await job.explain())


@activity(limits=Limit(1, name="zebra"))
async def in_turn(ctx: Context[Job], world: World) -> None:
    await world.do(ctx.data.name, ctx.idempotency_key)


@activity
async def long(ctx: Context[Job], world: World) -> None:
    await world.do("long", ctx.idempotency_key)


class InTurn(Workflow[Job]):
    work = State(in_turn)
    done = State.completed()
    work.to(done)


class Long(Workflow[Job]):
    work = State(long)
    done = State.completed()
    work.to(done)


async def test_what_waits_for_its_tenant_has_no_slot_that_another_tenant_wants(url: str) -> None:
    world = World()
    gate = world.gate("long")
    tenants = {"small": Tier(parallel_steps=1)}
    async with (
        Engine(url, [InTurn, Long], {World: world}, tenant="small", tenants=tenants, settings=FAST) as small,
        Engine(url, [InTurn, Long], {World: world}, tenant="large", tenants=tenants, settings=FAST) as large,
    ):
        busy = await small.start(Long, Job())
        await asyncio.wait_for(world.entered["long"].wait(), 20)
        waiting = await small.start(InTurn, Job("mine"))
        async with asyncio.timeout(20):
            while "tier/small/steps" not in str(await waiting.explain()):
                await asyncio.sleep(0.01)
        assert (await (await large.start(InTurn, Job("theirs"))).wait(20)).status == "completed"
        gate.set()
        for job in (busy, waiting):
            assert (await job.wait(20)).status == "completed"


class Family(Workflow[Job]):
    work = State[Job](child(WaitFlow, lambda job: Job(job.name), into=lambda job, done: job))
    done = State.completed()
    work.to(done)


async def test_a_child_counts_with_its_parent(url: str) -> None:
    """Else a parent would wait for a child that waits for its parent's slot."""
    async with Engine(url, [Family, WaitFlow], tenants={"*": Tier(instances=1)}, settings=FAST) as engine:
        parent = await engine.start(Family, Job("one"))
        async with asyncio.timeout(20):
            while not (children := await parent.children()):
                await asyncio.sleep(0.01)
        await engine.instance(children[0].id, WaitFlow).wait(20, state="ready")
        await engine.instance(children[0].id, WaitFlow).signal(Go())
        assert (await parent.wait(20)).status == "completed"


@activity(timeout=30, retry=Retry(attempts=1))
async def hang(ctx: Context[Job]) -> None:
    await asyncio.sleep(60)


@activity(retry=Retry(attempts=1))
async def hang_for_ever(ctx: Context[Job]) -> None:
    await asyncio.sleep(60)


class Hanging(Workflow[Job]):
    work = State(hang)
    done = State.completed()
    work.to(done)


class HangingForEver(Workflow[Job]):
    work = State(hang_for_ever)
    done = State.completed()
    work.to(done)


async def test_no_attempt_takes_longer_than_the_tenant_may_whatever_its_activity_says(url: str) -> None:
    tier = Tier(step_timeout=timedelta(milliseconds=50))
    async with Engine(url, [Hanging, HangingForEver], tenants={"default": tier}, settings=FAST) as engine:
        for flow in (Hanging, HangingForEver):
            result = await (await engine.start(flow, Job())).wait(20)
            assert (result.status, result.failure and result.failure.code) == ("failed", "timeout")


async def test_no_instance_takes_longer_than_its_tenant_may_and_one_that_is_redriven_has_its_time_anew() -> None:
    harness = Harness(tenants={"*": Tier(workflow_timeout=timedelta(hours=2))})
    job = await harness.start(WaitFlow, Job())
    await harness.advance(3_600)
    assert (await job.get()).status == "waiting"
    assert "timeout" in str(await job.explain())
    await harness.advance(3_600)
    found = await job.get()
    assert (found.status, found.failure and found.failure.code, found.failure and found.failure.path) == (
        "failed", "workflow_timeout", "ready",
    )  # fmt: skip
    await job.redrive()
    await harness.advance(3_600)
    assert (await job.get()).status == "waiting"
    await job.signal(Go())
    await harness.advance(1)
    assert ((await job.get()).status, await job.timers()) == ("completed", [])
    harness.discard()


async def test_an_instance_at_work_is_stopped_when_its_tenants_time_is_over_and_what_it_did_is_undone(url: str) -> None:
    world = World()
    world.gate("ship")
    tenants = {"default": Tier(workflow_timeout=timedelta(milliseconds=300))}
    async with Engine(url, [ChainFlow], services={World: world}, tenants=tenants, settings=FAST) as engine:
        result = await (await engine.start(ChainFlow, Job())).wait(20)
        assert (result.status, result.failure and result.failure.code) == ("failed", "workflow_timeout")
        assert result.data.log == ["reserve", "charge", "undo-charge", "undo-reserve"]
        assert (await engine.doctor()).violations == 0


async def test_so_many_begin_in_a_minute_and_the_others_after_it() -> None:
    harness = Harness(tenants={"*": Tier(starts_per_minute=2)})
    jobs = [await harness.start(WaitFlow, Job()) for _ in range(5)]
    begun: list[int] = []
    for _ in range(3):
        begun.append(len([j for j in jobs if (await j.get()).state == "ready"]))
        await harness.advance(61)
    assert begun == [2, 4, 5]
    assert {f.kind for f in (await harness.doctor()).findings} <= {"dead_worker"}, "virtual time renews no lease"
    harness.discard()


async def test_what_has_begun_goes_on_when_its_tenant_may_less_and_a_tier_may_change_at_any_time(url: str) -> None:
    tier = ["enterprise"]
    async with Engine(url, [WaitFlow], tenants=lambda _: tier[0], settings=FAST) as engine:
        jobs = [await ready(engine) for _ in range(3)]
        TIERS["tiny"] = Tier(instances=1)
        try:
            tier[0] = "tiny"
            for job in jobs:
                assert (await job.signal(Go(), wait=20)).status == "processed"
                assert (await job.wait(20)).status == "completed"
            later = [await engine.start(WaitFlow, Job()) for _ in range(2)]
            await later[0].wait(20, state="ready")
            assert (await later[1].get()).state == ""
            tier[0] = "enterprise"
            await later[0].signal(Go())
            await later[1].wait(20, state="ready")
        finally:
            del TIERS["tiny"]


async def test_a_tier_that_nobody_knows_is_refused_and_nothing_is_stored(url: str) -> None:
    for bad in (
        {"instances": 0},
        {"parallel_steps": 2.5},
        {"starts_per_minute": True},
        {"step_timeout": 0},
        {"workflow_timeout": -1},
    ):
        with pytest.raises(BadRequest):
            Tier(**bad)  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match="there is no tier 'gold'") as refused:
        Engine(url, [WaitFlow], tenants={"small": "gold"})
    assert "basic, professional, enterprise" in refused.value.remedy
    said: list[object] = ["enterprise"]
    async with Engine(url, [WaitFlow], tenants=lambda _: said[0], settings=FAST) as engine:  # type: ignore[arg-type,return-value]
        job = await ready(engine)
        said[0] = 7
        with pytest.raises(BadRequest):
            await engine.start(WaitFlow, Job())
        assert len((await engine.list()).items) == 1
        await job.signal(Go())
        assert (await job.wait(20)).status == "completed", "what has begun goes on"


async def test_a_worker_that_dies_gives_no_slot_of_a_tenant_to_another(url: str) -> None:
    world = World()
    world.gate("charge")
    tenants = {"default": Tier(instances=1, parallel_steps=1)}
    first = await crashed_engine(url, [ChainFlow], world, tenants=tenants)
    job = await first.start(ChainFlow, Job())
    await asyncio.wait_for(world.entered["charge"].wait(), 20)
    crash(first)
    world.gates.clear()
    async with Engine(url, [ChainFlow], {World: world}, tenants=tenants, settings=FAST) as second:
        other = await second.start(ChainFlow, Job())
        assert (await second.instance(job.id, ChainFlow).wait(20)).status == "completed"
        assert (await other.wait(20)).status == "completed"
        assert not await second.store.pool("tier/default/instances")
