"""Children as conversations: begun in the commit that decides it, waited for, told to end, never twice anybody's business."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from stepkeel import ChildResult, Signal, State, Workflow, child, loop, parallel, when
from stepkeel.engine.deploy import registry
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.kernel.family import GRACE
from stepkeel.model import input as inputs
from stepkeel.model.decision import Decision
from stepkeel.model.effect import ControlChild, StartChild
from stepkeel.model.snapshot import Failure, Parent
from stepkeel.testing import Scenario
from tests.flows import Job
from tests.kernel.bodies import act, build, tell
from tests.kernel.test_reports import Tree


@dataclass
class Line:
    sku: str = ""
    picked: int = 0


class Stop(Signal): ...


class Picking(Workflow[Line]):
    picking = State[Line](label="In the hall")
    packing = State[Line]()
    done = State.completed()
    picking.on(Stop, to=done)
    packing.to(done)


def began(decision: Decision) -> list[StartChild]:
    return [e for e in decision.effects if isinstance(e, StartChild)]


def told(decision: Decision) -> list[tuple[str, Any]]:
    return [(e.name, e.request) for e in decision.effects if isinstance(e, ControlChild)]


def report(scenario: Scenario, status: str = "completed", path: str = "work/child", **more: Any) -> Decision:
    frame = scenario.snapshot.open[path]
    assert frame.child is not None
    more.setdefault("data", msgspec.Raw(b'{"sku":"a","picked":7}'))
    return scenario.feed(inputs.ChildReported(path, frame.child.id, status, **more))


def picked(job: Job, line: Line) -> None:
    job.amount += line.picked


def a_line(job: Job) -> Line:
    return Line(job.name)


def test_a_child_is_begun_once_with_its_own_data_and_its_end_brings_data_back() -> None:
    s = Scenario(build(child(Picking, a_line, into=picked), act), Job("a"))
    (started,) = began(s.last)
    assert (started.definition, started.version, msgspec.json.decode(started.data)) == ("Picking", 1, {"sku": "a", "picked": 0})
    assert started.parent == Parent("instance-1", "work/child", 1)
    assert s.snapshot.status == "waiting"
    assert began(s.feed(inputs.Claimed(()))) == [], "a takeover begins it no second time"
    report(s)
    assert s.data.amount == 7
    assert list(s.snapshot.open) == ["work/act"]
    assert told(s.last) == []
    assert s.feed(inputs.ChildReported("work/child", started.id, "completed")).events == (), "a second report is dropped"


def test_its_id_is_time_ordered_and_depends_on_the_decision_alone() -> None:
    flow = build(parallel(a=child(Picking, a_line), b=child(Picking, a_line)))
    ids = [e.id for e in began(Scenario(flow, Job(), seed=5).last)]
    assert ids == [e.id for e in began(Scenario(flow, Job(), seed=5).last)]
    assert len(set(ids)) == 2
    assert ids[0][:13] == ids[1][:13]
    assert ids[0][14] == "7"
    assert set(ids).isdisjoint(e.id for e in began(Scenario(flow, Job(), seed=6).last))


@pytest.mark.parametrize("status", ["failed", "cancelled", "terminated"])
def test_a_child_that_does_not_complete_fails_its_node_with_the_code_of_its_own_failure(status: Any) -> None:
    failure = Failure("SOLD_OUT", "none left", "picking/pick", 3, ("LookupError",), "business") if status == "failed" else None
    s = Scenario(build(child(Picking, a_line)), Job())
    report(s, status, failure=failure, reason="why")
    assert s.snapshot.status == "failed"
    assert s.snapshot.failure is not None
    assert s.snapshot.failure.code == ("SOLD_OUT" if failure else f"child_{status}")
    assert s.snapshot.failure.path == "work/child"
    assert s.snapshot.failure.details["child"]
    if failure:
        assert s.snapshot.failure.types == ("LookupError",)
        assert "SOLD_OUT: none left (at picking/pick)" in s.snapshot.failure.causes[0]
    assert told(s.last) == [], "what has ended is not told to"


def test_recorded_failures_are_told_to_the_mapping_and_the_flow_goes_on() -> None:
    seen: list[ChildResult[Line]] = []

    def note(job: Job, end: ChildResult[Line]) -> None:
        seen.append(end)
        job.note = end.code

    s = Scenario(build(child(Picking, a_line, failures="record", into=note)), Job())
    report(s, "failed", failure=Failure("SOLD_OUT", "none left"), state="In the hall")
    assert s.snapshot.status == "completed"
    assert s.data.note == "SOLD_OUT"
    assert (seen[0].status, seen[0].state, seen[0].data, seen[0].message) == ("failed", "In the hall", Line("a", 7), "none left")


def test_one_that_is_waited_for_until_a_state_goes_on_and_the_parent_completes_behind_it() -> None:
    s = Scenario(build(child(Picking, a_line, state=Picking.packing, into=picked)), Job())
    (started,) = began(s.last)
    assert started.parent is not None
    assert (started.parent.until, started.parent.mark) == ("state", "packing")
    report(s, "running", state="packing")
    assert (s.snapshot.status, s.snapshot.state) == ("waiting", "done")
    assert s.data.amount == 7
    report(s, "failed", failure=Failure("LATE"))
    assert s.snapshot.status == "completed", "nobody waits for how it ends"


def test_one_that_ends_before_the_state_that_is_waited_for_fails_the_node() -> None:
    s = Scenario(build(child(Picking, a_line, state="In the hall")), Job())
    report(s, "completed")
    assert s.snapshot.failure is not None
    assert s.snapshot.failure.code == "child_completed"


def test_one_that_nobody_waits_for_runs_on_over_states_until_a_completed_parent_may_end() -> None:
    class Flow(Workflow[Job]):
        one = State[Job](child(Picking, a_line, wait=False))
        two = State[Job](act)
        done = State.completed()
        one.to(two)
        two.to(done)

    s = Scenario(Flow, Job())
    assert list(s.snapshot.open) == ["one/child", "two/act"]
    s.done("two/act")
    assert (s.snapshot.status, s.snapshot.state, list(s.snapshot.open)) == ("waiting", "done", ["one/child"])
    report(s, path="one/child")
    assert s.snapshot.status == "completed"


def test_one_that_is_bound_to_states_is_cancelled_when_the_machine_enters_another() -> None:
    class Flow(Workflow[Job]):
        two = State[Job](act)
        three = State[Job](act)
        done = State.completed()
        one = State[Job](child(Picking, a_line, wait=False, bound_to=[two]), initial=True)
        one.to(two)
        two.to(three)
        three.to(done)

    s = Scenario(Flow, Job())
    assert "one/child" in s.snapshot.open
    s.done("two/act")
    assert [name for name, _ in told(s.last)] == ["cancel"]
    assert list(s.snapshot.open) == ["three/act"]


def test_a_detached_child_is_forgotten_and_knows_no_parent() -> None:
    s = Scenario(build(child(Picking, a_line, detached=True)), Job())
    (started,) = began(s.last)
    assert started.parent is None
    assert s.snapshot.status == "completed"


def test_leaving_its_state_cancels_it_and_lets_it_undo_what_it_has_done() -> None:
    class Flow(Workflow[Job]):
        work = State[Job](child(Picking, a_line))
        late = State.completed()
        work.after(10.0, to=late)

    s = Scenario(Flow, Job())
    s.feed(inputs.Tick(), after=10_000_001)
    (name, request) = told(s.last)[0]
    assert (name, request.compensate) == ("cancel", True)
    assert s.snapshot.status == "completed"
    assert "child_dropped" in s.events()


def test_a_branch_that_is_cancelled_cancels_its_child_and_no_other() -> None:
    s = Scenario(build(parallel(a=child(Picking, a_line), b=child(Picking, a_line), c=act, join=2)), Job())
    s.feed(inputs.CancelNode("work/parallel:a", "end"))
    assert [e.path for e in s.last.effects if isinstance(e, ControlChild)] == ["work/parallel:a/child"]
    assert list(s.snapshot.open) == ["work/parallel", "work/parallel:b/child", "work/parallel:c/act"]


@pytest.mark.parametrize(
    ("asked", "name", "compensate"),
    [
        (inputs.Cancel("ann", compensate=True), "cancel", True),
        (inputs.Cancel("ann"), "cancel", False),
        (inputs.Terminate("ann"), "terminate", False),
    ],
)
def test_an_ending_tells_children_to_end_as_it_does_and_waits_for_their_reports(asked: Any, name: str, compensate: bool) -> None:
    s = Scenario(build(act, parallel(a=child(Picking, a_line), b=child(Picking, a_line, wait=False))), Job())
    s.done("work/act")
    s.feed(asked)
    assert [(n, r.compensate) for n, r in told(s.last)] == [(name, compensate)] * 2
    assert (s.snapshot.status, s.snapshot.ending is not None) == ("waiting", True)
    report(s, "cancelled", "work/parallel:a/child")
    assert s.snapshot.ending is not None
    report(s, "completed", "work/parallel:b/child")
    if compensate:
        s.done(next(p for p in s.snapshot.open if p.startswith("undo/")))
    assert s.snapshot.status in ("cancelled", "terminated")


def test_an_ending_waits_for_a_child_for_its_grace_time_at_most() -> None:
    s = Scenario(build(child(Picking, a_line)), Job())
    s.feed(inputs.Cancel("ann"))
    s.feed(inputs.Tick(), after=GRACE - 1_000)
    assert s.snapshot.status == "waiting"
    s.feed(inputs.Tick(), after=2_000)
    assert s.snapshot.status == "cancelled"
    assert told(s.last) == []


def test_pause_and_resume_are_told_on_and_a_report_meanwhile_is_recorded_and_nothing_opens() -> None:
    s = Scenario(build(child(Picking, a_line), act), Job())
    s.feed(inputs.Pause("ann", "wait"))
    assert told(s.last) == [("pause", inputs.Pause("ann", "wait", by_parent=True))]
    report(s)
    assert s.snapshot.status == "paused"
    assert s.snapshot.open["work/act"].run == "ready"
    s.feed(inputs.Resume("ann"))
    assert told(s.last) == [], "it has ended"
    assert s.snapshot.open["work/act"].run == "flying"


def test_what_was_paused_by_itself_is_not_resumed_by_its_parent() -> None:
    s = Scenario(build(act), Job())
    s.feed(inputs.Pause("ann"))
    assert s.feed(inputs.Resume(by_parent=True)).refused == "invalid_transition"
    s.feed(inputs.Resume("ann"))
    s.feed(inputs.Pause(by_parent=True))
    assert not s.feed(inputs.Resume(by_parent=True)).refused


def test_a_redrive_begins_a_failed_child_anew_and_those_that_the_failure_stopped() -> None:
    s = Scenario(build(child(Picking, a_line, wait=False, name="beside"), child(Picking, a_line)), Job())
    first = s.snapshot.open["work/child"].child
    report(s, "failed", failure=Failure("SOLD_OUT"))
    report(s, "cancelled", "work/beside")
    assert s.snapshot.status == "failed"
    s.feed(inputs.Redrive("ann"))
    assert [e.path for e in began(s.last)] == ["work/beside", "work/child"]
    assert s.snapshot.open["work/child"].child != first
    assert s.snapshot.open["work/beside"].run == "loose"
    report(s)
    assert s.snapshot.state == "done"
    report(s, path="work/beside")
    assert s.snapshot.status == "completed"


def test_a_child_for_each_round_of_a_loop_has_its_own_id() -> None:
    s = Scenario(build(loop(child(Picking, a_line), until=lambda job: job.amount >= 2, max_iterations=3, at_max="go_on")), Job())
    seen = [began(s.last)[0].id]
    report(s, path="work/loop/child")
    seen.append(began(s.last)[0].id)
    assert "work/loop@2/child" in s.snapshot.open
    report(s, path="work/loop@2/child")
    seen.append(began(s.last)[0].id)
    assert len(set(seen)) == 3


def test_data_that_does_not_fit_fails_the_node_and_begins_nothing() -> None:
    for bad in (lambda job: {"sku": 7}, lambda job: {"nonsense": 1}, lambda job: 1 / 0, lambda job: None):
        wrong: Callable[[Job], Any] = bad
        s = Scenario(build(child(Picking, wrong)), Job())
        assert began(s.last) == []
        assert s.snapshot.failure is not None
        assert s.snapshot.failure.code == "pure_failed"


def test_operators_cancel_and_complete_the_node_of_a_child() -> None:
    s = Scenario(build(child(Picking, a_line, wait=False, name="beside"), child(Picking, a_line), act), Job())
    s.feed(inputs.CancelNode("work/beside", "skip"))
    assert list(s.snapshot.open) == ["work/child"], "the flow was behind it already"
    s.feed(inputs.CompleteNode("work/child"))
    assert [n for n, _ in told(s.last)] == ["cancel"]
    assert list(s.snapshot.open) == ["work/act"]


# -- what cannot be


def test_what_does_not_fit_is_refused_where_it_is_written() -> None:
    with pytest.raises(DefinitionError, match="Picking works on Line"):
        build(child(Picking))
    with pytest.raises(DefinitionError, match="Picking has no state 'nowhere'"):
        build(child(Picking, a_line, state="nowhere"))
    wrong: list[dict[str, Any]] = [
        {"state": "packing", "outcome": "waiting"}, {"outcome": "nonsense"}, {"wait": False, "into": "note"},
        {"detached": True, "state": "packing"}, {"failures": "ignore"}, {"failures": "record", "into": "note"},
        {"bound_to": [Picking.packing]}, {"wait": False, "outcome": "waiting"},
    ]  # fmt: skip
    for options in wrong:
        with pytest.raises(BadRequest):
            child(Picking, a_line, **options)
    for strange in (Job, "Picking", 7):
        with pytest.raises(BadRequest):
            child(strange)  # type: ignore[call-overload,arg-type]  # pyright: ignore[reportCallIssue,reportArgumentType]


def test_an_engine_serves_the_children_of_what_it_is_given_and_says_which_do_not_fit() -> None:
    flow = build(child(Picking, a_line))
    assert {n for n, _ in registry([flow])} == {"Flow", "Picking"}
    assert {n for n, _ in registry([Tree])} == {"Tree"}
    with pytest.raises(BadRequest, match="Tree works on Node, this workflow on Job"):
        registry([build(child(lambda: Tree))])
    with pytest.raises(BadRequest, match="gives"):
        registry([build(child(lambda: Job))])  # type: ignore[call-overload,arg-type,return-value]  # pyright: ignore[reportCallIssue,reportArgumentType]


def test_guards_choose_whether_there_is_a_child_at_all() -> None:
    s = Scenario(build(parallel(a=when(lambda job: job.amount > 1, child(Picking, a_line)), b=tell)), Job())
    assert began(s.last) == []
