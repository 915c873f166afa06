"""The database is away for a while, the event loop stands still: everything goes on by itself afterwards."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import Any

import pytest

from stepkeel import Context, Engine, State, Workflow, activity
from stepkeel.clock import SystemClock
from stepkeel.errors import Unavailable
from stepkeel.facade import open_store
from stepkeel.store.port import Store
from tests.flows import FAST, ChainFlow, Go, Job, OrderFlow, World

PATIENT = replace(FAST, patience=0.3)


class Away:
    """A store that does not answer while `down`: nothing of what is sent then lands."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.down = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("commit", "claim", "news", "owned", "inbox", "load", "fences", "bury", "take_over", "give_back"):
            return found

        async def call(*arguments: Any) -> Any:
            if self.down:
                raise Unavailable("the database is away")
            return await found(*arguments)

        return call


async def test_a_worker_survives_an_outage_and_nothing_is_lost_or_doubled(url: str) -> None:
    store: Any = Away(open_store(url, SystemClock()))
    world = World()
    gate = world.gate("charge")
    async with Engine(url, [OrderFlow], {World: world}, store=store, settings=FAST) as engine:
        jobs = await engine.start_many(OrderFlow, [Job(str(n)) for n in range(20)])
        await world.entered["charge"].wait()
        store.down = True
        gate.set()
        await asyncio.sleep(0.4)
        store.down = False
        for job in jobs:
            await job.signal(Go())
        for job in jobs:
            result = await job.wait(10)
            assert (result.status, result.data.log) == ("completed", ["reserve", "charge", "ship"])
        assert set(world.effects.values()) == {1}


async def test_calls_say_unavailable_after_a_deadline_and_can_be_repeated(url: str) -> None:
    store: Any = Away(open_store(url, SystemClock()))
    async with Engine(url, [ChainFlow], {World: World()}, store=store, settings=PATIENT) as engine:
        store.down = True
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await engine.start(ChainFlow, Job(), key="k")
        assert time.monotonic() - began < 5
        store.down = False
        job = await engine.start(ChainFlow, Job(), key="k")
        assert (await job.wait(10)).status == "completed"
        assert len((await engine.list()).items) == 1


async def test_an_event_loop_that_stands_still_is_not_vouched_for_and_its_stack_is_logged(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    stalls = 0

    @activity
    async def stall_the_loop(ctx: Context[Job]) -> None:
        nonlocal stalls
        stalls += 1
        if stalls == 1:
            time.sleep(1.6)  # noqa: ASYNC251 - what no activity should do on the loop

    class Flow(Workflow[Job]):
        a = State(stall_the_loop)
        z = State.completed()
        a.to(z)

    async with Engine(url, [Flow], settings=FAST) as engine:
        with caplog.at_level(logging.ERROR, "stepkeel.heartbeat"):
            job = await engine.start(Flow, Job())
            assert (await job.wait(10)).status == "completed"
        assert any("has not ticked" in r.getMessage() and "stall_the_loop" in r.getMessage() for r in caplog.records)


async def test_what_was_claimed_goes_on_though_its_inbox_could_not_be_read_at_once(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Engine(url, [OrderFlow], {World: World()}, worker=False) as client:
        job = await client.start(OrderFlow, Job())
        await job.signal(Go())
        engine = Engine(url, [OrderFlow], {World: World()}, settings=FAST)
        read, failed = engine.store.inbox, asyncio.Event()

        async def lost(*arguments: Any) -> Any:
            monkeypatch.setattr(engine.store, "inbox", read)
            failed.set()
            raise Unavailable("the answer is lost")

        monkeypatch.setattr(engine.store, "inbox", lost)
        async with engine:
            await asyncio.wait_for(failed.wait(), 10)
            result = await job.wait(10, state=OrderFlow.waiting)
            assert not result.timed_out, "a live worker that holds it and never begins would strand it"
