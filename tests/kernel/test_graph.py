"""Graphs in conversations: steps that need each other, what they are given, and what becomes of those that do not run."""

from __future__ import annotations

from typing import Any

import msgspec

from stepkeel import Context, Run, State, Workflow, activity, graph, loop, step, wait
from stepkeel.model import input as inputs
from stepkeel.model.effect import End, Park, RunAttempt
from stepkeel.model.snapshot import Failure
from stepkeel.testing import Scenario
from tests.flows import Job
from tests.kernel.bodies import Ping, act, build, tell

G = "work/graph:"


def of(*steps: Any, **options: Any) -> Scenario:
    return Scenario(build(graph(*steps, **options)), Job())


def run(*steps: str) -> list[RunAttempt]:
    return [RunAttempt(f"{G}{name}/{node}", 1) for name, _, node in (s.partition("/") for s in steps)]


def outcomes(s: Scenario) -> dict[str, str]:
    return {e.path.removeprefix(G): e.detail["outcome"] for e in s.last.events if e.type == "step_ended"}


@activity
async def take(ctx: Context[Job, int]) -> int:
    return ctx.input


@activity
async def untake(ctx: Context[Job, int]) -> None: ...


def test_a_step_begins_when_all_that_it_needs_are_done() -> None:
    s = of(step("c", tell, needs=["a", "b"]), step("a", act), step("b", act))
    s.expect(*run("a/act", "b/act"))
    s.done(f"{G}a/act")
    s.expect()
    s.done(f"{G}b/act")
    s.expect(*run("c/tell"))
    s.done(f"{G}c/tell")
    s.expect(End())
    assert [e.detail for e in s.last.events if e.type == "join_resolved"] == [{"arrived": 3, "size": 3}]


def test_no_more_than_max_concurrency_are_open_and_those_that_may_begin_do_so_in_their_order() -> None:
    s = of(*(step(n, act) for n in "abcd"), max_concurrency=2)
    s.expect(*run("a/act", "b/act"))
    s.done(f"{G}b/act")
    s.expect(*run("c/act"))
    s.done(f"{G}a/act")
    s.expect(*run("d/act"))


def test_a_waiting_step_takes_room() -> None:
    s = of(step("a", wait(Ping)), step("b", act), max_concurrency=1)
    s.expect(Park(None))
    s.signal(Ping())
    assert run("b/act")[0] in s.last.effects


def test_a_step_is_skipped_where_its_guard_does_not_hold_and_what_needs_only_that_is_dead() -> None:
    never = step("b", act, when=lambda run: run.input.amount > 1_000, needs=["a"])
    s = of(step("a", act), never, step("c", act, needs=["b"]), step("d", tell, needs=["c", "a"]))
    s.done(f"{G}a/act")
    assert outcomes(s) == {"a": "done", "b": "skipped", "c": "dead"}
    s.expect(*run("d/tell"))


def test_a_graph_of_which_nothing_runs_is_done_at_once() -> None:
    s = of(step("a", act, when=lambda run: False), step("b", act, needs=["a"]))
    assert outcomes(s) == {"a": "skipped", "b": "dead"}
    s.expect(End())


def test_the_guard_of_a_step_sees_the_outputs_of_those_it_needs() -> None:
    s = of(step("a", take, lambda run: 1), step("b", act, needs=["a"], when=lambda run: run["a"] == 7))
    s.done(f"{G}a/take", result=7)
    s.expect(*run("b/act"))


def test_what_a_step_is_given_is_made_when_it_begins_and_stays_the_same_for_every_attempt() -> None:
    s = of(step("a", take, lambda run: run.input.amount))
    assert msgspec.json.decode(s.snapshot.open[f"{G}a/take"].input) == 0
    again = Failure("try_again", kind="again")
    s.feed(inputs.AttemptEnded(f"{G}a/take", 1, "again", msgspec.json.encode(Job(amount=5)), "later", 0, failure=again))
    assert (s.data.amount, s.snapshot.open[f"{G}a/take"].attempt) == (5, 2)
    assert msgspec.json.decode(s.snapshot.open[f"{G}a/take"].input) == 0


def test_reading_a_step_that_is_not_needed_fails_and_names_both_whatever_ran_first() -> None:
    s = of(step("a", take, lambda run: 1), step("b", act), step("c", take, lambda run: run["a"], needs=["b"]))
    s.done(f"{G}a/take", result=1)
    s.done(f"{G}b/act")
    told = next(e for e in s.last.events if e.type == "activity_failed")
    assert told.path == f"{G}c/take"
    assert "c asks for the output of a, which it does not need" in told.detail["message"]


def test_reading_a_step_that_is_needed_through_others_works() -> None:
    s = of(step("a", take, lambda run: 1), step("b", act, needs=["a"]), step("c", take, lambda run: run["a"] + 1, needs=["b"]))
    s.done(f"{G}a/take", result=1)
    s.done(f"{G}b/act")
    assert msgspec.json.decode(s.snapshot.open[f"{G}c/take"].input) == 2


def test_a_misspelt_output_is_named() -> None:
    s = of(step("a", take, lambda run: run["aa"]))
    told = next(e for e in s.last.events if e.type == "activity_failed")
    assert "a asks for the output of aa, and there is no such step" in told.detail["message"]


def test_in_sequence_each_begins_behind_the_one_before_and_may_read_all_of_them() -> None:
    skipped = step("b", act, when=lambda run: False)
    s = of(step("a", take, lambda run: 4), skipped, step("c", take, lambda run: run["a"]), mode="sequential")
    s.expect(*run("a/take"))
    s.done(f"{G}a/take", result=4)
    s.expect(*run("c/take"))
    assert msgspec.json.decode(s.snapshot.open[f"{G}c/take"].input) == 4


