"""Spawned bodies, items that are added while a for_each stays open, tags, and what guards ask about branches and children."""

from __future__ import annotations

from typing import Any

import pytest

from stepkeel import (
    Join,
    State,
    Workflow,
    add_items,
    branches_open,
    child,
    children,
    choice,
    delay,
    during,
    for_each,
    loop,
    parallel,
    spawn,
    started,
    stop,
    tagged,
    transform,
    wait,
    when,
)
from stepkeel.errors import BadRequest
from stepkeel.model import input as inputs
from stepkeel.model.effect import RunAttempt, StopAttempt
from stepkeel.testing import Scenario
from tests.flows import Go, Job
from tests.kernel.bodies import Ping, act, build, tell


def begun(s: Scenario) -> list[str]:
    return [e.path for e in s.last.effects if isinstance(e, RunAttempt)]


def test_a_spawned_body_runs_beside_and_a_completed_instance_waits_for_it() -> None:
    s = Scenario(build(spawn(act, tell, name="mail"), tell), Job())
    assert begun(s) == ["work/mail:body/act", "work/tell"]
    s.done("work/tell")
    assert (s.snapshot.state, s.snapshot.status) == ("done", "running")
    s.done("work/mail:body/act")
    assert begun(s) == ["work/mail:body/tell"]
    s.done("work/mail:body/tell")
    assert s.snapshot.status == "completed"


@pytest.mark.parametrize(("late", "expected"), [("drop", 0), ("merge", 4)])
def test_what_it_does_to_the_data_counts_if_that_is_said(late: Any, expected: int) -> None:
    s = Scenario(build(spawn(act, late=late), wait(Ping)), Job())
    s.done("work/spawn:body/act", amount=4)
    assert s.data.amount == expected


def test_its_failure_fails_nobody_and_an_ending_stops_it() -> None:
    s = Scenario(build(spawn(act), tell), Job())
    s.failed("work/spawn:body/act")
    assert "branch_ended" in s.events()
    s.done("work/tell")
    assert s.snapshot.status == "completed"
    s = Scenario(build(spawn(act), wait(Ping)), Job())
    s.feed(inputs.Cancel("ann"))
    s.expect(StopAttempt("work/spawn:body/act", 1))


def test_detached_items_are_begun_as_many_at_a_time_as_may_be_and_the_flow_is_behind_them() -> None:
    s = Scenario(
        build(for_each(lambda j: j.log, act, max_concurrency=2, detached=True, name="lines"), tell), Job(log=["a", "b", "c"])
    )
    assert begun(s) == ["work/lines[0]/act", "work/lines[1]/act", "work/tell"]
    s.done("work/tell")
    assert s.snapshot.status == "running"
    s.failed("work/lines[1]/act")
    assert begun(s) == ["work/lines[2]/act"]
    s.done("work/lines[0]/act")
    s.done("work/lines[2]/act")
    assert s.snapshot.status == "completed"
    with pytest.raises(BadRequest, match="nothing waits"):
        for_each(lambda j: j.log, act, detached=True, into="log")


def test_cancelling_what_the_flow_is_behind_already_begins_nothing_again() -> None:
    for node in (spawn(act, name="both"), parallel(a=act, b=wait(Ping), join=Join("any", rest="finish"), name="both")):
        s = Scenario(build(node, act, wait(Go)), Job())
        if not node.options["detached"]:
            s.done("work/both:a/act")
        before = s.snapshot.open["work/act"]
        for then in ("end", "skip"):
            s.feed(inputs.CancelNode("work/both", then))  # type: ignore[arg-type]
            assert begun(s) == []
        assert "work/both" not in s.snapshot.open
        assert s.snapshot.open["work/act"] is before


class Lines(Workflow[Job]):
    """Items come in until somebody says that it was the last."""

    work = State[Job](for_each(lambda j: j.log, act, into="log", stay_open_until=lambda j: j.note == "closed", name="lines"), tell)
    done = State.completed()
    work.to(done)
    work.on(Go, into=lambda j, s: {"note": s.note}, do=add_items("lines", lambda j: [j.note], name="more"))


def test_a_for_each_stays_open_until_its_condition_holds_though_it_begins_empty() -> None:
    s = Scenario(Lines, Job())
    assert (s.snapshot.status, set(s.snapshot.open)) == ("waiting", {"work/lines"})
    s.signal(Go("x"))
    assert begun(s) == ["work/lines[0]/act"]
    s.done("work/lines[0]/act", result="X")
    assert set(s.snapshot.open) == {"work/lines"}, "more may come"
    s.feed(inputs.AddItems("work/lines", ["y"]))
    assert begun(s) == ["work/lines[1]/act"]
    s.done("work/lines[1]/act", result="Y")
    s.feed(inputs.SetData({"note": "closed"}))
    assert begun(s) == ["work/tell"]
    assert s.data.log == ["X", "Y"]


