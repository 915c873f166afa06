"""Sagas: what was done is undone, last first, with what it gave; nothing takes longer than it may."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from stepkeel import Context, Engine, Fail, Retry, Run, Saga, TransientError, activity, delay
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.testing import Harness
from tests.acceptance.crash import crash, crashed_engine
from tests.flows import FAST, World


@dataclass
class Purchase:
    product: str = "book"
    amount: int = 10
    breaks: str = ""
    receipt: str = ""


@dataclass
class Desk:
    """What was done in the world, in order."""

    done: list[str] = field(default_factory=list[str])
    hang: str = ""

    async def do(self, what: str, breaks: str) -> str:
        if self.hang and what.startswith(self.hang):
            await asyncio.get_running_loop().create_future()
        if breaks and what.startswith(breaks):
            raise Fail("REFUSED", what)
        self.done.append(what)
        return f"<{what}>"


@activity
async def undo(ctx: Context[Purchase, str], desk: Desk) -> dict[str, int]:
    await desk.do(f"undo {ctx.input}", ctx.data.breaks)
    return {"no such field": 1}  # what an undo returns changes nothing


@activity(retry=Retry(attempts=100, delay=7))
async def never(ctx: Context[Purchase, str]) -> None:
    raise TransientError("nobody answers")


@activity
async def do(ctx: Context[Purchase, str], desk: Desk) -> str:
    return await desk.do(ctx.input, ctx.data.breaks)


@activity
async def tell_no(ctx: Context[Purchase]) -> str:
    raise Fail("NO")


@activity
async def tell(ctx: Context[Purchase]) -> None: ...


def payment(**options: Any) -> Saga[Purchase]:
    saga = Saga("payment", Purchase, **options)
    stock = saga.step("stock", do, lambda run: f"reserve {run.input.product}", compensate=undo)
    money = saga.step("money", do, lambda run: f"charge {run.input.amount} for {run[stock]}", needs=[stock], compensate=undo)
    saga.step("ship", do, lambda run: f"ship {run[money]}", needs=[money], into="receipt")
    return saga


async def run(saga: Saga[Purchase], data: Purchase, desk: Desk | None = None) -> Any:
    harness = Harness()
    harness.services[Desk] = desk = desk or Desk()
    instance = await harness.start(saga, data)
    await harness.advance(1)
    assert (await harness.doctor()).clean
    return instance, desk, harness


async def test_each_step_is_given_what_earlier_ones_gave() -> None:
    instance, desk, harness = await run(payment(), Purchase())
    instance.assert_status("completed")
    assert desk.done == ["reserve book", "charge 10 for <reserve book>", "ship <charge 10 for <reserve book>>"]
    assert instance.value.receipt == "<ship <charge 10 for <reserve book>>>"
    await harness.close()


@pytest.mark.parametrize(
    ("breaks", "undone"),
    [
        ("reserve", []),
        ("charge", ["undo <reserve book>"]),
        ("ship", ["undo <charge 10 for <reserve book>>", "undo <reserve book>"]),
    ],
)
async def test_a_failure_in_any_step_undoes_those_before_it_with_what_they_gave_last_first(breaks: str, undone: list[str]) -> None:
    instance, desk, harness = await run(payment(), Purchase(breaks=breaks))
    instance.assert_status("failed")
    assert [d for d in desk.done if d.startswith("undo")] == undone
    await harness.close()


async def test_a_saga_that_takes_too_long_fails_and_what_was_done_is_undone() -> None:
    saga = payment(timeout=60)
    saga.step("rest", delay(3600), needs=["ship"])
    instance, desk, harness = await run(saga, Purchase())
    await harness.advance(58)
    instance.assert_status("waiting")
    await harness.advance(2)
    instance.assert_status("failed")
    assert instance.info.failure is not None
    assert instance.info.failure.code == "timeout"
    assert desk.done[3:] == ["undo <charge 10 for <reserve book>>", "undo <reserve book>"]
    await harness.close()


async def test_undos_that_take_too_long_are_listed_as_not_done_and_it_fails() -> None:
    saga = Saga("slow", Purchase, compensation_timeout=30)
    stock = saga.step("stock", do, lambda run: "reserve", compensate=undo)
    money = saga.step("money", do, lambda run: "charge", needs=[stock], compensate=never)
    saga.step("ship", do, lambda run: "ship", needs=[money])
    instance, desk, harness = await run(saga, Purchase(breaks="ship"))
    instance.assert_status("waiting")
    assert "timeout of undo is due" in str(await instance.explain())
    await harness.advance(31)
    instance.assert_status("failed")
    told = [(e.type, e.detail.get("of")) for row in await instance.history() for e in row.events]
    assert ("compensation_failed", "saga/steps:money/do") in told
    assert ("compensation_skipped", "saga/steps:stock/do") in told
    assert [e.code for e in instance.info.failure.undo_errors] == ["compensation_timeout"]
    assert not [d for d in desk.done if d.startswith("undo")]
    await harness.close()


async def test_an_undo_that_is_done_in_time_leaves_no_timer_behind() -> None:
    instance, _, harness = await run(payment(compensation_timeout=30), Purchase(breaks="ship"))
    instance.assert_status("failed").assert_history("compensation_completed")
    await harness.advance(60)
    instance.assert_status("failed")
    await harness.close()


async def test_a_step_may_have_policies_of_its_own() -> None:
    saga = Saga("policies", Purchase)
    saga.step("a", do, lambda run: "a", retry=Retry(attempts=3, delay=1), optional=True)
    saga.step("b", do, lambda run: "b", fallback=do, fallback_given=lambda run: "instead of b")
    saga.step("c", do, lambda run: "c", fallback=do)
    saga.step("d", tell_no, fallback=do, fallback_given=lambda run: "instead of d")
    instance, desk, harness = await run(saga, Purchase(breaks="b"))
    instance.assert_status("completed")
    assert sorted(desk.done) == ["a", "c", "instead of b", "instead of d"]
    await harness.close()


async def test_a_failed_saga_goes_on_where_it_failed_with_the_outputs_there_were() -> None:
    saga = Saga("again", Purchase)
    stock = saga.step("stock", do, lambda run: "reserve")
    saga.step("ship", do, lambda run: f"ship {run[stock]}", needs=[stock])
    instance, desk, harness = await run(saga, Purchase(breaks="ship"))
    instance.assert_status("failed")
    await instance.set_data({"breaks": ""})
    await instance.redrive()
    await harness.advance(1)
    instance.assert_status("completed")
    assert desk.done == ["reserve", "ship <reserve>"]
    await harness.close()


async def test_a_saga_that_loses_its_worker_goes_on_on_every_store(url: str) -> None:
    desk = Desk(hang="charge")
    saga = payment()
    first = await crashed_engine(url, [saga], World(), {Desk: desk})
    order = await first.start(saga, Purchase())
    async with asyncio.timeout(10):
        while not any(e.path.endswith("steps:stock") for h in await first.history(order.id) for e in h.events):
            await asyncio.sleep(0.01)
    crash(first)
    again = Desk()
    async with Engine(url, [saga], {Desk: again}, settings=FAST) as second:
        result = await second.instance(order.id, saga).wait(20)
        assert (result.status, result.data.receipt) == ("completed", "<ship <charge 10 for <reserve book>>>")
        assert again.done == ["charge 10 for <reserve book>", "ship <charge 10 for <reserve book>>"]
    await first.close()


def problems(saga: Saga[Any]) -> dict[str, str]:
    with pytest.raises(DefinitionError) as found:
        saga.definition
    return {p.code: f"{p.place}: {p.message} -> {p.remedy}" for p in found.value.problems}


def test_everything_wrong_with_the_steps_is_told_at_once() -> None:
    saga = Saga("wrong", Purchase)
    saga.step("a", do, needs=["b"])
    saga.step("b", do, needs=["a"])
    saga.step("c", do, needs=["stok"])
    saga.step("stock", tell, compensate=undo)
    saga.step("stock", tell)
    found = problems(saga)
    assert set(found) == {"cycle", "unknown_step", "compensation_input", "step_twice"}
    assert "a needs b needs a" in found["cycle"] or "b needs a needs b" in found["cycle"]
    assert "did you mean stock?" in found["unknown_step"]
    assert "undo expects str, the step gives nothing" in found["compensation_input"]


def test_modes_refuse_needs_that_make_no_sense() -> None:
    for mode, word in (("parallel", "the mode is parallel"), ("sequential", "which comes later")):
        saga = Saga("mode", Purchase, mode=mode)  # type: ignore[arg-type]
        saga.step("a", do, needs=["b"])
        saga.step("b", do)
        assert word in problems(saga)["bad_needs"]


def test_bad_arguments_are_refused_where_they_are_written() -> None:
    saga = Saga("args", Purchase)
    with pytest.raises(BadRequest, match="did you mean retry"):
        saga.step("a", do, lambda run: "a", retri=Retry(attempts=3))  # type: ignore[call-overload]
    with pytest.raises(BadRequest, match="a list of steps"):
        saga.step("a", do, lambda run: "a", needs="stock")
    with pytest.raises(BadRequest, match="no single activity"):
        saga.step("a", [do, do], retry=Retry(attempts=3))
    with pytest.raises(BadRequest, match="is empty"):
        saga.step("a", [])
    with pytest.raises(BadRequest, match="has no steps"):
        saga.definition
    with pytest.raises(BadRequest, match="timeout"):
        Saga("args", Purchase, timeout=0)
    built = payment()
    built.definition
    with pytest.raises(BadRequest, match="is built"):
        built.step("late", tell)


def test_a_run_is_typed() -> None:
    saga = Saga("typed", Purchase)
    first = saga.step("first", do, lambda run: run.input.product)

    def given(run: Run[Purchase]) -> str:
        return run[first].upper()

    assert saga.step("second", do, given, needs=[first]).key == "second"
