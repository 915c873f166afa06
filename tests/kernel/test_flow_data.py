"""What the firings of a flow do to the data, whoever is faster; and what operators may do to them."""

from __future__ import annotations

from stepkeel import State, ThreadMerge, ThreadSplit, Workflow, flow, for_each, loop, parallel, step, wait
from stepkeel.kernel.invariants import violations_of_frames
from stepkeel.model import input as inputs
from stepkeel.model.effect import End
from stepkeel.testing import Scenario
from tests.kernel.bodies import Ping
from tests.kernel.tokens import Board, F, act, code, done, of, run


def test_the_later_of_two_steps_on_one_way_decides_a_field_whatever_others_do() -> None:
    s = of(step("a", act, to=["b", "c"]), step("b", act, to="d"), step("c", act, to="d"), step("d", act, join="all"))
    done(s, "a", word="a")
    done(s, "b", word="b")
    done(s, "c")
    done(s, "d", word="d")
    s.expect(End())
    assert s.data.word == "d"


def test_ways_beside_each_other_that_disagree_about_a_field_fail_the_flow_and_those_behind_both_decide() -> None:
    steps = [step("a", act, to=["b", "c"]), step("b", act, to="d"), step("c", act, to="d"), step("d", act, join="all")]
    s = of(*steps)
    done(s, "a")
    done(s, "b", word="b")
    done(s, "c", word="c")
    done(s, "d")
    assert code(s) == "data_conflict"
    assert "b, c have each set it" in s.snapshot.failure.message  # type: ignore[union-attr]
    s = of(*steps)
    done(s, "a")
    done(s, "b", word="b")
    done(s, "c", word="c")
    done(s, "d", word="d")
    s.expect(End())
    assert s.data.word == "d"


def test_each_firing_sees_what_its_own_way_has_set() -> None:
    s = of(
        step("a", act, to=["b", "c"]), step("b", act, to="x"), step("c", act, to="y"),
        step("x", act, to={"z": "data.word == 'b'"}), step("y", act, to={"z": "data.word == 'c'"}), step("z", act),
    )  # fmt: skip
    done(s, "a")
    done(s, "b", word="b")
    done(s, "c", word="c")
    assert done(s, "x") == run("z")
    assert done(s, "y") == run("z#2")


def test_a_cycle_keeps_one_value_of_a_field_and_the_order_of_what_it_appends() -> None:
    s = of(step("a", act, to="b"), step("b", act, to={"a": lambda d: d.n < 20}), start="a")
    for n in range(1, 21):
        part = "" if n == 1 else f"#{n}"
        s.done(f"{F}a{part}/act", log=lambda log, n=n: [*log, f"a{n}"])
        s.done(f"{F}b{part}/act", n=n, log=lambda log, n=n: [*log, f"b{n}"])
        round = s.snapshot.open["work/flow"].round if "work/flow" in s.snapshot.open else None
        if round is not None and round.tokens is not None:
            assert round.wrote["n"] == f"b{part}"
            assert len(round.parts["log"]) <= 2, "what is settled is not kept apart"
    assert s.data.log == [f"{x}{n}" for n in range(1, 21) for x in "ab"]


def test_what_is_appended_stands_in_the_order_of_the_ways_not_of_the_clock() -> None:
    logs: set[tuple[str, ...]] = set()
    for order in (["b", "c", "d"], ["c", "d", "b"], ["c", "b", "d"]):
        s = of(
            step("a", act, to=["b", "c"]),
            step("b", act, to="e"),
            step("c", act, to="d"),
            step("d", act, to="e"),
            step("e", join="all"),
        )
        done(s, "a")
        for part in order:
            s.done(f"{F}{part}/act", log=lambda log, part=part: [*log, part])
        logs.add(tuple(s.data.log))
    assert logs == {("b", "c", "d")}


# -- operators


def test_a_firing_may_be_cancelled_by_hand_and_no_token_leaves_it() -> None:
    s = of(step("a", act, to=["b", "c"]), step("b", wait(Ping), to="d"), step("c", act, to="d"), step("d", act))
    done(s, "a")
    s.feed(inputs.CancelNode(f"{F}b", "end"))
    assert done(s, "c") == run("d")
    done(s, "d")
    s.expect(End())


def test_a_flow_may_be_completed_by_hand() -> None:
    s = of(step("a", act, to=["b", "j"]), step("b", wait(Ping), to="j"), step("j", act, join="all"))
    done(s, "a")
    s.feed(inputs.CompleteNode("work/flow"))
    s.expect(End())


def test_flows_stand_in_items_and_branches_and_hold_loops_and_flows_themselves() -> None:
    inner = flow(step("x", act, to="y", split=ThreadSplit(2)), step("y", act, to="z"), step("z", join=ThreadMerge(2)), name="inner")
    outer = flow(
        step("a", [loop(act, max_iterations=2, at_max="go_on"), inner], to=["b", "c"]),
        step("b", parallel(left=act, right=act), to="d"), step("c", act, to="d"), step("d", act, join="all"),
    )  # fmt: skip

    class Nested(Workflow[Board]):
        work = State[Board](for_each(lambda board: ["one", "two"], outer), act)
        done = State.completed()
        work.to(done)

    s = Scenario(Nested, Board())
    ran: list[str] = []
    while s.snapshot.status != "completed":
        flying = sorted(p for p, f in s.snapshot.open.items() if f.run == "flying")
        path = flying[len(ran) % len(flying)]
        ran.append(path)
        s.done(path, log=lambda log, path=path: [*log, path.partition("/")[2]])
        assert not violations_of_frames(s.snapshot)
    first = ["a/loop", "a/loop@2", "a/inner:x", "a/inner:y", "a/inner:y#2", "b/parallel:left", "b/parallel:right", "c", "d"]
    assert s.data.log[:9] == [f"for_each[0]/flow:{place}/act" for place in first]
    assert len(s.data.log) == len(ran) == 19
