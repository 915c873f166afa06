"""What a reaction does in the end: the moves besides `to` and `stay`, undoing first, and what holds in every state."""

from __future__ import annotations

from typing import Any

import pytest

from stepkeel import (
    Anywhere,
    Cancel,
    Complete,
    Context,
    Fail,
    Signal,
    State,
    Terminate,
    Workflow,
    activity,
    delay,
    machine,
    parallel,
    wait,
)
from stepkeel.errors import DefinitionError
from stepkeel.model import input as inputs
from stepkeel.model.effect import RunAttempt, StopAttempt
from stepkeel.testing import Scenario
from tests.flows import Job
from tests.kernel.bodies import Ping, act, build, tell, undo


class Note(Signal): ...


class Other(Signal): ...


def begun(s: Scenario) -> list[str]:
    return [e.path for e in s.last.effects if isinstance(e, RunAttempt)]


def flow(*body: Any, **options: Any) -> type[Workflow[Job]]:
    """A body, and what Note does there."""

    class Flow(Workflow[Job]):
        work = State[Job](*body)
        behind = State[Job](tell)
        done = State.completed()
        work.on(Note, **options)
        work.to(behind)
        behind.to(done)

    return Flow


def test_go_on_closes_what_is_open_in_the_body_and_its_ways_out_are_asked() -> None:
    s = Scenario(flow(parallel(one=wait(Ping), two=[delay(60), act]), act, go_on=True), Job())
    s.signal(Note())
    assert begun(s) == ["behind/tell"]
    assert (s.snapshot.state, set(s.snapshot.open), s.snapshot.timers) == ("behind", {"behind/tell"}, {})
    assert "signal_processed" in s.events()


def test_it_waits_for_rest_or_stops_what_flies() -> None:
    s = Scenario(flow(act, wait(Ping), go_on=True), Job())
    s.signal(Note())
    assert set(s.snapshot.open) == {"work/act"}
    s.done("work/act")
    assert s.snapshot.state == "behind"
    s = Scenario(flow(act, act, go_on=True, interrupt=True, do=tell), Job())
    s.signal(Note())
    s.expect(StopAttempt("work/act", 1))
    s.feed(inputs.AttemptEnded("work/act", 1, "stopped"))
    assert begun(s) == ["work!Note/tell"]
    s.done("work!Note/tell")
    assert s.snapshot.state == "behind"


def test_cancel_closes_its_target_and_nothing_else_while_others_fly() -> None:
    s = Scenario(flow(parallel(one=wait(Ping), two=[act, tell], join="any"), cancel="parallel:one", interrupt=True), Job())
    s.signal(Note())
    assert "node_cancelled" not in s.events(), "a branch has no key of its own: its node has"
    s = Scenario(flow(parallel(one=wait(Ping), two=[act, tell], join="any"), cancel="wait", interrupt=True), Job())
    s.signal(Note())
    assert [e for e in s.last.effects if isinstance(e, StopAttempt)] == []
    assert {"node_cancelled", "branch_ended", "signal_processed"} <= set(s.events())
    assert set(s.snapshot.open) == {"work/parallel", "work/parallel:two/act"}


def test_complete_joins_with_what_has_arrived_and_may_do_something_before() -> None:
    s = Scenario(flow(parallel(one=wait(Ping), two=tell), act, complete="parallel", do=tell), Job())
    s.done("work/parallel:two/tell")
    s.signal(Note())
    assert begun(s) == ["work!Note/tell"]
    s.done("work!Note/tell")
    assert begun(s) == ["work/act"]
    assert {"node_completed", "join_resolved"} <= set(s.events())


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        ("completed", "completed", None),
        (Complete("enough"), "completed", None),
        (Cancel("no answer"), "cancelled", None),
        (Terminate("x"), "terminated", None),
        ("failed", "failed", "failed"),
        (Fail("LATE", "too late"), "failed", "LATE"),
    ],
)
def test_end_ends_the_instance(end: Any, status: str, code: str | None) -> None:
    s = Scenario(flow(wait(Ping), end=end), Job())
    s.signal(Note())
    assert s.snapshot.status == status
    assert s.snapshot.failure is None if code is None else s.snapshot.failure is not None and s.snapshot.failure.code == code
    assert s.snapshot.reason == getattr(end, "reason", "") if code is None else True


def test_within_a_body_it_ends_the_machine_alone() -> None:
    s = Scenario(build(machine(flow(wait(Ping), end="completed"), name="inner"), act), Job())
    s.signal(Note())
    assert begun(s) == ["work/act"]
    s = Scenario(build(machine(flow(wait(Ping), end=Fail("LATE")), name="inner"), act), Job())
    s.signal(Note())
    assert s.snapshot.failure is not None
    assert (s.snapshot.failure.code, s.snapshot.failure.path) == ("LATE", "work/inner")
    with pytest.raises(DefinitionError, match="only an instance can be cancelled"):
        build(machine(flow(wait(Ping), end="cancelled"), name="inner"))


