"""From a workflow class to its definition. All problems are collected (check.py) and raised together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

from stepkeel.authoring.activity import pools_of
from stepkeel.authoring.body import Bodies, numbered, several
from stepkeel.authoring.check import Problems, check_cached, check_definition
from stepkeel.authoring.move import move_of
from stepkeel.authoring.outline import limits_of, outline_of
from stepkeel.authoring.source import digest
from stepkeel.authoring.state import Anywhere, Way
from stepkeel.authoring.state import State as StateObject
from stepkeel.authoring.view import AuthoredDefinition
from stepkeel.errors import BadRequest
from stepkeel.model.definition import Fingerprint, Place, State
from stepkeel.model.function import Function
from stepkeel.model.instant import to_span
from stepkeel.model.node import (
    Activity,
    ActivityNode,
    ChildNode,
    DuringNode,
    FlowNode,
    ForEachNode,
    GraphNode,
    HoldNode,
    MachineNode,
    Node,
    ParallelNode,
    Pool,
    bodies,
)
from stepkeel.model.policy import CompensationPolicy, Limit, Unhandled, matcher
from stepkeel.model.reaction import Reaction, Transition
from stepkeel.model.reducer import reducers_of

__all__ = ["Policies", "build"]

_log = logging.getLogger("stepkeel.definition")


_HANDLERS = {"on_failure": "on_failure", "on_cancel": "on_cancel", "finally": "finally_"}


class _Builder(Bodies):
    """Makes the states of one workflow class."""

    def __init__(self, cls: type, data: Any, name: str, problems: Problems) -> None:
        super().__init__(data, name, problems)
        members: dict[str, Any] = dict(vars(cls))
        self.written: dict[str, StateObject[Any]] = {n: s for n, s in members.items() if isinstance(s, StateObject)}
        self.names = {id(s): s.name or n for n, s in self.written.items()}
        self.anywhere: list[Anywhere[Any]] = [a for a in members.values() if isinstance(a, Anywhere)]

    def state(self, name: str, written: StateObject[Any]) -> State:
        place = f"{self.name}.{name}"
        found: dict[str, list[Reaction]] = {"signal": [], "timeout": [], "failure": []}
        transitions: list[Transition] = []
        used: dict[str, int] = {}
        elsewhere = [w for a in self.anywhere for w in a.ways if w.trigger != "timeout"] if written.written.ending is None else []
        # One that says `otherwise` is tried last, wherever it stands.
        for way in sorted((*written.written.ways, *elsewhere), key=lambda w: bool(w.options.get("otherwise"))):
            to = self._target(way, place)
            if way.trigger == "automatic":
                transitions.append(Transition(to, self.guard(way.options["when"], f"{name}->{to}")))
                continue
            reaction = self._reaction(way, to, f"{name}!", place, used)
            found[way.trigger].append(replace(reaction, anywhere=way in elsewhere))
        return State(
            name=name,
            label=written.written.label,
            body=self.body(written.written.body, name),
            signals=tuple(found["signal"]),
            timeouts=tuple(found["timeout"]),
            failures=tuple(found["failure"]),
            transitions=tuple(transitions),
            ending=written.written.ending,
            line=written.written.line,
            settable=written.written.settable,
        )

    def deadlines(self) -> tuple[Reaction, ...]:
        """The timeouts of the machine as a whole."""
        used: dict[str, int] = {}
        ways = [w for a in self.anywhere for w in a.ways if w.trigger == "timeout"]
        found = [self._reaction(w, self._target(w, self.name), "!", self.name, used) for w in ways]
        for name in {r.name for r in found} & set(_HANDLERS):
            self.problems.add("bad_name", self.name, f"a timeout cannot be called {name}", "give it another name=")
        return tuple(replace(r, anywhere=True) for r in found)

    def _target(self, way: Way, place: str) -> str:
        if way.to is None:
            return ""
        if not isinstance(cast("Any", way.to), StateObject):
            self.problems.add("bad_target", place, f"to={way.to!r} is no state", "name a state of this class", way.line)
            return ""
        name = self.names.get(id(way.to))
        if name is None:
            self.problems.add(
                "foreign_state", place, f"{way.to!r} is no state of {self.name}", "name a state of this class", way.line
            )
            return ""
        return name

    def _reaction(self, way: Way, to: str, anchor: str, place: str, used: dict[str, int]) -> Reaction:
        o = way.options
        default = {"signal": "", "timeout": "after", "failure": "failure"}[way.trigger]
        kind: Any = o.get("signal")
        signal = self.signal(kind, place) if kind is not None else ""
        base = o.get("name") or default or signal
        name = numbered(base, used)
        self.problems.good_key(name, place)
        span: Any = o.get("span")
        where = f"{anchor}{name}"
        if "origin" in o:
            self.problems.origins[where] = o["origin"]
        also = {"signal": kind} if way.trigger == "signal" else {"failure": None} if way.trigger == "failure" else {}
        return Reaction(
            name=name,
            trigger=cast("Any", way.trigger),
            move=move_of(self.problems, way, to, name, place),
            signal=signal,
            delay=to_span(span) if span is not None and not callable(span) else None,
            delay_of=self.function(span, where) if callable(span) else None,
            errors=matcher(tuple(o.get("errors", ()))),
            when=self.guard(o.get("when"), where, also),
            into=self.mapper(o.get("into"), where, kind, next(iter(also), "nothing")),
            do=self.body(several(o.get("do")), where, kind),
            interrupt=bool(o.get("interrupt")),
            calendar=o.get("calendar"),
            undo=o.get("undo", "none"),
            otherwise=bool(o.get("otherwise")),
        )


@dataclass(frozen=True)
class Policies:
    """The class keywords."""

    version: int
    unhandled: Unhandled
    compensation: CompensationPolicy
    on_failure: Any = None
    on_cancel: Any = None
    finally_: Any = None
    limits: Limit | Sequence[Limit] = ()
    compensation_timeout: timedelta | float | None = None


def build(cls: type, data: Any, name: str, policies: Policies, problems: Problems | None = None) -> AuthoredDefinition:
    """Build the definition of a workflow class. Raises DefinitionError listing every problem; `problems` collects them."""
    problems = problems or Problems()
    builder = _Builder(cls, data, name, problems)
    problems.policies(name, policies.version, policies.unhandled, policies.compensation)
    problems.class_members(cls, name)
    states = {n: builder.state(n, s) for s in builder.written.values() for n in [builder.names[id(s)]]}
    if len(states) != len(builder.written):
        problems.add("state_name_twice", name, "two states have the same name", "give one of them another name=")
    initials = [builder.names[id(s)] for s in builder.written.values() if s.written.initial]
    if len(initials) > 1:
        problems.add("two_initial", name, f"{' and '.join(initials)} both say initial=True", "one of them")
    initial = initials[0] if initials else next(iter(states), "")
    handlers = {n: builder.handler(n, getattr(policies, a)) for n, a in _HANDLERS.items()}
    deadlines = builder.deadlines()
    check_definition(problems, name, initial, states, deadlines)
    limit = None if policies.compensation_timeout is None else to_span(policies.compensation_timeout)
    if limit is not None and limit <= 0:
        problems.add("bad_policy", name, f"compensation_timeout={policies.compensation_timeout!r}", "longer than nothing")
    pools: tuple[Pool, ...] = ()
    try:
        pools = pools_of(policies.limits, f"definition/{name}")
    except BadRequest as error:
        problems.add("bad_limit", name, error.message, error.remedy)
    indexes = _indexes(states, handlers, deadlines)
    check_cached(problems, indexes["places"])
    problems.raise_if_any(name)
    outline = outline_of(
        name, policies.version, builder.data, initial, states, builder.signals, {"unhandled_signals": policies.unhandled,
        "compensation": policies.compensation, **({"compensation_timeout": limit} if limit else {})}, handlers,
        limits_of(pools, indexes["activities"].values()), deadlines, builder.tags,
    )  # fmt: skip
    definition = AuthoredDefinition(
        name=name,
        version=policies.version,
        data=builder.data,
        initial=initial,
        states=states,
        signals=builder.signals,
        fingerprint=Fingerprint(outline.shape, _code(builder.codes)),
        unhandled=policies.unhandled,
        compensation=policies.compensation,
        compensation_timeout=limit,
        on_failure=handlers["on_failure"],
        on_cancel=handlers["on_cancel"],
        finally_=handlers["finally"],
        problems=tuple(problems.found),
        outline=outline.document,
        pools=pools,
        reducers=reducers_of(builder.data.reduced),
        deadlines=deadlines,
        tags=builder.tags,
        **indexes,
    )
    by_name = {builder.names[id(s)]: s for s in builder.written.values()}
    for written in by_name.values():
        written.home = (definition, by_name)
    for problem in problems.found:
        _log.warning("%s", problem)
    return definition


def _stays(node: Node) -> bool:
    """A child that may live on behind its node, as branches left to finish do."""
    return isinstance(node, ChildNode) and node.until != "end" and not node.detached


def _code(codes: list[tuple[str, str]]) -> str:
    return digest(repr(codes)) if codes else ""


def _asks_data(node: Node) -> bool:
    """It waits until something holds of the data."""
    return getattr(node, "condition", None) is not None or getattr(node, "stays", None) not in (None, True)


def _indexes(states: dict[str, State], handlers: dict[str, tuple[Node, ...]], deadlines: tuple[Reaction, ...]) -> Any:
    """Every node and reaction by its address, every activity by its name."""
    places: dict[str, Place] = {}
    reactions: dict[str, Reaction] = {}
    activities: dict[str, Activity] = {}

    def add(container: str, body: tuple[Node, ...]) -> None:
        for n, node in enumerate(body):
            after = body[n + 1].key if n + 1 < len(body) else ""
            place = f"{container}/{node.key}"
            places[place] = Place(node, after)
            for suffix, inner in bodies(node):
                add(place + suffix, inner)
            if isinstance(node, MachineNode):
                reactions.update({f"{place}:{s.name}!{r.name}": r for s in node.states.values() for r in s.reactions})
                reactions.update({f"{place}:!{r.name}": r for r in node.deadlines})
            if isinstance(node, ActivityNode):
                found = node.activity
                for each in (found, found.fallback, found.compensate):
                    if each is not None:
                        activities.setdefault(each.name, each)

    for name, state in states.items():
        add(name, state.body)
        for reaction in state.reactions:
            reactions[f"{name}!{reaction.name}"] = reaction
            add(f"{name}!{reaction.name}", reaction.do)
    for reaction in deadlines:
        reactions[f"!{reaction.name}"] = reaction
        add(f"!{reaction.name}", reaction.do)
    for name, body in handlers.items():
        add(f"!{name}", body)
    conditional = any(isinstance(p.node, DuringNode) or _asks_data(p.node) for p in places.values())
    concurrent = any(
        isinstance(p.node, ParallelNode | ForEachNode | GraphNode | FlowNode) or _stays(p.node) for p in places.values()
    )
    nested = any(isinstance(p.node, MachineNode) for p in places.values())
    holds = [p.node for p in places.values() if isinstance(p.node, HoldNode)]
    guards = [s.when for p in places.values() if isinstance(p.node, GraphNode) for s in p.node.steps]
    numbers = (n for p in places.values() if isinstance(p.node, FlowNode) for s in p.node.steps for n in (s.times, s.need))
    fields = (getattr(p.node, n) for p in places.values() for n in p.node.__dataclass_fields__)
    pools = (f for h in holds for p in h.pools for f in (p.key, p.amount))
    itemized = any(isinstance(f, Function) and f.item for f in (*guards, *numbers, *fields, *pools))
    flags = {"itemized": itemized, "conditional": conditional, "concurrent": concurrent, "nested": nested, "holding": bool(holds)}
    return {"places": places, "reactions": reactions, "activities": activities, **flags}
