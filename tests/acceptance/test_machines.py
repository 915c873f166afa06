"""Machines within bodies on every store: where they stand survives a crash, and explain says what they wait for."""

from __future__ import annotations

import asyncio

from stepkeel import Context, Engine, Signal, State, Workflow, activity, machine, parallel, pick
from tests.acceptance.crash import crash, crashed_engine
from tests.flows import FAST, Job, World


class Yes(Signal):
    by: str = ""


class No(Signal): ...


@activity
async def read(ctx: Context[Job], world: World) -> None:
    await world.do("read", ctx.idempotency_key)


@activity
async def file(ctx: Context[Job, Yes], world: World) -> None:
    await world.do("file", ctx.idempotency_key)
    ctx.data.note = ctx.input.by


class Review(Workflow[Job]):
    reading = State(read)
    deciding = State[Job]()
    over = State.completed()
    reading.to(deciding)
    deciding.on(Yes, do=file, to=over)


class Paper(Workflow[Job]):
    work = State[Job](parallel(one=machine(Review), two=read), pick({Yes: file, No: []}))
    done = State.completed()
    work.to(done)


async def test_a_machine_stands_where_it_stood_after_a_crash_and_its_handler_has_the_signal_at_hand(url: str) -> None:
    world = World()
    world.gate("file")
    first = await crashed_engine(url, [Paper], world)
    job = await first.start(Paper, Job())
    async with asyncio.timeout(10):
        while "attempt" in [r.kind for r in (await job.explain()).why] or not (await job.explain()).moves:
            await asyncio.sleep(0.01)
    assert "signal Yes" in (await job.explain()).moves
    await job.signal(Yes(by="ann"))
    await asyncio.wait_for(world.entered["file"].wait(), 10)
    crash(first)
    world.gates.clear()
    async with Engine(url, [Paper], {World: world}, settings=FAST) as second:
        job = second.instance(job.id, Paper)
        async with asyncio.timeout(10):
            while (await job.get()).data.note != "ann":
                await asyncio.sleep(0.01)
        assert (await job.signal(No(), wait=5)).status == "processed"
        result = await job.wait(10)
        assert (result.status, result.data.note) == ("completed", "ann")
        effects = {k.partition("/")[2]: n for k, n in world.effects.items()}
        assert effects == {
            "work/parallel:one/Review:reading/read": 1,
            "work/parallel:two/read": 1,
            "work/parallel:one/Review:deciding!Yes/file": 2,
        }
        assert (await second.doctor()).clean
