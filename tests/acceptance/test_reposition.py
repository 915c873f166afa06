"""Operators put an instance elsewhere, or take it from its worker, on every store: whoever asks, whoever holds it."""

from __future__ import annotations

import asyncio

import pytest

from stepkeel import Context, Engine, State, Workflow, activity
from stepkeel.errors import BadRequest, InstanceEnded, InvalidTransition
from tests.acceptance.crash import crash, crashed_engine
from tests.flows import FAST, ChainFlow, Go, Job, World


@activity
async def pack(ctx: Context[Job], world: World) -> None:
    ctx.data.log.append("pack")
    await world.do("pack", ctx.idempotency_key)


@activity
async def send(ctx: Context[Job], world: World) -> None:
    ctx.data.log.append("send")
    await world.do("send", ctx.idempotency_key)


class Parcel(Workflow[Job]):
    packing = State[Job](pack)
    waiting = State[Job]()
    sending = State[Job](send)
    paid = State[Job](settable=False)
    done = State.completed()
    packing.to(waiting)
    waiting.on(Go, to=sending)
    sending.to(done)
    paid.to(done)


async def test_one_that_waits_is_put_elsewhere_with_or_without_the_code(url: str) -> None:
    world = World()
    async with Engine(url, [Parcel], {World: world}, settings=FAST) as engine, Engine(url, worker=False) as client:
        for asker in (engine, client):
            job = await engine.start(Parcel, Job())
            await job.wait(10, state="waiting")
            for wrong in ("nowhere", "paid", "sending/pack"):
                with pytest.raises(InvalidTransition, match="there are: "):
                    await asker.set_state(job.id, wrong)
            with pytest.raises(BadRequest):
                await asker.set_state(job.id, "")
            receipt = await asker.set_state(job.id, "sending", actor="ann", reason="lost signal")
            assert receipt.status == "processed"
            result = await job.wait(10)
            assert (result.status, result.data.log) == ("completed", ["pack", "send"])
            events = [e for h in await job.history() for e in h.events]
            (told,) = [e.detail for e in events if e.type == "state_set"]
            assert told == {"to": "sending", "reason": "lost signal", "by": "ann"}
            with pytest.raises(InstanceEnded):
                await asker.set_state(job.id, "packing")
        assert (await engine.doctor()).clean


async def test_one_at_work_is_put_elsewhere_by_its_owner_when_its_attempt_has_ended_or_was_stopped(url: str) -> None:
    world = World()
    gate = world.gate("pack")
    async with Engine(url, [Parcel], {World: world}, settings=FAST) as engine, Engine(url, worker=False) as client:
        job = await engine.start(Parcel, Job())
        await asyncio.wait_for(world.entered["pack"].wait(), 10)
        assert (await client.set_state(job.id, "sending")).status == "processed"
        assert (await job.get()).state == "packing"
        assert "to stand in sending" in str(await client.explain(job.id))
        gate.set()
        assert (await job.wait(10)).data.log == ["pack", "send"]
        gate = world.gate("pack")
        job = await engine.start(Parcel, Job())
        await asyncio.wait_for(world.entered["pack"].wait(), 10)
        await client.set_state(job.id, "sending", stop=True)
        assert (await job.wait(10)).data.log == ["send"], "the attempt was stopped, and what it changed is not kept"
        assert (await engine.doctor()).clean


async def test_what_was_asked_is_kept_when_the_worker_dies_before_it_is_done(url: str) -> None:
    world = World()
    gate = world.gate("pack")
    first = await crashed_engine(url, [Parcel], world)
    job = await first.start(Parcel, Job())
    await asyncio.wait_for(world.entered["pack"].wait(), 10)
    assert (await job.set_state("sending")).status == "processed"
    crash(first)
    gate.set()
    async with Engine(url, [Parcel], {World: world}, settings=FAST) as second:
        assert (await second.instance(job.id, Parcel).wait(10)).data.log == ["send"]
        assert (await second.doctor()).clean


