"""Flows in conversations: which step fires for which tokens, where they go, and what becomes of those that nobody wants."""

from __future__ import annotations

from typing import Any

import pytest

from stepkeel import PartialJoin, ThreadMerge, ThreadSplit, flow, step, wait
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.model import input as inputs
from stepkeel.model.effect import End, RunAttempt, StopAttempt
from stepkeel.testing import Scenario
from tests.kernel.bodies import Ping
from tests.kernel.tokens import Board, F, act, began, code, done, of, run, told, workflow


def test_tokens_go_on_every_arc_and_a_join_of_all_fires_once() -> None:
    s = of(step("a", act, to=["b", "c"]), step("b", act, to="d"), step("c", act, to="d"), step("d", act, join="all"))
    assert began(s) == run("a")
    assert done(s, "a") == run("b", "c")
    assert done(s, "c") == set()
    assert done(s, "b") == run("d")
    done(s, "d")
    s.expect(End())
    assert told(s, "join_resolved") == [("work/flow", {"arrived": 4, "size": 4})]


def test_a_step_fires_once_for_each_token_unless_its_join_says_otherwise_and_each_firing_has_a_path_of_its_own() -> None:
    s = of(step("a", act, to=["b", "c"]), step("b", act, to="d"), step("c", act, to="d"), step("d", act))
    done(s, "a")
    assert done(s, "b") == run("d")
    assert done(s, "c") == run("d#2")
    done(s, "d#2")
    assert s.snapshot.status == "running"
    done(s, "d")
    s.expect(End())


def test_guards_choose_among_the_arcs_all_that_hold_or_the_first() -> None:
    many = of(step("a", act, to={"b": lambda d: d.n > 0, "c": "data.ok", "d": None}), *(step(n, act) for n in "bcd"))
    assert done(many, "a") == run("c", "d")
    first = of(
        step("a", act, to={"b": lambda d: d.n > 0, "c": "data.ok", "d": None}, split="first"), *(step(n, act) for n in "bcd")
    )
    assert done(first, "a") == run("c")


def test_a_token_that_finds_no_arc_ends_there() -> None:
    s = of(step("a", act, to={"b": lambda d: d.n > 0}), step("b", act))
    done(s, "a")
    s.expect(End())


def test_cycles_of_any_shape_run_as_often_as_their_guards_say() -> None:
    s = of(step("a", act, to="b"), step("b", act, to={"a": lambda d: d.n < 2, "c": None}, split="first"), step("c", act), start="a")
    done(s, "a")
    assert done(s, "b", n=1) == run("a#2")
    done(s, "a#2")
    assert done(s, "b#2", n=2) == run("c")
    done(s, "c")
    s.expect(End())


def test_surplus_tokens_of_a_join_of_all_wait_for_its_next_round() -> None:
    s = of(step("a", act, to="j", split=ThreadSplit(2)), step("b", act, to="j", split=ThreadSplit(2)), step("j", act, join="all"))
    assert began(s) == run("a", "b")
    assert done(s, "a") == set()
    assert done(s, "b") == run("j", "j#2")


def test_threads_are_split_and_merged_by_number() -> None:
    s = of(
        step("a", act, to="b", split=ThreadSplit(lambda d: d.n)),
        step("b", act, to="c"),
        step("c", act, join=ThreadMerge(2)),
        data=Board(4),
    )
    assert done(s, "a") == run("b", "b#2", "b#3", "b#4")
    assert done(s, "b#3") == set()
    assert done(s, "b") == run("c")
    assert done(s, "b#4", "b#2") == run("c#2")


def test_a_split_into_no_threads_ends_there_and_a_number_that_is_none_fails_the_flow() -> None:
    s = of(step("a", act, to="b", split=ThreadSplit("data.n")), step("b", act))
    done(s, "a")
    s.expect(End())
    s = of(step("a", act, to="b", split=ThreadSplit("data.n")), step("b", act), data=Board(-1))
    done(s, "a")
    assert code(s) == "pure_failed"
    assert "a: -1 tokens" in s.snapshot.failure.message  # type: ignore[union-attr]


def three(rest: str, **options: Any) -> Scenario:
    """Two branches, of which `b` loops once more, to a join of one."""
    return of(
        step("a", act, to="j"), step("b", act, to={"b": lambda d: d.n > 0, "j": None}),
        step("j", act, join=PartialJoin(1, rest=rest, **options)),  # type: ignore[arg-type]
        start=["a", "b"],
    )  # fmt: skip


def test_a_discriminator_fires_for_the_first_and_swallows_what_comes_later_in_its_round() -> None:
    s = three("swallow")
    assert done(s, "a") == run("j")
    assert done(s, "b") == set()
    assert told(s, "token_dropped") == [("work/flow", {"arc": "b>j", "reason": "swallowed"})]
    done(s, "j")
    s.expect(End())


