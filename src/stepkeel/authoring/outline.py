"""The outline of a definition: plain data, enough to explain, draw and compare it without its code.

A callable appears by its name, a lambda by its place. The shape is the digest of everything but the schemas, which are
compared field by field: a new field with a default is no new shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from stepkeel.authoring.source import digest
from stepkeel.document.writer import slim
from stepkeel.model.calendar import Calendar
from stepkeel.model.codec import Codec
from stepkeel.model.definition import SignalType, State
from stepkeel.model.function import Function, Mapper
from stepkeel.model.join import Join, Own
from stepkeel.model.node import (
    Activity,
    ActivityNode,
    AddNode,
    ChildNode,
    ChoiceNode,
    DuringNode,
    EmitNode,
    FlowNode,
    ForEachNode,
    GraphNode,
    HoldNode,
    LoopNode,
    MachineNode,
    Node,
    ParallelNode,
    Pool,
    PureNode,
    StopNode,
    TaskNode,
    WaitNode,
    walk,
)
from stepkeel.model.policy import Retry
from stepkeel.model.reaction import Ending, Reaction

__all__ = ["Outline", "limits_of", "outline_of"]


@dataclass(frozen=True, slots=True)
class Outline:
    document: dict[str, Any]
    shape: str


_EXPRESSION = re.compile(r'"= (?:[^"\\]|\\.)*"')


def _name(function: Function | None) -> str:
    if function is None:
        return ""
    return f"= {function.text}" if function.text else function.name


def _into(mapper: Mapper | None) -> str:
    return (mapper.field or _name(mapper.function)) if mapper else ""


def _retry(retry: Retry | None) -> dict[str, Any] | None:
    if retry is None:
        return None
    return slim(
        attempts=retry.attempts, delay=retry.delay_micros, backoff=retry.backoff, factor=retry.factor,
        max_delay=retry.max_delay_micros, jitter=retry.jitter, retry_on=retry.wanted.bare, give_up_on=retry.unwanted.bare,
    )  # fmt: skip


def _activity(activity: Activity) -> dict[str, Any]:
    return slim(
        name=activity.name,
        retry=_retry(activity.retry),
        timeout=activity.timeout,
        deadline=activity.deadline,
        optional=activity.optional,
        fallback=_activity(activity.fallback) if activity.fallback else None,
        compensate=_activity(activity.compensate) if activity.compensate else None,
        compensate_when=activity.compensate_when if activity.compensate_when != "done" else "",
    )


def _concurrent(node: ParallelNode | ForEachNode | GraphNode | FlowNode) -> dict[str, Any]:
    if isinstance(node, FlowNode):
        return _flow(node)
    if isinstance(node, ParallelNode):
        branches = [slim(key=b.key, when=_name(b.when), body=[_node(n) for n in b.body]) for b in node.branches]
        return slim(
            key=node.key, kind="parallel", branches=branches, max_concurrency=node.max_concurrency, join=_join(node.join),
            data=_own(node.own), into=_into(node.into), detached=node.detached,
        )  # fmt: skip
    if isinstance(node, ForEachNode):
        return slim(
            key=node.key, kind="for_each", items=_name(node.items), body=[_node(n) for n in node.body], into=_into(node.into),
            max_concurrency=node.max_concurrency, join=_join(node.join), data=_own(node.own), detached=node.detached,
            stays=_said(node.stays),
        )  # fmt: skip
    steps = [slim(key=s.key, needs=s.needs, when=_name(s.when), body=[_node(n) for n in s.body]) for s in node.steps]
    return slim(
        key=node.key, kind="graph", steps=steps, max_concurrency=node.max_concurrency, into=_into(node.into),
        sequential=node.sequential,
    )  # fmt: skip


def _flow(node: FlowNode) -> dict[str, Any]:
    steps = [
        slim(
            key=s.key, body=[_node(n) for n in s.body], to=[slim(step=a.target, when=_name(a.when)) for a in s.arcs], first=s.first,
            join=s.join if s.join != "each" else "", need=_said(s.need) if s.join in ("n", "count") else None,
            rest=s.rest if s.join == "n" else "", region=s.region, **({} if s.times == 1 else {"times": _said(s.times)}),
        )
        for s in node.steps
    ]  # fmt: skip
    leftover = node.leftover if node.leftover != "fail" else ""
    most = node.max_tokens if node.max_tokens != 1_000 else None
    return slim(key=node.key, kind="flow", steps=steps, start=node.start, max_tokens=most, leftover=leftover)


def _node(node: Node) -> dict[str, Any]:
    if isinstance(node, ActivityNode):
        given = {n: _name(getattr(node, n)) for n in ("given", "fallback_given", "undo_given")}
        return slim(key=node.key, kind="activity", activity=_activity(node.activity), into=_into(node.into), **given)
    if isinstance(node, PureNode):
        return slim(key=node.key, kind=node.kind, function=_name(node.function), template=node.template)
    if isinstance(node, LoopNode):
        return slim(
            key=node.key, kind="loop", body=[_node(n) for n in node.body], until=_name(node.until),
            max_iterations=node.max_iterations, at_max=node.at_max, **{"while": _name(node.while_)},
        )  # fmt: skip
    if isinstance(node, ChoiceNode):
        arms = [slim(key=a.key, when=_name(a.when), body=[_node(n) for n in a.body]) for a in node.arms]
        return slim(key=node.key, kind="choice", arms=arms)
    if isinstance(node, ParallelNode | ForEachNode | GraphNode | FlowNode):
        return _concurrent(node)
    if isinstance(node, MachineNode):
        return slim(
            key=node.key,
            kind="machine",
            initial=node.initial,
            states=[_state(s) for s in node.states.values()],
            anywhere=_anywhere(node.states, node.deadlines),
        )
    if isinstance(node, DuringNode):
        return slim(
            key=node.key, kind="during", guard=_name(node.guard), otherwise=node.otherwise, body=[_node(n) for n in node.body]
        )
    if isinstance(node, HoldNode):
        pools = [
            slim(name=p.name, scope=p.scope if p.scope != "fleet" else "", amount=_said(p.amount) if p.amount != 1 else None)
            for p in node.pools
        ]
        return slim(key=node.key, kind="hold", pools=pools, timeout=node.timeout, body=[_node(n) for n in node.body])
    if isinstance(node, EmitNode):
        return slim(key=node.key, kind="emit", topic=node.topic, what=_name(node.what))
    if isinstance(node, AddNode):
        return slim(key=node.key, kind="add_items", target=node.target, items=_name(node.items))
    if isinstance(node, StopNode):
        return slim(key=node.key, kind="stop", target=node.target, how=node.how, then=node.then)
    if isinstance(node, TaskNode):
        return _task(node)
    if isinstance(node, ChildNode):
        return slim(
            key=node.key, kind="child", of=node.of.name, data=_name(node.data), into=_into(node.into), until=node.until,
            mark=node.mark, failures=node.failures, detached=node.detached, bound_to=node.bound_to,
        )  # fmt: skip
    assert isinstance(node, WaitNode)
    return slim(
        key=node.key, kind="wait", signal=node.signal, when=_name(node.when), into=_into(node.into),
        delay=node.delay, delay_of=_name(node.delay_of), until_of=_name(node.until_of), condition=_name(node.condition),
        calendar=_calendar(node.calendar),
    )  # fmt: skip


def _task(node: TaskNode) -> dict[str, Any]:
    return slim(
        key=node.key, kind="task", title=_said(node.title), form="" if node.form is None else node.form.name,
        approval=node.approval, role=_said(node.role), assignee=_said(node.assignee), candidates=_said(node.candidates),
        people=_said(node.people), not_by=_said(node.excluded), need=node.need if node.need != 1 else None, due=_said(node.due),
        calendar=_calendar(node.calendar), remind=node.remind, escalate_to=node.escalate, into=_into(node.into),
        priority=node.priority if node.priority != 2 else None, on_reject=node.on_reject if node.on_reject != "fail" else None,
    )  # fmt: skip


def _said(given: Any) -> Any:
    return _name(given) if isinstance(given, Function) else given


def _calendar(calendar: Calendar | None) -> Any:
    return None if calendar is None else calendar.outline()


def _join(join: Join) -> dict[str, Any]:
    """What it says otherwise than it would unsaid."""
    need = _name(join.need) if isinstance(join.need, Function) else join.need
    said = {"need": need, **{k: getattr(join, k) for k in ("failures", "rest", "late", "again", "unmet")}}
    unsaid = Join()
    return {k: v for k, v in said.items() if v != getattr(unsaid, k)}


def _own(own: Own | None) -> Any:
    if own is None:
        return None
    return {"own": own.back if isinstance(own.back, str) else [*own.back]}


def _reaction(reaction: Reaction) -> dict[str, Any]:
    return slim(
        name=reaction.name, trigger=reaction.trigger, signal=reaction.signal, delay=reaction.delay,
        delay_of=_name(reaction.delay_of), errors=reaction.errors.bare, when=_name(reaction.when), into=_into(reaction.into),
        do=[_node(n) for n in reaction.do], interrupt=reaction.interrupt, calendar=_calendar(reaction.calendar),
        move=reaction.move.kind, to=reaction.move.state, target=reaction.move.target,
        undo=reaction.undo if reaction.undo != "none" else "",
        end=_ending(reaction.move.ending),
    )  # fmt: skip


def _state(state: State) -> dict[str, Any]:
    return slim(
        name=state.name,
        label=state.label,
        body=[_node(n) for n in state.body],
        reactions=[_reaction(r) for r in state.reactions if not r.anywhere],
        transitions=[slim(to=t.to, when=_name(t.when)) for t in state.transitions],
        ending=_ending(state.ending),
    )


def _ending(ending: Ending | None) -> dict[str, Any] | None:
    return slim(status=ending.status, reason=ending.reason, code=ending.code, at_once=ending.at_once) if ending else None


def _anywhere(states: Mapping[str, State], deadlines: Iterable[Reaction]) -> list[dict[str, Any]]:
    """What every state reacts to, told once: all but final ones have the same."""
    first = next((s for s in states.values() if s.ending is None), None)
    each = [r for r in first.reactions if r.anywhere] if first else []
    return [_reaction(r) for r in (*each, *deadlines)]


def limits_of(own: Iterable[Pool], activities: Iterable[Activity]) -> dict[str, Any]:
    """Every limit of a definition and of its activities, by name."""
    pools = [*own, *(p for a in activities for p in a.pools)]
    return {p.name: slim(size=p.size, per=p.per, key=_name(p.key)) for p in pools}


def _forms(states: Mapping[str, State], handlers: Mapping[str, tuple[Node, ...]]) -> dict[str, Any]:
    """The schemas of what people are asked for, by the name of the type."""
    lists = [s.body for s in states.values()] + [r.do for s in states.values() for r in s.reactions] + [*handlers.values()]
    tasks = [n for body in lists for n in walk(body) if isinstance(n, TaskNode) and n.form is not None]
    return {"approval" if t.approval else t.form.name: t.form.schema() for t in tasks if t.form is not None}


def outline_of(
    name: str,
    version: int,
    data: Codec,
    initial: str,
    states: Mapping[str, State],
    signals: Mapping[str, SignalType],
    policies: Mapping[str, Any],
    handlers: Mapping[str, tuple[Node, ...]],
    limits: Mapping[str, Any],
    deadlines: Iterable[Reaction],
    tags: Mapping[str, frozenset[str]],
) -> Outline:
    document: dict[str, Any] = {
        "name": name,
        "version": version,
        "initial": initial,
        "states": [_state(s) for s in states.values()],
        "policies": dict(policies),
        "handlers": {n: [_node(b) for b in body] for n, body in handlers.items() if body},
        "keep": {n: s.keep for n, s in signals.items() if s.keep is not None},
    }
    if anywhere := _anywhere(states, deadlines):
        document["anywhere"] = anywhere
    if tags:
        document["tags"] = {at: sorted(marked) for at, marked in tags.items()}
    # What an expression says is code: it may be mended while instances live.
    shape = digest(_EXPRESSION.sub('"="', msgspec.json.encode(document, order="deterministic").decode()))
    # A limit is no shape: it may change while instances live.
    schemas: dict[str, Any] = {
        "limits": limits,
        "data": data.schema(),
        "signals": {n: s.codec.schema() for n, s in signals.items()},
    }
    if fixed := [s.name for s in states.values() if not s.settable]:
        schemas["not_settable"] = fixed
    if forms := _forms(states, handlers):
        schemas["forms"] = forms
    return Outline({**document, **schemas}, shape)
