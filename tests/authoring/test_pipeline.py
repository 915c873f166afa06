"""Pipelines: typed, immutable, step after step; what each shape means, and what cannot be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol

import pytest

from stepkeel import (
    Complete,
    Confident,
    Context,
    Fail,
    Paths,
    Pipeline,
    Retry,
    TransientError,
    Verdict,
    activity,
    delay,
    for_each,
)
from stepkeel.errors import BadRequest, DefinitionChanged, DefinitionError, ServiceMissing
from stepkeel.testing import Harness


@dataclass(frozen=True)
class Order:
    total: int = 1
    trace: tuple[str, ...] = ()
    kind: str = "a"
    polls: int = 0
    stock: str = ""
    choice: str = ""
    by: str = ""


class Payments(Protocol):
    async def reserve(self, total: int, *, key: str) -> str: ...


class Till:
    """`away`: so many calls fail."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.keys: list[str] = []

    async def reserve(self, total: int, *, key: str) -> str:
        self.keys.append(key.partition("/")[2])
        if self.away:
            self.away -= 1
            raise TransientError("away")
        return f"r-{total}"


def step(name: str) -> Callable[[Order], Order]:
    def run(state: Order) -> Order:
        return replace(state, trace=(*state.trace, name))

    run.__name__ = name
    return run


def check_total(state: Order) -> Order | Fail:
    return replace(state, trace=(*state.trace, "checked")) if state.total > 0 else Fail("ORDER_INVALID", "nothing to pay")


async def take_payment(state: Order, payments: Payments, ctx: Context[Order]) -> Order:
    return replace(state, stock=await payments.reserve(state.total, key=ctx.idempotency_key))


async def refund(state: Order, payments: Payments) -> None:
    await payments.reserve(-state.total, key="refund")


class HoldStock:
    def __init__(self, payments: Payments) -> None:
        self.payments = payments

    def __call__(self, state: Order, ctx: Context[Order]) -> dict[str, Any]:
        return {"stock": f"held by {type(self.payments).__name__} at {ctx.node}"}


@activity
async def as_activity(ctx: Context[Order]) -> Order:
    return replace(ctx.data, trace=(*ctx.data.trace, "activity"))


@activity
async def shout(ctx: Context[Order, str]) -> str:
    return ctx.input.upper()


async def play(harness: Harness, pipeline: Pipeline[Order], state: Order | None = None, **services: Any) -> Any:
    harness.services[Payments] = services.get("till", Till())
    return await harness.start(pipeline, state or Order())


async def test_steps_run_one_after_another_each_with_what_it_asks_for(harness: Harness) -> None:
    pipeline = (
        Pipeline("order", Order)
        .start_with(check_total)
        .then(take_payment, retry=Retry(attempts=3))
        .then(HoldStock)
        .then(as_activity)
        .end_with(step("told"))
    )
    till = Till(away=2)
    order = await play(harness, pipeline, till=till)
    order.assert_status("completed")
    assert order.value.stock == "held by Till at hold_stock/hold_stock"
    assert order.value.trace == ("checked", "activity", "told")
    assert till.keys == ["take_payment/take_payment"] * 3
    assert [*pipeline.Phase] == [
        "not_started", "check_total", "take_payment", "hold_stock", "as_activity", "told",
        "validation_failed", "completed", "failed",
    ]  # fmt: skip
    assert pipeline.phase(await order.get()) is pipeline.Phase["COMPLETED"]


async def test_a_failure_compensates_then_runs_on_failure_and_the_phase_is_failed(harness: Harness) -> None:
    pipeline = (
        Pipeline("order", Order)
        .start_with(take_payment, compensate=refund)
        .then(check_total)
        .on_failure(step("sorry"), as_activity)
    )
    till = Till()
    order = await play(harness, pipeline, Order(total=0), till=till)
    order.assert_status("failed")
    info = await order.get()
    assert (info.failure.code, info.state, pipeline.phase(info)) == ("ORDER_INVALID", "check_total", "failed")
    assert till.keys == ["take_payment/take_payment", ""]
    assert order.value.trace == ("sorry", "activity")


