"""Data of concurrent branches: the outcome never depends on which of them is faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepkeel import Append, Context, Join, Merge, Own, State, Sum, Workflow, activity, for_each, parallel, transform
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.model import input as inputs
from stepkeel.model.effect import RunAttempt
from stepkeel.testing import Scenario


@dataclass
class Ledger:
    plain: int = 0
    other: str = ""
    notes: Annotated[list[str], Append] = field(default_factory=list[str])
    facts: Annotated[dict[str, int], Merge] = field(default_factory=dict[str, int])
    total: Annotated[int, Sum] = 0
    paid: Annotated[Decimal, Sum] = Decimal(0)
    spent: Annotated[timedelta, Sum] = timedelta()
    best: Annotated[int, max] = 0


@activity
async def act(ctx: Context[Ledger]) -> None: ...


def build(*body: Any) -> type[Workflow[Ledger]]:
    class Flow(Workflow[Ledger]):
        work = State[Ledger](*body)
        done = State.completed()
        work.to(done)

    return Flow


def at(branch: str, step: int = 1) -> str:
    return f"work/parallel:{branch}/act" + (f"-{step}" if step > 1 else "")


def failure(s: Scenario) -> tuple[str, str]:
    assert s.snapshot.failure is not None, s.snapshot.status
    return s.snapshot.failure.code, s.snapshot.failure.message


def test_two_branches_whose_last_values_of_a_plain_field_differ_fail_the_join_and_the_field_is_named() -> None:
    for order in permutations(("one", "two")):
        s = Scenario(build(parallel(one=act, two=act)), Ledger())
        for name in order:
            s.done(at(name), plain=1 if name == "one" else 2)
        code, message = failure(s)
        assert code == "data_conflict"
        assert "plain" in message
        assert "one, two" in message
        assert s.snapshot.failure
        assert s.snapshot.failure.path == "work/parallel"


def test_equal_last_values_and_fields_of_one_branch_alone_are_no_conflict() -> None:
    s = Scenario(build(parallel(one=[act, act], two=act, three=act)), Ledger())
    s.done(at("one"), plain=1)
    s.done(at("two"), plain=2)
    s.done(at("one", 2), plain=2)
    s.done(at("three"), other="x")
    assert (s.snapshot.status, s.data.plain, s.data.other) == ("completed", 2, "x")


def test_a_branch_sees_what_others_have_committed_and_of_a_field_that_both_set_its_own_value() -> None:
    s = Scenario(build(parallel(one=[act, act], two=act)), Ledger())
    s.done(at("one"), plain=1)
    s.done(at("two"), plain=2, other="two was here")
    assert b'"plain":2' in bytes(s.snapshot.data)
    s.done(at("one", 2), plain=lambda was: was * 10)
    assert "10" not in failure(s)[1]
    assert s.data.plain == 10, "1 * 10, and not 2 * 10"


class Terse(msgspec.Struct, omit_defaults=True):
    """What is the default is not written."""

    word: str = ""
    total: Annotated[int, Sum] = 0


@activity
async def say(ctx: Context[Terse]) -> None: ...


class Saying(Workflow[Terse]):
    work = State[Terse](say, parallel(one=[say, say], two=[say, say]), say)
    done = State.completed()
    work.to(done)


def test_a_field_that_is_set_back_to_its_default_is_one_that_was_set() -> None:
    s = Scenario(Saying, Terse())
    s.done("work/say", word="a", total=3)
    s.done("work/parallel:one/say", word="b", total=5)
    s.done("work/parallel:two/say", word="", total=0)
    assert s.data.total == 2, "one has added two, the other taken three away"
    s.done("work/parallel:two/say-2", total=lambda total: (total or 0) + 1)
    s.done("work/parallel:one/say-2", word="")
    assert (s.data.word, s.data.total) == ("", 3)
    s.done("work/say-2", word="c")
    assert s.snapshot.status == "completed"


def test_only_branches_that_arrived_count() -> None:
    s = Scenario(build(parallel(one=act, two=[act, act], join="any")), Ledger())
    s.done(at("two"), plain=2)
    s.done(at("one"), plain=1)
    s.feed(inputs.AttemptEnded(at("two", 2), 1, "stopped"))
    assert (s.snapshot.status, s.data.plain) == ("completed", 1)


def test_reduced_fields_are_put_together_in_the_order_of_the_branches() -> None:
    for order in permutations(("one", "two", "three")):
        s = Scenario(build(parallel(one=act, two=act, three=act)), Ledger(notes=["first"], total=100, facts={"a": 0}))
        for name in order:
            n = ("one", "two", "three").index(name) + 1
            s.done(
                at(name),
                notes=lambda was, name=name: [*was, name],
                total=lambda was, n=n: was + n,
                facts=lambda was, n=n: {**was, "a": n, str(n): n},
                paid=lambda was, n=n: Decimal(was) + n,
                spent=timedelta(seconds=n),
                best=n % 3,
            )
        data = s.data
        assert data.notes == ["first", "one", "two", "three"]
        assert (data.total, data.paid, data.spent, data.best) == (106, Decimal(6), timedelta(seconds=6), 2)
        assert data.facts == {"a": 3, "1": 1, "2": 2, "3": 3}


def test_a_branch_sees_its_own_contribution_at_once() -> None:
    s = Scenario(build(parallel(one=act, two=[act, act])), Ledger())
    s.done(at("two"), notes=["a"])
    assert s.data.notes == ["a"]
    s.done(at("two", 2), notes=lambda was: [*was, "b"])
    s.done(at("one"), notes=lambda was: [*was, "z"])
    assert s.data.notes == ["z", "a", "b"]


@pytest.mark.parametrize("change", [{"notes": []}, {"notes": ["new"]}, {"facts": {}}])
def test_what_a_reducer_cannot_express_fails_the_node_and_changes_nothing(change: dict[str, Any]) -> None:
    s = Scenario(build(parallel(one=act, two=act)), Ledger(notes=["old"], facts={"a": 1}))
    s.done(at("one"), plain=5, **change)
    s.feed(inputs.AttemptEnded(at("two"), 1, "stopped"))
    assert failure(s)[0] == "data_conflict"
    assert (s.data.plain, s.data.notes, s.data.facts) == (0, ["old"], {"a": 1})


def test_outside_of_branches_any_change_of_a_reduced_field_is_fine() -> None:
    s = Scenario(build(transform(lambda d: {"total": 7}, name="t"), act), Ledger(notes=["old"]))
    s.done("work/act", total=3)
    assert (s.snapshot.status, s.data.total) == ("completed", 3)


def test_nor_is_one_behind_or_beside_the_branches_that_have_added_to_it() -> None:
    s = Scenario(build(parallel(one=act, two=[act, act]), act), Ledger(notes=["old"]))
    s.done(at("one"), notes=lambda was: [*was, "a"])
    s.done(at("two"))
    s.done(at("two", 2))
    s.done("work/act", notes=["new"])
    assert (s.snapshot.status, s.data.notes) == ("completed", ["new"])


def test_an_undo_takes_back_what_its_activity_had_added() -> None:
    @activity
    async def take(ctx: Context[Ledger]) -> None: ...

    @activity(compensate=take)
    async def give(ctx: Context[Ledger]) -> None: ...

    s = Scenario(build(parallel(one=give, two=act)), Ledger(notes=["old"], facts={"a": 1}))
    s.done("work/parallel:one/give", notes=["old", "mine"], facts={"a": 1, "b": 2})
    s.feed(inputs.Cancel(compensate=True))
    s.feed(inputs.AttemptEnded(at("two"), 1, "stopped"))
    s.done(next(p for p in s.snapshot.open if p.startswith("undo/")), notes=["old"], facts={"a": 1})
    assert (s.snapshot.status, s.data.notes, s.data.facts) == ("cancelled", ["old"], {"a": 1})


def test_no_branch_of_an_item_gives_its_result_however_late_it_is() -> None:
    flow = build(for_each(lambda d: d.notes, act, parallel(one=act, two=act), into=lambda d, found: {"other": str(found)}))
    inner = {p.rpartition("/for_each")[2]: place.node for p, place in flow.definition.places.items() if p.endswith("/act")}
    assert {p: getattr(node, "gives", None) for p, node in inner.items()} == {
        "/act": True,
        "/parallel:one/act": False,
        "/parallel:two/act": False,
    }


def test_nested_parallels_keep_the_order_of_the_outer_and_of_the_inner() -> None:
    inner = parallel(a=act, b=act, name="inner")
    for order in permutations(("one:a", "one:b", "two")):
        s = Scenario(build(parallel(one=[act, inner, act], two=act)), Ledger())
        s.done(at("one"), notes=["one-before"])
        for name in order:
            path = at("two") if name == "two" else f"work/parallel:one/inner:{name[-1]}/act"
            s.done(path, notes=lambda was, name=name: [*was, name])
        s.done(at("one", 2), notes=lambda was: [*was, "one-after"])
        assert s.data.notes == ["one-before", "one:a", "one:b", "one-after", "two"]


def test_a_conflict_in_an_inner_join_is_a_failure_of_its_branch_alone() -> None:
    s = Scenario(build(parallel(one=parallel(a=act, b=act), two=act, join="any")), Ledger())
    s.done("work/parallel:one/parallel:a/act", plain=1)
    s.done("work/parallel:one/parallel:b/act", plain=2)
    s.done(at("two"))
    assert s.snapshot.status == "completed"


def test_a_redrive_after_a_conflict_takes_the_data_as_they_stand() -> None:
    s = Scenario(build(parallel(one=act, two=act), act), Ledger())
    s.done(at("one"), plain=1)
    s.done(at("two"), plain=2)
    assert failure(s)[0] == "data_conflict"
    s.feed(inputs.Redrive())
    s.expect(RunAttempt("work/act", 1))


def test_a_retry_after_an_error_sees_what_the_failed_attempt_saw() -> None:
    seen: list[bytes] = []
    s = Scenario(build(parallel(one=act, two=act, data="own")), Ledger())
    seen.append(bytes(s._given[at("one")]))
    s.feed(inputs.AttemptEnded(at("one"), 1, "stopped"))
    s.done(at("two"), plain=4)
    seen.append(bytes(s._given[at("one")]))
    assert seen[0] == seen[1]


# -- own data


def test_own_data_are_a_copy_and_what_was_changed_flows_back_at_the_end_of_the_branch() -> None:
    s = Scenario(build(parallel(one=[act, act], two=act, data="own")), Ledger())
    s.done(at("one"), plain=1, total=5)
    assert (s.data.plain, s.data.total) == (0, 0)
    s.done(at("two"), other="x", total=7)
    assert (s.data.other, s.data.total) == ("x", 7)
    s.done(at("one", 2), plain=lambda was: was + 1)
    assert (s.data.plain, s.data.other, s.data.total) == (2, "x", 12)
    assert s.snapshot.status == "completed"


@pytest.mark.parametrize(
    ("back", "plain", "other"), [("nothing", 0, ""), ("all", 1, "x"), (["other"], 0, "x"), ("changed", 1, "x")]
)
def test_what_flows_back_is_what_the_author_says(back: Any, plain: int, other: str) -> None:
    s = Scenario(build(parallel(one=act, data=Own(back))), Ledger())
    s.done(at("one"), plain=1, other="x")
    assert (s.data.plain, s.data.other) == (plain, other)


def test_all_of_two_branches_conflicts_where_changed_does_not() -> None:
    for back, status in (("all", "failed"), ("changed", "completed")):
        s = Scenario(build(parallel(one=act, two=act, data=Own(back))), Ledger())  # type: ignore[arg-type]
        s.done(at("one"), plain=1)
        s.done(at("two"), other="x")
        assert s.snapshot.status == status, back


def test_own_data_of_a_branch_that_failed_or_was_cancelled_are_gone() -> None:
    s = Scenario(build(parallel(one=[act, act], two=[act, act], three=act, join=Join("any"), data="own")), Ledger())
    s.done(at("one"), plain=1)
    s.failed(at("one", 2))
    s.done(at("two"), plain=2)
    s.done(at("three"))
    s.feed(inputs.AttemptEnded(at("two", 2), 1, "stopped"))
    assert (s.snapshot.status, s.data.plain) == ("completed", 0)


def test_guards_and_transforms_of_a_branch_see_its_own_data() -> None:
    def double(data: Ledger) -> dict[str, int]:
        return {"plain": data.plain * 2}

    s = Scenario(build(parallel(one=[act, transform(double)], two=act, data="own")), Ledger())
    s.done(at("one"), plain=4)
    s.done(at("two"), other="x")
    assert (s.data.plain, s.data.other) == (8, "x")


def test_fields_that_there_are_none_of_are_found_when_the_class_is_built() -> None:
    with pytest.raises(DefinitionError, match="plian"):
        build(parallel(one=act, data=Own(["plian"])))
    with pytest.raises(BadRequest):
        Own("most")  # type: ignore[arg-type]


# -- the property


@dataclass(frozen=True)
class Write:
    """What one step does: to a plain field (0: nothing), a note, a number, a fact."""

    plain: int
    note: str
    add: int
    fact: str


def expected(branches: Sequence[Sequence[Write]]) -> Ledger | None:
    """What all of it comes to; None: a conflict."""
    lasts = {next((w.plain for w in reversed(steps) if w.plain), 0) for steps in branches} - {0}
    if len(lasts) > 1:
        return None
    steps = [w for each in branches for w in each]
    return Ledger(
        plain=lasts.pop() if lasts else 0,
        notes=[w.note for w in steps if w.note],
        total=sum(w.add for w in steps),
        facts={w.fact: w.add for w in steps if w.fact},
    )


SHARED = 1_000


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_finishing_order_changes_what_branches_make_of_the_data(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4), label="branches")
    branches: list[list[Write]] = []
    for b in range(count):
        steps = data.draw(st.integers(1, 3), label="steps")
        # A value of one's own at each write, or one that all may agree on.
        plain = [data.draw(st.sampled_from((0, 10 * b + n + 1, SHARED) if n == 0 else (0, 10 * b + n + 1))) for n in range(steps)]
        notes = [f"{b}.{n}" if data.draw(st.booleans()) else "" for n in range(steps)]
        # Never what another one writes: who sets a key to what it sees there already has changed nothing.
        facts = [(100 * b + 10 * n + data.draw(st.integers(0, 3)), str(data.draw(st.integers(0, 2)))) for n in range(steps)]
        branches.append([Write(p, note, *fact) for p, note, fact in zip(plain, notes, facts, strict=True)])
    kind = data.draw(st.sampled_from(("parallel", "own", "for_each")), label="kind")
    if kind == "for_each":
        longest = max(len(b) for b in branches)
        branches = [[*b, *[Write(0, "", 0, "")] * (longest - len(b))] for b in branches]
        body: Any = for_each(lambda _: range(count), *[act] * longest)
    else:
        body = parallel(**{f"b{b}": [act] * len(w) for b, w in enumerate(branches)}, data="own" if kind == "own" else "shared")
    s = Scenario(build(body), Ledger())
    left = dict.fromkeys(range(count), 0)
    while left:
        b = data.draw(st.sampled_from(sorted(left)), label="next")
        w = branches[b][left[b]]
        key = "act" + (f"-{left[b] + 1}" if left[b] else "")
        changes: dict[str, Any] = {"plain": w.plain} if w.plain else {}
        if w.note:
            changes["notes"] = lambda was, w=w: [*was, w.note]
        changes["total"] = lambda was, w=w: was + w.add
        changes["facts"] = lambda was, w=w: {**was, w.fact: w.add} if w.fact else was
        s.done(f"work/for_each[{b}]/{key}" if kind == "for_each" else f"work/parallel:b{b}/{key}", **changes)
        left[b] += 1
        if left[b] == len(branches[b]):
            del left[b]
    wanted = expected(branches)
    if wanted is None:
        assert failure(s)[0] == "data_conflict"
    else:
        assert s.snapshot.status == "completed", s.snapshot.failure
        assert s.data == wanted
