"""Moves of reactions on every store: what they undo survives a crash, and a deadline of the whole survives changes of state."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from stepkeel import Anywhere, Cancel, Context, Engine, Signal, State, Workflow, activity, wait
from stepkeel.errors import InstanceEnded
from stepkeel.testing import Harness
from tests.acceptance.crash import crash, crashed_engine
from tests.flows import FAST, Go, Job, World


class Back(Signal): ...


class Off(Signal): ...


@activity
async def unpack(ctx: Context[Job], world: World) -> None:
    await world.do("unpack", ctx.idempotency_key)
    ctx.data.log.append("unpack")


@activity(compensate=unpack)
async def pack(ctx: Context[Job], world: World) -> None:
    await world.do("pack", ctx.idempotency_key)
    ctx.data.log.append("pack")


class Store(Workflow[Job]):
    anywhere = Anywhere[Job]()
    choosing = State[Job](pack)
    packing = State[Job](pack, pack, wait(Go))
    shipped = State.completed()
    late = State.failed(code="LATE")
    choosing.to(packing)
    packing.on(Back, to=choosing, undo="state", when=lambda job, _: job.amount == 0, into=lambda job, _: {"amount": 1})
    packing.to(shipped)
    anywhere.on(Off, end=Cancel("called off"))
    anywhere.after(timedelta(hours=1), to=late, name="deadline")


async def test_what_a_reaction_has_undone_is_undone_once_though_its_worker_dies_over_it(url: str) -> None:
    world = World()
    first = await crashed_engine(url, [Store], world)
    job = await first.start(Store, Job())
    await job.wait(10, state="packing")
    async with asyncio.timeout(10):
        while len(world.order) < 3:
            await asyncio.sleep(0.01)
    gate = world.gate("unpack")
    receipt = await job.signal(Back())
    await asyncio.wait_for(world.entered["unpack"].wait(), 10)
    crash(first)
    gate.set()
    world.gates.clear()
    async with Engine(url, [Store], {World: world}, settings=FAST) as engine:
        again = engine.instance(job.id, Store)
        async with asyncio.timeout(10):
            while (await again.get()).data.log.count("pack") < 6:
                await asyncio.sleep(0.01)
        assert (await again.get()).data.log == ["pack"] * 3 + ["unpack"] * 2 + ["pack"] * 3
        fates = {s.seq: s.status for s in await again.signals()}
        assert fates[receipt.seq] == "processed"
        await again.signal(Off(), wait=10)
        result = await again.wait(10)
        assert (result.status, result.reason) == ("cancelled", "called off")
        assert result.data.log.count("unpack") == result.data.log.count("pack") == 6
        with pytest.raises(InstanceEnded):
            await again.signal(Off())
        assert (await engine.doctor()).clean


async def test_a_deadline_of_the_whole_comes_in_whatever_state(harness: Harness) -> None:
    harness.services[World] = World()
    job = await harness.start(Store, Job())
    assert (await job.get()).state == "packing"
    await harness.advance(timedelta(minutes=59))
    await harness.signal(job, Back())
    assert (await job.get()).state == "packing"
    await harness.advance(timedelta(minutes=2))
    result = await job.wait()
    assert (result.status, result.failure is not None and result.failure.code) == ("failed", "LATE")
    assert result.data.log.count("unpack") == result.data.log.count("pack")
