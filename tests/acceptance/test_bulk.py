"""Many instances at once, by filter: each is told what became of it, and nobody is reached who was not meant."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepkeel import Engine
from stepkeel.errors import BadRequest
from tests.flows import Go, Job, OrderFlow, WaitFlow, World


async def resting(engine: Engine, count: int, **filters: Any) -> list[str]:
    async with asyncio.timeout(10):
        while len(found := (await engine.list(status="waiting", **filters)).items) < count:
            await asyncio.sleep(0.005)
    return [i.id for i in found]


async def test_many_are_paused_resumed_signalled_cancelled_and_archived_by_filter(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine, Engine(url, worker=False) as client:
        for n in range(60):
            await engine.start(WaitFlow, Job(str(n)), attributes={"shop": n % 2})
        odd, even = await resting(engine, 30, attributes={"shop": 1}), await resting(engine, 30, attributes={"shop": 0})
        dry = await client.pause_all(attributes={"shop": 1}, dry_run=True)
        assert (list(dry.done), dict(dry.refused), dry.more) == (odd, {}, False)
        assert len((await engine.list(status="paused")).items) == 0
        some = await client.pause_all(attributes={"shop": 1}, limit=7, actor="ann", reason="look")
        assert (list(some.done), some.more) == (odd[:7], True)
        rest = await client.pause_all(attributes={"shop": 1})
        assert (list(rest.done), rest.more) == (odd[7:], False)
        assert {i.id for i in (await engine.list(status="paused")).items} == {*odd}
        assert [e.actor for e in await engine.history(odd[0])][-1] == "ann"
        assert set((await client.resume_all(status="paused")).done) == {*odd}
        first = await client.signal_all("Go", {"note": "hi"}, key="once", attributes={"shop": 0})
        assert (set(first.done) | set(first.pending), dict(first.refused)) == ({*even}, {})
        async with asyncio.timeout(10):
            while len((await engine.list(status="completed")).items) < 30:
                await asyncio.sleep(0.005)
        assert {i.data.note for i in (await engine.list(status="completed")).items} == {"hi"}
        assert (await client.signal_all("Go", {"note": "again"}, key="once", attributes={"shop": 0})).done == ()
        assert set((await client.cancel_all(definition="WaitFlow", reason="over")).done) == {*odd}
        assert len((await client.archive_all(definition="WaitFlow")).done) == 60
        assert (await engine.list()).items == ()


async def test_each_is_told_why_it_could_not_be_and_keeps_nobody_else_from_it(url: str) -> None:
    world = World()
    async with Engine(url, [WaitFlow, OrderFlow], {World: world}) as engine:
        waits = await engine.start(WaitFlow, Job())
        orders = await engine.start(OrderFlow, Job())
        await resting(engine, 2)
        told = await engine.signal_all("Stop", {"reason": "x"}, status="waiting")
        assert set(told.refused) == {waits.id}
        assert "Stop" in told.refused[waits.id]
        assert {*told.done, *told.pending} == {orders.id}
        many = [await engine.start(WaitFlow, Job(str(n))) for n in range(3)]
        await resting(engine, 3, definition="WaitFlow")
        assert len((await engine.signal_all(Go(), definition="WaitFlow", limit=2)).pending) == 2
        assert {i.status for i in [await j.get() for j in many]} <= {"waiting", "running", "completed"}


async def test_others_tenants_are_not_reached(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine, Engine(url, [WaitFlow], tenant="acme") as acme:
        theirs = await acme.start(WaitFlow, Job())
        await resting(acme, 1)
        assert (await engine.terminate_all(status=["created", "running", "waiting", "paused"])).done == ()
        assert (await theirs.get()).status == "waiting"


async def test_what_makes_no_sense_is_refused_and_nothing_is_done(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        job = await engine.start(WaitFlow, Job())
        await resting(engine, 1)
        for verb in (engine.pause_all, engine.resume_all, engine.cancel_all, engine.terminate_all, engine.archive_all):
            with pytest.raises(BadRequest, match="without a filter"):
                await verb()
            with pytest.raises(BadRequest, match="without a filter"):
                await verb(attributes={}, definition=None)
            with pytest.raises(BadRequest, match="no filter colour"):
                await verb(colour="red")
        with pytest.raises(BadRequest, match="without a filter"):
            await engine.signal_all(Go())
        with pytest.raises(BadRequest, match="cancel of completed instances"):
            await engine.cancel_all(status="completed")
        with pytest.raises(BadRequest, match="limit"):
            await engine.cancel_all(definition="WaitFlow", limit=0)
        assert (await job.get()).status == "waiting"
