"""What wraps attempts: behaviours, chaos, services made for one attempt, runs without a worker."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stepkeel import (
    Chaos,
    Context,
    Engine,
    Retry,
    State,
    TransientError,
    Workflow,
    activity,
)
from stepkeel.errors import NotFinished
from stepkeel.testing import Harness
from tests.flows import ChainFlow, Job, WaitFlow, World


async def test_behaviours_wrap_activities_handlers_and_compensations_with_their_place(url: str) -> None:
    seen: list[tuple[str, str, int]] = []

    async def watch(invocation, call_next):  # type: ignore[no-untyped-def]
        seen.append((invocation.activity, invocation.kind, invocation.attempt))
        return await call_next()

    async with Engine(url, [ChainFlow], {World: World()}, behaviours=[watch]) as engine:
        job = await engine.start(ChainFlow, Job(note="explode"))
        assert (await job.wait(10)).status == "failed"
    assert seen == [
        ("reserve", "activity", 1),
        ("charge", "activity", 1),
        ("ship", "activity", 1),
        ("undo_charge", "compensation", 1),
        ("undo_reserve", "compensation", 1),
    ]


async def test_chaos_injects_failures_that_retries_absorb(harness: Harness) -> None:
    world = World()
    chaos = Chaos(0.3, seed=7, after=0.5, error=TransientError)
    mine = Harness(services={World: world}, behaviours=[chaos])
    jobs = [await mine.start(ChainFlow, Job()) for _ in range(30)]
    await mine.advance(timedelta(hours=1))
    for job in jobs:
        assert job.info.status in ("completed", "failed")
    assert chaos.injected > 5
    assert (await mine.doctor()).clean
    await mine.close()


async def test_run_executes_inline_and_raises_not_finished_if_it_has_to_wait(url: str) -> None:
    async with Engine(url, [ChainFlow, WaitFlow], {World: World()}, worker=False) as engine:
        result = await engine.run(ChainFlow, Job())
        assert result.status == "completed"
        assert result.data.log == ["reserve", "charge", "ship"]
        with pytest.raises(NotFinished) as caught:
            await engine.run(WaitFlow, Job())
        assert (await engine.get(caught.value.instance_id)).status == "waiting"


async def test_services_are_found_by_type_and_scoped_ones_are_made_and_closed_for_each_attempt(url: str) -> None:
    from contextlib import asynccontextmanager
    from typing import Annotated, Protocol

    from stepkeel import scoped

    class Numbers(Protocol):
        def next(self) -> int: ...

    class Counter:
        def __init__(self, start: int) -> None:
            self.n = start

        def next(self) -> int:
            self.n += 1
            return self.n

    opened: list[str] = []

    class Session:
        pass

    @asynccontextmanager
    async def session():  # type: ignore[no-untyped-def]
        opened.append("open")
        try:
            yield Session()
        finally:
            opened.append("close")

    @activity(retry=Retry(attempts=2))
    async def use(ctx: Context[Job], numbers: Numbers, far: Annotated[Numbers, "far"], s: Session) -> None:
        assert isinstance(s, Session)
        ctx.data.amount = numbers.next() + far.next()
        if ctx.attempt == 1:
            raise OSError("once")

    class Flow(Workflow[Job]):
        a = State(use)
        z = State.completed()
        a.to(z)

    services = {Numbers: Counter(0), Annotated[Numbers, "far"]: Counter(100), Session: scoped(session)}
    async with Engine(url, [Flow], services) as engine:
        job = await engine.start(Flow, Job())
        assert (await job.wait(10)).data.amount == 2 + 102
    assert opened == ["open", "close"] * 2


async def test_the_first_behaviour_is_outermost(harness: Harness) -> None:
    order: list[str] = []

    def wrapper(name: str):  # type: ignore[no-untyped-def]
        async def behaviour(invocation, call_next):  # type: ignore[no-untyped-def]
            order.append(f"{name} in")
            result = await call_next()
            order.append(f"{name} out")
            return result

        return behaviour

    mine = Harness(services={World: World()}, behaviours=[wrapper("outer"), wrapper("inner")])
    await mine.start(ChainFlow, Job())
    assert order[:4] == ["outer in", "inner in", "inner out", "outer out"]
    await mine.close()


async def test_a_worker_holds_no_more_instances_than_its_concurrency_and_serves_urgent_ones_first(url: str) -> None:
    flying, most, order = 0, 0, []

    @activity
    async def busy(ctx: Context[Job]) -> None:
        import asyncio

        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        order.append(ctx.data.name)
        await asyncio.sleep(0.001)
        flying -= 1

    class Flow(Workflow[Job]):
        a = State(busy)
        z = State.completed()
        a.to(z)

    async with Engine(url, [Flow], worker=False) as client:
        jobs = await client.start_many(Flow, [Job("later") for _ in range(40)], priority=4)
        jobs += await client.start_many(Flow, [Job("urgent") for _ in range(40)], priority=0)
        async with Engine(url, [Flow], concurrency=5):
            for job in jobs:
                assert (await job.wait(20)).status == "completed"
    assert most <= 6, "each priority that waits gets at least one slot"
    assert order.index("later") < 40, "and none starves"
    assert order[:20].count("urgent") > 10
