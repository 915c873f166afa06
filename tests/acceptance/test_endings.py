"""What runs when an instance ends: on_failure, on_cancel, finally_, after compensation."""

from __future__ import annotations

import pytest

from stepkeel import Context, Engine, Fail, Retry, State, TransientError, Workflow, activity, delay, wait
from stepkeel.errors import DefinitionError
from stepkeel.testing import Harness
from tests.flows import Go, Job, World, charge, reserve, ship


@activity(retry=Retry(attempts=3, delay=5))
async def tell(ctx: Context[Job], world: World) -> None:
    await world.do("tell", ctx.idempotency_key)
    ctx.data.note = f"told of {ctx.input.code}" if ctx.input else "told"


@activity
async def clean(ctx: Context[Job], world: World) -> None:
    await world.do("clean", ctx.idempotency_key)
    ctx.data.log.append("clean")


class Handled(Workflow[Job], on_failure=tell, on_cancel=[delay(60), clean], finally_=clean):
    work = State(reserve, charge, ship)
    asking = State[Job]()
    done = State.completed()
    refused = State.terminated(reason="refused")
    work.to(asking, when=lambda job: job.amount > 0)
    work.to(done)
    asking.on(Go, to=refused)


async def test_a_failed_instance_is_undone_then_on_failure_and_finally_run(harness: Harness) -> None:
    world = harness.services[World] = World()
    job = await harness.start(Handled, Job(note="explode"))
    job.assert_status("failed")
    assert world.order == ["reserve", "charge", "ship", "undo-charge", "undo-reserve", "tell", "clean"]
    assert job.value.note == "told of ValueError"
    assert {k.partition("/")[2] for k in world.effects} >= {"!on_failure/tell", "!finally/clean"}


async def test_after_a_redrive_they_run_under_keys_of_their_own(harness: Harness) -> None:
    """Else whoever tells others by the key would not tell them of the second failure."""
    world = harness.services[World] = World()
    job = await harness.start(Handled, Job(note="explode"))
    await job.set_data({"note": "explode"})
    await job.redrive(from_state="work")
    await harness.settle()
    job.assert_status("failed")
    handled = {k.partition("/")[2]: n for k, n in world.effects.items() if "!" in k}
    assert handled == {"!on_failure/tell": 1, "!finally/clean": 1, "!on_failure#2/tell": 1, "!finally#2/clean": 1}


async def test_completion_runs_finally_alone(harness: Harness) -> None:
    world = harness.services[World] = World()
    job = await harness.start(Handled, Job())
    job.assert_status("completed")
    assert world.order == ["reserve", "charge", "ship", "clean"]


async def test_cancel_and_termination_run_on_cancel_with_its_timers_and_retries(harness: Harness) -> None:
    world = harness.services[World] = World()
    world.fail["clean"] = 1
    world.errors["clean"] = TransientError("busy")
    cancelled = await harness.start(Handled, Job(amount=1))
    await cancelled.cancel(actor="ann")
    await harness.settle()
    cancelled.assert_status("waiting")
    await harness.advance(120)
    cancelled.assert_status("cancelled")
    assert world.order == ["reserve", "charge", "ship", "clean", "clean", "clean"]
    ended = await harness.start(Handled, Job(amount=1))
    await harness.signal(ended, Go())
    await harness.advance(120)
    ended.assert_status("terminated").assert_history("compensation_completed", "timer_fired", "terminated")


async def test_a_handler_that_finally_fails_makes_the_instance_fail_and_keeps_both_causes(harness: Harness) -> None:
    world = harness.services[World] = World()
    world.fail["clean"] = 1
    world.errors["clean"] = ValueError("no broom")
    completed = await harness.start(Handled, Job())
    failure = completed.assert_status("failed").info.failure
    assert failure is not None
    assert (failure.code, failure.path) == ("ValueError", "!finally/clean")
    world.fail["clean"] = 1
    failed = await harness.start(Handled, Job(note="explode"))
    failure = failed.assert_status("failed").info.failure
    assert failure is not None
    assert failure.message == "boom"
    assert [e.message for e in failure.undo_errors] == ["no broom"]


async def test_terminate_in_the_midst_of_an_ending_leaves_the_handlers_out(harness: Harness) -> None:
    world = harness.services[World] = World()
    job = await harness.start(Handled, Job(amount=1))
    await job.cancel()
    await harness.settle()
    await job.terminate()
    await harness.settle()
    job.assert_status("terminated")
    assert "clean" not in world.order


async def test_a_crash_in_a_handler_runs_it_again_with_the_same_key(url: str) -> None:
    from tests.acceptance.crash import crash, crashed_engine
    from tests.flows import FAST

    world = World()
    world.gate("tell")
    first = await crashed_engine(url, [Handled], world)
    job = await first.start(Handled, Job(note="explode"))
    await world.entered["tell"].wait()
    crash(first)
    world.gates.clear()
    async with Engine(url, [Handled], {World: world}, settings=FAST) as second:
        assert (await second.wait(job.id, 10)).status == "failed"
        assert world.effects[f"{job.id}/!on_failure/tell"] == 2
        assert world.effects[f"{job.id}/!finally/clean"] == 1


def test_a_handler_cannot_wait_for_a_signal() -> None:
    with pytest.raises(DefinitionError, match="bad_handler"):

        class Bad(Workflow[Job], on_cancel=wait(Go)):
            a = State.completed()

    assert Fail("X").code == "X"
