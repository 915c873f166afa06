"""for_each in conversations: an input, its effects and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from stepkeel import Arrivals, Context, Join, State, Workflow, activity, for_each, loop, wait
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.kernel.ranges import holds_number, with_number
from stepkeel.model import input as inputs
from stepkeel.model.effect import End, RunAttempt, StopAttempt
from stepkeel.testing import Scenario


@dataclass
class Basket:
    lines: list[str] = field(default_factory=list[str])
    picked: list[int] = field(default_factory=list[int])
    total: int = 0


@activity
async def act(ctx: Context[Basket, str]) -> int:
    return 1


@activity
async def tell(ctx: Context[Basket]) -> None: ...


def build(*body: Any) -> type[Workflow[Basket]]:
    class Flow(Workflow[Basket]):
        work = State[Basket](*body)
        done = State.completed()
        work.to(done)

    return Flow


def lines(basket: Basket) -> list[str]:
    return basket.lines


def scenario(*body: Any, n: int = 3, then: Any = tell, **options: Any) -> Scenario:
    return Scenario(build(for_each(lines, *(body or (act,)), **options), then), Basket([f"l{i}" for i in range(n)]))


def item(k: int, key: str = "act") -> str:
    return f"work/for_each[{k}]/{key}"


def test_a_body_runs_for_each_item_at_most_max_concurrency_at_a_time() -> None:
    s = scenario(n=4, max_concurrency=2)
    s.expect(RunAttempt(item(0), 1), RunAttempt(item(1), 1))
    s.done(item(1))
    s.expect(RunAttempt(item(2), 1))
    s.done(item(2))
    s.expect(RunAttempt(item(3), 1))
    s.done(item(0))
    s.expect()
    s.done(item(3))
    s.expect(RunAttempt("work/tell", 1))
    assert s.events() == ["activity_completed", "item_ended", "join_resolved"]


def test_results_reach_the_data_in_the_order_of_the_items_whatever_the_order_they_came_in() -> None:
    s = scenario(into="picked")
    for k in (2, 0, 1):
        s.done(item(k), result=k * 10)
    assert s.data.picked == [0, 10, 20]

    def add(basket: Basket, results: list[Any]) -> dict[str, int]:
        return {"total": sum(r for r in results if r is not None)}

    s = scenario(into=add, join=Join(failures="collect"))
    s.done(item(0), result=5)
    s.failed(item(1))
    s.done(item(2), result=7)
    assert s.data.total == 12


def test_results_that_do_not_fit_the_field_fail_the_node() -> None:
    s = scenario(into="picked", n=1)
    s.done(item(0), result="seven")
    assert s.snapshot.failure is not None
    assert s.snapshot.failure.code == "pure_failed"
    assert "picked" in s.snapshot.failure.message


def test_results_stay_for_a_redrive_and_go_when_the_join_has_resolved() -> None:
    s = scenario(into="picked", n=2)
    s.done(item(0), result=7)
    s.failed(item(1))
    s.expect(End())
    s.feed(inputs.Redrive())
    s.expect(RunAttempt(item(1), 1))
    assert list(s.snapshot.results) == ["work/for_each[0]"]
    s.done(item(1), result=8)
    assert s.data.picked == [7, 8]
    assert not s.snapshot.results


def test_no_items_are_done_at_once() -> None:
    s = scenario(n=0, into="picked")
    s.expect(RunAttempt("work/tell", 1))
    assert "node_skipped" in s.events()


@pytest.mark.parametrize("items", [lambda b: 7, lambda b: "text", lambda b: {"a": 1}, lambda b: [object()], lambda b: b.nothing])
def test_items_that_are_no_list_or_cannot_be_stored_fail_the_node(items: Any) -> None:
    s = Scenario(build(for_each(items, act)), Basket())
    assert s.snapshot.failure is not None
    assert s.snapshot.failure.code == "pure_failed"
    assert s.snapshot.failure.path == "work/for_each"


def test_the_items_are_those_there_were_when_it_began() -> None:
    s = scenario(n=2, max_concurrency=1)
    s.done(item(0), lines=["other", "lines", "now", "four"])
    s.expect(RunAttempt(item(1), 1))
    s.done(item(1))
    s.expect(RunAttempt("work/tell", 1))


def test_the_need_of_the_join_may_ask_for_results() -> None:
    def enough(arrivals: Arrivals) -> bool:
        return sum(arrivals.results.values()) >= 10

    s = scenario(join=enough)
    s.done(item(2), result=4)
    s.expect()
    s.done(item(0), result=6)
    s.expect(StopAttempt(item(1), 1), RunAttempt("work/tell", 1))


def test_a_failed_item_fails_the_node_and_a_redrive_runs_what_has_not_ended_and_nothing_else() -> None:
    s = scenario(n=5, max_concurrency=2)
    s.done(item(0))
    s.done(item(1))
    s.failed(item(3))
    s.expect(StopAttempt(item(2), 1))
    s.feed(inputs.AttemptEnded(item(2), 1, "stopped"))
    s.expect(End())
    s.feed(inputs.Redrive())
    s.expect(RunAttempt(item(2), 1), RunAttempt(item(3), 1))
    s.done(item(2))
    s.expect(RunAttempt(item(4), 1))


def test_a_failed_item_that_the_join_can_do_without_is_skipped() -> None:
    s = scenario(n=3, join=2)
    s.failed(item(0))
    s.done(item(1))
    s.done(item(2))
    s.expect(RunAttempt("work/tell", 1))


def test_for_each_within_for_each_and_within_loops() -> None:
    s = Scenario(
        build(loop(for_each(lines, for_each(lambda b: range(2), act)), max_iterations=2, at_max="go_on")), Basket(["a", "b"])
    )
    ran = 0
    while s.snapshot.status != "completed":
        path = next(p for p, f in s.snapshot.open.items() if f.run == "flying")
        s.done(path)
        ran += 1
    assert ran == 2 * 2 * 2


def test_what_is_written_of_items_does_not_grow_with_how_many_have_ended() -> None:
    s = scenario(n=200, max_concurrency=10)
    sizes: list[int] = []
    for k in range(200):
        s.feed(inputs.AttemptEnded(item(k), 1, "done"))
        frame = s.snapshot.open.get("work/for_each")
        if frame and frame.round:
            sizes.append(len(frame.round.done) + len(repr(frame.round.ended)))
    assert max(sizes) < 30
    s.expect(RunAttempt("work/tell", 1))


def test_ranges_hold_what_was_put_in_whatever_the_order() -> None:
    text, held = "", set[int]()
    for n in (5, 3, 4, 0, 9, 8, 1, 2, 7):
        text = with_number(text, n)
        held.add(n)
        assert {k for k in range(12) if holds_number(text, k)} == held
    assert text == "0-5,7-9"
    assert with_number(text, 6) == "0-9"
    assert with_number("0-9", 4) == "0-9"


def test_what_makes_no_sense_is_refused() -> None:
    for wrong in (
        lambda: for_each(lines),
        lambda: for_each(5, act),  # type: ignore[arg-type]
        lambda: for_each(lines, act, max_concurrency=0),
        lambda: for_each(lines, act, join=-1),
    ):
        with pytest.raises(BadRequest):
            wrong()
    with pytest.raises(DefinitionError, match="did you mean picked"):
        build(for_each(lines, act, into="piked"))
    assert wait