def test_while_a_round_is_open_swallowing_takes_every_token_and_blocking_only_one_of_each_other_arc() -> None:
    for rest, then in (("swallow", set[str]()), ("block", run("j#2"))):
        s = of(
            step("a", act, to=["x", "y"]), step("x", act, to="j"), step("y", act, to="k"), step("k", act, to="j"),
            step("s", act, to="x"), step("j", act, join=PartialJoin(1, rest=rest)), start=["a", "s"],  # type: ignore[arg-type]
        )  # fmt: skip
        done(s, "a", "s")
        assert done(s, "x") == run("j")
        assert done(s, "x#2") == set(), "a second token of an arc that has delivered"
        done(s, "y")
        assert done(s, "k") == then, rest


def test_a_round_is_over_when_no_other_token_can_come() -> None:
    s = of(
        step("a", act, to=["x", "y"]), step("x", act, to="j"), step("y", act, to={"j": lambda d: d.n > 0}),
        step("s", act, to="x"), step("j", act, join=PartialJoin(1, rest="block")),
    )  # fmt: skip
    done(s, "a", "s")
    assert done(s, "x") == run("j")
    assert done(s, "x#2") == set()
    assert done(s, "y") == run("j#2"), "y has not delivered, and never will"


def test_a_cancelling_join_stops_its_region_and_begins_anew_at_once() -> None:
    s = of(
        step("a", act, to="j"), step("b", act, to="c"), step("c", act, to="j"), step("d", act),
        step("j", act, join=PartialJoin(1, rest="cancel", region=["b", "c"])),
    )  # fmt: skip
    s.done(f"{F}a/act")
    assert s.last.effects == (StopAttempt(f"{F}b/act", 1), RunAttempt(f"{F}j/act", 1))
    assert ("b", {"outcome": "cancelled"}) in told(s, "step_ended")
    s.feed(inputs.AttemptEnded(f"{F}b/act", 1, "stopped"))
    done(s, "d", "j")
    s.expect(End())


def test_tokens_in_a_cancelled_region_are_gone() -> None:
    s = of(
        step("a", act, to=["w"]), step("b", act, to=["w", "j"]), step("x", act, to="w"), step("w", act, join="all"),
        step("j", act, join=PartialJoin(1, rest="cancel", region=["x", "w"])),
    )  # fmt: skip
    done(s, "a")
    s.done(f"{F}b/act")
    assert {d["arc"] for _, d in told(s, "token_dropped")} == {"a>w", "b>w"}


def test_a_live_join_fires_once_for_all_that_can_still_come() -> None:
    s = of(
        step("a", act, to={"b": lambda d: d.ok, "c": lambda d: d.ok, "e": lambda d: d.n > 0}),
        *(step(n, act, to="j") for n in "bce"), step("j", act, join="live"),
    )  # fmt: skip
    assert done(s, "a") == run("b", "c")
    assert done(s, "b") == set(), "c can still deliver"
    assert done(s, "c") == run("j"), "e never will"
    done(s, "j")
    s.expect(End())


def test_a_live_join_waits_for_a_token_that_is_caught_in_a_cycle() -> None:
    s = of(
        step("a", act, to=["b", "c"]), step("b", act, to="j"),
        step("c", act, to={"c": lambda d: d.n < 1, "j": None}, split="first"), step("j", act, join="live"), start="a",
    )  # fmt: skip
    done(s, "a", "b")
    assert done(s, "c") == run("c#2")
    assert done(s, "c#2", n=1) == run("j")


def test_a_live_join_does_not_wait_for_what_could_come_by_a_filled_arc_as_well() -> None:
    s = of(
        step("a", act, to=["b", "c"]), step("b", act, to="j"), step("c", act, to={"b": "data.n > 0", "d": None}, split="first"),
        step("d", act, to="j"), step("j", act, join="live"),
    )  # fmt: skip
    done(s, "a")
    assert done(s, "b") == run("j"), "the token in c can reach the empty arc, but the filled one too"


def test_two_live_joins_that_wait_for_each_other_are_freed_in_the_order_of_declaration() -> None:
    s = of(
        step("a", act, to=["x", "y"]), step("x", act, join="live", to=["y", "z"]),
        step("y", act, join="live", to=["x", "z"]), step("z", act),
    )  # fmt: skip
    assert done(s, "a") == run("x"), "x and y each could still get a token of the other"


def test_a_step_without_an_activity_only_routes() -> None:
    s = of(step("a", act, to="j"), step("b", act, to="j"), step("j", join="all", to=["c", "d"]), step("c", act), step("d", act))
    done(s, "a")
    assert done(s, "b") == run("c", "d")
    assert [p for p, _ in told(s, "step_ended")] == ["b", "j"]


def test_steps_that_only_route_round_and_round_fail_the_flow() -> None:
    s = of(step("a", act, to="b"), step("b", to="c"), step("c", to="b"))
    done(s, "a")
    assert code(s) == "no_progress"


