"""Branches that run at the same time, on every store: really at once, each once, whatever happens to their worker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from stepkeel import (
    Append,
    Context,
    Engine,
    Fail,
    Join,
    Retry,
    Signal,
    State,
    Sum,
    Workflow,
    activity,
    choice,
    for_each,
    parallel,
    scope,
    transform,
    wait,
    when,
)
from stepkeel.clock import SystemClock
from stepkeel.facade import open_store
from stepkeel.store.port import Store
from tests.acceptance.crash import crash, crashed_engine
from tests.acceptance.proxy import Proxy
from tests.flows import FAST, World


@dataclass
class Line:
    sku: str
    count: int = 1


@dataclass
class Parcel:
    lines: list[Line] = field(default_factory=list[Line])
    notes: Annotated[list[str], Append] = field(default_factory=list[str])
    total: Annotated[int, Sum] = 0
    packed: list[str] = field(default_factory=list[str])


class Ready(Signal): ...


def step(name: str, **policies: Any) -> Any:
    @activity(name=name, **policies)
    async def run(ctx: Context[Parcel], world: World) -> None:
        await world.do(name, ctx.idempotency_key)
        ctx.data.notes.append(name)
        ctx.data.total += 1

    return run


@activity
async def pack(ctx: Context[Parcel, Line], world: World) -> str:
    assert isinstance(ctx.input, Line)
    await world.do(ctx.input.sku, ctx.idempotency_key)
    ctx.data.total += ctx.input.count
    return f"{ctx.input.count} x {ctx.input.sku}"


class ForkFlow(Workflow[Parcel]):
    work = State[Parcel](
        parallel(
            stock=[step("reserve"), step("label")],
            invoice=step("draft"),
            lines=for_each(lambda p: p.lines, pack, into="packed", max_concurrency=3),
        ),
        step("ship"),
    )
    done = State.completed()
    work.to(done)


LINES = [Line(f"sku-{n}", n) for n in range(5)]


async def test_branches_and_items_are_in_flight_at_the_same_time(url: str) -> None:
    world = World()
    names = ("reserve", "draft", "sku-0", "sku-1", "sku-2")
    gates = [world.gate(name) for name in names]
    async with Engine(url, [ForkFlow], {World: world}, settings=FAST) as engine:
        job = await engine.start(ForkFlow, Parcel(LINES))
        async with asyncio.timeout(10):
            await asyncio.gather(*(world.entered[name].wait() for name in names))
        assert "sku-3" not in world.order, "at most three items are open"
        for gate in reversed(gates):
            gate.set()
        result = await job.wait(10)
        assert result.status == "completed"
        assert result.data.notes == ["reserve", "label", "draft", "ship"]
        assert result.data.packed == ["0 x sku-0", "1 x sku-1", "2 x sku-2", "3 x sku-3", "4 x sku-4"]
        assert result.data.total == 4 + 10
        assert set(world.effects.values()) == {1}
        assert (await engine.doctor()).clean


async def test_after_a_crash_only_what_was_in_flight_runs_again(url: str) -> None:
    world = World()
    names = ("label", "sku-3")
    for name in names:
        world.gate(name)
    first = await crashed_engine(url, [ForkFlow], world)
    job = await first.start(ForkFlow, Parcel(LINES))
    async with asyncio.timeout(10):
        await asyncio.gather(*(world.entered[name].wait() for name in names))
        while {"sku-4", "draft"} - {e.path.rpartition("/")[2] for h in await first.history(job.id) for e in h.events} - {"sku-4"}:
            await asyncio.sleep(0.01)
        while not any(e.path.endswith("for_each[4]") for h in await first.history(job.id) for e in h.events):
            await asyncio.sleep(0.01)
    crash(first)
    world.gates.clear()
    async with Engine(url, [ForkFlow], {World: world}, settings=FAST) as second:
        result = await second.instance(job.id, ForkFlow).wait(10)
        assert result.status == "completed"
        assert result.data.notes == ["reserve", "label", "draft", "ship"]
        assert result.data.total == 4 + 10
        again = {k.partition("/")[2] for k, n in world.effects.items() if n > 1}
        assert again == {"work/parallel:stock/label", "work/parallel:lines/for_each[3]/pack"}
        assert (await second.doctor()).clean


async def test_a_shutdown_hands_every_branch_back_and_burns_no_attempt(url: str) -> None:
    world = World()
    names = ("reserve", "draft", "sku-0")
    for name in names:
        world.gate(name)
    async with Engine(url, [ForkFlow], {World: world}, settings=FAST) as first:
        job = await first.start(ForkFlow, Parcel(LINES[:1]))
        await asyncio.gather(*(world.entered[name].wait() for name in names))
    world.gates.clear()
    async with Engine(url, [ForkFlow], {World: world}, settings=FAST) as second:
        result = await second.wait(job.id, 10)
        assert result.status == "completed"
        events = [e.type for h in await second.history(job.id) for e in h.events]
        assert events.count("activity_deferred") == 3
        assert "activity_lost" not in events


class RaceFlow(Workflow[Parcel]):
    work = State[Parcel](
        parallel(fast=step("fast"), slow=[step("slow", retry=Retry(attempts=3)), step("never")], said=wait(Ready), join=Join("any"))
    )
    done = State.completed()
    work.to(done)


async def test_the_first_to_arrive_ends_the_others_and_they_do_nothing_more(url: str) -> None:
    world = World()
    world.gate("slow")
    gate = world.gate("fast")
    async with Engine(url, [RaceFlow], {World: world}, settings=FAST) as engine:
        job = await engine.start(RaceFlow, Parcel())
        await asyncio.gather(world.entered["fast"].wait(), world.entered["slow"].wait())
        gate.set()
        result = await job.wait(10)
        assert (result.status, result.data.notes) == ("completed", ["fast"])
        assert world.order == ["fast", "slow"]


async def test_a_signal_wins_the_race_against_activities_and_a_second_one_is_told_that_it_came_too_late(url: str) -> None:
    world = World()
    world.gate("slow")
    world.gate("fast")
    async with Engine(url, [RaceFlow], {World: world}, settings=FAST) as engine:
        job = await engine.start(RaceFlow, Parcel())
        await asyncio.gather(world.entered["fast"].wait(), world.entered["slow"].wait())
        first, second = await asyncio.gather(job.signal(Ready(), wait=5), job.signal(Ready(), wait=5))
        assert sorted((first.status, second.status)) in (["ignored", "processed"], ["processed", "rejected"])
        assert (await job.wait(10)).status == "completed"


async def test_a_pause_lets_every_branch_end_its_attempt_and_begins_nothing(url: str) -> None:
    world = World()
    gates = [world.gate(name) for name in ("reserve", "draft")]
    async with Engine(url, [ForkFlow], {World: world}, settings=FAST) as engine:
        job = await engine.start(ForkFlow, Parcel())
        await asyncio.gather(world.entered["reserve"].wait(), world.entered["draft"].wait())
        await job.pause()
        for gate in gates:
            gate.set()
        async with asyncio.timeout(10):
            while (await job.get()).data.total < 2:
                await asyncio.sleep(0.01)
        assert sorted(world.order) == ["draft", "reserve"]
        await job.resume()
        assert (await job.wait(10)).data.notes == ["reserve", "label", "draft", "ship"]


class SlowHistory(Proxy):
    """Reading history takes until it is let."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def history(self, instance_id: str, after: int = 0, limit: int = 10_000) -> Any:
        self.asked.set()
        await self.let.wait()
        return await self._store.history(instance_id, after, limit)


