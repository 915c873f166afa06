"""Where operators put an instance: set_state, and redrive from a state or a node, in conversations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stepkeel import Anywhere, Join, Signal, State, Workflow, at, delay, during, machine, parallel, wait
from stepkeel.kernel.decide import apply_only
from stepkeel.model import input as inputs
from stepkeel.model.effect import Park, RunAttempt, StopAttempt
from stepkeel.testing import Scenario
from tests.flows import Go, Job
from tests.kernel.bodies import Ping, act, build, tell


class Flow(Workflow[Job]):
    """Three states; the last may not be set."""

    begin = State[Job](act, tell, wait(Ping), name="begin")
    check = State[Job](tell, act, name="check")
    paid = State[Job](settable=False)
    done = State.completed()
    begin.to(check)
    begin.after(3_600, to=done)
    check.after(60, to=done, name="late")
    check.to(paid)
    paid.on(Go, to=done)


def run(path: str) -> RunAttempt:
    return RunAttempt(path, 1)


def failed(workflow: Any = Flow, path: str = "begin/tell") -> Scenario:
    s = Scenario(workflow, Job())
    s.done("begin/act")
    s.failed(path)
    while s.snapshot.open:  # the undo of act
        (undo,) = s.snapshot.open
        s.done(undo)
    assert s.snapshot.status == "failed"
    return s


def test_a_state_is_set_once_the_attempt_in_flight_has_ended_and_nothing_begins_until_then() -> None:
    s = Scenario(Flow, Job())
    s.feed(inputs.SetState("check", actor="ann", reason="by hand"))
    s.expect()
    assert (s.events(), s.snapshot.state, s.snapshot.status) == (["state_set"], "begin", "running")
    assert s.last.events[0].detail == {"to": "check", "reason": "by hand", "by": "ann"}
    s.done("begin/act", amount=4)
    s.expect(run("check/tell"))
    assert s.events() == ["activity_completed", "transitioned", "state_entered", "timer_scheduled"]
    assert s.last.events[1].detail == {"from": "begin", "to": "check", "trigger": "set_state", "by": "ann"}
    assert (s.data.amount, s.snapshot.moving) == (4, None)
    assert set(s.snapshot.timers) == {"check!late"}, "those of the left state are gone"


def test_or_the_attempt_is_stopped_and_what_it_has_done_is_undone_in_the_end() -> None:
    s = Scenario(Flow, Job())
    s.feed(inputs.SetState("check", stop=True))
    s.expect(StopAttempt("begin/act", 1))
    s.done("begin/act", amount=4)
    s.expect(run("check/tell"))
    assert s.data.amount == 0
    assert [u.path for u in s.snapshot.undo] == ["begin/act"]


def test_an_attempt_that_fails_meanwhile_fails_nothing() -> None:
    s = Scenario(Flow, Job())
    s.feed(inputs.SetState("check"))
    s.failed("begin/act")
    s.expect(run("check/tell"))
    assert (s.snapshot.status, s.snapshot.failure) == ("running", None)


def test_it_may_be_a_node_of_the_body_or_no_body_at_all() -> None:
    s = Scenario(build(wait(Ping), act, tell), Job())
    s.feed(inputs.SetState("work/tell"))
    s.expect(run("work~2/tell"))
    s = Scenario(build(wait(Ping), act), Job())
    s.feed(inputs.SetState("work", body=False))
    assert s.snapshot.status == "completed", "its way on is taken at once"


def test_signals_sent_to_the_state_that_was_left_are_ignored_and_its_tasks_timers_and_branches_are_gone() -> None:
    body = parallel(one=[delay(60), act], two=wait(Ping), join=Join("all"))
    s = Scenario(build(body), Job())
    s.signal(Ping(), judged=False)
    s.feed(inputs.SetState("done"))
    assert (s.snapshot.status, s.snapshot.open, s.snapshot.timers) == ("completed", {}, {})
    assert "signal_ignored" in s.events()


def test_an_inner_machine_is_left_with_its_node() -> None:
    s = Scenario(build(machine(build(wait(Ping))), act), Job())
    s.feed(inputs.SetState("work/act"))
    s.expect(run("work~2/act"))
    assert set(s.snapshot.open) == {"work~2/act"}


def test_one_that_was_never_claimed_begins_where_it_was_put() -> None:
    s = Scenario(Flow, Job(), claimed=False)
    s.feed(inputs.SetState("check"))
    s.expect(run("check/tell"))
    assert s.snapshot.visits == {"check": 1}


def test_a_paused_one_stands_there_and_goes_on_when_resumed() -> None:
    s = Scenario(build(wait(Ping), act), Job())
    s.feed(inputs.Pause("ann"))
    s.feed(inputs.SetState("work/act"))
    s.expect(Park(None))
    assert (s.snapshot.status, s.snapshot.state) == ("paused", "work")
    s.feed(inputs.Resume("ann"))
    s.expect(run("work~2/act"))


def test_paused_with_an_attempt_in_flight_it_moves_when_that_has_ended() -> None:
    s = Scenario(Flow, Job())
    s.feed(inputs.Pause("ann"))
    s.feed(inputs.SetState("check"))
    assert (s.snapshot.status, s.snapshot.state) == ("paused", "begin")
    s.done("begin/act")
    assert (s.snapshot.status, s.snapshot.state) == ("paused", "check")
    s.feed(inputs.Resume("ann"))
    s.expect(run("check/tell"))


def test_an_ending_that_comes_meanwhile_ends_it() -> None:
    s = Scenario(Flow, Job())
    s.feed(inputs.SetState("check"))
    s.feed(inputs.Cancel("bob"))
    s.feed(inputs.AttemptEnded("begin/act", 1, "stopped"))
    assert (s.snapshot.status, s.snapshot.moving) == ("cancelled", None)


def test_a_failed_one_is_open_again() -> None:
    s = failed()
    s.feed(inputs.SetState("check/act", actor="ann"))
    s.expect(run("check/act"))
    assert (s.snapshot.status, s.snapshot.failure) == ("running", None)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (inputs.SetState("nowhere"), "no state nowhere that may be set; there are: begin, check, done"),
        (inputs.SetState("paid"), "no state paid that may be set"),
        (inputs.SetState("begin/pay"), "no node of the body of begin; there are: begin/act, begin/tell, begin/wait"),
        (inputs.SetState("begin/parallel:x/act"), "is no node of the body"),
        (inputs.SetState("begin/act", body=False), "one of the two"),
    ],
)
def test_where_it_cannot_be_put_is_refused_and_nothing_is_changed(asked: inputs.SetState, told: str) -> None:
    for s in (Scenario(Flow, Job()), failed()):
        before = s.snapshot
        decision = s.feed(asked)
        assert (decision.refused, decision.snapshot) == ("invalid_transition", before)
        assert told in decision.message


def test_a_redrive_from_a_node_is_a_new_visit_with_keys_of_its_own() -> None:
    s = failed()
    s.feed(inputs.Redrive("ann", from_state="begin/act"))
    s.expect(run("begin~2/act"))
    assert s.last.events[0].detail == {"by": "ann", "from": "begin/act"}
    s.done("begin~2/act")
    s.expect(run("begin~2/tell"))


def test_a_redrive_from_behind_what_was_undone_is_refused_and_names_it() -> None:
    s = failed()
    for asked in (inputs.Redrive(from_state="begin/tell"), inputs.Redrive(from_state="begin/wait")):
        assert "before begin/" in s.feed(asked).message
        assert "begin/act; say from there" in s.last.message
    s.feed(inputs.Redrive(from_state="check/act"))
    s.expect(run("check/act"))


def test_nested_in_a_node_it_counts_too() -> None:
    s = Scenario(build(parallel(one=act, two=tell), tell), Job())
    s.done("work/parallel:one/act")
    s.done("work/parallel:two/tell")
    s.failed("work/tell")
    (undo,) = s.snapshot.open
    s.done(undo)
    assert "work/parallel:one/act; say from there" in s.feed(inputs.Redrive(from_state="work/tell")).message
    s.feed(inputs.Redrive(from_state="work/parallel"))
    s.expect(run("work~2/parallel:one/act"), run("work~2/parallel:two/tell"))


@pytest.mark.parametrize("asked", [inputs.SetState("check"), inputs.Redrive(from_state="check"), inputs.Redrive()])
def test_without_the_definition_it_is_noted_and_done_by_whoever_has_it(asked: inputs.Control) -> None:
    class Plain(Workflow[Job]):
        begin = State[Job](tell, name="begin")
        check = State[Job](tell, name="check")
        done = State.completed()
        begin.to(check)
        begin.after(60, to=done, name="late")
        check.to(done)

    s = Scenario(Plain, Job())
    s.failed("begin/tell")
    decision = apply_only(s.snapshot, asked, s.now + 1, 1, None)
    assert (decision.snapshot.status, decision.snapshot.state, decision.refused) == ("running", "begin", "")
    s.snapshot = decision.snapshot
    s.history.append(s.history[-1].__class__(decision.snapshot.revision, decision.snapshot.at, "", "", *_row(decision)))
    s.feed(inputs.Claimed())
    plain = isinstance(asked, inputs.Redrive) and not asked.from_state
    s.expect(run("begin/tell" if plain else "check/tell"))
    assert (set(s.snapshot.timers) == {"begin!late"}) is plain, "timeouts count anew"


def _row(decision: Any) -> tuple[bytes, bytes]:
    from stepkeel.kernel.history import history_row

    row = history_row(decision, "", "")
    return row.events, row.changes


def test_nothing_else_moves_it_while_it_waits_to_be_moved() -> None:
    class Note(Signal): ...

    class Busy(Workflow[Job]):
        begin = State[Job](act, name="begin")
        check = State[Job](wait(Ping), name="check")
        done = State.completed()
        begin.on(Note, to=done, interrupt=True)
        begin.after(5, to=done, interrupt=True)
        begin.to(done)
        check.to(done)

    s = Scenario(Busy, Job())
    s.feed(inputs.SetState("check"))
    s.signal(Note())
    s.feed(inputs.Tick(), after=9_000_000)
    assert s.snapshot.state == "begin"
    s.done("begin/act")
    assert s.snapshot.state == "check"
    assert "signal_ignored" in s.events()


def test_a_timeout_whose_span_cannot_be_told_any_more_fails_the_redriven_instance_and_not_the_engine() -> None:
    class Timed(Workflow[Job]):
        anywhere = Anywhere[Job]()
        work = State[Job](tell)
        done = State.completed()
        work.to(done)
        work.after(lambda job: timedelta(seconds=5 // (1 - job.amount)), to=done)

    class Whole(Workflow[Job]):
        anywhere = Anywhere[Job]()
        work = State[Job](tell)
        done = State.completed()
        work.to(done)
        anywhere.after(lambda job: timedelta(seconds=5 // (1 - job.amount)), to=done, name="late")

    for flow in (Timed, Whole):
        for asked in (inputs.Redrive(), inputs.Redrive(from_state="work"), inputs.SetState("work")):
            s = Scenario(flow, Job())
            s.failed("work/tell")
            s.feed(inputs.SetData({"amount": 1}))
            s.feed(asked)
            assert s.snapshot.status == "failed"
            assert s.snapshot.failure is not None
            assert s.snapshot.failure.code == "pure_failed"


def test_a_redrive_within_a_body_that_is_offered_goes_on_where_it_failed_and_runs_nothing_before_it_again() -> None:
    s = Scenario(build(during(at("work"), tell, wait(Ping), act), tell), Job())
    s.done("work/during/tell")
    s.signal(Ping())
    s.failed("work/during/act")
    s.feed(inputs.Redrive())
    s.expect(run("work/during/act"))
    s.done("work/during/act")
    s.expect(run("work/tell"))