def test_undo_takes_back_what_the_state_did_last_first_before_the_move() -> None:
    class Flow(Workflow[Job]):
        first = State[Job](act)
        work = State[Job](act, parallel(one=[act, wait(Ping)], two=act))
        off = State[Job](tell)
        done = State.completed()
        first.to(work)
        work.on(Note, to=off, undo="state", do=act)
        work.on(Other, to=off, undo="all")
        off.to(done)

    def at_rest() -> Scenario:
        s = Scenario(Flow, Job())
        for path in ("first/act", "work/act", "work/parallel:one/act", "work/parallel:two/act"):
            s.done(path)
        return s

    for signal, expected in (
        (Note(), ["work/parallel:two/act", "work/parallel:one/act", "work/act"]),
        (Other(), ["work/parallel:two/act", "work/parallel:one/act", "work/act", "first/act"]),
    ):
        s = at_rest()
        s.signal(signal)
        if isinstance(signal, Note):
            s.done("work!Note/act")
        undone: list[str] = []
        while s.snapshot.state == "work":
            assert "signal_processed" not in s.events()
            undone += [e.detail["of"] for e in s.last.events if e.type == "compensation_began"]
            (path,) = [p for p in s.snapshot.open if p.startswith("undo/")]
            assert begun(s) == [path]
            s.done(path)
        assert undone == expected
        assert "signal_processed" in s.events()
        assert [u.path for u in s.snapshot.undo] == (["first/act", "work!Note/act"] if isinstance(signal, Note) else [])
        s.done("off/tell")
        assert s.snapshot.status == "completed"


def test_an_undo_that_fails_for_good_fails_the_state_and_the_signal_that_asked_for_it() -> None:
    class Flow(Workflow[Job]):
        work = State[Job](act, wait(Ping))
        off = State[Job](tell)
        done = State.completed()
        work.on(Note, to=off, undo="state")
        work.on_failure("compensation_failed", to=off)
        work.to(done)
        off.to(done)

    s = Scenario(Flow, Job())
    s.done("work/act")
    s.signal(Note())
    (path,) = [p for p in s.snapshot.open if p.startswith("undo/")]
    s.failed(path)
    assert {"compensation_failed", "signal_failed", "transitioned"} <= set(s.events())
    assert s.snapshot.state == "off"


def test_a_failure_may_end_the_machine_or_close_something_else_and_go_on() -> None:
    class Flow(Workflow[Job]):
        work = State[Job](parallel(one=parallel(a=wait(Ping), b=delay(60), join="any"), two=[act, tell]), tell)
        done = State.completed()
        work.on_failure("CLOSED", end=Cancel("shop is closed"))
        work.on_failure("GONE", cancel="wait", otherwise=True)
        work.to(done)

    s = Scenario(Flow, Job())
    s.failed("work/parallel:two/act", "CLOSED", kind="business")
    assert (s.snapshot.status, s.snapshot.reason) == ("cancelled", "shop is closed")
    s = Scenario(Flow, Job())
    s.failed("work/parallel:two/act", "GONE", kind="business")
    left = {"work/parallel", "work/parallel:one/parallel", "work/parallel:one/parallel:b/delay", "work/parallel:two/tell"}
    assert set(s.snapshot.open) == left, "behind the failed one; the wait is closed"


def test_otherwise_is_tried_last_wherever_it_stands() -> None:
    class Flow(Workflow[Job]):
        work = State[Job]()
        small = State.completed()
        large = State.completed()
        work.on(Note, to=small, otherwise=True)
        work.on(Note, to=large, when=lambda job, _: job.amount > 5)

    for amount, state in ((9, "large"), (1, "small")):
        s = Scenario(Flow, Job(amount=amount))
        s.signal(Note())
        assert s.snapshot.state == state


class Order(Workflow[Job]):
    """Cancelled wherever it stands, and expired after a month."""

    anywhere = Anywhere[Job]()
    paying = State[Job](act, wait(Ping))
    packing = State[Job](act, wait(Ping))
    patient = State[Job](wait(Ping))
    shipped = State.completed()
    cancelled = State.cancelled()
    expired = State.failed(code="EXPIRED")
    anywhere.on(Note, to=cancelled)
    anywhere.after(1_000, to=expired, name="month")
    anywhere.on_failure("LOST", to=patient)
    paying.to(packing)
    packing.to(patient)
    patient.to(shipped)
    patient.on(Note, do=tell)


def test_what_holds_anywhere_is_tried_after_what_the_state_itself_says() -> None:
    s = Scenario(Order, Job())
    s.done("paying/act")
    s.signal(Note())
    (path,) = [p for p in s.snapshot.open if p.startswith("undo/")]
    s.done(path)
    assert s.snapshot.status == "cancelled"
    s = Scenario(Order, Job())
    s.failed("paying/act", "LOST", kind="business")
    assert s.snapshot.state == "patient"
    s.signal(Note())
    assert begun(s) == ["patient!Note/tell"]