async def test_an_item_whose_reading_outlasts_the_lease_is_not_begun_before_that_is_renewed(tmp_path: Path) -> None:
    url, world = f"sqlite:///{tmp_path / 'p.db'}", World()
    world.gate("sku-0")
    first = await crashed_engine(url, [ForkFlow], world)
    job = await first.start(ForkFlow, Parcel(LINES[:1]))
    await asyncio.wait_for(world.entered["sku-0"].wait(), 10)
    crash(first)
    world.gates.clear()
    again = world.entered["sku-0"]
    again.clear()
    store = SlowHistory(open_store(url, SystemClock()))
    async with Engine(url, [ForkFlow], {World: world}, store=store, settings=FAST) as second:  # type: ignore[arg-type]
        await asyncio.wait_for(store.asked.wait(), 10)
        worker = second.process.worker
        worker._trusted_until = 0
        store.let.set()
        for _ in range(100):
            if worker.trusted():  # a heartbeat has come in between
                break
            assert not again.is_set(), "its lease may be over"
            await asyncio.sleep(0)
        await asyncio.wait_for(again.wait(), 10)
        assert worker.trusted()
        assert (await second.wait(job.id, 10)).status == "completed"


class Sent(Signal):
    to: str


@activity
async def unpack(ctx: Context[Parcel, Line], world: World) -> None:
    assert isinstance(ctx.input, Line)
    await world.do(f"undo {ctx.input.sku}", ctx.idempotency_key)


