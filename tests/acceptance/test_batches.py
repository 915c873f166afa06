"""Activities that take many: steps and items that begin together are one call, and each has its own result, failure and undo."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest

from stepkeel import Append, Context, Engine, Fail, Retry, Saga, State, Workflow, activity, for_each, parallel
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.testing import Harness
from tests.flows import FAST


@dataclass
class Rows:
    rows: list[int] = field(default_factory=list[int])
    scores: list[int] = field(default_factory=list[int])
    log: Annotated[list[str], Append] = field(default_factory=list[str])


@dataclass
class Calls:
    given: list[list[int]] = field(default_factory=list[list[int]])
    keys: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    undone: list[int] = field(default_factory=list[int])
    raises: list[Exception] = field(default_factory=list[Exception])
    wrong: Any = None


@activity
async def unscore(ctx: Context[Rows, int], calls: Calls) -> None:
    calls.undone.append(ctx.input)


@activity(batch=3, retry=Retry(attempts=3, delay=1), compensate=unscore)
async def score(ctx: Context[Rows, list[int]], calls: Calls) -> list[Any]:
    calls.given.append(ctx.input)
    calls.keys.append(ctx.keys)
    ctx.data.log.append("what a call for many does to the data is nobody's")
    if calls.raises:
        raise calls.raises.pop()
    if calls.wrong is not None:
        return calls.wrong
    return [Fail("ODD", str(n)) if n == 13 else n * 10 for n in ctx.input]


def saga(*rows: int) -> Saga[Rows]:
    made = Saga("scores", Rows)
    steps = [made.step(f"s{n}", score, lambda run, n=n: n) for n in rows]
    made.step("sum", collect, lambda run: [run[s] for s in steps], needs=steps, into="scores")
    return made


@activity
async def collect(ctx: Context[Rows, list[int]]) -> list[int]:
    return ctx.input


async def run(flow: Any, data: Rows | None = None, calls: Calls | None = None) -> tuple[Any, Calls, Harness]:
    harness, calls = Harness(), calls or Calls()
    harness.services[Calls] = calls
    instance = await harness.start(flow, data or Rows())
    await harness.advance(30)
    return instance, calls, harness


async def test_steps_that_begin_together_are_one_call_and_each_has_its_own_result() -> None:
    instance, calls, harness = await run(saga(1, 2))
    instance.assert_status("completed")
    assert (calls.given, instance.value.scores, instance.value.log) == ([[1, 2]], [10, 20], [])
    assert [[k.partition("/")[2] for k in keys] for keys in calls.keys] == [["saga/steps:s1/score", "saga/steps:s2/score"]]
    await harness.close()


async def test_no_call_is_given_more_than_it_takes() -> None:
    instance, calls, harness = await run(saga(1, 2, 3, 4, 5, 6, 7))
    instance.assert_status("completed")
    assert sorted(len(g) for g in calls.given) == [1, 3, 3]
    assert instance.value.scores == [n * 10 for n in range(1, 8)]
    await harness.close()


async def test_items_that_begin_together_are_one_call() -> None:
    class Scoring(Workflow[Rows]):
        going = State(for_each(lambda rows: rows.rows, score, into="scores", max_concurrency=3))
        done = State.completed()
        going.to(done)

    instance, calls, harness = await run(Scoring, Rows([1, 2, 3]))
    instance.assert_status("completed")
    assert (sum(map(len, calls.given)), instance.value.scores) == (3, [10, 20, 30])
    assert len(calls.given) < 3
    await harness.close()


async def test_one_that_has_failed_fails_alone_and_the_others_are_undone_with_what_they_gave() -> None:
    instance, calls, harness = await run(saga(1, 13, 2))
    instance.assert_status("failed")
    assert (instance.info.failure.code, instance.info.failure.path) == ("ODD", "saga/steps:s13/score")
    assert sorted(calls.undone) in ([10], [10, 20], [20])
    assert all(n in (10, 20) for n in calls.undone)
    await harness.close()


async def test_an_error_of_the_call_is_tried_again_for_each() -> None:
    instance, calls, harness = await run(saga(1, 2), calls=Calls(raises=[ConnectionError("away")]))
    instance.assert_status("completed").assert_history("activity_retry_scheduled")
    assert sorted(n for given in calls.given[1:] for n in given) == [1, 2]
    await harness.close()


@pytest.mark.parametrize("wrong", [[1], [1, 2, 3], "ab", {"a": 1, "b": 2}])
async def test_results_that_do_not_match_the_inputs_fail_all_of_them(wrong: Any) -> None:
    instance, _, harness = await run(saga(1, 2), calls=Calls(wrong=wrong))
    instance.assert_status("failed")
    assert "score takes many: given 2, it returned" in instance.info.failure.message
    await harness.close()


async def test_a_call_for_many_runs_in_a_thread_too_and_on_every_store(url: str) -> None:
    @activity(batch=True)
    def double(ctx: Context[Rows, list[int]]) -> list[int]:
        return [n * 2 for n in ctx.input]

    made = Saga("doubles", Rows)
    steps = [made.step(f"s{n}", double, lambda run, n=n: n) for n in range(5)]  # type: ignore[call-overload]
    made.step("sum", collect, lambda run: [run[s] for s in steps], needs=steps, into="scores")
    async with Engine(url, [made], settings=FAST) as engine:
        result = await (await engine.start(made, Rows())).wait(20)
        assert (result.status, result.data.scores) == ("completed", [0, 2, 4, 6, 8])


async def test_a_call_that_nobody_waits_for_any_more_is_stopped() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    @activity(batch=True)
    async def hang(ctx: Context[Rows, list[int]]) -> list[int]:
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()
        return ctx.input

    made = Saga("hangs", Rows)
    for n in range(3):
        made.step(f"s{n}", hang, lambda run, n=n: n)
    async with Engine("memory://", [made], settings=FAST) as engine:
        instance = await engine.start(made, Rows())
        await asyncio.wait_for(began.wait(), 10)
        await instance.cancel(wait=10)
        await asyncio.wait_for(ended.wait(), 10)
        assert (await instance.wait(10)).status == "cancelled"


async def test_where_nothing_is_given_each_is_given_nothing() -> None:
    seen: list[list[Any]] = []

    @activity(batch=True)
    async def look(ctx: Context[Rows, list[None]]) -> list[None]:
        seen.append(ctx.input)
        return ctx.input

    class Looking(Workflow[Rows]):
        going = State(parallel(a=look, b=look))
        done = State.completed()
        going.to(done)

    instance, _, harness = await run(Looking)
    instance.assert_status("completed")
    assert seen == [[None, None]]
    await harness.close()


def test_what_makes_no_sense_is_refused() -> None:
    for bad in (-1, 1, 1.5, 20_000):
        with pytest.raises(BadRequest, match="batch"):
            activity(batch=bad)  # type: ignore[call-overload]
    with pytest.raises(BadRequest, match="batch"):
        activity(batch=True, transactional=True)  # type: ignore[call-overload]


def test_a_compensation_is_checked_against_each_result() -> None:
    @activity
    async def of_text(ctx: Context[Rows, str]) -> None: ...

    @activity(batch=True, compensate=of_text)
    async def whole(ctx: Context[Rows, list[int]]) -> list[int]:
        return ctx.input

    made = Saga("typed", Rows)
    made.step("a", whole, lambda run: 1)
    with pytest.raises(DefinitionError, match="of_text expects str, the step gives int"):
        made.definition
