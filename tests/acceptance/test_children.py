"""Children on every store: begun with the commit that decides it, reported by the commit that ends them, whoever crashes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest

from stepkeel import Context, Engine, Fail, Instance, Signal, State, Workflow, activity, child, for_each, wait
from stepkeel.engine.result import Info
from stepkeel.errors import InvalidTransition
from tests.acceptance.crash import crash, crashed_engine
from tests.flows import FAST, Job, World


@dataclass
class Parcel:
    name: str = ""
    weight: int = 0
    broken: bool = False


class Sent(Signal): ...


@activity
async def unweigh(ctx: Context[Parcel], world: World) -> None:
    await world.do("unweigh", ctx.idempotency_key)


@activity(compensate=unweigh)
async def weigh(ctx: Context[Parcel], world: World) -> None:
    await world.do("weigh", ctx.idempotency_key)
    if ctx.data.broken:
        raise Fail("BROKEN", "it rattles")
    ctx.data.weight = 5


class Shipping(Workflow[Parcel]):
    weighing = State(weigh)
    sending = State[Parcel](wait(Sent))
    sent = State.completed()
    weighing.to(sending)
    sending.to(sent)


class Delivery(Workflow[Parcel]):
    """A child that has a child."""

    out = State[Parcel](child(Shipping, into=lambda p, shipped: replace(p, weight=shipped.weight + 1)))
    there = State.completed()
    out.to(there)


def parcel(job: Job) -> Parcel:
    return Parcel(job.name, broken=job.name == "broken")


class Order(Workflow[Job]):
    work = State[Job](child(Delivery, parcel, into=lambda job, p: replace(job, amount=p.weight)))
    done = State.completed()
    work.to(done)


async def family(engine: Engine, top: Instance[Job], depth: int = 3) -> list[Info]:
    """The instance, its child, its child's child."""
    async with asyncio.timeout(10):
        while True:
            found = [await top.get()]
            while page := (await engine.list(parent=found[-1].id)).items:
                found.append(page[0])
            if len(found) == depth and (depth < 3 or found[-1].state == "sending"):
                return found
            await asyncio.sleep(0.01)


async def test_the_end_of_a_grandchild_ends_them_all_and_brings_its_data_up(url: str) -> None:
    async with Engine(url, [Order], {World: World()}, settings=FAST) as engine:
        top = await engine.start(Order, Job("a"), correlation_id="c-1", priority=1)
        order, delivery, shipping = await family(engine, top)
        assert [i.definition for i in (order, delivery, shipping)] == ["Order", "Delivery", "Shipping"]
        assert {i.correlation_id for i in (order, delivery, shipping)} == {"c-1"}
        assert f"work/child waits for its child Delivery {delivery.id}, which is waiting in out" in str(await top.explain())
        assert (order.children, [i.id for i in await top.children()]) == ({"work/child": delivery.id}, [delivery.id])
        assert delivery.parent == order.id
        await engine.signal(shipping.id, Sent())
        result = await top.wait(10)
        assert (result.status, result.data.amount) == ("completed", 6)
        events = [e.type for entry in await top.history() for e in entry.events]
        assert events.count("child_started") == events.count("child_reported") == 1


async def test_cancelling_a_parent_cancels_grandchildren_before_it_is_cancelled_itself(url: str) -> None:
    world = World()
    async with Engine(url, [Order], {World: world}, settings=FAST) as engine:
        top = await engine.start(Order, Job("a"))
        _, delivery, shipping = await family(engine, top)
        await top.cancel(compensate=True, reason="changed my mind")
        assert (await top.wait(10)).status == "cancelled"
        assert [(await engine.get(i.id)).status for i in (delivery, shipping)] == ["cancelled", "cancelled"]
        assert world.order == ["weigh", "unweigh"]