def test_of_two_steps_that_set_a_field_the_one_that_needs_the_other_wins() -> None:
    s = of(step("a", act), step("b", act, needs=["a"]), step("c", tell))
    s.done(f"{G}a/act", amount=1)
    s.done(f"{G}b/act", amount=2)
    s.done(f"{G}c/tell", note="x")
    s.expect(End())
    assert (s.data.amount, s.data.note) == (2, "x")


def test_two_steps_of_which_none_needs_the_other_must_not_set_a_field_differently() -> None:
    s = of(step("a", act), step("b", act))
    s.done(f"{G}a/act", amount=1)
    s.done(f"{G}b/act", amount=2)
    assert any(e.detail.get("code") == "data_conflict" and "a, b" in e.detail["message"] for e in s.last.events)


def test_a_third_step_that_needs_both_settles_what_they_disagree_about() -> None:
    s = of(step("a", act), step("b", act), step("c", act, needs=["a", "b"]))
    s.done(f"{G}a/act", amount=1)
    s.done(f"{G}b/act", amount=2)
    s.done(f"{G}c/act", amount=3)
    s.expect(End())
    assert s.data.amount == 3


def test_a_step_sees_what_those_it_needs_have_set_and_not_what_a_faster_one_beside_it_has() -> None:
    s = of(step("a", act), step("b", act), step("c", tell, needs=["a"]))
    s.done(f"{G}a/act", amount=1)
    s.done(f"{G}b/act", amount=2)
    assert s.data.amount == 2
    s.done(f"{G}c/tell", amount=lambda seen: seen + 10)
    assert any(e.detail.get("code") == "data_conflict" and "b, c" in e.detail["message"] for e in s.last.events)
    assert s.data.amount == 11


def test_its_undo_is_given_the_output_of_the_step() -> None:
    s = of(step("a", take, lambda run: 1, compensate=untake), step("b", act, needs=["a"]))
    s.done(f"{G}a/take", result=41)
    s.failed(f"{G}b/act")
    undo = next(p for p in s.snapshot.open if p.startswith("undo/"))
    entry = next(u for u in s.snapshot.undo if undo == f"undo/{u.key}")
    assert msgspec.json.decode(entry.input) == 41


def test_its_undo_may_be_given_something_else() -> None:
    given = step("b", take, lambda run: 2, needs=["a"], compensate=untake, compensate_given=lambda run: run["a"] + run.output)
    s = of(step("a", take, lambda run: 1), given, step("c", act, needs=["b"]))
    s.done(f"{G}a/take", result=40)
    s.done(f"{G}b/take", result=2)
    s.failed(f"{G}c/act")
    assert msgspec.json.decode(s.snapshot.undo[0].input) == 42


def test_an_attempt_that_was_stopped_and_has_succeeded_after_all_is_undone_with_what_it_would_have_been_given() -> None:
    given = step("b", take, lambda run: 2, needs=["a"], compensate=untake, compensate_given=lambda run: run["a"] + run.output)

    class Flow(Workflow[Job]):
        work = State[Job](graph(step("a", take, lambda run: 1), given))
        away = State.cancelled()
        done = State.completed()
        work.to(done)
        work.on(Ping, to=away, interrupt=True)

    s = Scenario(Flow, Job())
    s.done(f"{G}a/take", result=40)
    s.signal(Ping())
    s.done(f"{G}b/take", result=2)
    assert msgspec.json.decode(s.snapshot.undo[0].input) == 42


def test_an_undo_that_cannot_be_told_what_it_is_given_counts_as_failed_and_nothing_is_lost() -> None:
    wrong = step("a", take, lambda run: 1, compensate=untake, compensate_given=lambda run: run.output["id"])
    s = of(wrong, step("b", act, needs=["a"]))
    s.done(f"{G}a/take", result=1)
    s.failed(f"{G}b/act")
    assert s.snapshot.status == "failed"
    assert s.snapshot.failure is not None
    assert [e.code for e in s.snapshot.failure.undo_errors] == ["pure_failed"]


def test_outputs_are_brought_into_the_data() -> None:
    brought = step("a", take, lambda run: 1, into="amount")
    s = of(brought, into=lambda job, outputs: {"note": str(outputs)})
    s.done(f"{G}a/take", result=7)
    assert (s.data.amount, s.data.note) == (7, "{'a': 7}")


def test_each_turn_of_a_loop_has_a_graph_of_its_own() -> None:
    s = Scenario(
        build(loop(graph(step("a", take, lambda run: 1), step("b", act, needs=["a"])), max_iterations=2, at_max="go_on")), Job()
    )
    s.done("work/loop/graph:a/take", result=1)
    s.done("work/loop/graph:b/act")
    s.expect(RunAttempt("work/loop@2/graph:a/take", 1))
    assert not s.snapshot.results


def test_an_operator_completes_a_graph_with_what_is_done() -> None:
    s = of(step("a", act), step("b", act, needs=["a"]), into=lambda job, outputs: {"note": ",".join(outputs)})
    s.feed(inputs.CompleteNode("work/graph", "ann"))
    assert s.data.note == "a,b"
    s.done(f"{G}a/act")
    s.expect(End())


def test_a_typed_output_is_read_as_its_type() -> None:
    @activity
    async def charge(ctx: Context[Job, int]) -> Job:
        return Job(amount=ctx.input)

    seen: list[Any] = []

    def look(run: Run[Job]) -> int:
        seen.append(run["a"])
        return 1

    s = of(step("a", charge, lambda run: 1), step("b", take, look, needs=["a"]))
    s.done(f"{G}a/charge", result={"amount": 9})
    assert seen[0] == Job(amount=9)
