"""How many instances end, and how long they take, as an operator asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from stepkeel import Engine, Signal, State, Workflow
from stepkeel.errors import BadRequest
from stepkeel.model.instant import from_micros
from stepkeel.testing import VirtualClock
from tests.flows import FAST


@dataclass
class Job:
    name: str = ""


class Go(Signal): ...


class Waits(Workflow[Job]):
    waiting = State[Job]()
    done = State.completed()
    waiting.on(Go, to=done)


async def test_ends_and_durations_are_told_by_spans(url: str) -> None:
    async with Engine(url, [Waits], settings=FAST) as engine:
        begun = engine.store.now()
        jobs = [await engine.start(Waits, Job()) for _ in range(3)]
        await jobs[2].cancel()
        for job in jobs[:2]:
            await job.wait(10, state="waiting")
            await job.signal(Go())
            await job.wait(10)
        told = await engine.throughput()
        assert told.width == 60
        assert sum(sum(e.count.values()) for e in told.items) == 3
        assert {s for e in told.items for s in e.count} == {"completed", "cancelled"}
        assert all(0 < e.median <= e.p95 < 60 for e in told.items)
        assert (await engine.throughput(until=from_micros(begun))).items == ()
        with pytest.raises(BadRequest):
            await engine.throughput(since=from_micros(begun), until=from_micros(begun))


async def test_half_and_nearly_all_of_them_took_no_longer_than_is_said() -> None:
    clock = VirtualClock()
    async with Engine("memory://", [Waits], worker=False, clock=clock) as engine:
        since = from_micros(engine.store.now())
        jobs = [await engine.start(Waits, Job()) for _ in range(20)]
        for seconds, many in ((10, 11), (100, 8), (1_000, 1)):
            clock.advance((since + timedelta(seconds=seconds) - from_micros(engine.store.now())).total_seconds())
            for _ in range(many):
                await jobs.pop().terminate()
        [told] = (await engine.throughput(since, since + timedelta(hours=1), spans=1)).items
        assert told.count == {"terminated": 20}
        assert told.median == pytest.approx(10, rel=0.2)
        assert told.p95 == pytest.approx(100, rel=0.2)