def test_what_is_still_open_when_it_closes_is_waited_for() -> None:
    s = Scenario(Lines, Job(log=["a"]))
    s.done("work/lines[0]/act", note="closed", result="A")
    assert begun(s) == ["work/tell"]
    s = Scenario(Lines, Job(log=["a", "b"]))
    s.done("work/lines[0]/act", note="closed", result="A")
    assert begun(s) == []
    s.done("work/lines[1]/act", result="B")
    assert begun(s) == ["work/tell"]


def test_it_may_stay_open_until_somebody_completes_it() -> None:
    body = for_each(lambda j: j.log, act, stay_open_until="completed", name="lines")
    s = Scenario(build(parallel(items=body, end=[wait(Ping), stop("lines", how="complete")]), tell), Job())
    assert s.snapshot.status == "waiting"
    s.signal(Ping())
    assert begun(s) == ["work/tell"]
    s = Scenario(build(body, tell), Job())
    assert s.snapshot.status == "waiting", "an operator may: it is not stuck"
    s.feed(inputs.CompleteNode("work/lines"))
    assert begun(s) == ["work/tell"]


def test_where_nothing_can_change_its_condition_it_is_stuck_and_a_condition_that_raises_fails_it() -> None:
    s = Scenario(build(for_each(lambda j: j.log, act, stay_open_until=lambda j: j.note == "closed", name="lines")), Job())
    assert s.snapshot.failure is not None
    assert s.snapshot.failure.code == "stuck"
    s = Scenario(build(for_each(lambda j: j.log, act, stay_open_until=lambda j: 1 / 0 > 1, name="lines")), Job())
    assert s.snapshot.failure is not None
    assert s.snapshot.failure.code == "pure_failed"
    with pytest.raises(BadRequest, match="or completed"):
        for_each(lambda j: j.log, act, stay_open_until=5)  # type: ignore[arg-type]


def test_add_items_to_nothing_is_skipped_and_what_is_no_list_fails() -> None:
    s = Scenario(build(add_items("lines", lambda j: ["x"]), tell), Job())
    assert "node_skipped" in [e.type for d in [s.last] for e in d.events]
    assert begun(s) == ["work/tell"]
    s = Scenario(
        build(parallel(a=[wait(Ping), add_items("lines", lambda j: "text")], b=for_each(lambda j: [1], act, name="lines"))), Job()
    )
    s.signal(Ping())
    assert "activity_failed" in s.events()
    with pytest.raises(BadRequest):
        add_items("", lambda j: [])


def test_a_tag_names_all_that_carry_it_wherever_they_stand() -> None:
    s = Scenario(
        build(
            parallel(
                a=[tagged("slow", wait(Ping)), tell],
                b=[choice(when(lambda j: True, tagged("slow", tagged("late", delay(60, name="rest"))))), act],
                c=[loop(wait(Ping, name="again"), max_iterations=2), tell],
                d=[wait(Go), stop("slow", then="skip")],
            )
        ),
        Job(),
    )
    s.signal(Go())
    assert sorted(begun(s)) == ["work/parallel:a/tell", "work/parallel:b/act"]
    assert "work/parallel:c/loop/again" in s.snapshot.open
    with pytest.raises(BadRequest):
        tagged("", act)


class Part(Workflow[Job]):
    work = State[Job](wait(Go))
    done = State.completed()
    work.to(done)


def test_guards_may_ask_what_has_begun_and_how_much_is_open() -> None:
    watch = transform(lambda j: {"note": "seen"}, name="see")
    s = Scenario(
        build(
            parallel(
                a=act,
                b=[wait(Ping), tell],
                c=during(started("parallel:a") & (branches_open("parallel") < 3), watch),
                max_concurrency=3,
            )
        ),
        Job(),
    )
    assert s.data.note == ""
    s.done("work/parallel:a/act")
    assert s.data.note == "seen"
    s = Scenario(
        build(parallel(a=child(Part, wait=False), b=[wait(Ping), during((children("Part") > 0) & (children() < 2), watch)])), Job()
    )
    s.signal(Ping())
    assert s.data.note == "seen"
    s = Scenario(build(choice(when(started("done"), tell), when(started("work") & ~started("wait"), act))), Job())
    assert [p.rpartition("/")[2] for p in begun(s)] == ["act"]
