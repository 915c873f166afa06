"""What operators and stop nodes do to one node, in conversations."""

from __future__ import annotations

from typing import Any

import pytest

from stepkeel import Join, State, Workflow, delay, for_each, loop, machine, parallel, scope, stop, wait
from stepkeel.errors import BadRequest
from stepkeel.model import input as inputs
from stepkeel.model.effect import End, RunAttempt, StopAttempt
from stepkeel.testing import Scenario
from tests.flows import Go, Job
from tests.kernel.bodies import Ping, act, build, tell


def scenario(*body: Any) -> Scenario:
    return Scenario(build(*body, tell), Job())


def run(path: str) -> RunAttempt:
    return RunAttempt(path, 1)


TELL = run("work/tell")


def test_a_cancelled_branch_has_ended_and_nothing_else_is_touched() -> None:
    s = scenario(parallel(one=[wait(Ping), tell], two=act, join=Join(1)))
    s.feed(inputs.CancelNode("work/parallel:one", actor="ann", reason="not wanted"))
    assert s.events() == ["node_cancelled", "branch_ended"]
    assert s.last.events[0].detail == {"then": "end", "reason": "not wanted", "by": "ann"}
    assert set(s.snapshot.open) == {"work/parallel", "work/parallel:two/act"}
    s.done("work/parallel:two/act")
    s.expect(TELL)


def test_cancelling_a_node_ends_the_branch_around_it_or_goes_on_behind_it() -> None:
    for then, expected in (("end", None), ("skip", run("work/parallel:one/tell"))):
        s = scenario(parallel(one=[wait(Ping), tell], two=wait(Ping), join="any"))
        s.feed(inputs.CancelNode("work/parallel:one/wait", then))  # type: ignore[arg-type]
        assert [e for e in s.last.effects if isinstance(e, RunAttempt)] == ([expected] if expected else [])


def test_a_cancelled_attempt_is_stopped_the_flow_goes_on_and_late_success_is_undone_in_the_end() -> None:
    s = scenario(act)
    s.feed(inputs.CancelNode("work/act", "skip"))
    s.expect(StopAttempt("work/act", 1), TELL)
    s.done("work/act", amount=9)
    assert s.data.amount == 0
    assert [u.path for u in s.snapshot.undo] == ["work/act"]


def test_a_need_that_cannot_be_met_after_a_cancellation_fails_the_join() -> None:
    s = scenario(parallel(one=wait(Ping), two=wait(Ping)))
    s.feed(inputs.CancelNode("work/parallel:one"))
    assert s.snapshot.failure is not None
    assert s.snapshot.failure.code == "join_unmet"


def test_what_is_not_open_is_refused_and_what_is_open_is_told() -> None:
    s = scenario(parallel(one=loop(wait(Ping)), two=act))
    before = s.snapshot
    for request in (
        inputs.CancelNode("work/nothing"),
        inputs.CompleteNode("work/parallel:one"),
        inputs.CancelNode("work/parallel:three"),
    ):
        decision = s.feed(request)
        assert decision.refused == "invalid_transition"
        told = set(decision.message.partition("there are: ")[2].split(", "))
        assert told == {"work/parallel", "work/parallel:one/loop", "work/parallel:one/loop/wait", "work/parallel:two/act"}
    assert "in flight" in s.feed(inputs.CompleteNode("work/parallel:two/act")).message
    s = scenario(wait(Ping))
    assert "then='skip'" in s.feed(inputs.CancelNode("work/wait")).message
    assert before.open


def test_completing_ends_containers_with_what_they_have() -> None:
    s = scenario(for_each(lambda j: range(5), act, max_concurrency=2))
    s.done("work/for_each[0]/act")
    s.feed(inputs.CompleteNode("work/for_each"))
    s.expect(StopAttempt("work/for_each[1]/act", 1), StopAttempt("work/for_each[2]/act", 1), TELL)
    s = scenario(loop(wait(Ping), tell))
    s.feed(inputs.CompleteNode("work/loop"))
    s.expect(TELL)

    class Inner(Workflow[Job]):
        waiting = State[Job](name="waiting")
        over = State.completed()
        waiting.on(Go, to=over)
        waiting.after(60.0, to=over)

    s = scenario(machine(Inner))
    s.feed(inputs.CompleteNode("work/Inner"))
    s.expect(TELL)
    assert not s.snapshot.timers


