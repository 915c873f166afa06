"""What a user sees of a workflow that runs: data, attempts, compensation, endings."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from stepkeel import (
    Context,
    Fail,
    PermanentError,
    Retry,
    State,
    Workflow,
    activity,
)
from stepkeel.testing import Harness
from tests.flows import ChainFlow, Job, OrderFlow, World


async def test_attempts_after_an_error_see_identical_data_and_a_failed_attempt_leaves_no_trace(harness: Harness) -> None:
    world = harness.services[World] = World()
    world.fail["charge"] = 2
    job = await harness.start(ChainFlow, Job())
    await harness.advance(60)
    job.assert_status("completed")
    assert world.seen == [["reserve", "charge"]] * 3
    assert job.value.log == ["reserve", "charge", "ship"]


async def test_compensations_run_in_reverse_order_of_completion_each_once(harness: Harness) -> None:
    world = harness.services[World] = World()
    job = await harness.start(ChainFlow, Job(note="explode"))
    job.assert_status("failed").assert_history("activity_failed", "compensation_began", "compensation_completed", "failed")
    assert world.order == ["reserve", "charge", "ship", "undo-charge", "undo-reserve"]
    assert set(world.effects.values()) == {1}
    assert job.info.failure is not None
    assert job.info.failure.code == "ValueError"


async def test_a_failing_compensation_leaves_status_failed_with_both_causes(harness: Harness) -> None:
    world = harness.services[World] = World()
    world.fail["undo-charge"] = 99
    world.errors["undo-charge"] = PermanentError("the bank refuses")
    job = await harness.start(ChainFlow, Job(note="explode"))
    job.assert_status("failed")
    failure = job.info.failure
    assert failure is not None
    assert failure.code == "ValueError"
    assert [(e.code, e.message) for e in failure.undo_errors] == [("permanent", "the bank refuses")]
    assert "undo-reserve" in world.order, "the default policy goes on with the rest"


@pytest.mark.parametrize(
    ("policy", "status", "rest"),
    [("continue_then_fail", "failed", True), ("stop_and_fail", "failed", False), ("continue_then_terminate", "terminated", True)],
)
async def test_the_compensation_policy_says_what_a_failing_undo_means(
    harness: Harness, policy: str, status: str, rest: bool
) -> None:
    from tests.flows import charge, reserve, ship

    class Policy(Workflow[Job], compensation=policy):  # type: ignore[call-arg]
        work = State(reserve, charge, ship)
        done = State.completed()
        work.to(done)

    world = harness.services[World] = World()
    world.fail["undo-charge"] = 99
    world.errors["undo-charge"] = PermanentError("no")
    job = await harness.start(Policy, Job(note="explode"))
    job.assert_status(status)
    assert ("undo-reserve" in world.order) is rest
    if not rest:
        job.assert_history("compensation_failed", "compensation_skipped")


async def test_a_declined_card_takes_the_failure_transition_and_compensates(harness: Harness) -> None:
    world = harness.services[World] = World()
    job = await harness.start(OrderFlow, Job(amount=-1))
    job.assert_status("terminated").assert_state(OrderFlow.rejected)
    assert world.order == ["reserve", "charge", "undo-reserve"]


async def test_completion_runs_no_compensation(harness: Harness) -> None:
    world = harness.services[World] = World()
    job = await harness.start(ChainFlow, Job())
    job.assert_status("completed")
    assert world.order == ["reserve", "charge", "ship"]


async def test_a_business_failure_is_not_retried_unless_its_code_is_listed(harness: Harness) -> None:
    calls: list[str] = []

    @activity(retry=Retry(attempts=3))
    async def plain(ctx: Context[Job]) -> Fail:
        calls.append("plain")
        return Fail("NO")

    @activity(retry=Retry(attempts=3, retry_on=("NO",)))
    async def listed(ctx: Context[Job]) -> Fail:
        calls.append("listed")
        return Fail("NO")

    class Plain(Workflow[Job]):
        a = State(plain)
        z = State.completed()
        a.to(z)

    class Listed(Workflow[Job]):
        a = State(listed)
        z = State.completed()
        a.to(z)

    (await harness.start(Plain, Job())).assert_status("failed")
    (await harness.start(Listed, Job())).assert_status("failed")
    assert calls == ["plain", "listed", "listed", "listed"]


async def test_give_up_on_outranks_retry_on(harness: Harness) -> None:
    calls = 0

    @activity(retry=Retry(attempts=5, retry_on=OSError, give_up_on=ConnectionError))
    async def fragile(ctx: Context[Job]) -> None:
        nonlocal calls
        calls += 1
        raise (TimeoutError if calls < 3 else ConnectionResetError)("gone")

    class Flow(Workflow[Job]):
        a = State(fragile)
        z = State.completed()
        a.to(z)

    (await harness.start(Flow, Job())).assert_status("failed")
    assert calls == 3


async def test_exponential_backoff_is_bounded_and_durable(harness: Harness) -> None:
    times: list[float] = []

    @activity(retry=Retry(attempts=5, delay=10, backoff="exponential", max_delay=25))
    async def again(ctx: Context[Job]) -> None:
        times.append(ctx.now.timestamp())
        raise OSError("no")

    class Flow(Workflow[Job]):
        a = State(again)
        z = State.completed()
        a.to(z)

    job = await harness.start(Flow, Job())
    job.assert_status("waiting")
    await harness.advance(timedelta(minutes=5))
    job.assert_status("failed")
    assert [round(b - a) for a, b in pairwise(times)] == [10, 20, 25, 25]
