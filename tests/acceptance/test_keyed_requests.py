"""What operators ask with a key is done once, whoever holds the instance, and however often it is said."""

from __future__ import annotations

import asyncio

import pytest

from stepkeel import Engine, State, Workflow, for_each, wait
from stepkeel.errors import BadRequest, InvalidTransition, RevisionChanged
from tests.flows import FAST, ChainFlow, Go, Job, WaitFlow, World


class Lines(Workflow[Job]):
    work = State[Job](for_each(lambda job: ["a"], wait(Go), stay_open_until="completed"))
    done = State.completed()
    work.to(done)


async def test_said_again_it_is_the_first_receipt_whatever_has_become_of_it_since(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        job = await engine.start(WaitFlow, Job())
        await job.wait(10, state="ready")
        first = await job.pause(actor="ann", key="k")
        assert (first.status, first.key, first.duplicate) == ("processed", "k", False)
        await job.resume()
        again = await job.pause(actor="ann", key="k")
        assert (again.status, again.duplicate) == ("processed", True)
        assert (await job.get()).status != "paused", "it is not paused once more"
        assert (await job.pause(key="other")).status == "processed", "another key is another request"
        assert (await job.resume(key="k")).status == "processed", "so is another verb"
        await job.cancel(key="end")
        assert (await job.cancel(key="end")).duplicate, "also when it has ended"
        await job.archive(key="away")
        assert (await job.archive(key="away")).duplicate, "also when it lies in the archive"
        with pytest.raises(InvalidTransition):
            await engine.resume((await engine.start(WaitFlow, Job())).id, key="k")
        for wrong in ("", "x" * 513):
            with pytest.raises(BadRequest, match="key="):
                await job.pause(key=wrong)


async def test_many_at_once_add_their_items_once(url: str) -> None:
    async with Engine(url, [Lines]) as engine, Engine(url, [Lines], worker=False) as other:
        job = await engine.start(Lines, Job())
        await job.wait(10, state="work")
        asked = [
            e.instance(job.id).add_items("work/for_each", ["b"], key="once", actor="ann")
            for e in (engine, other)
            for _ in range(10)
        ]
        receipts = await asyncio.gather(*asked)
        assert {r.status for r in receipts} == {"processed"}
        assert sum(not r.duplicate for r in receipts) == 1
        added = [e for entry in await job.history() for e in entry.events if e.type == "items_added"]
        assert len(added) == 1
        assert [e.verb for e in await engine.audit.list(verb="add_items")] == ["add_items"]


async def test_asked_of_one_at_work_it_is_done_once_too(url: str) -> None:
    world = World()
    gate = world.gate("reserve")
    async with Engine(url, [ChainFlow], {World: world}, settings=FAST) as engine:
        job = await engine.start(ChainFlow, Job())
        await asyncio.wait_for(world.entered["reserve"].wait(), 10)
        first = asyncio.create_task(job.pause(key="k"))
        second = asyncio.create_task(job.pause(key="k"))
        for each in (first, second):
            assert (await each).key == "k"
        gate.set()
        while (await job.get()).status != "paused":
            await asyncio.sleep(0.005)
        await job.resume()
        assert (await job.pause(key="k")).duplicate
        assert (await job.wait(10)).status == "completed"


async def test_a_revision_is_asked_once_too(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        job = await engine.start(WaitFlow, Job())
        await job.wait(10, state="ready")
        seen = job.at((await job.get()).revision)
        await seen.pause(key="k")
        assert (await seen.pause(key="k")).duplicate
        with pytest.raises(RevisionChanged):
            await seen.resume(key="k")