async def test_a_step_whose_guard_does_not_hold_does_not_run_and_the_phase_says_so(harness: Harness) -> None:
    pipeline = (
        Pipeline("order", Order)
        .start_with(step("first"), validate=lambda s: s.total > 0)
        .then(step("second"), validate=lambda s: s.total > 1)
    )
    none = await play(harness, pipeline, Order(total=0))
    half = await play(harness, pipeline, Order(total=1))
    whole = await play(harness, pipeline, Order(total=2))
    assert [o.value.trace for o in (none, half, whole)] == [(), ("first",), ("first", "second")]
    assert [pipeline.phase(await o.get()) for o in (none, half, whole)] == ["validation_failed", "validation_failed", "completed"]
    assert (await half.get()).failure.code == "VALIDATION_FAILED"


async def test_what_is_not_sure_enough_is_looked_at_again(harness: Harness) -> None:
    def guess(state: Order) -> Confident[Order]:
        return Confident(replace(state, trace=(*state.trace, "guessed")), state.total / 10)

    def give_up(state: Order) -> Order | Complete:
        return Complete("too vague") if state.total == 0 else state

    pipeline = (
        Pipeline("order", Order)
        .start_with(guess, min_confidence=0.5, on_low_confidence=[step("looked"), give_up])
        .end_with(step("done"))
    )
    assert (await play(harness, pipeline, Order(total=9))).value.trace == ("guessed", "done")
    assert (await play(harness, pipeline, Order(total=5))).value.trace == ("guessed", "done")
    assert (await play(harness, pipeline, Order(total=4))).value.trace == ("guessed", "looked", "done")
    vague = await play(harness, pipeline, Order(total=0))
    vague.assert_status("completed")
    assert vague.value.trace == ("guessed", "looked")


async def test_a_branch_takes_the_way_of_a_value(harness: Harness) -> None:
    pipeline = (
        Pipeline("order", Order)
        .branch(lambda s: s.kind, {"a": step("way_a"), "b": [step("b1"), step("b2")]}, otherwise=step("other"), name="kinds")
        .then(step("behind"))
    )
    ends = [(await play(harness, pipeline, Order(kind=k))).value.trace for k in ("a", "b", "c")]
    assert ends == [("way_a", "behind"), ("b1", "b2", "behind"), ("other", "behind")]
    plain = Pipeline("order2", Order).branch(lambda s: s.total > 1, {True: step("much"), False: step("little")})
    assert (await play(harness, plain, Order(total=2))).value.trace == ("much",)


async def test_ways_that_are_forked_see_the_state_before_them_and_are_joined_by_a_function(harness: Harness) -> None:
    def merge(state: Order, paths: Paths[Order]) -> Order:
        assert set(paths) == {"stock", "papers"}
        return replace(state, stock=f"{state.trace} {paths['stock'].trace[-1]} {paths['papers'].trace[-1]} {len(paths)}")

    pipeline = (
        Pipeline("order", Order)
        .start_with(step("first"))
        .fork(stock=[step("s1"), step("s2")], papers=step("p1"))
        .join(merge)
        .then(step("last"))
    )
    order = await play(harness, pipeline)
    assert order.value.stock == "('first',) s2 p1 2"
    assert order.value.trace == ("first", "last")


async def test_without_a_function_the_fields_they_have_changed_are_put_together(harness: Harness) -> None:
    def stocked(state: Order) -> Order:
        return replace(state, stock="held")

    pipeline = Pipeline("order", Order).fork(stock=stocked, papers=step("p1")).join()
    order = await play(harness, pipeline)
    assert (order.value.stock, order.value.trace) == ("held", ("p1",))
    both = Pipeline("order2", Order).fork(a=step("a"), b=step("b")).join()
    conflict = await play(harness, both)
    assert (await conflict.get()).failure.code == "data_conflict"


async def test_repeated_until_it_holds_and_not_for_ever(harness: Harness) -> None:
    def ask_carrier(state: Order) -> Order:
        return replace(state, polls=state.polls + 1)

    pipeline = Pipeline("order", Order).repeat_until(lambda s: s.polls >= 3, ask_carrier, max_iterations=5)
    assert (await play(harness, pipeline)).value.polls == 3
    endless = Pipeline("order2", Order).repeat_until(lambda s: False, ask_carrier, max_iterations=5)
    assert (await (await play(harness, endless)).get()).failure.code == "max_iterations"


