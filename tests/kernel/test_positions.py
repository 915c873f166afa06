"""Guards about where an instance stands, and bodies that are offered only while one holds."""

from __future__ import annotations

from typing import Any

import pytest

from stepkeel import (
    Context,
    Signal,
    State,
    Workflow,
    activity,
    at,
    choice,
    done,
    during,
    for_each,
    loop,
    parallel,
    size,
    visits,
    wait,
    when,
)
from stepkeel.errors import BadRequest
from stepkeel.model.effect import End, RunAttempt, SettleSignal
from stepkeel.testing import Harness, Scenario
from tests.flows import Job
from tests.kernel.bodies import build, tell


@activity
async def act(ctx: Context[Job]) -> None: ...


class Change(Signal): ...


class Packed(Signal): ...


def run(path: str) -> RunAttempt:
    return RunAttempt(path, 1)


def milestone(**options: Any) -> Scenario:
    """A change may be asked for while the parcel is being packed, and at no other time."""
    packing = [act, wait(Packed, name="pack"), act]
    change = during(at("packing/pack"), wait(Change), tell, **options)
    return Scenario(build(parallel(packing=packing, change=change, join=1), tell), Job())


def test_a_body_is_offered_only_while_the_other_branch_stands_there() -> None:
    s = milestone()
    assert s.snapshot.open["work/parallel:change/during"].run == "held"
    s.signal(Change())
    s.expect()
    s.done("work/parallel:packing/act")
    s.expect(SettleSignal(1, "processed"), run("work/parallel:change/during/tell"))


def test_what_waits_in_it_is_withdrawn_when_the_other_has_moved_on() -> None:
    s = milestone()
    s.done("work/parallel:packing/act")
    assert "work/parallel:change/during/wait" in s.snapshot.open
    s.signal(Packed())
    assert "work/parallel:change/during/wait" not in s.snapshot.open
    s.signal(Change())
    s.done("work/parallel:packing/act-2")
    s.expect(run("work/tell"))


def test_what_is_in_flight_in_it_ends_first() -> None:
    s = milestone()
    s.done("work/parallel:packing/act")
    s.signal(Change())
    s.signal(Packed())
    assert s.snapshot.open["work/parallel:change/during/tell"].run == "flying"
    s.done("work/parallel:change/during/tell")
    assert "branch_ended" in s.events()


def test_otherwise_says_what_happens_where_it_is_not_offered() -> None:
    s = milestone(otherwise="skip")
    assert "node_skipped" in [e.type for e in s.last.events]
    s = Scenario(build(during(at("nowhere"), act, otherwise="fail")), Job())
    assert s.snapshot.failure is not None
    assert s.snapshot.failure.code == "not_offered"


def test_a_body_that_can_never_be_offered_is_stuck_and_says_so() -> None:
    s = Scenario(build(parallel(one=during(at("two/never"), act), two=act)), Job())
    s.done("work/parallel:two/act")
    assert s.snapshot.failure is not None
    assert s.snapshot.failure.code == "stuck"
    assert "at(two/never)" in s.snapshot.failure.message


def test_positions_are_asked_in_any_guard_and_joined_with_functions_of_the_data() -> None:
    def rich(job: Job) -> bool:
        return job.amount > 10

    branch = choice(when(at("lines") & rich, act, name="both"), when(~at("lines") | rich, tell, name="either"), otherwise=act)
    for amount, path in ((11, "both/act"), (0, "otherwise/act")):
        s = Scenario(build(parallel(one=branch, lines=wait(Packed))), Job(amount=amount))
        s.expect(run(f"work/parallel:one/choice:{path}"))
    s = Scenario(build(parallel(one=act, two=wait(condition=done("parallel:one")))), Job())
    s.done("work/parallel:one/act")
    s.expect(End())
    s = Scenario(build(for_each(lambda j: range(3), choice(when(size("for_each") >= 3, act), otherwise=tell))), Job())
    assert run("work/for_each[0]/choice:arm/act") in s.last.effects


def test_visits_end_a_circle_of_states() -> None:
    class Circle(Workflow[Job]):
        here = State(act)
        there = State(tell)
        over = State.completed()
        here.to(there)
        there.to(over, when=visits("here") >= 3)
        there.to(here)

    s = Scenario(Circle, Job())
    for path in ("here/act", "there/tell", "here~2/act", "there~2/tell", "here~3/act", "there~3/tell"):
        s.done(path)
    s.expect(End())


async def test_explain_says_what_a_held_body_waits_for() -> None:
    harness = Harness()
    job = await harness.start(
        build(parallel(one=during(at("two/wait"), loop(act, until=lambda j: True)), two=[wait(Packed)])), Job()
    )
    job.assert_status("waiting")
    await harness.close()
    harness = Harness()
    job = await harness.start(build(parallel(one=during(~at("two/wait"), act), two=[wait(Packed)])), Job())
    assert "work/parallel:one/during is offered while not at(two/wait) holds" in str(await job.explain())
    assert (await harness.doctor()).clean
    await harness.close()


def test_what_makes_no_sense_is_refused() -> None:
    for wrong in (lambda: at(""), lambda: visits(7), lambda: during(at("x")), lambda: during(at("x"), act, otherwise="maybe")):  # type: ignore[arg-type]
        with pytest.raises(BadRequest):
            wrong()
    with pytest.raises(TypeError, match="asked by the engine"):
        at("x")(Job())
