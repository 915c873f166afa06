"""What a user sees of activities: outcomes, failures, limits, checkpoints, behaviours."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from stepkeel import (
    Cancel,
    Complete,
    Context,
    Fail,
    ResourceExhausted,
    Retry,
    State,
    Terminate,
    TryAgain,
    Wait,
    Workflow,
    activity,
    delay,
    transform,
    wait,
)
from stepkeel.testing import Harness
from tests.flows import Go, Job, World


async def test_try_again_keeps_its_changes_unless_discarded(harness: Harness) -> None:
    @activity
    async def poll(ctx: Context[Job]) -> TryAgain | None:
        ctx.data.amount += 1
        return TryAgain("not yet", delay=5) if ctx.data.amount < 3 else None

    @activity(retry=Retry(attempts=2))
    async def discarding(ctx: Context[Job]) -> TryAgain:
        ctx.data.amount += 100
        return TryAgain("never", discard=True)

    class Flow(Workflow[Job]):
        a = State(poll, discarding)
        z = State.completed()
        a.to(z)

    job = await harness.start(Flow, Job())
    await harness.advance(60)
    job.assert_status("failed")
    assert job.value.amount == 3
    assert job.info.failure is not None
    assert job.info.failure.code == "attempts_used_up"


async def test_wait_outcome_is_not_run_again_and_does_not_disable_timeouts(harness: Harness) -> None:
    calls = 0

    @activity
    async def ask(ctx: Context[Job]) -> Wait:
        nonlocal calls
        calls += 1
        ctx.data.note = "asked"
        return Wait("for an answer")

    class Flow(Workflow[Job]):
        asking = State(ask)
        late = State.failed(code="TOO_LATE")
        done = State.completed()
        asking.on(Go, to=done)
        asking.after(timedelta(hours=1), to=late)

    first = await harness.start(Flow, Job())
    first.assert_status("waiting")
    assert first.value.note == "asked"
    await harness.signal(first, Go())
    first.assert_status("completed")
    second = await harness.start(Flow, Job())
    await harness.advance(timedelta(hours=2))
    second.assert_status("failed")
    assert second.info.failure is not None
    assert second.info.failure.code == "TOO_LATE"
    assert calls == 2


async def test_wait_outcome_with_a_time_goes_on_by_itself(harness: Harness) -> None:
    @activity
    async def nap(ctx: Context[Job]) -> Wait:
        return Wait("nap", delay=timedelta(minutes=10))

    class Flow(Workflow[Job]):
        a = State(nap)
        z = State.completed()
        a.to(z)

    job = await harness.start(Flow, Job())
    job.assert_status("waiting")
    await harness.advance(timedelta(minutes=9))
    job.assert_status("waiting")
    await harness.advance(timedelta(minutes=1))
    job.assert_status("completed")


@pytest.mark.parametrize(("outcome", "status"), [(Complete, "completed"), (Cancel, "cancelled"), (Terminate, "terminated")])
async def test_endings_by_outcome_speak_of_the_instance(harness: Harness, outcome: type, status: str) -> None:
    from tests.flows import reserve

    world = harness.services[World] = World()

    @activity
    async def end(ctx: Context[Job]) -> object:
        return outcome("enough")

    class Flow(Workflow[Job]):
        a = State(reserve, end)
        z = State.completed()
        a.to(z)

    job = await harness.start(Flow, Job())
    job.assert_status(status)
    assert job.info.reason == "enough"
    assert ("undo-reserve" in world.order) is (status != "completed")


async def test_optional_activities_are_skipped_and_fallbacks_stand_in(harness: Harness) -> None:
    @activity
    async def by_sms(ctx: Context[Job]) -> dict[str, str]:
        return {"note": "sms"}

    @activity(fallback=by_sms)
    async def by_mail(ctx: Context[Job]) -> None:
        raise ValueError("no mail")

    @activity(optional=True)
    async def confetti(ctx: Context[Job]) -> None:
        raise ValueError("no confetti")

    class Flow(Workflow[Job]):
        a = State(by_mail, confetti)
        z = State.completed()
        a.to(z)

    job = await harness.start(Flow, Job())
    job.assert_status("completed").assert_history("activity_fell_back", "activity_completed", "activity_skipped")
    assert job.value.note == "sms"


async def test_failure_reactions_match_by_code_and_exception_in_order(harness: Harness) -> None:
    @activity
    async def pick(ctx: Context[Job]) -> None:
        raise {"conn": ConnectionResetError("x"), "value": ValueError("y")}.get(ctx.data.note, Fail("CODE"))

    @activity
    async def note_it(ctx: Context[Job]) -> None:
        ctx.data.log.append(ctx.input.code)

    class Flow(Workflow[Job]):
        a = State(pick)
        by_code = State.completed()
        by_type = State.completed()
        by_any = State.completed()
        a.on_failure("CODE", to=by_code)
        a.on_failure(ConnectionError, to=by_type)
        a.on_failure(do=note_it, to=by_any)

    (await harness.start(Flow, Job(note="code"))).assert_state(Flow.by_code)
    (await harness.start(Flow, Job(note="conn"))).assert_state(Flow.by_type)
    job = (await harness.start(Flow, Job(note="value"))).assert_state(Flow.by_any)
    assert job.value.log == ["ValueError"]


async def test_a_failure_reaction_without_target_goes_on_behind_the_failed_node(harness: Harness) -> None:
    @activity
    async def breaks(ctx: Context[Job]) -> None:
        raise ValueError("x")

    @activity
    async def after(ctx: Context[Job]) -> dict[str, str]:
        return {"note": "went on"}

    class Flow(Workflow[Job]):
        a = State(breaks, after)
        z = State.completed()
        a.to(z)
        a.on_failure(ValueError)

    job = (await harness.start(Flow, Job())).assert_status("completed")
    assert job.value.note == "went on"


async def test_a_guard_that_raises_fails_the_instance_with_pure_failed(harness: Harness) -> None:
    class Flow(Workflow[Job]):
        a = State[Job]()
        z = State.completed()
        a.to(z, when=lambda job: job.amount / 0 > 1)

    job = (await harness.start(Flow, Job())).assert_status("failed")
    assert job.info.failure is not None
    assert job.info.failure.code == "pure_failed"
    assert "ZeroDivisionError" in job.info.failure.message


async def test_a_state_without_a_way_on_fails_naming_it(harness: Harness) -> None:
    class Flow(Workflow[Job]):
        a = State[Job]()
        z = State.completed()
        a.to(z, when=lambda job: False)

    job = (await harness.start(Flow, Job())).assert_status("failed")
    assert job.info.failure is not None
    assert job.info.failure.code == "no_way_on"
    assert "a" in job.info.failure.message


async def test_a_cycle_without_work_fails_with_no_progress(harness: Harness) -> None:
    class Flow(Workflow[Job]):
        a = State[Job]()
        b = State[Job]()
        a.to(b)
        b.to(a)

    job = (await harness.start(Flow, Job())).assert_status("failed")
    assert job.info.failure is not None
    assert job.info.failure.code == "no_progress"


async def test_bad_results_are_permanent_failures_and_store_nothing(harness: Harness) -> None:
    @activity(retry=Retry(attempts=5))
    async def wrong_type(ctx: Context[Job]) -> None:
        ctx.data.amount = "many"  # type: ignore[assignment]

    @activity
    async def unknown_field(ctx: Context[Job]) -> dict[str, int]:
        return {"amuont": 3}

    class Wrong(Workflow[Job]):
        a = State(wrong_type)
        z = State.completed()
        a.to(z)

    class Unknown(Workflow[Job]):
        a = State(unknown_field)
        z = State.completed()
        a.to(z)

    for flow in (Wrong, Unknown):
        job = (await harness.start(flow, Job())).assert_status("failed")
        assert job.info.failure is not None
        assert job.info.failure.code == "bad_result"
        assert job.value.amount == 0


async def test_resource_exhausted_puts_back_and_burns_no_attempt(harness: Harness) -> None:
    attempts: list[int] = []

    @activity
    async def needs_licence(ctx: Context[Job]) -> None:
        attempts.append(ctx.attempt)
        if len(attempts) < 4:
            raise ResourceExhausted("licence", retry_after=30)

    class Flow(Workflow[Job]):
        a = State(needs_licence)
        z = State.completed()
        a.to(z)

    job = (await harness.start(Flow, Job())).assert_status("waiting").assert_history("activity_deferred")
    await harness.advance(120)
    job.assert_status("completed")
    assert attempts == [1, 1, 1, 1]


async def test_an_attempt_timeout_is_enforced_and_follows_the_policy(harness: Harness) -> None:
    import asyncio

    calls = 0

    @activity(timeout=0.05, retry=Retry(attempts=2))
    async def hangs(ctx: Context[Job]) -> None:
        nonlocal calls
        calls += 1
        await asyncio.Event().wait()

    class Flow(Workflow[Job]):
        a = State(hangs)
        z = State.completed()
        a.to(z)

    job = (await harness.start(Flow, Job())).assert_status("failed")
    assert job.info.failure is not None
    assert job.info.failure.code == "timeout"
    assert calls == 2


async def test_no_retry_begins_behind_the_deadline(harness: Harness) -> None:
    calls = 0

    @activity(deadline=60, retry=Retry(attempts=100, delay=25))
    async def fails(ctx: Context[Job]) -> None:
        nonlocal calls
        calls += 1
        raise OSError("x")

    class Flow(Workflow[Job]):
        a = State(fails)
        z = State.completed()
        a.to(z)

    job = await harness.start(Flow, Job())
    await harness.advance(600)
    job.assert_status("failed")
    assert job.info.failure is not None
    assert job.info.failure.code == "deadline"
    assert calls == 3


async def test_a_checkpointed_step_runs_once_over_all_attempts(harness: Harness) -> None:
    made: list[int] = []

    def make(n: int) -> int:
        made.append(n)
        return n * 2

    @activity(retry=Retry(attempts=3))
    async def two_steps(ctx: Context[Job]) -> None:
        first = await ctx.step("first", make, 21)
        if ctx.attempt < 3:
            raise OSError("between")
        ctx.data.amount = first + await ctx.step("second", make, 1)

    class Flow(Workflow[Job]):
        a = State(two_steps)
        z = State.completed()
        a.to(z)

    job = (await harness.start(Flow, Job())).assert_status("completed").assert_history("step_recorded")
    assert job.value.amount == 44
    assert made == [21, 1]


async def test_sync_activities_can_record_steps_and_heartbeats(harness: Harness) -> None:
    @activity
    def in_thread(ctx: Context[Job]) -> dict[str, int]:
        ctx.heartbeat({"half": True})
        return {"amount": ctx.step_sync("add", sum, [1, 2, 3])}

    class Flow(Workflow[Job]):
        a = State(in_thread)
        z = State.completed()
        a.to(z)

    job = (await harness.start(Flow, Job())).assert_status("completed")
    assert job.value.amount == 6


async def test_delay_transform_and_wait_nodes(harness: Harness) -> None:
    class Flow(Workflow[Job]):
        a = State[Job](
            transform(lambda job: replace(job, amount=job.amount + 1), name="add"),
            delay(timedelta(minutes=5)),
            wait(Go, into=lambda job, s: replace(job, note=s.note)),
            wait(Go, delay=timedelta(minutes=1), name="second"),
        )
        z = State.completed()
        a.to(z)

    job = (await harness.start(Flow, Job())).assert_status("waiting")
    assert job.value.amount == 1
    await harness.advance(timedelta(minutes=5))
    job.assert_status("waiting")
    await harness.signal(job, Go(note="hello"))
    assert job.value.note == "hello"
    job.assert_status("waiting")
    await harness.advance(timedelta(minutes=1))
    job.assert_status("completed")


async def test_an_activity_that_awaits_something_cancelled_has_failed_and_is_not_run_without_end(harness: Harness) -> None:
    import asyncio

    calls = 0

    @activity
    async def awaits_cancelled(ctx: Context[Job]) -> None:
        nonlocal calls
        calls += 1
        raise asyncio.CancelledError

    class Flow(Workflow[Job]):
        a = State(awaits_cancelled)
        z = State.completed()
        a.to(z)

    job = (await harness.start(Flow, Job())).assert_status("failed")
    assert job.info.failure is not None
    assert job.info.failure.code == "CancelledError"
    assert calls == 1
