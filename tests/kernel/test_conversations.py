"""The kernel in conversations: an input, its effects and nothing else."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace as put
from datetime import timedelta
from pathlib import Path

from stepkeel import Context, Fail, Retry, State, Workflow, activity, delay, log
from stepkeel.kernel.decide import outstanding
from stepkeel.kernel.replay import data_at, fold
from stepkeel.model import input as inputs
from stepkeel.model.effect import End, Log, Park, RunAttempt, SettleSignal, StopAttempt
from stepkeel.testing import Scenario
from tests.flows import ChainFlow, Go, Job, OrderFlow, Stop


@activity(retry=Retry(attempts=3, delay=10))
async def fetch(ctx: Context[Job]) -> Fail | None: ...


@activity
async def tell(ctx: Context[Job, Stop]) -> None: ...


class Fetch(Workflow[Job]):
    a = State(fetch)
    z = State.completed(log("{name} is done"))
    a.to(z)


def test_a_chain_step_by_step() -> None:
    s = Scenario(ChainFlow, Job())
    s.expect(RunAttempt("work/reserve", 1))
    s.done("work/reserve", amount=1)
    s.expect(RunAttempt("work/charge", 1))
    s.done("work/charge")
    s.expect(RunAttempt("work/ship", 1))
    assert outstanding(s.snapshot) == (RunAttempt("work/ship", 1),)
    s.done("work/ship")
    s.expect(End())
    assert s.snapshot.status == "completed"
    assert [u.path for u in s.snapshot.undo] == ["work/reserve", "work/charge"]


def test_a_start_without_an_owner_waits_to_be_claimed() -> None:
    s = Scenario(ChainFlow, Job(), claimed=False)
    assert (s.snapshot.status, s.snapshot.state) == ("created", "")
    s.feed(inputs.Claimed())
    s.expect(RunAttempt("work/reserve", 1))


def test_a_retry_with_a_delay_parks_and_comes_back_with_the_next_attempt() -> None:
    s = Scenario(Fetch, Job())
    s.failed("a/fetch", "OSError")
    due = s.now + 10_000_000
    s.expect(Park(due))
    s.feed(inputs.Tick(), after=1)
    s.expect(Park(due))
    s.feed(inputs.Tick(), after=10_000_000)
    s.expect(RunAttempt("a/fetch", 2))
    s.done("a/fetch", attempt=2)
    s.expect(Log("info", "job is done"), End())


def test_a_lost_attempt_runs_again_with_the_same_number_and_six_in_a_row_fail() -> None:
    s = Scenario(Fetch, Job())
    for _ in range(5):
        s.feed(inputs.Claimed())
        s.expect(RunAttempt("a/fetch", 1))
    s.feed(inputs.Claimed())
    s.expect(End())
    assert s.snapshot.failure is not None
    assert s.snapshot.failure.code == "attempts_lost"


def test_a_deferred_attempt_burns_none() -> None:
    s = Scenario(Fetch, Job())
    s.feed(inputs.AttemptDeferred("a/fetch", 1, "busy", 5_000_000))
    s.expect(Park(s.now + 5_000_000))
    s.feed(inputs.Tick(), after=5_000_000)
    s.expect(RunAttempt("a/fetch", 1))


def test_signal_handler_with_a_body_holds_the_signal_until_it_is_done() -> None:
    class Flow(Workflow[Job]):
        a = State[Job]()
        z = State.completed()
        a.on(Stop, to=z, do=tell)

    s = Scenario(Flow, Job())
    s.expect(Park(None))
    s.signal(Stop(reason="x"))
    s.expect(RunAttempt("a!Stop/tell", 1))
    s.done("a!Stop/tell")
    s.expect(SettleSignal(1, "processed"), End())


def test_a_handler_that_stays_has_a_new_path_at_each_firing() -> None:
    class Flow(Workflow[Job]):
        a = State[Job]()
        a.on(Stop, do=tell)

    s = Scenario(Flow, Job())
    s.signal(Stop())
    s.expect(RunAttempt("a!Stop/tell", 1))
    s.signal(Stop())
    s.expect()
    s.done("a!Stop/tell")
    s.expect(SettleSignal(1, "processed"), RunAttempt("a!Stop#2/tell", 1))
    s.done("a!Stop#2/tell")
    s.expect(SettleSignal(2, "processed"), Park(None))


def test_a_new_visit_has_new_paths() -> None:
    class Flow(Workflow[Job]):
        a = State(fetch)
        b = State[Job]()
        a.to(b)
        b.on(Go, to=a)

    s = Scenario(Flow, Job())
    s.done("a/fetch")
    s.signal(Go())
    s.expect(SettleSignal(1, "processed"), RunAttempt("a~2/fetch", 1))


def test_cancel_stops_what_flies_and_undoes_late_successes_too() -> None:
    s = Scenario(ChainFlow, Job())
    s.done("work/reserve")
    s.feed(inputs.Cancel("ann", "x", compensate=True))
    s.expect(StopAttempt("work/charge", 1))
    assert s.snapshot.ending is not None
    s.done("work/charge")
    s.expect(RunAttempt("undo/4", 1))
    assert "late_result_dropped" in s.events()
    s.done("undo/4")
    s.expect(RunAttempt("undo/2", 1))
    s.done("undo/2")
    s.expect(End())
    assert s.snapshot.status == "cancelled"


def test_pause_records_what_ends_and_opens_nothing() -> None:
    s = Scenario(ChainFlow, Job())
    s.feed(inputs.Pause("ann"))
    s.expect()
    assert s.snapshot.status == "paused"
    s.done("work/reserve", amount=7)
    s.expect(Park(None))
    assert s.snapshot.open["work/charge"].run == "ready"
    s.feed(inputs.Resume("ann"))
    s.expect(RunAttempt("work/charge", 1))


def test_a_failure_while_paused_is_judged_after_resume() -> None:
    s = Scenario(Fetch, Job())
    s.feed(inputs.Pause())
    s.failed("a/fetch", "NO", kind="business")
    s.expect(Park(None))
    assert s.snapshot.status == "paused"
    s.feed(inputs.Resume())
    s.expect(End())
    assert s.snapshot.status == "failed"


def test_signals_before_timers_and_both_only_at_rest() -> None:
    class Flow(Workflow[Job]):
        a = State(fetch, delay(60))
        by_signal = State.completed()
        by_time = State.completed()
        a.on(Go, to=by_signal)
        a.after(timedelta(seconds=1), to=by_time)

    s = Scenario(Flow, Job())
    s.signal(Go())
    s.feed(inputs.Tick(), after=2_000_000)
    s.expect()
    s.done("a/fetch")
    assert s.snapshot.state == "by_signal"


def test_now_never_runs_behind_the_history() -> None:
    s = Scenario(ChainFlow, Job())
    s.now = 5
    s.done("work/reserve")
    assert s.snapshot.at == s.history[0].at + 1


def test_history_folds_to_the_data_of_any_revision() -> None:
    s = Scenario(ChainFlow, Job())
    s.done("work/reserve", amount=1)
    s.done("work/charge", amount=2)
    assert [data_at(s.history, r)["amount"] for r in (1, 2, 3)] == [0, 1, 2]
    assert fold(s.history, 1)["state"] == "work"


def test_jitter_comes_from_the_seed_alone() -> None:
    def delays(seed: int) -> object:
        s = Scenario(OrderFlow, Job(), seed=seed)
        s.done("begin/reserve")
        s.failed("begin/charge", "OSError")
        return s.last.effects

    assert delays(1) == delays(1)
    assert delays(1) != delays(2)


def test_a_decision_is_the_same_bytes_in_processes_with_other_hash_seeds() -> None:
    code = (
        "import msgspec; from stepkeel.testing import Scenario; from tests.flows import *;"
        "s = Scenario(OrderFlow, Job()); s.done('begin/reserve'); s.failed('begin/charge', 'OSError');"
        "print(msgspec.json.encode(s.snapshot), [ (h.events, h.changes) for h in s.history ])"
    )
    root = Path(__file__).parents[2]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "77")
    }
    assert len(outputs) == 1


def test_data_with_sets_is_encoded_the_same_way_everywhere() -> None:
    from stepkeel.model.codec import Codec
    from tests.kernel.shapes import Tagged

    assert Codec(Tagged).encode(Tagged({"b", "a", "c"})) == b'{"tags":["a","b","c"]}'
    assert put(Job(), name="x").name == "x"