def test_more_tokens_than_it_may_have_fail_the_flow() -> None:
    s = of(step("a", act, to="b", split=ThreadSplit(11)), step("b", act), max_tokens=10)
    done(s, "a")
    assert code(s) == "too_many_tokens"
    s = of(step("a", act, to="b", split=ThreadSplit(10)), step("b", act), max_tokens=10)
    assert len(done(s, "a")) == 10


def test_tokens_that_nobody_can_use_fail_the_flow_and_say_where_they_are_or_are_dropped() -> None:
    steps = [step("a", act, to={"j": None, "b": lambda d: d.n > 0}), step("b", act, to="j"), step("j", act, join="all")]
    s = of(*steps)
    done(s, "a")
    assert code(s) == "flow_stuck"
    assert "a>j (1)" in s.snapshot.failure.message  # type: ignore[union-attr]
    s = of(*steps, leftover="drop")
    done(s, "a")
    s.expect(End())
    assert told(s, "token_dropped") == [("work/flow", {"arc": "a>j", "reason": "left"})]


def test_what_waits_in_a_step_holds_up_only_those_behind_it() -> None:
    s = of(step("a", act, to=["b", "c"]), step("b", wait(Ping), to="d"), step("c", act, to="d"), step("d", act, join="all"))
    done(s, "a")
    assert done(s, "c") == set()
    s.signal(Ping())
    assert began(s) == run("d")


def test_a_guard_that_raises_fails_the_flow_and_a_redrive_asks_it_again() -> None:
    s = of(step("a", act, to={"b": lambda d: 1 // d.n > 0}), step("b", act))
    done(s, "a")
    assert code(s) == "pure_failed"
    s.feed(inputs.SetData({"n": 1}))
    s.feed(inputs.Redrive())
    assert began(s) == run("b")
    done(s, "b")
    s.expect(End())


def test_a_step_that_failed_is_begun_again_by_a_redrive_and_the_tokens_are_where_they_were() -> None:
    s = of(step("a", act, to=["b", "c"]), step("b", act, to="d"), step("c", act, to="d"), step("d", act, join="all"))
    done(s, "a", "b")
    s.failed(f"{F}c/act")
    assert (s.snapshot.status, code(s)) == ("failed", "boom")
    s.feed(inputs.Redrive())
    assert began(s) == run("c")
    assert done(s, "c") == run("d")


# -- what is wrong


@pytest.mark.parametrize(
    ("steps", "options", "code"),
    [
        ([step("a", act, to="bb"), step("b", act)], {}, "unknown_step"),
        ([step("a", act), step("b", act)], {"start": "c"}, "unknown_step"),
        ([step("a", act, to="b"), step("b", act, join=PartialJoin(1, "cancel", ["x"]))], {}, "unknown_step"),
        ([step("a", act, to="b"), step("b", act, join=PartialJoin(1, "cancel", ["b"]))], {}, "bad_join"),
        ([step("a", act, to="b"), step("b", act, join=PartialJoin(2))], {}, "bad_join"),
        ([step("a", act, join="all")], {}, "bad_join"),
        ([step("a", act, to="b"), step("b", act, join="some")], {}, "bad_join"),
        ([step("a", act, to="b", split="none"), step("b", act)], {}, "bad_split"),
        ([step("a", act, split="first")], {}, "bad_split"),
        ([step("a", act, to=["b", "c"], split="first"), step("b", act), step("c", act)], {}, "bad_split"),
        ([step("a", act, to=["b", "b"]), step("b", act)], {}, "arc_twice"),
        ([step("a", act), step("a", act)], {}, "step_twice"),
        ([step("a", act), step("b", act, needs=["a"])], {}, "bad_step"),
        ([step("a>b", act)], {}, "bad_name"),
        ([step("a", act, to={"b": "data.nn > 1"}), step("b", act)], {}, "bad_expression"),
    ],
)
def test_what_cannot_work_is_told_when_it_is_built(steps: list[Any], options: dict[str, Any], code: str) -> None:
    with pytest.raises(DefinitionError) as error:
        workflow(*steps, **options)
    assert code in {p.code for p in error.value.problems}


def test_numbers_and_words_that_mean_nothing_are_refused_where_they_are_written() -> None:
    for wrong in (
        lambda: ThreadSplit(-1), lambda: ThreadMerge(0), lambda: PartialJoin(0), lambda: PartialJoin(1, "cancel"),
        lambda: PartialJoin(1, "swallow", ["a"]), lambda: PartialJoin(1, "later"), lambda: flow(),
        lambda: flow(step("a", act), max_tokens=0),
        lambda: flow(step("a", act), leftover="keep"), lambda: step("a"), lambda: flow(act),
    ):  # fmt: skip
        with pytest.raises(BadRequest):
            wrong()  # type: ignore[no-untyped-call]


def test_a_step_nothing_leads_to_is_warned_of() -> None:
    found = workflow(step("a", act), step("b", act, to="c"), step("c", act, to="b"), start="a").definition.problems
    assert [w.place for w in found if w.code == "unreachable"] == ["work/flow:b", "work/flow:c"]
