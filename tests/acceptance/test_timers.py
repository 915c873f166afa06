"""Timers: never early, never for a left state, and what pausing means for them."""

from __future__ import annotations

from datetime import timedelta

from stepkeel import Context, State, Workflow, activity, delay
from stepkeel.testing import Harness
from tests.flows import Go, Job, OrderFlow, Stop, World


class TimedOut(Workflow[Job]):
    waiting = State[Job]()
    done = State.completed()
    late = State.terminated(reason="late")
    waiting.on(Go, to=done)
    waiting.after(timedelta(days=3), to=late)


async def test_a_timeout_and_a_delay_in_the_same_state_both_work(harness: Harness) -> None:
    class Both(Workflow[Job]):
        a = State[Job](delay(timedelta(hours=1)))
        b = State.completed()
        late = State.terminated(reason="late")
        a.to(b, when=lambda job: job.amount > 0)
        a.after(timedelta(hours=2), to=late)

    goes = await harness.start(Both, Job(amount=1))
    stays = await harness.start(Both, Job())
    await harness.advance(timedelta(hours=1, seconds=1))
    goes.assert_status("completed")
    stays.assert_status("waiting")
    await harness.advance(timedelta(hours=1))
    stays.assert_status("terminated").assert_history("timer_fired", "timer_fired")


async def test_a_state_with_only_signal_handlers_waits(harness: Harness) -> None:
    harness.services[World] = World()
    job = (await harness.start(OrderFlow, Job())).assert_status("waiting").assert_state(OrderFlow.waiting)
    assert job.info.label == "Waiting"


async def test_a_timer_never_fires_early_nor_after_its_state_was_left(harness: Harness) -> None:
    early = await harness.start(TimedOut, Job())
    left = await harness.start(TimedOut, Job())
    await harness.advance(timedelta(days=3) - timedelta(seconds=1))
    early.assert_status("waiting").assert_no_event("timer_fired")
    await harness.signal(left, Go())
    await harness.advance(timedelta(days=3))
    early.assert_status("terminated")
    left.assert_status("completed").assert_no_event("timer_fired")


async def test_while_paused_signals_are_kept_and_overdue_timers_fire_right_after_resume(harness: Harness) -> None:
    job = await harness.start(TimedOut, Job())
    await job.pause(actor="ann", reason="audit")
    job.assert_status("paused")
    await harness.advance(timedelta(days=5))
    job.assert_status("paused").assert_no_event("timer_fired")
    other = await harness.start(TimedOut, Job())
    await other.pause()
    assert (await harness.signal(other, Go())).status == "pending"
    await job.resume(actor="ann")
    await other.resume()
    await harness.settle()
    job.assert_status("terminated").assert_history("paused", "resumed", "timer_fired", "terminated")
    other.assert_status("completed")


async def test_a_timeout_by_data_and_a_handler_that_stays(harness: Harness) -> None:
    @activity
    async def remind(ctx: Context[Job]) -> None:
        ctx.data.log.append("reminded")

    class Flow(Workflow[Job]):
        a = State[Job]()
        late = State.completed()
        a.after(lambda job: timedelta(minutes=job.amount), do=remind, name="remind")
        a.after(timedelta(hours=1), to=late, name="give-up")
        a.on(Stop, to=late)

    job = await harness.start(Flow, Job(amount=10))
    await harness.advance(timedelta(minutes=11))
    job.assert_status("waiting")
    assert job.value.log == ["reminded"]
    await harness.advance(timedelta(hours=1))
    job.assert_status("completed")
    assert job.value.log == ["reminded"]


async def test_an_interrupting_timeout_stops_what_is_in_flight(harness: Harness) -> None:
    world = harness.services[World] = World()
    world.gate("slow")

    @activity
    async def slow(ctx: Context[Job], world: World) -> None:
        await world.do("slow", ctx.idempotency_key)

    class Flow(Workflow[Job]):
        a = State(slow)
        done = State.completed()
        late = State.failed(code="LATE")
        a.to(done)
        a.after(timedelta(minutes=1), to=late, interrupt=True)

    engine = await harness.engine()
    await engine.register(Flow)
    job = await engine.start(Flow, Job())
    await world.entered["slow"].wait()
    harness.clock.advance(61)
    await harness.settle()
    info = await job.get()
    assert (info.status, info.state) == ("failed", "late")
