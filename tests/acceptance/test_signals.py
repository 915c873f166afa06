"""What a user sees of signals: durable, in order, each with one fate."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from stepkeel import Context, Engine, Signal, State, Workflow, activity, delay
from stepkeel.errors import DataInvalid, InboxFull, InstanceEnded, NotFound, UnknownSignal
from stepkeel.runtime.settings import Settings
from stepkeel.testing import Harness
from tests.flows import Go, Job, Later, OrderFlow, Soon, Stop, WaitFlow, World


@activity
async def note_go(ctx: Context[Job, Go], world: World) -> None:
    await world.do("note", ctx.idempotency_key)
    ctx.data.log.append(ctx.input.note)


class Collect(Workflow[Job]):
    """Takes signals until told to stop."""

    hearing = State[Job]()
    done = State.completed()
    hearing.on(Go, do=note_go)
    hearing.on(Stop, to=done)


async def test_a_signal_sent_while_a_worker_is_busy_is_kept_and_processed_next(url: str) -> None:
    world = World()
    gate = world.gate("charge")
    async with Engine(url, [OrderFlow], {World: world}) as engine:
        job = await engine.start(OrderFlow, Job())
        await world.entered["charge"].wait()
        receipt = await job.signal(Go(note="early"))
        assert receipt.status == "pending"
        gate.set()
        result = await job.wait(10)
        assert result.status == "completed"
        assert result.data.note == "early"
        assert [s.status for s in await job.signals()] == ["processed"]


async def test_two_signals_at_once_are_both_durable_and_processed_in_order(url: str) -> None:
    async with Engine(url, [Collect], {World: World()}) as engine:
        job = await engine.start(Collect, Job())
        await asyncio.gather(*(job.signal(Go(note=str(n))) for n in range(20)))
        await job.signal(Stop())
        result = await job.wait(10)
        order = [s.payload["note"] for s in await job.signals() if s.name == "Go"]
        assert result.data.log == order
        assert sorted(order, key=int) == [str(n) for n in range(20)]
        assert {s.status for s in await job.signals()} == {"processed"}


async def test_the_same_signal_key_twice_is_processed_once_with_the_first_payload(url: str) -> None:
    async with Engine(url, [Collect], {World: World()}) as engine:
        job = await engine.start(Collect, Job())
        first = await job.signal(Go(note="first"), key="evt", wait=10)
        second = await job.signal(Go(note="second"), key="evt")
        assert (first.status, first.duplicate) == ("processed", False)
        assert (second.status, second.duplicate, second.seq) == ("processed", True, first.seq)
        await job.signal(Stop())
        assert (await job.wait(10)).data.log == ["first"]


async def test_a_signal_nobody_handles_is_rejected_and_its_receipt_says_so(harness: Harness) -> None:
    harness.services[World] = World()
    job = await harness.start(OrderFlow, Job())
    await harness.signal(job, Go())
    job.assert_status("completed")

    class Deaf(Workflow[Job]):
        a = State[Job](delay(60))
        b = State[Job]()
        z = State.completed()
        a.to(b)
        b.on(Go, to=z)

    deaf = await harness.start(Deaf, Job())
    fate = await harness.signal(deaf, Go())
    assert (fate.status, fate.reason) == ("rejected", "unhandled")


async def test_with_keep_a_later_state_takes_it(harness: Harness) -> None:
    class Keeps(Workflow[Job]):
        a = State[Job](delay(60))
        b = State[Job]()
        z = State.completed()
        a.to(b)
        b.on(Later, to=z, into=lambda job, s: replace(job, note=s.note))

    job = await harness.start(Keeps, Job())
    fate = await harness.signal(job, Later(note="patient"))
    assert fate.status == "pending"
    await harness.advance(61)
    job.assert_status("completed")
    assert job.value.note == "patient"
    assert (await job.signals())[0].status == "processed"


async def test_a_kept_signal_ends_with_its_time_to_live(harness: Harness) -> None:
    class Keeps(Workflow[Job]):
        a = State[Job](delay(timedelta(days=1)))
        b = State[Job]()
        z = State.completed()
        a.to(b)
        b.on(Soon, to=z)

    job = await harness.start(Keeps, Job())
    await harness.signal(job, Soon())
    await harness.advance(timedelta(minutes=59))
    assert (await job.signals())[0].status == "pending"
    await harness.advance(timedelta(minutes=2))
    kept = (await job.signals())[0]
    assert (kept.status, kept.reason) == ("ignored", "expired")


async def test_unhandled_signals_keep_is_the_definitions_choice(harness: Harness) -> None:
    class Keeps(Workflow[Job], unhandled_signals="keep"):
        a = State[Job](delay(60))
        b = State[Job]()
        z = State.completed()
        a.to(b)
        b.on(Go, to=z)

    job = await harness.start(Keeps, Job())
    assert (await harness.signal(job, Go())).status == "pending"
    await harness.advance(61)
    job.assert_status("completed")


async def test_a_double_click_never_reaches_the_next_approval(harness: Harness) -> None:
    class Twice(Workflow[Job]):
        first = State[Job]()
        second = State[Job]()
        done = State.completed()
        first.on(Go, to=second)
        second.on(Go, to=done)

    job = await harness.start(Twice, Job())
    await asyncio.gather(job.signal(Go()), job.signal(Go()))
    await harness.settle()
    job.assert_status("waiting").assert_state(Twice.second)
    assert [s.status for s in await job.signals()] == ["processed", "ignored"]


async def test_a_mapping_that_raises_fails_the_signal_and_leaves_the_instance_as_it_was(harness: Harness) -> None:
    class Breaks(Workflow[Job]):
        a = State[Job]()
        z = State.completed()
        a.on(Go, to=z, into=lambda job, s: replace(job, amount=1 // 0))
        a.on(Stop, to=z)

    job = await harness.start(Breaks, Job())
    fate = await harness.signal(job, Go())
    assert fate.status == "failed"
    assert "ZeroDivisionError" in fate.reason
    job.assert_status("waiting").assert_state(Breaks.a)
    await harness.signal(job, Stop())
    job.assert_status("completed")


async def test_a_handler_that_finally_fails_fails_its_signal_and_goes_the_way_of_any_activity(harness: Harness) -> None:
    @activity
    async def breaks(ctx: Context[Job, Go]) -> None:
        raise ValueError("no")

    class Flow(Workflow[Job]):
        a = State[Job]()
        z = State.completed()
        bad = State.failed(code="HANDLER")
        a.on(Go, to=z, do=breaks)
        a.on_failure(ValueError, to=bad)

    job = await harness.start(Flow, Job())
    fate = await harness.signal(job, Go())
    assert fate.status == "failed"
    job.assert_status("failed").assert_state(Flow.bad)


async def test_guarded_handlers_are_tried_in_order_and_a_guarded_refusal_says_so(harness: Harness) -> None:
    class Flow(Workflow[Job]):
        a = State[Job]()
        big = State.completed()
        small = State.completed()
        a.on(Go, to=big, when=lambda job, s: s.note == "big")
        a.on(Go, to=small, when=lambda job, s: s.note == "small")

    job = await harness.start(Flow, Job())
    fate = await harness.signal(job, Go(note="odd"))
    assert (fate.status, fate.reason) == ("rejected", "guarded")
    await harness.signal(job, Go(note="small"))
    job.assert_state(Flow.small)


async def test_an_interrupting_handler_stops_what_is_in_flight(url: str) -> None:
    world = World()
    world.gate("slow")

    @activity
    async def slow(ctx: Context[Job], world: World) -> None:
        await world.do("slow", ctx.idempotency_key)

    class Flow(Workflow[Job]):
        a = State(slow)
        stopped = State.cancelled(reason="asked")
        done = State.completed()
        a.to(done)
        a.on(Stop, to=stopped, interrupt=True)

    async with Engine(url, [Flow], {World: world}) as engine:
        job = await engine.start(Flow, Job())
        await world.entered["slow"].wait()
        receipt = await job.signal(Stop(), wait=10)
        result = await job.wait(10)
        assert (result.status, receipt.status) == ("cancelled", "processed")
        assert "activity_stopped" in [e.type for h in await job.history() for e in h.events]


async def test_a_signal_to_an_ended_instance_is_refused_and_a_duplicate_gets_its_first_receipt(url: str) -> None:
    async with Engine(url, [WaitFlow], {World: World()}) as engine:
        job = await engine.start(WaitFlow, Job())
        await job.signal(Go(), key="once", wait=10)
        await job.wait(10)
        with pytest.raises(InstanceEnded) as caught:
            await job.signal(Go())
        assert caught.value.code == "instance_ended"
        again = await job.signal(Go(), key="once")
        assert (again.status, again.duplicate) == ("processed", True)


async def test_bad_signals_are_refused_by_name_and_nothing_is_stored(url: str) -> None:
    class Typed(Signal):
        count: int

    class Flow(Workflow[Job]):
        a = State[Job]()
        z = State.completed()
        a.on(Typed, to=z)

    async with Engine(url, [Flow, WaitFlow]) as engine:
        job = await engine.start(Flow, Job())
        with pytest.raises(UnknownSignal, match="did you mean Typed"):
            await job.signal("Typd", {"count": 1})
        with pytest.raises(DataInvalid, match="count"):
            await job.signal("Typed", {"count": "many"})
        with pytest.raises(DataInvalid, match="no field colour"):
            await job.signal("Typed", {"count": 1, "colour": "red"})
        with pytest.raises(DataInvalid):
            await job.signal("Typed", {})
        with pytest.raises(NotFound):
            await engine.signal("01a1fc84-0000-7000-8000-000000000000", "Typed", {"count": 1})
        assert await job.signals() == []
        assert (await job.signal("Typed", {"count": 1}, wait=10)).status == "processed"


async def test_a_full_inbox_refuses_and_stores_nothing(url: str) -> None:
    settings = Settings(inbox_limit=3)
    async with Engine(url, [WaitFlow], settings=settings) as engine:
        job = await engine.start(WaitFlow, Job())
        await job.wait(10, state=WaitFlow.ready)
        await job.pause()
        for _ in range(3):
            await job.signal(Go())
        with pytest.raises(InboxFull):
            await job.signal(Go())
        assert len([s for s in await job.signals() if s.kind == "signal"]) == 3


async def test_more_signals_than_one_decision_is_given_are_all_judged(url: str) -> None:
    async with Engine(url, [Collect], {World: World()}) as engine:
        job = await engine.start(Collect, Job())
        await job.wait(10, state=Collect.hearing)
        await job.pause()
        await asyncio.gather(*(job.signal(Go(note=str(n))) for n in range(230)))
        await job.signal(Stop())
        await job.resume()
        result = await job.wait(20)
        assert result.status == "completed"
        assert len(result.data.log) == 230
        assert (await engine.doctor()).clean


class Counted(Workflow[Job]):
    """Takes signals without a handler of its own: many are judged by one decision."""

    hearing = State[Job]()
    done = State.completed()
    hearing.on(Go, into=lambda job, go: replace(job, amount=job.amount + 1))
    hearing.on(Stop, to=done)


@pytest.mark.parametrize("count", [100, 101, 150, 200, 251])
async def test_signals_that_came_while_nobody_worked_are_all_judged(url: str, count: int) -> None:
    async with Engine(url, [Counted]) as engine:
        job = await engine.start(Counted, Job())
        await job.wait(10, state=Counted.hearing)
        async with asyncio.timeout(10):
            while (await job.get()).owner is not None:
                await asyncio.sleep(0.01)
        engine.process.worker.room.claiming = False
        await asyncio.gather(*(job.signal(Go(note=str(n))) for n in range(count)))
        engine.process.worker.room.claiming = True
        last = await job.signal(Go(note="last"), wait=10)
        assert last.status == "processed"
        assert (await job.get()).data.amount == count + 1


async def test_kept_signals_that_nothing_takes_do_not_stand_in_the_way_of_others(url: str) -> None:
    class Hoards(Workflow[Job]):
        first = State[Job]()
        second = State[Job]()
        done = State.completed()
        first.on(Go, to=second)
        second.on(Later, into=lambda job, s: replace(job, amount=job.amount + 1))
        second.on(Stop, to=done)

    async with Engine(url, [Hoards]) as engine:
        job = await engine.start(Hoards, Job())
        await asyncio.gather(*(job.signal(Later()) for _ in range(250)))
        assert (await job.wait(10, state=Hoards.first)).status == "waiting"
        await job.signal(Go(), wait=10)
        assert (await job.signal(Stop(), wait=10)).status == "processed"
        assert (await job.wait(10)).data.amount == 250