@activity(compensate=unpack)
async def wrap(ctx: Context[Parcel, Line]) -> str:
    return ctx.input.sku


@activity
async def call_back(ctx: Context[Parcel, Sent], world: World) -> None:
    await world.do(f"undo {ctx.input.to}", ctx.idempotency_key)


@activity(compensate=call_back)
async def send(ctx: Context[Parcel, Sent], world: World) -> None:
    await world.do(f"send {ctx.input.to}", ctx.idempotency_key)


class Undone(Workflow[Parcel]):
    packing = State[Parcel](for_each(lambda p: p.lines, wrap, into="packed"))
    sending = State[Parcel]()
    back = State.cancelled()
    packing.to(sending)
    sending.on(Sent, do=send)
    sending.on(Ready, to=back)


async def test_an_undo_is_given_what_its_activity_was_given(url: str) -> None:
    world = World()
    async with Engine(url, [Undone], {World: world}, settings=FAST) as engine:
        parcel = await engine.start(Undone, Parcel(lines=LINES[:3]))
        await parcel.wait(state="sending", timeout=10)
        await parcel.signal(Sent("Rome"), wait=10)
    async with Engine(url, [Undone], {World: world}, settings=FAST) as engine:  # another process: the items are read again
        parcel = engine.instance(parcel.id, Undone)
        await parcel.signal(Ready(), wait=10)
        assert (await parcel.wait(timeout=10)).status == "cancelled"
    undone = [e for e in world.order if e.startswith("undo")]
    assert undone[0] == "undo Rome"
    assert sorted(undone[1:]) == ["undo sku-0", "undo sku-1", "undo sku-2"]


@activity
async def weigh(ctx: Context[Parcel, Line]) -> str | Fail:
    return Fail("LOST") if ctx.input.count == 2 else f"{ctx.input.count} kg"


class Nested(Workflow[Parcel]):
    weighing = State[Parcel](
        for_each(
            lambda p: p.lines,
            choice(when(lambda p: True, scope(weigh, on_failure={"LOST": transform(lambda p: None, name="lost")}))),
            into=lambda p, found: {"packed": [f or "lost" for f in found]},
        )
    )
    done = State.completed()
    weighing.to(done)


async def test_what_an_activity_returns_is_the_result_of_its_item_however_deep_it_stands(url: str) -> None:
    async with Engine(url, [Nested], settings=FAST) as engine:
        parcel = await engine.start(Nested, {"lines": LINES[:4]})
        assert (await parcel.wait(timeout=10)).data.packed == ["0 kg", "1 kg", "lost", "3 kg"]
