"""Flows: steps that fire for tokens on arcs, for what no nesting of bodies can say: merges, discriminators, cycles of any shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from stepkeel.authoring.activity import activity_of
from stepkeel.authoring.node import BodyNode, Step, tagged_all
from stepkeel.document.form import near
from stepkeel.errors import BadRequest
from stepkeel.model.flow import Arc, FlowNode, FlowStep, Leftover, PartialRest

if TYPE_CHECKING:
    from stepkeel.authoring.body import Bodies

__all__ = ["JoinOf", "PartialJoin", "SplitOf", "ThreadMerge", "ThreadSplit", "To", "flow", "flow_node", "routed"]

D = TypeVar("D")
Number = int | Callable[[Any], int] | str
_ROUTING = ("to", "split", "join")


Guard = Callable[[D], bool] | str | None
To = Step[Any] | str | Sequence[Step[Any] | str] | Mapping[str, Guard[D]]


@dataclass(frozen=True)
class ThreadSplit:
    """`split=ThreadSplit(3)`: so many tokens on each arc. A number from 0, a function of the data, or an expression.

    Raises BadRequest.
    """

    n: Number

    def __post_init__(self) -> None:
        _check(self, self.n, 0)


@dataclass(frozen=True)
class ThreadMerge:
    """`join=ThreadMerge(3)`: the step fires for so many tokens of one arc.

    A number from 1, a function of the data, or an expression. Raises BadRequest.
    """

    n: Number

    def __post_init__(self) -> None:
        _check(self, self.n, 1)


@dataclass(frozen=True)
class PartialJoin:
    """`join=PartialJoin(2)`: the step fires when `n` of its arcs have a token; with 1 it is a discriminator.

    rest     what becomes of the tokens that come later in that round, which lasts until every arc that can still deliver has:
             swallow: all of them are dropped; block: one of each other arc is, and what comes besides waits for the next round;
             cancel: the steps of `region` are cancelled, and the next round begins at once
    region   names of steps
    Raises BadRequest.
    """

    n: Number
    rest: PartialRest = "swallow"
    region: Sequence[Step[Any] | str] = ()

    def __post_init__(self) -> None:
        _check(self, self.n, 1)
        if self.rest not in get_args(PartialRest):
            raise BadRequest(f"PartialJoin(rest={self.rest!r})", remedy=", ".join(get_args(PartialRest)))
        if isinstance(self.region, str) or bool(self.region) != (self.rest == "cancel"):
            remedy = 'rest="cancel" and the names of the steps that are cancelled then, or neither'
            raise BadRequest(f"PartialJoin(rest={self.rest!r}, region={self.region!r})", remedy=remedy)


def _check(of: object, n: Any, least: int) -> None:
    whole = isinstance(n, int) and not isinstance(n, bool) and n >= least
    if not (whole or callable(n) or (isinstance(n, str) and n)):
        raise BadRequest(
            f"{type(of).__name__}({n!r})", remedy=f"a whole number from {least}, a function of the data, or an expression"
        )


JoinOf = Literal["each", "all", "live"] | PartialJoin | ThreadMerge
SplitOf = Literal["all", "first"] | ThreadSplit


def flow(
    *steps: Step[Any],
    start: Sequence[Step[Any] | str] | Step[Any] | str = (),
    max_tokens: int = 1_000,
    leftover: Leftover = "fail",
    name: str | None = None,
) -> BodyNode[Any]:
    """Steps that fire for tokens: `flow(step("a", ask, to=["b", "c"]), step("b", book, to="d"), ..., step("d", send, join="all"))`.

    A step fires when its `join` is satisfied by the tokens on the arcs that lead to it, runs, and puts tokens on its own arcs
    (`to`) as its `split` says. The flow is done when nothing fires any more.

    start       the steps that fire first; default: those to which no arc leads, else the first one
    max_tokens  more of them, on arcs and in steps, fail it with the code too_many_tokens
    leftover    tokens that nobody can use in the end: fail (with the code flow_stuck), or drop
    A step that finally fails fails the flow. Raises BadRequest.
    """
    if not steps:
        raise BadRequest("flow() of nothing", remedy='flow(step("ask", ask, to="book"), step("book", book))')
    strange = next((s for s in steps if not isinstance(s, Step)), None)  # pyright: ignore[reportUnnecessaryIsInstance]
    if strange is not None:
        raise BadRequest(f"flow({strange!r})", remedy='step("name", activity, to="other")')
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadRequest(f"flow(max_tokens={max_tokens!r})", remedy="a whole number from 1")
    if leftover not in get_args(Leftover):
        raise BadRequest(f"flow(leftover={leftover!r})", remedy=", ".join(get_args(Leftover)))
    begins = tuple(_called(s) for s in ([start] if isinstance(start, str | Step) else start))
    return BodyNode("flow", name or "flow", {"steps": steps, "start": begins, "max_tokens": max_tokens, "leftover": leftover})


def routed(each: Step[Any]) -> list[str]:
    """What it says that only a step of a flow may say."""
    return [n for n in _ROUTING if each.options.get(n)]


def _called(step: Step[Any] | str) -> str:
    return step.key if isinstance(step, Step) else str(step)


# -- building


def flow_node(bodies: Bodies, o: Mapping[str, Any], key: str, place: str, written: Mapping[str, Step[Any]]) -> FlowNode:
    """The node of a flow of these steps; what is wrong with them goes to the problems."""
    steps = [_Reading(bodies, each, place, written).made() for each in written.values()]
    reached = {a.target for s in steps for a in s.arcs}
    start = [n for n in o["start"] if n in written]
    if len(start) < len(o["start"]):
        lost = next(n for n in o["start"] if n not in written)
        bodies.problems.add("unknown_step", place, f"it starts at {lost}, and there is no such step", near(lost, [*written]))
    if not o["start"]:
        start = [n for n in written if n not in reached] or [*written][:1]
    node = FlowNode(key, tuple(steps), tuple(start), o["max_tokens"], o["leftover"])
    _check_joins(bodies, node, place)
    _check_reached(bodies, node, place)
    return node


class _Reading:
    """One step of a flow as its author wrote it."""

    def __init__(self, bodies: Bodies, each: Step[Any], place: str, every: Mapping[str, Step[Any]]) -> None:
        self.bodies, self.each, self.every = bodies, each, every
        self.place = f"{place}:{each.key}"

    def made(self) -> FlowStep:
        o = self.each.options
        split, join = o.get("split") or "all", o.get("join") or "each"
        if not (split in ("all", "first") or isinstance(split, ThreadSplit)):
            self._wrong("bad_split", f"split={split!r}", "all, first, or ThreadSplit(3)")
        if not (join in ("each", "all", "live") or isinstance(join, PartialJoin | ThreadMerge)):
            self._wrong("bad_join", f"join={join!r}", "each, all, live, PartialJoin(2), or ThreadMerge(3)")
            join = "each"
        made = FlowStep(self.each.key, self._body(), self._arcs(split == "first"), split == "first")
        if isinstance(split, ThreadSplit):
            made = replace(made, times=self._number(split.n))
        if isinstance(join, ThreadMerge):
            return replace(made, join="count", need=self._number(join.n))
        if isinstance(join, PartialJoin):
            return replace(made, join="n", need=self._number(join.n), rest=join.rest, region=self._region(join))
        return replace(made, join=join)

    def _wrong(self, code: str, text: str, remedy: str) -> None:
        self.bodies.problems.add(code, self.place, text, remedy)

    def _number(self, n: Number) -> Any:
        return n if isinstance(n, int) else self.bodies.reading(n, self.place, "expression", {"item": None})

    def _known(self, name: str, how: str) -> bool:
        if name not in self.every:
            self._wrong("unknown_step", f"it {how} {name}, and there is no such step", near(name, [*self.every]))
        return name in self.every

    def _region(self, join: PartialJoin) -> tuple[str, ...]:
        names = [_called(s) for s in join.region]
        if self.each.key in names:
            self._wrong("bad_join", "it cancels itself", "leave it out of the region")
        return tuple(n for n in names if self._known(n, "cancels"))

    def _arcs(self, first: bool) -> tuple[Arc, ...]:
        said: Any = self.each.options.get("to") or ()
        found: dict[str, Arc] = {}
        each: list[Any] = [said] if isinstance(said, str | Step) else [*said]
        for target in map(_called, each):
            if not self._known(target, "leads to"):
                continue
            if target in found:
                self._wrong("arc_twice", f"two arcs lead to {target}", "one, with a guard that says or")
                continue
            if first and found and next(reversed(found.values())).when is None:
                text = f"the arc to {target} is never taken: that before it has no guard"
                self._wrong("bad_split", text, "give that one a guard, or let it be the last")
            when: Any = said[target] if isinstance(said, Mapping) else None  # pyright: ignore[reportUnknownVariableType]
            found[target] = Arc(self.each.key, target, self.bodies.guard(when, f"{self.place}>{target}"))
        if not found and self.each.options.get("split"):
            self._wrong("bad_split", "a split, and no arc", 'to=["one", "other"]')
        return tuple(found.values())

    def _body(self) -> Any:
        each, bodies = self.each, self.bodies
        o = {n: v for n, v in each.options.items() if n not in _ROUTING}
        said = [n for n in ("needs", "when") if o.get(n)]
        if said:
            self._wrong("bad_step", f"{said[0]}= of a step of a flow", "arcs say what comes behind what: to={name: guard}")
            return ()
        outer, bodies.gives = bodies.gives, False
        if each.single:
            items: list[Any] = [replace(each, key=activity_of(each.body[0]).name, options=o)]
        else:
            items = tagged_all(o.get("tags", ()), [*each.body])
        body = bodies.body(items, self.place)
        bodies.gives = outer
        return body


def _check_joins(bodies: Bodies, node: FlowNode, place: str) -> None:
    for step in node.steps:
        where, many = f"{place}:{step.key}", len(node.incoming[step.key])
        if ">" in step.key:
            bodies.problems.add("bad_name", where, f"{step.key!r} is the name of a step of a flow", "without >: that means an arc")
        if step.join != "each" and not many:
            bodies.problems.add("bad_join", where, "a join, and no arc leads to it", f'to="{step.key}" of the steps before it')
        elif step.join == "n" and isinstance(step.need, int) and step.need > many:
            text = f"it waits for tokens of {step.need} arcs, and {many} lead to it"
            bodies.problems.add("bad_join", where, text, f"PartialJoin({many}), or more arcs")


def _check_reached(bodies: Bodies, node: FlowNode, place: str) -> None:
    seen, todo = set[str](), [*node.start]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += [a.target for a in node.step(name).arcs]
    for step in node.steps:
        if step.key not in seen:
            text = f"no token ever comes to {step.key}"
            bodies.problems.add("unreachable", f"{place}:{step.key}", text, "lead an arc to it, or name it in start=", warning=True)