def test_a_signal_that_is_heard_anywhere_is_not_lost_to_a_change_of_state() -> None:
    s = Scenario(Order, Job())
    s.done("paying/act")
    s.signal(Ping(), judged=False)
    s.signal(Note(), judged=False)
    s.feed(inputs.SignalArrived())
    s.done("packing/act")
    assert s.snapshot.ending is not None, s.events()


def test_a_timeout_of_the_whole_counts_from_the_beginning_and_survives_changes_of_state() -> None:
    s = Scenario(Order, Job())
    due = s.snapshot.timers["!month"]["after"]
    assert due == s.now + 1_000_000_000
    s.done("paying/act")
    s.signal(Ping())
    s.done("packing/act")
    assert s.snapshot.timers == {"!month": {"after": due}}
    s.feed(inputs.Tick(), after=2_000_000_000)
    assert s.snapshot.ending is not None
    assert s.snapshot.ending.failure is not None
    assert s.snapshot.ending.failure.code == "EXPIRED"
    while s.snapshot.open:
        s.done(next(iter(s.snapshot.open)))
    s.feed(inputs.Redrive(from_state="packing"))
    assert set(s.snapshot.timers) == {"!month"}, "it counts anew"


def test_within_a_body_it_counts_from_the_beginning_of_the_machine_and_ends_with_it() -> None:
    class Asking(Workflow[Job]):
        anywhere = Anywhere[Job]()
        one = State[Job](wait(Ping))
        two = State[Job](wait(Ping))
        done = State.completed()
        anywhere.after(60, do=[act, tell], to=done, name="late")
        one.to(two)
        two.to(done)

    s = Scenario(build(wait(Ping), machine(Asking, name="ask"), act), Job())
    assert not s.snapshot.timers
    s.signal(Ping())
    s.signal(Ping())
    assert set(s.snapshot.timers) == {"work/ask:!late"}
    s.signal(Ping())
    assert begun(s) == ["work/act"]
    assert not s.snapshot.timers
    s = Scenario(build(machine(Asking, name="ask"), tell), Job())
    s.feed(inputs.Tick(), after=70_000_000)
    assert begun(s) == ["work/ask:!late/act"]
    s.done("work/ask:!late/act")
    assert [u.path for u in s.snapshot.undo] == ["work/ask:!late/act"]
    s.done("work/ask:!late/tell")
    assert begun(s) == ["work/tell"]


def test_its_body_may_fail_and_the_state_takes_that() -> None:
    class Flow(Workflow[Job]):
        anywhere = Anywhere[Job]()
        work = State[Job](wait(Ping))
        off = State[Job](wait(Ping))
        done = State.completed()
        anywhere.after(60, do=tell, name="late")
        work.on_failure(to=off)
        work.to(done)
        off.to(done)

    s = Scenario(Flow, Job())
    s.feed(inputs.Tick(), after=70_000_000)
    assert begun(s) == ["!late/tell"]
    s.failed("!late/tell")
    assert (s.snapshot.state, set(s.snapshot.open)) == ("off", {"off/wait"})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"go_on": True, "cancel": "wait"}, "several moves: go_on, cancel"),
        ({"end": "paused"}, "end='paused'"),
        ({"undo": "everything", "go_on": True}, "undo='everything'"),
        ({"undo": "state"}, "does not leave the body"),
        ({"undo": "all", "cancel": "wait"}, "does not leave the body"),
        ({"interrupt": True}, "leaves nothing in its place"),
    ],
)
def test_moves_that_make_no_sense_are_told_when_the_class_is_built(options: dict[str, Any], told: str) -> None:
    with pytest.raises(DefinitionError, match=told):
        flow(wait(Ping), **options)


def test_no_automatic_way_leads_out_of_every_state_and_names_of_endings_are_taken() -> None:
    with pytest.raises(DefinitionError, match="every state"):
        Anywhere[Job]().to(State[Job]())

    with pytest.raises(DefinitionError, match="cannot be called finally"):

        class Flow(Workflow[Job]):
            anywhere = Anywhere[Job]()
            work = State[Job](wait(Ping))
            anywhere.after(5, to=work, name="finally")


def test_an_undo_of_its_own_work_is_left_to_the_end() -> None:
    @activity(compensate=undo)
    async def pack(ctx: Context[Job]) -> None: ...

    s = Scenario(flow(pack, wait(Ping), go_on=True, undo="state", do=act), Job())
    s.done("work/pack")
    s.signal(Note())
    s.done("work!Note/act")
    (path,) = [p for p in s.snapshot.open if p.startswith("undo/")]
    s.done(path)
    assert s.snapshot.state == "behind"
    assert [u.path for u in s.snapshot.undo] == ["work!Note/act"]
