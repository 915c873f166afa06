"""What operators ask of an instance as they saw it is done if it stands there still, and refused once it has moved on."""

from __future__ import annotations

import asyncio

import pytest

from stepkeel import Engine
from stepkeel.errors import BadRequest, InstanceEnded, RevisionChanged
from tests.flows import FAST, Go, Job, OrderFlow, WaitFlow, World


async def test_a_resting_instance_is_changed_as_it_was_seen_and_not_once_it_has_moved_on(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine, Engine(url, worker=False) as client:
        job = await engine.start(WaitFlow, Job())
        async with asyncio.timeout(10):
            while (seen := await job.get()).status != "waiting":
                await asyncio.sleep(0.005)
        await client.instance(job.id).at(seen.revision).set_data({"note": "mine"})
        async with asyncio.timeout(10):
            while (await job.data())["note"] != "mine":
                await asyncio.sleep(0.005)
        before = await job.history()
        for verb in (job.at(seen.revision).pause, job.at(99).cancel, client.instance(job.id).at(seen.revision).terminate):
            with pytest.raises(RevisionChanged, match="revision"):
                await verb(actor="bo")
        with pytest.raises(RevisionChanged):
            await client.instance(job.id).at(seen.revision).set_data({"note": "theirs"})
        assert await job.history() == before
        assert (await job.data())["note"] == "mine"
        await job.at((await job.get()).revision).pause()
        await job.at((await job.get()).revision).resume()
        await job.signal(Go(), wait=10)
        assert (await job.wait(10)).status == "completed"
        with pytest.raises(RevisionChanged):
            await job.at(1).pause()
        with pytest.raises(InstanceEnded):
            await job.at((await job.get()).revision).pause()


async def test_an_instance_in_flight_is_changed_as_it_was_seen_and_its_owner_refuses_what_comes_late(url: str) -> None:
    world = World()
    gate = world.gate("charge")
    async with Engine(url, [OrderFlow], {World: world}, settings=FAST) as engine, Engine(url, worker=False) as client:
        job = await engine.start(OrderFlow, Job())
        await asyncio.wait_for(world.entered["charge"].wait(), 10)
        seen = await job.get()
        with pytest.raises(RevisionChanged):
            await client.instance(job.id).at(seen.revision - 1).pause()
        await client.instance(job.id).at(seen.revision).pause(actor="ann")
        with pytest.raises(RevisionChanged):
            await client.instance(job.id).at(seen.revision).resume()
        await job.at((await job.get()).revision).resume()
        gate.set()
        await job.wait(10, state=OrderFlow.waiting)


async def test_of_two_who_saw_the_same_one_alone_has_their_way(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine, Engine(url, worker=False) as client:
        for _ in range(10):
            job = await engine.start(WaitFlow, Job())
            async with asyncio.timeout(10):
                while (seen := await job.get()).status != "waiting":
                    await asyncio.sleep(0.005)
            at = seen.revision
            asked = [
                (engine if n % 2 else client).instance(job.id).at(at).set_data({"note": f"by {n}"}, actor=f"n{n}") for n in range(4)
            ]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert sum(isinstance(a, RevisionChanged) for a in answers) == 3, answers
            actors = [e.actor for e in await job.history() if e.actor]
            assert len(actors) == 1
            assert (await job.data())["note"] == f"by {actors[0][1:]}"


async def test_a_revision_that_is_none_is_refused(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        for wrong in (0, -1, True, "7", 1.5, None):
            with pytest.raises(BadRequest, match="at"):
                engine.instance("x").at(wrong)  # type: ignore[arg-type]
