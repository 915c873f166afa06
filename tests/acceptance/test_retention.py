"""What has ended leaves the lists by age and status, stays readable, and goes for good when it is told to."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from stepkeel import Engine
from stepkeel.errors import BadRequest, InstanceEnded
from stepkeel.testing import Harness
from tests.flows import FAST, ChainFlow, Go, Job, WaitFlow, World

NOW = timedelta(0)


async def _filled(engine: Engine) -> dict[str, str]:
    done = await engine.start(ChainFlow, Job(), key="done")
    failed = await engine.start(ChainFlow, Job(note="explode"))
    waiting = await engine.start(WaitFlow, Job())
    await done.wait(10)
    await failed.wait(10)
    await waiting.wait(10, state="ready")
    return {"done": done.id, "failed": failed.id, "waiting": waiting.id}


async def test_what_ended_is_archived_readable_and_keeps_its_key(url: str) -> None:
    async with Engine(url, [ChainFlow, WaitFlow], {World: World()}, settings=FAST) as engine:
        ids = await _filled(engine)
        history = await engine.history(ids["done"])
        assert await engine.retire(older_than=timedelta(hours=1)) == 0, "none is that old"
        assert await engine.retire(older_than=NOW) == 1
        assert {i.id for i in (await engine.list()).items} == {ids["failed"], ids["waiting"]}
        assert [i.id for i in (await engine.list(archived=True)).items] == [ids["done"]]
        assert await engine.history(ids["done"]) == history
        assert (await engine.get(ids["done"])).status == "completed"
        again = await engine.start(ChainFlow, Job(), key="done")
        assert (again.id, again.created) == (ids["done"], False)
        assert await engine.retire(older_than=NOW, status="failed") == 1, "failed ones go when they are named"
        assert await engine.retire(older_than=NOW, delete=True, archived=True, definition="ChainFlow") == 2
        assert not (await engine.list(archived=True, definition="ChainFlow")).items
        assert (await engine.start(ChainFlow, Job(), key="done")).created
        waiting = engine.instance(ids["waiting"], WaitFlow)
        await waiting.signal(Go())
        assert (await waiting.wait(10)).status == "completed", "a live one was never touched"


async def test_a_redrive_that_comes_too_late_is_told_so(url: str) -> None:
    async with Engine(url, [ChainFlow], {World: World()}, settings=FAST) as engine:
        job = await engine.start(ChainFlow, Job(note="explode"))
        await job.wait(10)
        assert await engine.retire(older_than=NOW, status="failed") == 1
        with pytest.raises(InstanceEnded, match="is archived, redrive does not reach it"):
            await job.redrive()


async def test_a_redrive_that_races_with_the_archive_wins_or_is_refused_and_never_both(url: str) -> None:
    world = World()
    world.fail["ship"], world.errors["ship"] = 60, ValueError("away")
    async with Engine(url, [ChainFlow], {World: world}, settings=FAST) as engine:
        jobs = await engine.start_many(ChainFlow, [Job(str(n)) for n in range(60)])
        for job in jobs:
            assert (await job.wait(20)).status == "failed"
        going = asyncio.gather(*(job.redrive(from_state=ChainFlow.work, wait=20) for job in jobs), return_exceptions=True)
        gone = 0
        while not going.done():
            gone += await engine.retire(older_than=NOW, status="failed")
            await asyncio.sleep(0)
        refused = [job for job, answer in zip(jobs, await going, strict=True) if isinstance(answer, InstanceEnded)]
        assert len(refused) == gone
        for job, answer in zip(jobs, await going, strict=True):
            if job in refused:
                info = await job.get()
                assert (info.archived, info.status) == (True, "failed")
            else:
                assert not isinstance(answer, BaseException), answer
                assert (await job.wait(20)).status == "completed"
                assert not (await job.get()).archived


async def test_retiring_refuses_what_makes_no_sense(url: str) -> None:
    async with Engine(url, [ChainFlow], {World: World()}, settings=FAST) as engine:
        with pytest.raises(BadRequest, match="only ended ones"):
            await engine.retire(older_than=NOW, status="waiting")
        with pytest.raises(BadRequest, match="what is archived is archived"):
            await engine.retire(older_than=NOW, archived=True)
        with pytest.raises(BadRequest, match="no filter"):
            await engine.retire(older_than=NOW, statsu="failed")


async def test_workers_do_it_by_themselves_as_the_settings_say(harness: Harness) -> None:
    harness.services[World] = World()
    job = await harness.start(ChainFlow, Job())
    job.assert_status("completed")
    engine = await harness.engine()
    worker = engine.process.worker
    worker.settings = type(worker.settings)(archive_after=3600, purge_after=7200, heartbeat=False)
    assert await engine.process.retention.sweep() == (0, 0)
    await harness.advance(3601)
    assert await engine.process.retention.sweep() == (1, 0)
    assert (await engine.get(job.id)).status == "completed"
    await harness.advance(3601)
    assert await engine.process.retention.sweep() == (0, 1)
    assert not (await engine.list(archived=True)).items
