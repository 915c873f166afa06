"""Bodies and states as a document has them: each kind of node by the field that it is called by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stepkeel.document.writer import Writer, called, slim, span
from stepkeel.model.definition import Definition, State
from stepkeel.model.function import Function
from stepkeel.model.graph import GraphNode, Step
from stepkeel.model.node import (
    Activity,
    ActivityNode,
    AddNode,
    ChildNode,
    ChoiceNode,
    DuringNode,
    EmitNode,
    FlowNode,
    FlowStep,
    ForEachNode,
    HoldNode,
    LoopNode,
    MachineNode,
    Node,
    ParallelNode,
    PureNode,
    StopNode,
    TaskNode,
    WaitNode,
)
from stepkeel.model.reaction import Ending, Reaction

__all__ = ["NodeWriter"]

_TRIGGERS = {"signal": "on", "timeout": "after", "failure": "on_failure"}
Said = dict[str, Any]


class NodeWriter(Writer):
    """Writes bodies and states."""

    def __init__(self, definition: Definition, record_of: Callable[[Activity], Activity]) -> None:
        super().__init__(definition.name)
        self.definition = definition
        self.record_of = record_of
        self.writers: dict[type, Callable[[Any, str], Said]] = {
            WaitNode: self._wait, PureNode: self._pure, LoopNode: self._loop, ChoiceNode: self._choice,
            ParallelNode: self._parallel, ForEachNode: self._for_each, GraphNode: self._graph,
            FlowNode: self._flow, MachineNode: self._machine,
            StopNode: self._stop, DuringNode: self._during, HoldNode: self._hold,
            AddNode: self._add, EmitNode: self._emit, TaskNode: self._task,
            ChildNode: self._child,
        }  # fmt: skip

    # -- states

    def states(self, states: Mapping[str, State], initial: str, place: str) -> Said:
        first = next(iter(states), "")
        return {name: self._state(s, name == initial != first, f"{place}{name}") for name, s in states.items()}

    def _state(self, state: State, initial: bool, place: str) -> Said:
        ending, body = state.ending, self.body(state.body, place)
        ways = self._ways([r for r in state.reactions if not r.anywhere], place)
        to = [{"state": t.to, "when": self.text(t.when, f"{place}->{t.to}")} if t.when else t.to for t in state.transitions]
        return slim(
            label=state.label,
            initial=initial,
            body=body,
            to=_alone(to),
            **ways,
            end=ending.status if ending else None,
            reason=ending.reason if ending else None,
            code=ending.code if ending and ending.status == "failed" else None,
            at_once=ending is not None and ending.at_once,
        ) | ({} if state.settable else {"settable": False})

    def anywhere(self, states: Mapping[str, State], deadlines: tuple[Reaction, ...], place: str) -> Said:
        first = next((s for s in states.values() if s.ending is None), None)
        each = [(r, f"{place}{first.name}") for r in first.reactions if r.anywhere] if first else []
        found: Said = {}
        for kind in _TRIGGERS.values():
            group = [(r, at) for r, at in (*each, *((d, place) for d in deadlines)) if _TRIGGERS[r.trigger] == kind]
            used: dict[str, int] = {}
            if group:
                found[kind] = [self._reaction(r, at, used) for r, at in group]
        return found

    def _ways(self, reactions: list[Reaction], place: str) -> Said:
        used: dict[str, int] = {}
        found: dict[str, list[Said]] = {}
        for each in reactions:
            found.setdefault(_TRIGGERS[each.trigger], []).append(self._reaction(each, place, used))
        return found

    def _reaction(self, r: Reaction, place: str, used: dict[str, int]) -> Said:
        at, move = f"{place}!{r.name}", r.move
        default = {"signal": r.signal, "timeout": "after", "failure": "failure"}[r.trigger]
        return slim(
            signal=r.signal,
            span=span(r.delay) if r.delay is not None else self.text(r.delay_of, at),
            errors=r.errors.bare,
            when=self.text(r.when, at),
            into=self.into(r.into, at),
            do=self.body(r.do, at),
            to=move.state,
            interrupt=r.interrupt,
            go_on=move.kind == "go_on" and r.trigger != "failure",
            cancel=move.target if move.kind == "cancel" else None,
            complete=move.target if move.kind == "complete" else None,
            end=_ending(move.ending) if move.ending else None,
            undo=r.undo if r.undo != "none" else None,
            otherwise=r.otherwise,
            calendar=self.calendar(r.calendar),
            name=called(default, r.name, used),
        )

    # -- bodies

    def body(self, body: tuple[Node, ...], place: str) -> list[Any]:
        used: dict[str, int] = {}
        return [self._node(node, f"{place}/{node.key}", used) for node in body]

    def _node(self, node: Node, place: str, used: dict[str, int]) -> Any:
        tags = sorted(self.definition.tags.get(place, ()))
        if isinstance(node, ActivityNode):
            said = {"uses": node.activity.name} | slim(name=called(node.activity.name, node.key, used))
            said |= self._activity(node, place) | slim(tags=tags)
            return said["uses"] if len(said) == 1 else said
        said = self.writers[type(node)](node, place)
        kind = next(iter(said))
        base = said.pop("base", kind)
        return {kind: said[kind]} | slim(name=called(base, node.key, used)) | said | slim(tags=tags)

    def _activity(self, node: ActivityNode, place: str) -> Said:
        activity, own = node.activity, self.record_of(node.activity)
        said = {"uses": activity.name, **self._with(node.given, place)}
        said |= slim(into=self.into(node.into, place), **self.policies(activity, own))
        if activity.fallback and (activity.fallback is not own.fallback or node.fallback_given):
            said["fallback"] = {"uses": activity.fallback.name, **self._with(node.fallback_given, place)}
        undo = activity.compensate
        plain = node.undo_given is None or node.undo_given.text == "output"
        if undo and (undo is not own.compensate or not plain or activity.compensate_when != own.compensate_when):
            given = {} if plain else self._with(node.undo_given, place)
            when = slim(when=activity.compensate_when if activity.compensate_when != "done" else None)
            said["compensate"] = {"uses": undo.name, **given, **when, **self.policies(undo, self.record_of(undo))}
        return said

    def _with(self, given: Function | None, place: str, name: str = "with") -> Said:
        return {} if given is None else {name: self.text(given, place)}

    def _wait(self, node: WaitNode, place: str) -> Said:
        delay = span(node.delay) if node.delay is not None else self.text(node.delay_of, place)
        until, calendar = self.text(node.until_of, place), self.calendar(node.calendar)
        if node.signal or node.condition:
            return slim(
                wait=node.signal, condition=self.text(node.condition, place), when=self.text(node.when, place),
                into=self.into(node.into, place), delay=delay, until=until,
            ) | {"base": "wait"}  # fmt: skip
        return slim(delay=delay, until=until, calendar=calendar) or {"delay": 0}

    def _pure(self, node: PureNode, place: str) -> Said:
        if node.kind == "log":
            return slim(log=node.template or self.text(node.function, place), level=node.level if node.level != "info" else None)
        source = self.text(node.function, place)
        return {"set" if isinstance(source, Mapping) else "transform": source}

    def _loop(self, node: LoopNode, place: str) -> Said:
        return slim(
            loop=self.body(node.body, place), while_=self.text(node.while_, place), until=self.text(node.until, place),
            max_iterations=node.max_iterations if node.max_iterations != 1_000 else None,
            at_max=node.at_max if node.at_max != "fail" else None,
        )  # fmt: skip

    def _choice(self, node: ChoiceNode, place: str) -> Said:
        used: dict[str, int] = {}
        arms: list[Said] = []
        other: Said = {}
        for arm in node.arms:
            body = self.body(arm.body, f"{place}:{arm.key}")
            if arm.when is None:
                other = {"otherwise": body}
            else:
                when = self.text(arm.when, f"{place}:{arm.key}")
                arms.append({"when": when, "body": body} | slim(name=called("arm", arm.key, used)))
        return {"choice": arms, **other}

    def _concurrent(self, node: ParallelNode | ForEachNode, place: str) -> Said:
        into = self.into(node.into, place)
        data = None if isinstance(node, ParallelNode) and node.into is not None else self.own(node.own)
        data = data or ("own" if isinstance(node, ParallelNode) and node.into is not None else None)
        return slim(join=self.join(node.join, place), data=data, into=into)

    def _parallel(self, node: ParallelNode, place: str) -> Said:
        if node.detached:
            late = node.join.late if node.join.late != "drop" else None
            return {"spawn": self.body(node.branches[0].body, f"{place}:body")} | slim(late=late, data=self.own(node.own))
        branches: Said = {}
        other: Said = {}
        for b in node.branches:
            body = self.body(b.body, f"{place}:{b.key}")
            if b.otherwise:
                other = {"otherwise": body}
            else:
                branches[b.key] = {"when": self.text(b.when, f"{place}:{b.key}"), "body": body} if b.when else body
        more = slim(max_concurrency=node.max_concurrency)
        return {"parallel": branches, **other, **more, **self._concurrent(node, place)}

    def _for_each(self, node: ForEachNode, place: str) -> Said:
        return {"for_each": self.text(node.items, place), "body": self.body(node.body, place)} | slim(
            max_concurrency=node.max_concurrency if node.max_concurrency != 100 else None,
            detached=node.detached,
            stay_open_until="completed" if node.stays is True else self.text(node.stays or None, place),
            **self._concurrent(node, place),
        )

    def _graph(self, node: GraphNode, place: str) -> Said:
        return {"graph": [self._step(s, f"{place}:{s.key}") for s in node.steps]} | slim(
            mode="sequential" if node.sequential else None,
            max_concurrency=None if node.sequential or node.max_concurrency == 100 else node.max_concurrency,
            output=self.into(node.into, place),
        )

    def _step(self, step: Step, place: str) -> Said:
        said: Said = {"name": step.key, **slim(needs=list(step.needs), when=self.text(step.when, place))}
        return said | self._does(step.body, place)

    def _does(self, body: tuple[Node, ...], place: str) -> Said:
        """What runs in a step: an activity, or a body."""
        only = body[0] if len(body) == 1 else None
        if isinstance(only, ActivityNode) and only.key == only.activity.name:
            tags = slim(tags=sorted(self.definition.tags.get(f"{place}/{only.key}", ())))
            return self._activity(only, place) | tags
        return {"body": self.body(body, place)} if body else {}

    def _flow(self, node: FlowNode, place: str) -> Said:
        led = {a.target for s in node.steps for a in s.arcs}
        unsaid = [s.key for s in node.steps if s.key not in led] or [node.steps[0].key]
        return {"flow": [self._flow_step(s, f"{place}:{s.key}") for s in node.steps]} | slim(
            start=list(node.start) if [*node.start] != unsaid else None,
            max_tokens=node.max_tokens if node.max_tokens != 1_000 else None,
            leftover=node.leftover if node.leftover != "fail" else None,
        )

    def _flow_step(self, step: FlowStep, place: str) -> Said:
        to = [{"step": a.target, "when": self.text(a.when, f"{place}>{a.target}")} if a.when else a.target for a in step.arcs]
        split: Any = "first" if step.first else None if step.times == 1 else {"times": self.said(step.times, place)}
        join: Any = step.join if step.join != "each" else None
        if step.join in ("n", "count"):
            rest = slim(rest=step.rest if step.rest != "swallow" else None, region=list(step.region))
            join = {step.join: self.said(step.need, place), **rest}
        return {"name": step.key} | self._does(step.body, place) | slim(to=_alone(to), split=split, join=join)

    def _machine(self, node: MachineNode, place: str) -> Said:
        if node.states.keys() == {"within", "over"}:
            within = node.states["within"]
            return {"scope": self.body(within.body, f"{place}:within"), **self._ends(within, f"{place}:within")}
        if node.states.keys() == {"picking", "over"}:
            ends = self._ends(node.states["picking"], f"{place}:picking")
            timed = [{"after": e["span"]} | {k: v for k, v in e.items() if k != "span"} for e in ends.get("after", ())]
            return {"pick": [*ends.get("on", ()), *timed]}
        anywhere = self.anywhere(node.states, node.deadlines, f"{place}:")
        said = {"states": self.states(node.states, node.initial, f"{place}:"), **slim(anywhere=anywhere)}
        return {"machine": said, "base": ""}

    def _ends(self, state: State, place: str) -> Said:
        """What may end a scope, or a pick."""
        found: dict[str, list[Said]] = {}
        for r in state.reactions:
            error = next(iter(r.errors.bare), None)
            do = self.body(r.do, f"{place}!{r.name}")
            found.setdefault(_TRIGGERS[r.trigger], []).append(slim(signal=r.signal, span=span(r.delay), error=error, do=do))
        return found

    def _stop(self, node: StopNode, place: str) -> Said:
        how, then = node.how if node.how != "cancel" else None, node.then if node.then != "end" else None
        return slim(stop=node.target, how=how, then=then)

    def _hold(self, node: HoldNode, place: str) -> Said:
        limits = [self.limit(p, "") for p in node.pools]
        amounts = {p.name: self.said(p.amount, place) for p in node.pools if p.amount != 1}
        scope = node.pools[0].scope
        return {"hold": limits[0] if len(limits) == 1 else limits, "body": self.body(node.body, place)} | slim(
            amount=next(iter(amounts.values())) if amounts and len(limits) == 1 else amounts,
            scope=scope if scope != "fleet" else None,
            timeout=span(node.timeout),
        )

    def _during(self, node: DuringNode, place: str) -> Said:
        other = slim(otherwise=node.otherwise if node.otherwise != "wait" else None)
        return {"during": self.text(node.guard, place), "body": self.body(node.body, place), **other}

    def _add(self, node: AddNode, place: str) -> Said:
        return {"add_items": node.target, "items": self.text(node.items, place)}

    def _emit(self, node: EmitNode, place: str) -> Said:
        return {"emit": node.topic, **self._with(node.what, place, "what")}

    def _task(self, node: TaskNode, place: str) -> Said:
        kind = "approval" if node.approval else "task"
        due = self.text(node.due, place) if not isinstance(node.due, int | None) else span(node.due)
        return {kind: self.said(node.title, place)} | slim(
            form=self.schema(node.form) if node.form is not None and not node.approval else None,
            role=self.said(node.role, place), assignee=self.said(node.assignee, place),
            candidates=self.said(node.candidates, place), people=self.said(node.people, place),
            not_by=self.said(node.excluded, place), need=node.need if node.need != 1 else None, due=due,
            calendar=self.calendar(node.calendar), remind=span(node.remind), escalate_to=list(node.escalate),
            into=self.into(node.into, place), on_reject=node.on_reject if node.on_reject != "fail" else None,
        ) | ({} if node.priority == 2 else {"priority": node.priority})  # fmt: skip

    def _child(self, node: ChildNode, place: str) -> Said:
        return {"child": node.of.definition.name, **self._with(node.data, place, "data")} | slim(
            into=self.into(node.into, place),
            state=node.mark if node.until == "state" else None, outcome=node.mark if node.until == "outcome" else None,
            failures=node.failures if node.failures != "fail" else None, detached=node.detached, bound_to=list(node.bound_to),
        ) | ({"wait": False} if node.until == "nothing" and not node.detached else {})  # fmt: skip


def _alone(names: list[Any]) -> Any:
    """One name is said without a list."""
    return names[0] if len(names) == 1 and isinstance(names[0], str) else names


def _ending(ending: Ending) -> Any:
    said = slim(status=ending.status, reason=ending.reason, code=ending.code)
    return ending.status if len(said) == 1 else said