def test_completing_a_node_that_waits_is_its_end() -> None:
    s = scenario(delay(60))
    s.feed(inputs.CompleteNode("work/delay"))
    s.expect(TELL)
    s = scenario(act)
    s.done("work/act", outcome="wait")
    s.feed(inputs.CompleteNode("work/act"))
    s.expect(TELL)


def test_items_may_be_added_while_it_runs_and_are_bounded_like_the_others() -> None:
    s = scenario(for_each(lambda j: [1], act, max_concurrency=2))
    s.feed(inputs.AddItems("work/for_each", [2, 3], "ann"))
    s.expect(run("work/for_each[1]/act"))
    for k in range(3):
        s.done(f"work/for_each[{k}]/act")
    assert s.last.events[-1].type == "join_resolved"
    assert s.last.events[-1].detail == {"arrived": 3, "size": 3}
    assert "no for_each" in s.feed(inputs.AddItems("work/for_each", [4])).message


def test_a_paused_instance_takes_it_and_begins_nothing() -> None:
    s = scenario(wait(Ping))
    s.feed(inputs.Pause())
    s.feed(inputs.CancelNode("work/wait", "skip"))
    assert not [e for e in s.last.effects if isinstance(e, RunAttempt)]
    s.feed(inputs.Resume())
    s.expect(TELL)


def test_data_are_set_at_rest_and_checked_and_a_failed_instance_stays_failed_until_it_is_redriven() -> None:
    s = scenario(act)
    assert "in flight (work/act)" in s.feed(inputs.SetData({"amount": 3})).message
    s.failed("work/act")
    assert "no field amuont" in s.feed(inputs.SetData({"amuont": 3})).message
    assert "amount" in s.feed(inputs.SetData({"amount": "many"})).message
    s.feed(inputs.SetData({"amount": 3}, "ann", "corrected"))
    assert (s.snapshot.status, s.data.amount) == ("failed", 3)
    s.expect()
    assert s.last.events[0].detail == {"fields": ["amount"], "reason": "corrected", "by": "ann"}
    s.feed(inputs.Redrive())
    s.expect(run("work/act"))
    s = scenario(wait(condition=lambda j: j.amount > 5))
    s = Scenario(build(parallel(one=wait(condition=lambda j: j.amount > 5), two=wait(Ping)), tell), Job())
    s.feed(inputs.SetData({"amount": 6}))
    assert "wait_ended" in s.events(), "conditions are asked then"


# -- the node


def test_a_stop_node_cancels_what_is_open_under_its_target() -> None:
    s = scenario(parallel(one=[act, stop("six/quote")], two=[scope(wait(Ping), on={Go: []}, name="quote"), tell], three=act))
    s.done("work/parallel:one/act")
    assert s.snapshot.failure is None
    assert "node_skipped" in s.events(), "there is no such path"
    s = scenario(parallel(one=[act, stop("two/quote", then="skip")], two=[scope(wait(Ping), on={Go: []}, name="quote"), tell]))
    s.done("work/parallel:one/act")
    s.expect(run("work/parallel:two/tell"))
    s = scenario(parallel(one=[act, stop("parallel:two/act")], two=[act, tell], join=1))
    s.done("work/parallel:one/act")
    s.expect(StopAttempt("work/parallel:two/act", 1), TELL)


def test_a_stop_node_completes_a_for_each_from_within() -> None:
    s = scenario(for_each(lambda j: range(3), act, stop("lines", how="complete"), name="lines"))
    s.done("work/lines[1]/act")
    s.expect(StopAttempt("work/lines[0]/act", 1), StopAttempt("work/lines[2]/act", 1), TELL)
    for k in (0, 2):
        s.feed(inputs.AttemptEnded(f"work/lines[{k}]/act", 1, "stopped"))
    s.done("work/tell")
    s.expect(End())


def test_what_makes_no_sense_is_refused() -> None:
    for wrong in (lambda: stop(""), lambda: stop("a", how="kill"), lambda: stop("a", then="maybe")):  # type: ignore[arg-type]
        with pytest.raises(BadRequest):
            wrong()


def test_what_was_told_to_stop_is_not_open_any_more_though_it_has_not_ended() -> None:
    s = scenario(parallel(one=act, two=wait(Ping), join="any"))
    s.signal(Ping())
    assert s.snapshot.open["work/parallel:one/act"].run == "stopping"
    for request in (inputs.CancelNode("work/parallel:one/act", "skip"), inputs.CompleteNode("work/parallel:one/act")):
        assert "is not open" in s.feed(request).message