async def test_pause_and_resume_reach_grandchildren_but_not_one_that_was_paused_by_itself(url: str) -> None:
    async with Engine(url, [Order], {World: World()}, settings=FAST) as engine:
        top = await engine.start(Order, Job("a"))
        _, delivery, shipping = await family(engine, top)
        await engine.instance(shipping.id).pause(actor="bob")
        await top.pause(actor="ann")
        await status(engine, delivery.id, "paused")
        await top.resume(actor="ann")
        await status(engine, delivery.id, "waiting")
        assert (await engine.get(shipping.id)).status == "paused"
        with pytest.raises(InvalidTransition):
            await engine.instance(shipping.id).pause(actor="ann")
        await engine.instance(shipping.id).resume()
        await engine.signal(shipping.id, Sent())
        assert (await top.wait(10)).status == "completed"


async def status(engine: Engine, instance_id: str, wanted: str) -> None:
    async with asyncio.timeout(10):
        while (await engine.get(instance_id)).status != wanted:
            await asyncio.sleep(0.01)


async def test_a_failure_goes_up_with_its_code_and_a_redrive_of_the_parent_begins_a_new_child(url: str) -> None:
    async with Engine(url, [Order], {World: World()}, settings=FAST) as engine:
        top = await engine.start(Order, Job("broken"))
        result = await top.wait(10)
        assert result.failure is not None
        assert (result.status, result.failure.code) == ("failed", "BROKEN")
        assert len(result.failure.causes) == 2
        await top.set_data({"name": "whole"})
        await top.redrive()
        async with asyncio.timeout(10):
            while len(page := (await engine.list(parent=top.id)).items) < 2:
                await asyncio.sleep(0.01)
        assert page[0].status == "failed"
        shipping = await one_child(engine, page[1].id)
        await engine.signal(shipping, Sent())
        assert (await top.wait(10)).status == "completed"


async def one_child(engine: Engine, instance_id: str) -> str:
    async with asyncio.timeout(10):
        while True:
            page = (await engine.list(parent=instance_id)).items
            if page and page[0].state == "sending":
                return page[0].id
            await asyncio.sleep(0.01)


async def test_a_crash_begins_no_child_twice_and_loses_no_report(url: str) -> None:
    world = World()
    world.gate("weigh")
    first = await crashed_engine(url, [Order], world)
    top = await first.start(Order, Job("a"))
    await asyncio.wait_for(world.entered["weigh"].wait(), 10)
    crash(first)
    world.gates.clear()
    async with Engine(url, [Order], {World: world}, settings=FAST) as second:
        top = second.instance(top.id, Order)
        _, _, shipping = await family(second, top)
        await second.signal(shipping.id, Sent())
        assert (await top.wait(10)).status == "completed"
        assert len((await second.list()).items) == 3


class Batch(Workflow[Job]):
    """Many children at once, none of which is waited for one by one."""

    work = State[Job](for_each(lambda job: range(job.amount), child(Shipping, parcel, wait=False), max_concurrency=50))
    done = State.completed()
    work.to(done)


async def test_a_completed_parent_waits_for_children_it_did_not_wait_for_one_by_one(url: str) -> None:
    async with Engine(url, [Batch], {World: World()}, settings=FAST) as engine:
        top = await engine.start(Batch, Job(amount=30))
        async with asyncio.timeout(20):
            while len(page := (await engine.list(parent=top.id, state="sending")).items) < 30:
                await asyncio.sleep(0.02)
            assert (await top.get()).status == "waiting"
            await asyncio.gather(*(engine.signal(i.id, Sent()) for i in page[1:]))
            assert (await top.get()).status == "waiting"
            await engine.signal(page[0].id, Sent())
        assert (await top.wait(10)).status == "completed"


async def test_who_has_not_the_code_cancels_a_parent_and_its_worker_tells_the_children(url: str) -> None:
    async with Engine(url, [Order], {World: World()}, settings=FAST) as engine:
        top = await engine.start(Order, Job("a"))
        _, _, shipping = await family(engine, top)
        async with Engine(url, worker=False) as client:
            await client.instance(top.id).cancel()
            assert (await client.wait(top.id, 10)).status == "cancelled"
        assert (await engine.get(shipping.id)).status == "cancelled"
