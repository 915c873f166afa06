"""Machines within bodies, and what is made of them: scope and pick."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stepkeel import (
    Context,
    Join,
    Signal,
    State,
    Workflow,
    activity,
    delay,
    log,
    loop,
    machine,
    parallel,
    pick,
    scope,
    transform,
    wait,
)
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.kernel.invariants import hears
from stepkeel.model import input as inputs
from stepkeel.model.effect import End, Park, RunAttempt, SettleSignal, StopAttempt
from stepkeel.testing import Scenario
from tests.flows import Go, Job


@activity
async def act(ctx: Context[Job]) -> None: ...


@activity
async def tell(ctx: Context[Job]) -> None: ...


class Yes(Signal):
    by: str = ""


class No(Signal): ...


class Review(Workflow[Job]):
    reading = State[Job](act)
    deciding = State[Job]()
    accepted = State.completed(tell)
    refused = State.failed(code="REFUSED")
    thrown = State.terminated()

    reading.to(deciding)
    deciding.on(Yes, to=accepted, into=lambda job, yes: {"note": yes.by})
    deciding.on(No, to=refused)
    deciding.after(60.0, to=reading)


def build(*body: Any, **policies: Any) -> type[Workflow[Job]]:
    class Flow(Workflow[Job], **policies):
        work = State[Job](*body)
        done = State.completed()
        mended = State.completed()
        work.to(done)
        work.on_failure("REFUSED", to=mended)

    return Flow


def run(path: str, attempt: int = 1) -> RunAttempt:
    return RunAttempt(path, attempt)


def second(micros: float = 1) -> int:
    return round(micros * 1_000_000)


def test_a_machine_runs_its_states_and_the_body_goes_on_behind_it() -> None:
    s = Scenario(build(machine(Review), tell), Job())
    s.expect(run("work/Review:reading/act"))
    s.done("work/Review:reading/act")
    s.expect(Park(s.now + second(60)))
    assert s.snapshot.state == "work", "what a machine within does is not the state of the instance"
    s.signal(Yes(by="ann"))
    s.expect(SettleSignal(1, "processed"), run("work/Review:accepted/tell"))
    assert s.data.note == "ann"
    s.done("work/Review:accepted/tell")
    s.expect(run("work/tell"))
    assert list(s.snapshot.open) == ["work/tell"]
    assert not s.snapshot.timers, "its timers are gone with it"
    s.done("work/tell")
    s.expect(End())


def test_a_new_visit_of_an_inner_state_has_a_path_of_its_own() -> None:
    s = Scenario(build(machine(Review)), Job())
    s.done("work/Review:reading/act")
    s.feed(inputs.Tick(), after=second(61))
    s.expect(run("work/Review:reading~2/act"))


def test_a_final_state_that_fails_fails_the_node_and_the_machine_around_it_may_know_what_to_do() -> None:
    s = Scenario(build(machine(Review)), Job())
    s.done("work/Review:reading/act")
    s.signal(No())
    assert (s.snapshot.status, s.snapshot.state) == ("completed", "mended")


def test_a_final_state_that_terminates_terminates_the_instance() -> None:
    class Throws(Workflow[Job]):
        begin = State[Job]()
        thrown = State.terminated()
        begin.to(thrown)

    s = Scenario(build(machine(Throws)), Job())
    assert s.snapshot.status == "terminated"


def test_a_failure_goes_to_the_innermost_machine_that_means_it_first() -> None:
    class Careful(Workflow[Job]):
        trying = State(act)
        mended = State.completed(tell)
        trying.to(mended)
        trying.on_failure("DECLINED", to=mended)

    s = Scenario(build(machine(Careful)), Job())
    s.failed("work/Careful:trying/act", "DECLINED", kind="business")
    s.expect(run("work/Careful:mended/tell"))
    s = Scenario(build(machine(Careful)), Job())
    s.failed("work/Careful:trying/act", "REFUSED", kind="business")
    assert s.snapshot.state == "mended", "not meant by the inner one, but by the state around it"


def test_machines_in_branches_stand_side_by_side_and_a_signal_is_taken_by_the_one_opened_first() -> None:
    s = Scenario(build(parallel(left=machine(Review), right=machine(Review)), tell), Job())
    s.done("work/parallel:left/Review:reading/act")
    s.done("work/parallel:right/Review:reading/act")
    s.signal(Yes())
    s.expect(SettleSignal(1, "processed"), run("work/parallel:left/Review:accepted/tell"))
    s.signal(Yes())
    assert run("work/parallel:right/Review:accepted/tell") in s.last.effects
    s.done("work/parallel:left/Review:accepted/tell")
    s.done("work/parallel:right/Review:accepted/tell")
    s.expect(run("work/tell"))


def test_a_signal_is_judged_when_the_machine_that_takes_it_rests_whatever_flies_beside_it() -> None:
    s = Scenario(build(parallel(left=machine(Review), right=act)), Job())
    s.signal(Yes())
    s.expect()
    s.done("work/parallel:left/Review:reading/act")
    s.expect(SettleSignal(1, "processed"), run("work/parallel:left/Review:accepted/tell"))


def test_a_timeout_of_an_inner_state_fires_while_others_fly() -> None:
    s = Scenario(build(parallel(left=machine(Review), right=act)), Job())
    s.done("work/parallel:left/Review:reading/act")
    s.feed(inputs.Tick(), after=second(61))
    s.expect(run("work/parallel:left/Review:reading~2/act"))


def test_a_machine_of_a_cancelled_branch_is_gone_with_its_timers() -> None:
    s = Scenario(build(parallel(left=machine(Review), right=act, join=Join("any")), tell), Job())
    s.done("work/parallel:left/Review:reading/act")
    s.done("work/parallel:right/act")
    s.expect(run("work/tell"))
    assert list(s.snapshot.open) == ["work/tell"]
    assert not s.snapshot.timers
    s.signal(Yes())
    s.expect()
    s.done("work/tell")
    assert SettleSignal(1, "ignored", "left") in s.last.effects


def test_a_machine_within_a_machine_in_a_loop() -> None:
    class Outer(Workflow[Job]):
        first = State[Job](machine(Review, name="inner"))
        last = State.completed()
        first.to(last)

    s = Scenario(build(loop(machine(Outer), max_iterations=2, at_max="go_on")), Job())
    for at in ("work/loop", "work/loop@2"):
        inner = f"{at}/Outer:first/inner"
        s.done(f"{inner}:reading/act")
        s.signal(Yes())
        s.done(f"{inner}:accepted/tell")
    s.expect(End())


def test_a_machine_without_a_way_on_fails_its_node_once_nothing_beside_it_can_change_that() -> None:
    class Waits(Workflow[Job]):
        begin = State[Job]()
        done = State.completed()
        begin.to(done, when=lambda job: job.amount > 0)

    s = Scenario(build(parallel(left=machine(Waits), right=act)), Job())
    s.done("work/parallel:right/act", amount=1)
    assert s.snapshot.status == "completed", "the other branch has opened the way"
    s = Scenario(build(parallel(left=machine(Waits), right=act)), Job())
    s.done("work/parallel:right/act")
    assert s.snapshot.failure is not None
    assert (s.snapshot.failure.code, s.snapshot.failure.path) == ("no_way_on", "work/parallel:left/Waits:begin")


def test_a_redrive_goes_on_in_the_inner_state_where_it_stood_and_sets_its_timeouts_again() -> None:
    s = Scenario(build(machine(Review)), Job())
    s.failed("work/Review:reading/act")
    s.expect(End())
    s.feed(inputs.Redrive())
    s.expect(run("work/Review:reading/act"))
    s.done("work/Review:reading/act")
    assert list(s.snapshot.timers) == ["work/Review:deciding!after"]


def test_an_inner_reaction_that_stays_counts_its_firings_and_leaves_the_others_alone() -> None:
    class Notes(Workflow[Job]):
        open_ = State[Job](name="open")
        done = State.completed()
        open_.on(Yes, do=tell)
        open_.on(No, to=done)

    s = Scenario(build(parallel(left=machine(Notes), right=act)), Job())
    s.signal(Yes())
    s.expect(run("work/parallel:left/Notes:open!Yes/tell"))
    s.signal(Yes())
    s.expect()
    s.done("work/parallel:left/Notes:open!Yes/tell")
    s.expect(SettleSignal(1, "processed"), run("work/parallel:left/Notes:open!Yes#2/tell"))
    s.done("work/parallel:left/Notes:open!Yes#2/tell")
    s.signal(No())
    assert "branch_ended" in s.events()
    assert hears(s.definition, s.snapshot) is False


# -- scope


def scoped(**options: Any) -> Scenario:
    return Scenario(build(scope(act, wait(Go), act, **options), tell), Job())


def test_a_scope_that_nothing_ends_is_its_body() -> None:
    s = scoped(on={Yes: []})
    s.done("work/scope:within/act")
    s.signal(Go())
    s.done("work/scope:within/act-2")
    s.expect(run("work/tell"))


def test_a_signal_ends_a_scope_stops_what_flies_runs_its_body_and_the_flow_goes_on_behind() -> None:
    s = scoped(on={Yes: tell})
    s.signal(Yes(by="ann"))
    s.expect(StopAttempt("work/scope:within/act", 1))
    s.feed(inputs.AttemptEnded("work/scope:within/act", 1, "stopped"))
    s.expect(run("work/scope:within!Yes/tell"))
    s.done("work/scope:within!Yes/tell")
    s.expect(SettleSignal(1, "processed"), run("work/tell"))


def test_a_time_ends_a_scope_and_a_failure_does() -> None:
    s = scoped(after={timedelta(seconds=5): tell})
    s.done("work/scope:within/act")
    s.feed(inputs.Tick(), after=second(6))
    s.expect(run("work/scope:within!after/tell"))
    s = scoped(on_failure={"DECLINED": tell})
    s.failed("work/scope:within/act", "DECLINED", kind="business")
    s.expect(run("work/scope:within!failure/tell"))
    s.done("work/scope:within!failure/tell")
    s.expect(run("work/tell"))
    s = scoped(on_failure={ValueError: []})
    s.failed("work/scope:within/act", "boom", types=("ValueError",))
    s.expect(run("work/tell"))


def test_a_scope_in_a_branch_leaves_the_others_alone() -> None:
    s = Scenario(build(parallel(left=scope(act, on={Yes: []}), right=act)), Job())
    s.signal(Yes())
    s.expect(StopAttempt("work/parallel:left/scope:within/act", 1))
    s.feed(inputs.AttemptEnded("work/parallel:left/scope:within/act", 1, "stopped"))
    assert s.last.events[-1].path == "work/parallel:left"
    s.done("work/parallel:right/act")
    s.expect(End())


# -- pick


def picking() -> Scenario:
    return Scenario(build(pick({Yes: act, No: [act, tell], timedelta(minutes=1): log("nobody")}), tell), Job())


def test_the_first_to_come_is_picked_and_the_others_are_not_waited_for_any_more() -> None:
    s = picking()
    s.expect(Park(s.now + second(60)))
    s.signal(No())
    s.expect(run("work/pick:picking!No/act"))
    s.signal(Yes())
    s.expect()
    s.done("work/pick:picking!No/act")
    s.done("work/pick:picking!No/tell")
    assert SettleSignal(1, "processed") in s.last.effects
    assert SettleSignal(2, "ignored", "left") in s.last.effects, "it was meant for the pick, and came too late"
    assert not s.snapshot.timers


def test_when_nobody_comes_the_time_is_picked() -> None:
    s = picking()
    s.feed(inputs.Tick(), after=second(61))
    s.expect(*[e for e in s.last.effects if not isinstance(e, RunAttempt)], run("work/tell"))
    s.signal(Yes())
    assert not [e for e in s.last.effects if isinstance(e, SettleSignal)]
    s.done("work/tell")
    assert s.snapshot.status == "completed"


def test_two_signals_that_are_there_before_it_begins_race_and_exactly_one_wins() -> None:
    s = Scenario(build(act, pick({Yes: transform(lambda j: {"note": "yes"}, name="y"), No: []}), delay(1)), Job())
    s.signal(No())
    s.signal(Yes())
    s.done("work/act")
    settled = [(e.seq, e.status) for e in s.last.effects if isinstance(e, SettleSignal)]
    assert settled == [(1, "processed"), (2, "ignored")]
    assert s.data.note == ""


def test_what_makes_no_sense_is_refused() -> None:
    class Other(Workflow[dict]):  # type: ignore[type-arg]
        begin = State[Any]()
        cancelled = State.cancelled()
        begin.to(cancelled)

    class Ends(Workflow[Job], on_failure=tell):
        begin = State(act)
        done = State.completed()
        begin.to(done)

    for wrong, why in ((machine(Other), "other_data"), (machine(Other), "cancels"), (machine(Ends), "on_failure=")):
        with pytest.raises(DefinitionError, match=why):
            build(wrong)
    with pytest.raises(DefinitionError, match="ending judges none"):
        build(act, on_failure=pick({Yes: act}))
    for nothing in (
        lambda: machine(Job),
        lambda: scope(act),
        lambda: scope(on={Yes: act}),
        lambda: pick({}),
        lambda: pick({"a": act}),
    ):
        with pytest.raises(BadRequest):
            nothing()
