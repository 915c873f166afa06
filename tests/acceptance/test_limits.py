"""Limits hold across the fleet: at once and by rate, for a definition, each key, an activity. Those beyond wait in order."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from stepkeel import Context, Engine, Fail, Limit, Retry, Signal, State, Workflow, activity
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.testing import Harness
from tests.acceptance.crash import crash, crashed_engine
from tests.flows import FAST, Job, World


class Meter:
    """How many are within at a time, in all and by key; the order in which they came."""

    def __init__(self) -> None:
        self.within: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.order: list[str] = []

    async def pass_through(self, name: str, *keys: str) -> None:
        self.order.append(name)
        for key in keys:
            self.within[key] += 1
            self.most[key] = max(self.most[key], self.within[key])
        await asyncio.sleep(0.01)
        for key in keys:
            self.within[key] -= 1


@activity(limits=Limit(3), retry=Retry(attempts=3))
async def charge(ctx: Context[Job], meter: Meter) -> None:
    await meter.pass_through(ctx.data.name, "charge")
    if ctx.data.amount == 13 and ctx.attempt == 1:
        raise ConnectionError("once")


class Charging(Workflow[Job]):
    work = State(charge)
    done = State.completed()
    work.to(done)


@activity
async def serve(ctx: Context[Job], meter: Meter) -> None:
    await meter.pass_through(ctx.data.name, "all", ctx.data.note)


class PerCustomer(Workflow[Job], limits=[Limit(5), Limit(1, key=lambda job: job.note, name="customer")]):
    work = State(serve, serve)
    done = State.completed()
    work.to(done)


async def test_an_activity_runs_at_most_so_often_at_a_time_in_the_whole_fleet(url: str) -> None:
    meter = Meter()
    async with (
        Engine(url, [Charging], {Meter: meter}, settings=FAST) as one,
        Engine(url, [Charging], {Meter: meter}, settings=FAST),
    ):
        jobs = await one.start_many(Charging, [Job(str(n), amount=n) for n in range(40)])
        for job in jobs:
            assert (await job.wait(30)).status == "completed"
        assert meter.most["charge"] == 3
        assert len(meter.order) == 41, "one was tried again"
        assert not await one.store.pool("activity/charge")


async def test_a_definition_and_its_keys_are_limited_from_first_state_to_end(url: str) -> None:
    meter = Meter()
    async with (
        Engine(url, [PerCustomer], {Meter: meter}, settings=FAST) as one,
        Engine(url, [PerCustomer], {Meter: meter}, settings=FAST),
    ):
        jobs = await one.start_many(PerCustomer, [Job(str(n), note=f"c{n % 8}") for n in range(32)])
        for job in jobs:
            assert (await job.wait(30)).status == "completed"
    assert meter.most["all"] <= 5
    assert all(meter.most[f"c{n}"] == 1 for n in range(8))


class Proceed(Signal): ...


class OneAtATime(Workflow[Job], limits=Limit(1)):
    ready = State[Job]()
    done = State.completed()
    ready.on(Proceed, to=done)


async def test_one_that_waits_says_which_limit_holds_it_and_who_holds_the_slot(url: str) -> None:
    async with Engine(url, [OneAtATime], settings=FAST) as engine:
        first = await engine.start(OneAtATime, Job())
        await first.wait(10, state="ready")
        second = await engine.start(OneAtATime, Job())
        third = await engine.start(OneAtATime, Job())
        async with asyncio.timeout(10):
            while len(await engine.store.pool("definition/OneAtATime")) < 3:
                await asyncio.sleep(0.01)
        explained = await third.explain()
        assert [r.kind for r in explained.why] == ["limit"]
        [told] = await engine.limits()
        assert (told.name, told.size, told.per, told.held, told.waiting) == ("definition/OneAtATime", 1, None, 1, 2)
        assert [(t.instance_id, t.path, t.amount, t.since is None) for t in told.tickets] == [
            (first.id, "!hold", 1, False), (second.id, "!hold", 1, True), (third.id, "!hold", 1, True),
        ]  # fmt: skip
        assert [len(each.tickets) for each in await engine.limits("definition/OneAtATime", tickets=1)] == [1]
        assert await engine.limits("definition/Another") == await engine.limits(after="definition/OneAtATime") == []
        assert "it waits for a slot of definition/OneAtATime (1 at once), 1 before it" in str(explained)
        assert f"held by {first.id}" in str(explained)
        await second.signal(Proceed())  # it is kept until the instance can judge it
        assert (await engine.doctor()).clean
        await first.signal(Proceed())
        assert (await second.wait(10)).status == "completed", "in order"
        await third.wait(10, state="ready")
        assert [r.status for r in await second.signals() if r.name == "Proceed"] == ["processed"]
        await third.cancel()
        assert not await engine.store.pool("definition/OneAtATime")


async def test_leaving_the_queue_and_losing_a_holder_strand_nobody(url: str) -> None:
    async with Engine(url, [OneAtATime], settings=FAST) as engine:
        jobs = [await engine.start(OneAtATime, Job()) for _ in range(4)]
        await jobs[0].wait(10, state="ready")
        async with asyncio.timeout(10):
            while len(await engine.store.pool("definition/OneAtATime")) < 4:
                await asyncio.sleep(0.01)
        await jobs[1].cancel()  # from the queue
        await jobs[2].pause()
        await jobs[0].terminate()  # a holder
        async with asyncio.timeout(10):
            while not [r for r in await jobs[2].signals() if r.kind == "grant"]:
                await asyncio.sleep(0.01)
        assert (await jobs[2].get()).status == "paused", "its slot was granted, nothing of it moves"
        await jobs[2].resume()
        await jobs[2].wait(10, state="ready")
        await jobs[2].signal(Proceed())
        await jobs[3].wait(10, state="ready")
        await jobs[3].signal(Proceed())
        assert (await jobs[3].wait(10)).status == "completed"


async def test_a_crash_keeps_the_slot_and_the_takeover_goes_on_holding_it(url: str) -> None:
    world = World()
    world.gate("hold")

    @activity(limits=Limit(1))
    async def hold(ctx: Context[Job], world: World) -> None:
        await world.do("hold", ctx.idempotency_key)

    class Holding(Workflow[Job]):
        held = State(hold)
        done = State.completed()
        held.to(done)

    first = await crashed_engine(url, [Holding], world)
    holder = await first.start(Holding, Job("holder"))
    await world.entered["hold"].wait()
    waiter = await first.start(Holding, Job("waiter"))
    async with asyncio.timeout(10):
        while len(await first.store.pool("activity/hold")) < 2:
            await asyncio.sleep(0.01)
    crash(first)
    world.gates.clear()
    async with Engine(url, [Holding], {World: world}, settings=FAST) as engine:
        assert (await engine.wait(holder.id, 10)).status == "completed"
        assert (await engine.wait(waiter.id, 10)).status == "completed"
        assert world.effects[f"{holder.id}/held/hold"] == 2
        history = await engine.history(holder.id)
        assert [e.type for h in history for e in h.events].count("hold_asked") == 1, "it kept its slot"


async def test_what_began_by_a_rate_may_go_on_for_longer_than_its_span(harness: Harness) -> None:
    """Was told by the doctor as a slot that somebody else had taken."""

    class Rated(Workflow[Job], limits=Limit(1, per=60)):
        ready = State[Job]()
        done = State.completed()
        ready.on(Proceed, to=done)

    first, second = [await harness.start(Rated, Job()) for _ in range(2)]
    await harness.advance(61)
    assert {(await j.get()).state for j in (first, second)} == {"ready"}
    await harness.advance(300)
    kinds = {f.kind for f in (await harness.doctor()).findings}
    assert "ticket_matches" not in kinds
    await first.signal(Proceed())
    await harness.settle()
    assert (await first.get()).status == "completed"


async def test_a_rate_lets_so_many_begin_in_each_span(harness: Harness) -> None:
    began: list[float] = []

    @activity(limits=Limit(2, per=timedelta(minutes=1)))
    async def call(ctx: Context[Job]) -> None:
        began.append(ctx.now.timestamp())

    class Calling(Workflow[Job]):
        work = State(call)
        done = State.completed()
        work.to(done)

    for n in range(5):
        await harness.start(Calling, Job(str(n)))
    assert len(began) == 2
    await harness.advance(59)
    assert len(began) == 2
    await harness.advance(2)
    assert len(began) == 4
    await harness.advance(61)
    assert len(began) == 5
    assert began[2] - began[0] > 59.99
    assert began[4] - began[2] > 59.99


async def test_the_more_urgent_goes_first_but_waiting_counts_too(harness: Harness) -> None:
    order: list[str] = []

    class Urgent(Workflow[Job], limits=Limit(1)):
        ready = State[Job]()
        done = State.completed()
        ready.on(Proceed, to=done)

    jobs = {"holder": await harness.start(Urgent, Job())}
    for name, priority, pause in (("low", 4, 0), ("usual", 2, 1), ("high", 0, 200), ("late low", 4, 0)):
        jobs[name] = await harness.start(Urgent, Job(name), priority=priority)
        await harness.advance(pause)
    holder = "holder"
    while len(order) < 4:
        await harness.signal(jobs[holder], Proceed())
        holder = next(n for n, j in jobs.items() if j.info.state == "ready" and n not in order)
        order.append(holder)
    assert order == ["high", "usual", "low", "late low"]


async def test_one_of_low_priority_is_not_overtaken_for_ever(harness: Harness) -> None:
    class Flooded(Workflow[Job], limits=Limit(1)):
        ready = State[Job]()
        done = State.completed()
        ready.on(Proceed, to=done)

    holder = await harness.start(Flooded, Job())
    low = await harness.start(Flooded, Job("low"), priority=4)
    for minute in range(10):
        urgent = await harness.start(Flooded, Job(f"urgent{minute}"), priority=0)
        await harness.advance(60)
        await harness.signal(holder, Proceed())
        if low.info.state == "ready":
            assert minute >= 3, "urgent ones went first"
            return
        holder = urgent
    pytest.fail("it starved")


async def test_a_failing_key_fails_the_node_and_no_key_is_no_limit(harness: Harness) -> None:
    @activity(limits=Limit(1, key=lambda job: None if job.name == "free" else {}[job.name]))
    async def keyed(ctx: Context[Job]) -> None:
        ctx.data.note = "ran"

    class Keyed(Workflow[Job]):
        work = State(keyed)
        done = State.completed()
        work.to(done)

    free = await harness.start(Keyed, Job("free"))
    free.assert_status("completed")
    broken = await harness.start(Keyed, Job("x"))
    broken.assert_status("failed")
    assert broken.info.failure.code == "pure_failed"


async def test_a_redriven_instance_queues_again(harness: Harness) -> None:
    harness.services[World] = World()

    @activity
    async def stumble(ctx: Context[Job], world: World) -> None:
        await world.do("stumble", ctx.idempotency_key)
        if world.effects[ctx.idempotency_key] == 1:
            raise Fail("NO")

    class Redriven(Workflow[Job], limits=Limit(1)):
        work = State(stumble)
        done = State.completed()
        work.to(done)
        work.after(timedelta(days=1), to=done)

    job = await harness.start(Redriven, Job())
    job.assert_status("failed")
    assert not await harness.store.pool("definition/Redriven")
    await job.redrive()
    await harness.settle()
    job.assert_status("completed").assert_history("hold_returned", "redriven", "hold_asked", "hold_granted")


def test_limits_that_make_no_sense_are_refused() -> None:
    for wrong in (0, -1, 2_000_000, True, "3"):
        with pytest.raises(BadRequest):
            Limit(wrong)  # type: ignore[arg-type]
    with pytest.raises(BadRequest):
        Limit(1, per=0)
    with pytest.raises(BadRequest):
        activity(limits=[Limit(1, name="a"), Limit(2, name="a")])(charge)
    with pytest.raises(DefinitionError, match="bad_limit"):

        class Bad(Workflow[Job], limits="two"):  # type: ignore[call-arg]
            a = State.completed()