async def test_an_approval_is_waited_for_and_passes_on(harness: Harness) -> None:
    def approved(state: Order, verdict: Verdict) -> Order:
        return replace(state, by=verdict.by)

    pipeline = (
        Pipeline("order", Order)
        .start_with(step("first"))
        .await_approval("Ship {total}", role="manager", due=60, escalation=["director"], into=approved)
        .end_with(step("shipped"))
    )
    order = await play(harness, pipeline, Order(total=7))
    assert pipeline.phase(await order.get()) is pipeline.Phase["APPROVAL"]
    await harness.advance(61)
    engine = await harness.engine()
    (task,) = (await engine.tasks(instance_id=order.id)).items
    assert (task.title, task.role) == ("Ship 7", "director")
    await engine.task(task.id).approve(actor="ann", wait=0)
    await harness.settle()
    order.assert_status("completed")
    assert order.value.by == "ann"


async def test_an_approval_that_nobody_gives_or_somebody_refuses(harness: Harness) -> None:
    base = Pipeline("p1", Order).await_approval("x", timeout=timedelta(hours=1))
    order = await play(harness, base)
    await harness.advance(3_601)
    assert (await order.get()).failure.code == "approval_timeout"
    kind = Pipeline("p2", Order).await_approval("x", timeout=60, on_timeout=step("late"), on_reject=[step("no")]).then(step("on"))
    late = await play(harness, kind)
    await harness.advance(61)
    assert late.value.trace == ("late", "on")
    refused = await play(harness, kind)
    engine = await harness.engine()
    (task,) = (await engine.tasks(instance_id=refused.id)).items
    await engine.task(task.id).reject("dear", actor="ann", wait=0)
    await harness.settle()
    assert refused.value.trace == ("no", "on")
    hard = await play(harness, Pipeline("p3", Order).await_approval("x"))
    (task,) = (await engine.tasks(instance_id=hard.id)).items
    await engine.task(task.id).reject(actor="ann", wait=0)
    await harness.settle()
    assert (await hard.get()).failure.code == "rejected"


async def test_nobody_is_asked_where_the_guard_does_not_hold(harness: Harness) -> None:
    pipeline = (
        Pipeline("order", Order)
        .await_approval("x", when=lambda s: s.total >= 100, timeout=60, on_timeout=step("late"))
        .end_with(step("shipped"))
    )
    small = await play(harness, pipeline, Order(total=99))
    assert small.assert_status("completed").value.trace == ("shipped",)
    small.assert_no_event("task_opened")
    large = await play(harness, pipeline, Order(total=100))
    large.assert_status("waiting").assert_history("task_opened")
    await harness.advance(61)
    assert large.value.trace == ("late", "shipped")


async def test_nodes_of_bodies_are_steps_too(harness: Harness) -> None:
    pipeline = (
        Pipeline("order", Order)
        .then(for_each(lambda s: s.trace, shout, into=lambda s, r: replace(s, trace=tuple(r))), validate=lambda s: bool(s.trace))
        .branch(lambda s: s.kind, {"a": delay(5), "b": [step("b")]})
        .end_with(step("end"))
    )
    assert [*pipeline.Phase][1:4] == ["for_each", "branch", "end"]
    order = await play(harness, pipeline, Order(trace=("x", "y")))
    order.assert_status("waiting").assert_state("branch")
    await harness.advance(5)
    assert order.value.trace == ("X", "Y", "end")
    assert pipeline.phase(await (await play(harness, pipeline)).get()) is pipeline.Phase["VALIDATION_FAILED"]
    with pytest.raises(BadRequest, match="retry= of for_each"):
        Pipeline("order", Order).then(for_each(lambda s: s.trace, shout), retry=Retry(attempts=2))