async def test_a_paused_one_stands_there_though_who_asks_has_not_the_code(url: str) -> None:
    world = World()
    async with Engine(url, [Parcel], {World: world}, settings=FAST) as engine, Engine(url, worker=False) as client:
        job = await engine.start(Parcel, Job())
        await job.wait(10, state="waiting")
        await job.pause()
        await client.set_state(job.id, "sending")
        async with asyncio.timeout(10):
            while (await job.get()).state != "sending":
                await asyncio.sleep(0.01)
        assert ((await job.get()).status, world.order) == ("paused", ["pack"])
        await job.resume()
        assert (await job.wait(10)).status == "completed"


async def test_a_failed_one_is_redriven_from_a_node_by_who_has_not_the_code(url: str) -> None:
    world = World()
    async with Engine(url, [ChainFlow], {World: world}, settings=FAST) as engine, Engine(url, worker=False) as client:
        job = await engine.start(ChainFlow, Job(note="explode"))
        assert (await job.wait(10)).status == "failed"
        for asker in (engine, client):
            with pytest.raises(InvalidTransition, match="undone since the failure"):
                await asker.redrive(job.id)
            with pytest.raises(InvalidTransition, match=r"before work/ship: work/charge, work/reserve; say from there"):
                await asker.redrive(job.id, from_state="work/ship")
        await job.set_data({"note": "", "log": []})
        world.effects.clear()
        await client.redrive(job.id, from_state="work/reserve", actor="ann")
        result = await job.wait(10)
        assert (result.status, result.data.log) == ("completed", ["reserve", "charge", "ship"])
        assert {k.rpartition("/")[0] for k in world.effects} == {f"{job.id}/work~2"}, "keys of their own"
        assert (await engine.doctor()).clean


async def test_one_is_taken_from_a_worker_that_does_not_react_and_its_late_commits_are_refused(url: str) -> None:
    stuck, world = World(), World()
    gate = stuck.gate("pack")
    slow = FAST.__class__(**{**{k: getattr(FAST, k) for k in ("margin", "stall_limit", "grace", "poll_min")}, "lease": 60.0})
    async with Engine(url, [Parcel], {World: stuck}, settings=slow) as first:
        job = await first.start(Parcel, Job())
        await asyncio.wait_for(stuck.entered["pack"].wait(), 10)
        first.process.worker._task.cancel()  # type: ignore[union-attr]  # it claims nothing any more
        async with Engine(url, [Parcel], {World: world}, settings=FAST) as second:
            assert (await second.release(job.id, actor="ann", reason="hangs")).status == "processed"
            await second.instance(job.id, Parcel).wait(10, state="waiting")
            assert stuck.effects == world.effects, "begun again with the same key"
            gate.set()
            with pytest.raises(InvalidTransition, match="no worker holds"):
                await second.release(job.id)
            await job.signal(Go())
            result = await second.instance(job.id, Parcel).wait(10)
            assert (result.status, result.data.log) == ("completed", ["pack", "send"])
            told = [e.detail for h in await second.history(job.id) for e in h.events if e.type == "released"]
            assert told == [{"reason": "hangs", "by": "ann"}]
            with pytest.raises(InvalidTransition, match="no worker holds"):
                await second.release(job.id)


async def test_a_worker_whose_instance_was_released_may_claim_it_itself(url: str) -> None:
    world = World()
    gate = world.gate("pack")
    async with Engine(url, [Parcel], {World: world}, settings=FAST) as engine:
        job = await engine.start(Parcel, Job())
        await asyncio.wait_for(world.entered["pack"].wait(), 10)
        world.entered["pack"].clear()
        await job.release()
        await asyncio.wait_for(world.entered["pack"].wait(), 10)
        gate.set()
        await job.wait(10, state="waiting")
        await job.signal(Go())
        assert (await job.wait(10)).data.log == ["pack", "send"]
        assert (await engine.doctor()).clean
