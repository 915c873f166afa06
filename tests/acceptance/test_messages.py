"""Messages for the world, on every store: part of the step's commit, delivered at least once and in order, whoever dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from stepkeel import Context, Engine, Message, State, Workflow, activity, emit, for_each, wait
from stepkeel.errors import BadRequest
from stepkeel.testing import Harness
from tests.acceptance.crash import crash, crashed_engine
from tests.flows import FAST, Go, Job, World


@activity
async def work(ctx: Context[Job], world: World) -> None:
    await world.do("work", ctx.idempotency_key)
    ctx.data.amount += 1


class Telling(Workflow[Job]):
    telling = State[Job](
        emit(lambda job: {"name": job.name, "n": 1}, to="orders", name="first"),
        work,
        emit(lambda job: {"name": job.name, "n": job.amount + 1}, to="orders", name="second"),
        emit(to="data"),
        for_each(lambda job: ["x", "y"], emit(lambda job, item: item, to="items", name="tell"), name="lines"),
        wait(Go),
    )
    done = State.completed()
    telling.to(done)


async def until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not there():
            await asyncio.sleep(0.01)


async def left(engine: Engine, *topics: str) -> None:
    """What is delivered leaves the outbox behind its delivery: these are what stays."""
    async with asyncio.timeout(15):
        while (found := [m.topic for m in await engine.outbox()]) != [*topics]:
            assert len(found) > len(topics), f"{found} left, {topics} expected"
            await asyncio.sleep(0.01)


class Inbox:
    """A sink that remembers, and fails as often as it is told to."""

    def __init__(self, fails: int = 0) -> None:
        self.got: list[Message] = []
        self.fails = fails
        self.tries = 0

    async def __call__(self, message: Message) -> None:
        self.tries += 1
        if self.fails:
            self.fails -= 1
            raise ConnectionError("the broker is away")
        self.got.append(message)

    def of(self, topic: str) -> list[Any]:
        return [m.payload for m in self.got if m.topic == topic]


async def test_they_come_with_what_they_tell_in_the_order_of_the_steps(url: str) -> None:
    orders, others = Inbox(), list[Message]()
    sinks: Any = {"orders": orders, "*": others.append}
    async with Engine(url, [Telling], {World: World()}, sinks=sinks, settings=FAST) as engine:
        job = await engine.start(Telling, Job("a"))
        await until(lambda: len(orders.got) == 2 and len(others) == 3)
        assert orders.of("orders") == [{"name": "a", "n": 1}, {"name": "a", "n": 2}]
        assert [(m.topic, m.payload if m.topic == "items" else m.payload["amount"]) for m in others] == [
            ("data", 1),
            ("items", "x"),
            ("items", "y"),
        ]
        first = orders.got[0]
        assert (first.id, first.instance_id, first.definition, first.tries) == (f"{job.id}/telling/first", job.id, "Telling", 1)
        await left(engine)
        told = [e.detail for h in await job.history() for e in h.events if e.type == "message_emitted"]
        assert [d["topic"] for d in told] == ["orders", "orders", "data", "items", "items"]
        assert (await engine.doctor()).clean


async def test_what_fails_is_tried_again_and_what_is_behind_it_waits(url: str) -> None:
    orders, others = Inbox(fails=1), Inbox()
    async with Engine(url, [Telling], {World: World()}, sinks={"orders": orders, "*": others}, settings=FAST) as engine:
        await engine.start(Telling, Job("a"))
        await until(lambda: len(others.got) == 3)
        await until(lambda: orders.tries == 1)
        async with asyncio.timeout(10):
            while not (left := [m for m in await engine.outbox() if m.error]):
                await asyncio.sleep(0.01)
        assert (left[0].tries, left[0].error) == (1, "ConnectionError: the broker is away")
        await until(lambda: len(orders.got) == 2)
        assert (orders.got[0].payload["n"], orders.got[0].tries) == (1, 2)
        assert orders.of("orders") == [{"name": "a", "n": 1}, {"name": "a", "n": 2}]


async def test_without_a_sink_they_stay_until_an_engine_has_one_and_outlive_their_instance(url: str) -> None:
    async with Engine(url, [Telling], {World: World()}, settings=FAST) as engine:
        job = await engine.start(Telling, Job("a"))
        await job.signal(Go())
        assert (await job.wait(10)).status == "completed"
        assert [m.topic for m in await engine.outbox()] == ["orders", "orders", "data", "items", "items"]
        assert await engine.purge(status="completed") == 1
        report = await engine.doctor(overdue=-1)
        told = [f.text for f in report.findings if f.kind == "undelivered"]
        assert (report.clean, len(told)) == (True, 3)
        assert "to orders waits for" in told[0]
        assert "no engine has a sink for it" in told[0]
    inbox = Inbox()
    async with Engine(url, [Telling], {World: World()}, sinks={"orders": inbox}, settings=FAST) as engine:
        await until(lambda: len(inbox.got) == 2)
        await left(engine, "data", "items", "items")  # those it has a sink for, and no others


async def test_what_was_committed_before_a_crash_is_delivered_by_another_and_what_was_not_is_not(url: str) -> None:
    world, inbox = World(), Inbox()
    gate = world.gate("work")
    first = await crashed_engine(url, [Telling], world)
    job = await first.start(Telling, Job("a"))
    await asyncio.wait_for(world.entered["work"].wait(), 10)
    crash(first)
    gate.set()
    world.gates.clear()
    async with Engine(url, [Telling], {World: world}, sinks={"orders": inbox}, settings=FAST) as second:
        await until(lambda: len(inbox.got) == 2)
        assert inbox.of("orders") == [{"name": "a", "n": 1}, {"name": "a", "n": 2}]
        await left(second, "data", "items", "items")
        assert (await second.instance(job.id).get()).status == "waiting"
        assert (await second.doctor()).clean


async def test_of_two_engines_with_a_sink_one_delivers_each_and_every_instance_keeps_its_order(url: str) -> None:
    one, two = Inbox(), Inbox()
    async with (
        Engine(url, [Telling], {World: World()}, sinks={"orders": one}, settings=FAST) as engine,
        Engine(url, [Telling], {World: World()}, sinks={"orders": two}, settings=FAST),
    ):
        jobs = [await engine.start(Telling, Job(str(n))) for n in range(30)]
        await until(lambda: len(one.got) + len(two.got) >= 60)
        ids = [m.id for m in (*one.got, *two.got)]
        assert len(ids) == len(set(ids)) == 60
        for job in jobs:
            mine = sorted((m for m in (*one.got, *two.got) if m.instance_id == job.id), key=lambda m: m.at)
            assert [m.payload["n"] for m in mine] == [1, 2]


async def test_a_sink_at_work_when_its_engine_closes_leaves_its_message_to_another_at_once(url: str) -> None:
    entered, inbox = asyncio.Event(), Inbox()

    async def stuck(message: Message) -> None:
        entered.set()
        await asyncio.Event().wait()

    async with Engine(url, [Telling], {World: World()}, sinks={"orders": stuck}, settings=FAST) as engine:
        await engine.start(Telling, Job("a"))
        await asyncio.wait_for(entered.wait(), 10)
        kept: Any = engine.store if url.startswith("memory") else None
    async with Engine(url, [Telling], {World: World()}, sinks={"orders": inbox}, settings=FAST, store=kept) as engine:
        await until(lambda: len(inbox.got) == 2)
        assert [m.payload["n"] for m in inbox.got] == [1, 2]


async def test_a_harness_delivers_before_it_returns_and_tries_again_as_time_passes() -> None:
    inbox = Inbox(fails=2)
    harness = Harness(services={World: World()}, sinks={"orders": inbox})
    await harness.start(Telling, Job("a"))
    assert (inbox.tries, inbox.got) == (1, [])
    await harness.advance(2)
    assert (inbox.tries, inbox.got) == (2, [])
    await harness.advance(10)
    assert [m.payload["n"] for m in inbox.got] == [1, 2]
    assert inbox.got[0].tries == 3
    await harness.close()


@pytest.mark.parametrize("wrong", [{"to": ""}, {"to": "x" * 201}, {"what": 7, "to": "x"}])
def test_what_cannot_be_a_message_is_told_at_once(wrong: Any) -> None:
    with pytest.raises(BadRequest):
        emit(**wrong)


async def test_a_sink_that_cannot_be_called_is_told_when_the_engine_opens() -> None:
    with pytest.raises(BadRequest, match="the sink of orders is 7"):
        async with Engine("memory://", [Telling], {World: World()}, sinks={"orders": 7}):  # type: ignore[dict-item]
            pass


async def test_what_cannot_be_told_fails_its_node_and_nothing_is_emitted(harness: Harness) -> None:
    class Broken(Workflow[Job]):
        work = State[Job](emit(lambda job: 1 / 0, to="x"))
        done = State.completed()
        work.to(done)

    class Strange(Workflow[Job]):
        work = State[Job](emit(lambda job: object(), to="x"))
        done = State.completed()
        work.to(done)

    for flow in (Broken, Strange):
        result = await (await harness.start(flow, Job())).wait()
        assert (result.status, result.failure is not None and result.failure.code) == ("failed", "pure_failed")
    assert await (await harness.engine()).outbox() == []
