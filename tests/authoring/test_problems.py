"""Everything wrong with a definition is told at once, with code, place and remedy; the warnings too."""

from __future__ import annotations

import types
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from stepkeel import Context, Retry, Signal, State, Workflow, activity, any_of, delay, transform, wait
from stepkeel.errors import BadRequest, DefinitionError
from tests.flows import Go, Job


@dataclass
class Other:
    x: int = 0


@activity
async def of_other(ctx: Context[Other]) -> None: ...


@activity
async def no_context(job: Job) -> None: ...


@activity
async def of_signal(ctx: Context[Job, Go]) -> None: ...


class Elsewhere(Workflow[Job]):
    there = State.completed()


class Unrelated(Signal):
    n: int = 0


def problems(error: DefinitionError) -> set[str]:
    return {p.code for p in error.problems}


def test_all_problems_are_collected_and_reported_together() -> None:
    with pytest.raises(DefinitionError) as caught:

        class Bad(Workflow[Job], version=0):
            a = State(of_other, initial=True)
            b = State(no_context, initial=True)  # type: ignore[arg-type]
            c = State[Job](name="has space")
            z = State.completed()
            a.to(Elsewhere.there)
            b.on(Go, to=z, into="noet")
            b.on(Unrelated, do=of_signal)
            z.to(a)

    assert problems(caught.value) == {
        "bad_version", "two_initial", "other_data", "bad_activity", "bad_name", "foreign_state", "bad_into", "other_input",
        "way_out_of_final",
    }  # fmt: skip
    text = str(caught.value)
    assert "did you mean note?" in text
    assert "Bad.a" in text
    assert "test_problems.py:" in text, "file and line"
    for problem in caught.value.problems:
        assert problem.remedy


@pytest.mark.parametrize(
    ("code", "build"),
    [
        ("no_states", lambda: types.new_class("Empty", (Workflow[Job],))),
        ("no_data_type", lambda: type("Untyped", (Workflow,), {"a": State.completed()})),
        ("bad_policy", lambda: _policy("reject-all")),
        ("reserved_name", lambda: _reserved()),
        ("signal_name_twice", lambda: _two_signals()),
        ("state_name_twice", lambda: _two_states()),
        ("bad_interrupt", lambda: _interrupt()),
    ],
)
def test_each_problem_has_its_code(code: str, build) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DefinitionError) as caught:
        build()
    assert code in problems(caught.value)


def _policy(value: str) -> None:
    class Bad(Workflow[Job], unhandled_signals=value):  # type: ignore[call-arg]
        a = State.completed()


def _reserved() -> None:
    class Bad(Workflow[Job]):
        a = State[Job]()
        b = State.completed()
        both = any_of(a)
        both.to(b)


def _two_signals() -> None:
    class Ping(Signal): ...

    first = Ping

    class Ping(Signal):  # type: ignore[no-redef]
        n: int = 0

    class Bad(Workflow[Job]):
        a = State[Job]()
        b = State.completed()
        a.on(first, to=b)
        a.on(Ping, to=b)


def _interrupt() -> None:
    class Bad(Workflow[Job]):
        a = State[Job]()
        b = State.completed()
        a.to(b)
        a.on(Go, interrupt=True)


def _two_states() -> None:
    class Bad(Workflow[Job]):
        a = State[Job](name="same")
        b = State.completed(name="same")
        a.to(b)


def test_warnings_do_not_stop_the_class_and_are_listed() -> None:
    class Odd(Workflow[Job]):
        a = State[Job](transform(lambda job: replace(job, amount=1)))
        b = State.completed()
        lost = State.completed()
        a.to(b)
        a.to(a)
        stuck = State[Job]()
        lost_too = State[Job]()
        lost_too.to(stuck, when=lambda job: False)

    assert {p.code for p in Odd.definition.problems} == {"no_key", "unreachable", "never_taken", "no_way_on"}
    assert all(p.warning for p in Odd.definition.problems)


def test_a_built_workflow_is_sealed_cannot_be_instantiated_and_not_subclassed() -> None:
    class Flow(Workflow[Job]):
        a = State[Job]()
        z = State.completed()
        a.to(z)

    with pytest.raises(DefinitionError, match="is built"):
        Flow.a.to(Flow.z)
    with pytest.raises(TypeError, match=r"engine\.start"):
        Flow()
    with pytest.raises(DefinitionError, match="no subclasses"):

        class Sub(Flow):
            b = State.completed()


def test_policies_out_of_range_are_refused_where_they_are_written() -> None:
    for bad in (
        {"attempts": 0}, {"backoff": "linear"}, {"jitter": 2}, {"delay": -1}, {"factor": 0}, {"max_delay": timedelta(seconds=-1)},
    ):  # fmt: skip
        with pytest.raises(BadRequest):
            Retry(**bad)  # type: ignore[arg-type]
    with pytest.raises(BadRequest):
        activity(timeout=0)
    with pytest.raises(BadRequest):
        delay(-1)
    with pytest.raises(BadRequest):
        wait()


def test_second_nodes_of_a_name_get_their_own_keys() -> None:
    @activity
    async def again(ctx: Context[Job]) -> None: ...

    class Flow(Workflow[Job]):
        a = State(again, delay(1), again, delay(2))
        z = State.completed()
        a.to(z)

    assert [n.key for n in Flow.definition.states["a"].body] == ["again", "delay", "again-2", "delay-2"]


def test_the_fingerprint_knows_shape_from_code() -> None:
    def make(guard, span: int = 1):  # type: ignore[no-untyped-def]
        class Flow(Workflow[Job]):
            a = State[Job](delay(span))
            z = State.completed()
            a.to(z, when=guard)
            a.on(Go, to=z)

        return Flow.definition

    one = make(lambda job: job.amount > 1)
    same = make(lambda job: job.amount > 1)
    other = make(lambda job: job.amount > 2)
    shape = make(lambda job: job.amount > 1, 2)
    assert one.fingerprint == same.fingerprint
    assert one.fingerprint.shape == other.fingerprint.shape
    assert one.fingerprint.code != other.fingerprint.code
    assert one.fingerprint.shape != shape.fingerprint.shape


def test_a_definition_prints_and_draws_itself() -> None:
    from examples.order_approval.workflow import OrderApproval

    text = str(OrderApproval.definition)
    assert text.startswith("OrderApproval version 1 (fingerprint ")
    assert "-> created: check_order" in text
    drawing = OrderApproval.definition.mermaid()
    assert drawing == OrderApproval.definition.mermaid()
    assert "awaiting --> rejected: OrderRejected / record_reason" in drawing
    assert "```mermaid" in OrderApproval.definition._repr_markdown_()