async def test_one_of_several_options_is_chosen(harness: Harness) -> None:
    pipeline = (
        Pipeline("order", Order)
        .await_approval("Which way?", options=["ship", "hold"], into="choice")
        .branch(lambda s: s.choice, {"ship": step("shipped"), "hold": step("held")})
    )
    order = await play(harness, pipeline)
    engine = await harness.engine()
    (task,) = (await engine.tasks(instance_id=order.id)).items
    with pytest.raises(Exception, match="option"):
        await engine.task(task.id).complete({"option": "burn"}, actor="ann")
    await engine.task(task.id).complete({"option": "hold"}, actor="ann", wait=0)
    await harness.settle()
    assert order.value.trace == ("held",)


# -- as data


def test_every_method_gives_a_new_pipeline_and_fork_only_joins() -> None:
    base = Pipeline("order", Order).start_with(check_total)
    longer = base.then(HoldStock)
    assert (repr(base), repr(longer)) == ("<Pipeline order: check_total>", "<Pipeline order: check_total, hold_stock>")
    assert not hasattr(base.fork(a=check_total), "then")
    twice = longer.then(HoldStock).then(check_total)
    assert [p for p in twice.Phase if p.endswith("_2")] == ["hold_stock_2", "check_total_2"]


def test_it_is_a_machine_whose_states_are_its_phases() -> None:
    pipeline = Pipeline("order", Order, version=3).start_with(check_total, validate=lambda s: s.total > 0).end_with(HoldStock)
    definition = pipeline.definition
    assert (definition.name, definition.version, definition.initial) == ("order", 3, "not_started")
    assert [*definition.states] == ["not_started", "check_total", "hold_stock", "completed", "validation_failed"]
    assert "check_total --> hold_stock" in definition.mermaid()
    other = Pipeline("order", Order, version=3).start_with(check_total, validate=lambda s: s.total > 1).end_with(HoldStock)
    assert other.definition.fingerprint.shape == definition.fingerprint.shape
    assert other.definition.fingerprint.code != definition.fingerprint.code


def test_the_code_of_what_a_branch_asks_is_in_the_fingerprint() -> None:
    one = Pipeline("order", Order).branch(lambda s: s.kind, {"a": check_total})
    two = Pipeline("order", Order).branch(lambda s: s.stock, {"a": check_total})
    assert one.definition.fingerprint.shape == two.definition.fingerprint.shape
    assert one.definition.fingerprint.code != two.definition.fingerprint.code


def test_what_cannot_be_is_refused_where_it_is_written() -> None:
    base = Pipeline("order", Order).start_with(check_total)
    wrong: list[Callable[[], Any]] = [
        lambda: base.start_with(check_total),
        lambda: base.then(lambda s: s),
        lambda: base.then(check_total, min_confidence=2),
        lambda: base.then(check_total, min_confidence=0.5),
        lambda: base.then(check_total, on_low_confidence=[check_total]),
        lambda: base.then(check_total, timeout=-1),
        lambda: base.branch(lambda s: s.kind, {}),
        lambda: base.fork(),
        lambda: base.repeat_until(lambda s: True),
        lambda: base.await_approval("x", options=["one"]),
        lambda: base.end_with(HoldStock).then(check_total),
        lambda: base.then(7),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ]
    for write in wrong:
        with pytest.raises(BadRequest):
            write()

    def untyped(state: Order, payments) -> Order:  # type: ignore[no-untyped-def]  # pyright: ignore[reportUnknownParameterType,reportMissingParameterType]
        return state

    with pytest.raises(DefinitionError, match="payments has no type"):
        base.then(untyped)
    with pytest.raises(DefinitionError, match="no __call__"):
        base.then(Till)

    def of_other(state: Order, ctx: Context[Till]) -> Order:
        return state

    assert base.then(of_other).definition.name == "order"


async def test_a_service_that_is_missing_is_named_when_the_engine_starts(harness: Harness) -> None:
    with pytest.raises(ServiceMissing, match="take_payment: no service for payments"):
        await harness.start(Pipeline("order", Order).start_with(take_payment), Order())


async def test_another_shape_under_the_same_version_is_refused_while_instances_live(harness: Harness) -> None:
    await play(harness, Pipeline("order", Order).await_approval("x"))
    engine = await harness.engine()
    with pytest.raises((BadRequest, DefinitionChanged)):
        await engine.register(Pipeline("order", Order).await_approval("x").then(check_total))
