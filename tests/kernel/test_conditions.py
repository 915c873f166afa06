"""Waits for a condition in conversations: an input, its effects and nothing else."""

from __future__ import annotations

import pytest

from stepkeel import Signal, State, Workflow, wait
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.model import input as inputs
from stepkeel.model.effect import End, Park
from stepkeel.testing import Harness, Scenario
from tests.flows import Job


class Paid(Signal):
    amount: int


def paid(job: Job) -> bool:
    return job.amount >= 100


class Collect(Workflow[Job]):
    """Payments come in any number; the body waits until they are enough."""

    collecting = State[Job](wait(condition=paid))
    done = State.completed()
    late = State.cancelled()
    collecting.to(done)
    collecting.on(Paid, into=lambda job, s: {"amount": job.amount + s.amount})
    collecting.after(3600.0, to=late)


def test_a_condition_is_asked_whenever_something_has_happened() -> None:
    s = Scenario(Collect, Job())
    s.expect(Park(s.now + 3_600_000_000))
    s.signal(Paid(60))
    assert s.snapshot.status == "waiting"
    s.signal(Paid(60))
    assert s.snapshot.status == "completed"
    assert s.last.effects[-1] == End()
    assert [e.detail for e in s.last.events if e.type == "wait_ended"] == [{"by": "condition"}]


def test_one_that_holds_from_the_start_waits_for_nothing() -> None:
    Scenario(Collect, Job(amount=100)).expect(End())


def test_of_a_condition_a_signal_and_a_time_the_first_to_come_ends_the_wait() -> None:
    class Either(Workflow[Job]):
        waiting = State[Job](wait(Paid, condition=paid, delay=10.0))
        done = State.completed()
        waiting.to(done)

    s = Scenario(Either, Job())
    s.signal(Paid(1))
    assert [e.detail for e in s.last.events if e.type == "wait_ended"] == [{"by": "Paid"}]
    s = Scenario(Either, Job())
    s.feed(inputs.Tick(), after=10_000_000)
    assert s.snapshot.status == "completed"


def test_where_nothing_can_change_the_data_it_fails_and_names_the_condition() -> None:
    class Hopeless(Workflow[Job]):
        waiting = State[Job](wait(condition=paid))
        done = State.completed()
        waiting.to(done)

    s = Scenario(Hopeless, Job())
    assert s.snapshot.failure is not None
    assert (s.snapshot.failure.code, s.snapshot.failure.path) == ("stuck", "waiting/wait")
    assert "waiting/wait for paid" in s.snapshot.failure.message


def test_a_condition_that_raises_fails_its_wait() -> None:
    def fussy(job: Job) -> bool:
        if job.amount == 1:
            raise ValueError("no idea")
        return False

    class Fussy(Workflow[Job]):
        waiting = State[Job](wait(condition=fussy))
        done = State.completed()
        waiting.to(done)
        waiting.on(Paid, into=lambda job, s: {"amount": s.amount})

    s = Scenario(Fussy, Job())
    s.signal(Paid(1))
    assert s.snapshot.failure is not None
    assert (s.snapshot.failure.code, s.snapshot.failure.path) == ("pure_failed", "waiting/wait")


async def test_explain_names_the_condition(harness: Harness) -> None:
    job = await harness.start(Collect, Job())
    told = str(await job.explain())
    assert "collecting/wait waits until paid holds" in told
    assert "moved by whatever changes its data" in told


def test_what_cannot_wait_for_a_condition_is_said() -> None:
    with pytest.raises(BadRequest, match="condition="):
        wait()
    with pytest.raises(DefinitionError, match="bad_handler"):

        class Ends(Workflow[Job], finally_=wait(condition=paid)):
            done = State.completed()
