"""Loops and choices in conversations: an input, its effects and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from stepkeel import Context, Signal, State, Workflow, activity, choice, loop, transform, wait, when
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.model import input as inputs
from stepkeel.model.effect import End, Park, RunAttempt
from stepkeel.testing import Scenario
from tests.flows import Go, Job


@activity
async def unpoll(ctx: Context[Job]) -> None: ...


@activity(compensate=unpoll)
async def poll(ctx: Context[Job]) -> None: ...


@activity
async def tell(ctx: Context[Job]) -> None: ...


class Ping(Signal):
    n: int = 0


def enough(job: Job) -> bool:
    return job.amount >= 3


def build(*body: Any, **policies: Any) -> type[Workflow[Job]]:
    class Flow(Workflow[Job], **policies):
        work = State[Job](*body)
        done = State.completed()
        away = State.cancelled()
        work.to(done)
        work.on(Go, to=away)

    return Flow


def test_until_is_asked_behind_an_iteration_and_every_iteration_has_a_path_of_its_own() -> None:
    s = Scenario(build(loop(poll, until=enough), tell), Job())
    s.expect(RunAttempt("work/loop/poll", 1))
    s.done("work/loop/poll", amount=1)
    s.expect(RunAttempt("work/loop@2/poll", 1))
    s.done("work/loop@2/poll", amount=2)
    assert list(s.snapshot.open) == ["work/loop@3/poll"], "the path is the position, there is no other"
    s.done("work/loop@3/poll", amount=3)
    s.expect(RunAttempt("work/tell", 1))
    assert s.events()[-2:] == ["iteration_ended", "loop_ended"]
    assert s.last.events[-1].detail == {"iterations": 3, "by": "until"}
    s.done("work/tell")
    s.expect(End())


def test_while_is_asked_before_an_iteration_also_the_first() -> None:
    s = Scenario(build(loop(poll, while_=lambda job: job.amount > 0)), Job())
    s.expect(End())
    s = Scenario(build(loop(poll, while_=lambda job: job.amount > 0)), Job(amount=1))
    s.expect(RunAttempt("work/loop/poll", 1))
    s.done("work/loop/poll", amount=0)
    s.expect(End())


@pytest.mark.parametrize(
    ("at_max", "status", "code"),
    [
        ("fail", "failed", "max_iterations"),
        ("go_on", "completed", ""),
        ("cancel", "cancelled", ""),
        ("terminate", "terminated", ""),
    ],
)
def test_more_than_max_iterations_means_what_at_max_says(at_max: Any, status: str, code: str) -> None:
    s = Scenario(build(loop(tell, until=enough, max_iterations=2, at_max=at_max)), Job())
    s.done("work/loop/tell")
    s.done("work/loop@2/tell")
    s.expect(End())
    assert s.snapshot.status == status
    assert (s.snapshot.failure.code if s.snapshot.failure else "") == code


def test_break_ends_the_innermost_loop_and_outside_one_it_is_a_failure_that_keeps_no_change() -> None:
    s = Scenario(build(loop(loop(choice(when(lambda job: True, poll))), tell, max_iterations=2, at_max="go_on")), Job())
    s.expect(RunAttempt("work/loop/loop/choice:arm/poll", 1))
    s.done("work/loop/loop/choice:arm/poll", outcome="break")
    s.expect(RunAttempt("work/loop/tell", 1))
    s.done("work/loop/tell")
    s.expect(RunAttempt("work/loop@2/loop/choice:arm/poll", 1))
    s = Scenario(build(tell), Job())
    s.done("work/tell", outcome="break", amount=9)
    assert s.snapshot.failure is not None
    assert s.snapshot.failure.code == "break_outside_loop"
    assert b'"amount":9' not in bytes(s.snapshot.data)


def test_a_choice_takes_the_first_arm_that_holds_else_otherwise_else_nothing() -> None:
    def chosen(amount: int, **otherwise: Any) -> Scenario:
        arms = when(lambda job: job.amount > 10, poll), when(enough, tell, tell)
        return Scenario(build(choice(*arms, **otherwise)), Job(amount=amount))

    chosen(11).expect(RunAttempt("work/choice:arm/poll", 1))
    s = chosen(5)
    s.expect(RunAttempt("work/choice:enough/tell", 1))
    s.done("work/choice:enough/tell")
    s.expect(RunAttempt("work/choice:enough/tell-2", 1))
    s.done("work/choice:enough/tell-2")
    s.expect(End())
    chosen(0, otherwise=tell).expect(RunAttempt("work/choice:otherwise/tell", 1))
    s = chosen(0)
    s.expect(End())
    assert "node_skipped" in s.events()


def test_a_pause_between_iterations_keeps_the_place() -> None:
    s = Scenario(build(loop(poll, until=enough)), Job())
    s.feed(inputs.Pause("ann"))
    s.done("work/loop/poll", amount=1)
    s.expect(Park(None))
    assert list(s.snapshot.open) == ["work/loop@2"], "it is judged when it goes on"
    s.feed(inputs.Resume("ann"))
    s.expect(RunAttempt("work/loop@2/poll", 1))


def test_an_attempt_lost_in_an_iteration_runs_again_there_and_no_earlier_one_does() -> None:
    s = Scenario(build(loop(poll, until=lambda job: job.amount >= 10)), Job())
    for n in range(1, 7):
        s.done("work/loop" + (f"@{n}" if n > 1 else "") + "/poll", amount=n)
    s.feed(inputs.Claimed())
    s.expect(RunAttempt("work/loop@7/poll", 1))


def test_every_iteration_is_undone_last_first() -> None:
    s = Scenario(build(loop(poll, until=enough, max_iterations=2)), Job())
    s.done("work/loop/poll", amount=1)
    s.done("work/loop@2/poll", amount=2)
    undone: list[str] = []
    while s.snapshot.status == "running":
        undone += [e.detail["of"] for e in s.last.events if e.type == "compensation_began"]
        s.done(next(iter(s.snapshot.open)))
    assert undone == ["work/loop@2/poll", "work/loop/poll"]
    assert s.snapshot.status == "failed"


def test_a_guard_that_raises_fails_the_loop_where_it_stands_and_a_redrive_asks_it_again() -> None:
    ask = {"raises": True}

    def fussy(job: Job) -> bool:
        if ask["raises"] and job.amount == 2:
            raise ValueError("no idea")
        return job.amount >= 3

    s = Scenario(build(loop(tell, until=fussy)), Job())
    s.done("work/loop/tell", amount=1)
    s.done("work/loop@2/tell", amount=2)
    assert s.snapshot.failure is not None
    assert (s.snapshot.failure.code, s.snapshot.failure.path) == ("pure_failed", "work/loop@3")
    ask["raises"] = False
    s.feed(inputs.Redrive("ann"))
    s.expect(RunAttempt("work/loop@3/tell", 1))


def test_a_signal_that_leads_away_leaves_nothing_of_the_loop_behind() -> None:
    s = Scenario(build(loop(wait(Ping), until=enough)), Job())
    s.signal(Ping())
    assert list(s.snapshot.open) == ["work/loop@2/wait"]
    s.signal(Go())
    assert (s.snapshot.status, s.snapshot.open) == ("cancelled", {})


def test_waits_of_a_loop_use_up_a_burst_of_signals_one_by_one() -> None:
    s = Scenario(build(loop(wait(Ping, into=lambda job, ping: {"amount": job.amount + ping.n}), until=enough)), Job())
    for _ in range(3):
        s.signal(Ping(1), judged=False)
    s.feed(inputs.SignalArrived())
    s.expect(*[e for e in s.last.effects if type(e).__name__ == "SettleSignal"], End())
    assert s.events().count("signal_processed") == 3


def test_a_failure_of_the_last_node_of_an_iteration_that_is_let_pass_goes_on_with_the_next() -> None:
    class Flow(Workflow[Job]):
        work = State(loop(poll, tell, until=enough))
        done = State.completed()
        work.to(done)
        work.on_failure(into=lambda job, failure: {"amount": job.amount + 1})

    s = Scenario(Flow, Job())
    s.done("work/loop/poll")
    s.failed("work/loop/tell")
    s.expect(RunAttempt("work/loop@2/poll", 1))
    s.failed("work/loop@2/poll")
    s.expect(RunAttempt("work/loop@2/tell", 1))


def test_a_handlers_body_may_loop_too() -> None:
    class Flow(Workflow[Job]):
        ready = State[Job]()
        done = State.completed()
        ready.on(Ping, do=loop(tell, until=enough))
        ready.on(Go, to=done)

    s = Scenario(Flow, Job())
    s.signal(Ping())
    s.expect(RunAttempt("ready!Ping/loop/tell", 1))
    s.done("ready!Ping/loop/tell", amount=2)
    s.done("ready!Ping/loop@2/tell", amount=3)
    assert "signal_processed" in s.events()
    s.signal(Ping())
    s.expect(RunAttempt("ready!Ping#2/loop/tell", 1))


def test_a_loop_of_pure_nodes_alone_ends_with_its_iterations_or_says_that_nothing_moves() -> None:
    def up(job: Job) -> dict[str, int]:
        return {"amount": job.amount + 1}

    s = Scenario(build(loop(transform(up), until=lambda job: job.amount >= 500)), Job())
    s.expect(End())
    assert s.snapshot.status == "completed"
    s = Scenario(build(loop(transform(up), max_iterations=1_000_000)), Job())
    assert s.snapshot.failure is not None
    assert (s.snapshot.status, s.snapshot.failure.code) == ("failed", "no_progress")
    s.expect(End())
    s = Scenario(
        build(loop(transform(up), max_iterations=1_000_000), on_failure=loop(transform(up), max_iterations=1_000_000)), Job()
    )
    assert (s.snapshot.status, s.snapshot.open) == ("failed", {})


def test_what_cannot_be_a_loop_or_a_choice_is_said() -> None:
    for call, text in [
        (lambda: loop(), "loop\\(\\) of nothing"),
        (lambda: loop(poll, max_iterations=0), "max_iterations=0"),
        (lambda: loop(poll, at_max="explode"), "at_max='explode'"),  # type: ignore[arg-type]
        (lambda: choice(), "choice\\(\\) of nothing"),
        (lambda: choice(poll), "choice\\("),  # type: ignore[arg-type]
        (lambda: choice(when(enough)), "the arm enough of a choice is empty"),
    ]:
        with pytest.raises(BadRequest, match=text):
            call()
    with pytest.raises(DefinitionError, match="bad_name"):
        build(choice(when(enough, poll, name="a/b")))
    with pytest.raises(DefinitionError, match="bad_handler"):
        build(poll, on_cancel=loop(wait(Go)))


def test_a_diagram_and_an_outline_show_what_is_inside() -> None:
    flow = build(loop(poll, choice(when(enough, tell), otherwise=[poll, tell]), until=enough))
    assert "loop (poll, choice (enough#colon; tell | otherwise#colon; poll, tell)) until enough" in flow.definition.mermaid()
    again = build(loop(poll, choice(when(enough, tell), otherwise=[poll, tell]), until=enough))
    other = build(loop(poll, choice(when(enough, tell), otherwise=[tell, poll]), until=enough))
    assert flow.definition.fingerprint.shape == again.definition.fingerprint.shape != other.definition.fingerprint.shape
