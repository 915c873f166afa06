"""From what an author wrote in a body to its nodes. All problems are collected (check.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from stepkeel.authoring import concurrent
from stepkeel.authoring.activity import activity_of
from stepkeel.authoring.check import check_activity, check_field, misfits
from stepkeel.authoring.flow import flow_node
from stepkeel.authoring.graph import Step, distinct, graph_node, step_in_body
from stepkeel.authoring.hold import hold_node
from stepkeel.authoring.node import BodyNode, When, tagged_items
from stepkeel.authoring.pieces import Pieces
from stepkeel.authoring.view import AuthoredDefinition
from stepkeel.errors import DataInvalid
from stepkeel.model.codec import Codec
from stepkeel.model.definition import State
from stepkeel.model.function import Function
from stepkeel.model.instant import to_span
from stepkeel.model.join import Join, Own
from stepkeel.model.node import (
    ActivityNode,
    AddNode,
    Arm,
    Branch,
    ChildNode,
    ChoiceNode,
    DuringNode,
    EmitNode,
    ForEachNode,
    LoopNode,
    MachineNode,
    Node,
    ParallelNode,
    PureNode,
    StopNode,
    TaskNode,
    WaitNode,
    walk,
)
from stepkeel.model.policy import matcher
from stepkeel.model.reaction import Ending, Move, Reaction, Transition
from stepkeel.model.task import Verdict

__all__ = ["Bodies", "numbered", "several"]


def several(given: Any) -> list[Any]:
    """One item, a sequence of them, or nothing, as a list."""
    if given is None:
        return []
    return list(cast("Sequence[Any]", given)) if isinstance(given, Sequence) else [given]


def numbered(base: str, used: dict[str, int]) -> str:
    """A name as it is the first time, `name-2` the second. `used` counts them."""
    used[base] = n = used.get(base, 0) + 1
    return base if n == 1 else f"{base}-{n}"


class Bodies(Pieces):
    """Makes the nodes of one workflow."""

    def body(self, items: Sequence[Any], place: str, given: Any = None) -> tuple[Node, ...]:
        used: dict[str, int] = {}
        nodes: list[Node] = []
        for item, tags in tagged_items(items):
            key = numbered(self._key(item, place), used)
            if not self.problems.good_key(key, place):
                continue
            where = f"{place}/{key}"
            origin = getattr(item, "origin", None)
            if origin is not None:
                self.problems.origins[where] = origin
            if isinstance(item, Step):
                tags |= frozenset(cast("Step[Any]", item).options.get("tags", ()))
            if tags:
                self.tags[where] = tags
            if isinstance(item, Step):
                made = step_in_body(self, cast("Step[Any]", item), key, where, given)
                nodes += [made] if made else []
            else:
                nodes.append(self.node(item, key, where, given))
        return tuple(nodes)

    def _key(self, item: Any, place: str) -> str:
        if isinstance(item, Step):
            return cast("Step[Any]", item).key
        if isinstance(item, BodyNode):
            written: BodyNode[Any] = cast("BodyNode[Any]", item)
            if written.name:
                return written.name
            change = written.options.get("change")
            name = getattr(change, "__name__", "<lambda>")
            if name != "<lambda>":
                return name
            text = "a transform made of a lambda has no name of its own"
            self.problems.add("no_key", place, text, "give it name=: keys are what migration and diagrams hold on to", warning=True)
            return written.kind
        return activity_of(item).name

    def node(self, item: Any, key: str, place: str, given: Any) -> Node:
        if not isinstance(item, BodyNode):
            found = activity_of(item)
            for each in (found, found.fallback):
                if each is not None:
                    check_activity(self.problems, self.data, each, place, given)
            if found.compensate is not None:
                check_activity(self.problems, self.data, found.compensate, place, None)
            return ActivityNode(key, found, gives=self.gives)
        o = item.options
        if item.kind == "log":
            text: Any = o["text"]
            level: Any = o["level"]
            if callable(text) or "{{" in text:
                return PureNode(key, "log", self.reading(text, place, "text"), "", level)
            return PureNode(key, "log", None, str(text), level)
        if item.kind == "transform":
            return PureNode(key, "transform", self.reading(o["change"], place, "fields"))
        containers: dict[str, Callable[[], Node]] = {
            "loop": lambda: self.loop(o, key, place, given),
            "choice": lambda: self.choice(o, key, place, given),
            "parallel": lambda: self.parallel(o, key, place, given),
            "for_each": lambda: self.for_each(o, key, place),
            "graph": lambda: graph_node(self, o, key, place),
            "flow": lambda: flow_node(self, o, key, place, distinct(self, o["steps"], place)),
            "machine": lambda: self.machine(o, key, place),
            "scope": lambda: self.scope(o, key, place),
            "pick": lambda: self.pick(o, key, place),
            "hold": lambda: hold_node(self, o, key, place, given),
            "during": lambda: self.during(o, key, place, given),
        }
        if item.kind in containers:
            return containers[item.kind]()
        if item.kind == "emit":
            return EmitNode(key, o["topic"], None if o["what"] is None else self.of_item(o["what"], place))
        if item.kind == "add_items":
            return AddNode(key, o["target"], self.of_item(o["items"], place))
        if item.kind == "task":
            return self.task(o, key, place)
        if item.kind == "child":
            return self.child(o, key, place)
        if item.kind == "stop":
            return StopNode(key, o["target"], o["how"], o["then"])
        span: Any = o.get("delay")
        kind: Any = o.get("signal")
        return WaitNode(
            key,
            signal=self.signal(kind, place) if kind is not None else "",
            when=self.guard(o.get("when"), place, {"signal": kind}),
            into=self.mapper(o.get("into"), place, kind, "signal"),
            delay=to_span(span) if span is not None and not callable(span) else None,
            delay_of=self.function(span, place) if callable(span) else None,
            until_of=None if o.get("until") is None else self.function(o["until"], place),
            condition=self.guard(o.get("condition"), place),
            calendar=o.get("calendar"),
        )

    def during(self, o: Any, key: str, place: str, given: Any) -> DuringNode:
        guard = self.guard(o["guard"], place)
        assert guard is not None or self.problems.found
        guard = guard or self.function(bool, place)
        return DuringNode(key, guard, self.body(o["body"], place, given), o["otherwise"])

    def loop(self, o: Any, key: str, place: str, given: Any) -> LoopNode:
        body = self.body(o["body"], place, given)
        asked = self.guard(o["while"], place), self.guard(o["until"], place)
        return LoopNode(key, body, *asked, o["max_iterations"], o["at_max"])

    def choice(self, o: Any, key: str, place: str, given: Any) -> ChoiceNode:
        taken: dict[str, int] = {}
        return ChoiceNode(key, tuple(self.arm(arm, numbered(arm.name, taken), place, given) for arm in o["arms"]))

    def arm(self, written: When[Any], key: str, place: str, given: Any) -> Arm:
        where = f"{place}:{key}"
        self.problems.good_key(key, place)
        return Arm(key, self.body(written.body, where, given), self.guard(written.guard, where))

    def parallel(self, o: Any, key: str, place: str, given: Any) -> ParallelNode:
        branches: list[Branch] = []
        outer, self.gives = self.gives, False  # else an item's result would be that of the slowest branch
        for written in o["branches"]:
            arm = self.arm(written, written.name, place, given)
            branches.append(Branch(arm.key, arm.body, arm.when, arm.key == "otherwise"))
        self.gives = outer
        join, into = self.join(o["join"], place), self.mapper(o["into"], place, None)
        own = self.own(o["own"], place)
        return ParallelNode(key, tuple(branches), join, o["max_concurrency"], own, into, o["detached"])

    def for_each(self, o: Any, key: str, place: str) -> ForEachNode:
        join = self.join(o["join"], place)
        outer, self.gives = self.gives, o["into"] is not None or isinstance(join.need, Function)
        body = self.body(o["body"], place)
        self.gives = outer
        items = self.reading(o["items"], place, "items")
        into = self.mapper(o["into"], place, list)
        own, stays = self.own(o["own"], place), o["stays"]
        stays = self.guard(stays, place) if stays is not None and stays is not True else stays
        return ForEachNode(key, items, body, join, o["max_concurrency"], into, own, o["detached"], stays)

    def machine(self, o: Any, key: str, place: str) -> MachineNode:
        """The states of a workflow that was built before."""
        flow: AuthoredDefinition = o["workflow"]
        if flow.data.type is not self.data.type:
            text = f"{flow.name} works on {flow.data.name}, this workflow on {self.data.name}"
            self.problems.add("other_data", place, text, "same data type, or a workflow of its own")
        if flow.on_failure or flow.on_cancel or flow.finally_ or flow.pools:
            text = f"{flow.name} says what happens when it ends, or is limited: that is for instances"
            self.problems.add("bad_machine", place, text, "leave on_failure=, on_cancel=, finally_= and limits= out of it")
        endings = [s.ending for s in flow.states.values()] + [r.move.ending for s in flow.states.values() for r in s.reactions]
        endings += [r.move.ending for r in flow.deadlines]
        if any(e is not None and e.status == "cancelled" for e in endings):
            text = f"a state of {flow.name} cancels: within a body only an instance can be cancelled"
            self.problems.add("bad_machine", place, text, "State.completed, State.failed(code=) or State.terminated")
        for kind in flow.signals.values():
            self.signal(kind.type, place)
        self.codes.append((key, flow.fingerprint.code))
        self.tags |= {f"{place}:{at}": tags for at, tags in flow.tags.items()}
        return MachineNode(key, flow.states, flow.initial, flow.deadlines)

    def child(self, o: Any, key: str, place: str) -> ChildNode:
        node = ChildNode(
            key,
            o["of"],
            None if o["data"] is None else self.of_item(o["data"], place),
            self.mapper(o["into"], place, o["of"].definition.data.type if o["of"].name else None),
            o["until"],
            str(o["mark"]),
            o["failures"],
            o["detached"],
            tuple(str(s) for s in o["bound_to"]),
        )
        if node.of.name:  # else it is looked at when an engine is given it
            for problem, remedy in misfits(node, self.data):
                self.problems.add("bad_child", place, problem, remedy)
        return node

    def task(self, o: Any, key: str, place: str) -> TaskNode:
        form = None
        if o["form"] is not None:
            try:
                form = Codec(o["form"])
            except DataInvalid as error:
                self.problems.add("bad_form", place, error.message, error.remedy or "use a type with named fields")
        names = {n: self.of_item(o[n], place) for n in ("role", "assignee", "candidates", "people", "not_by")}
        names |= {"title": self.of_item(o["title"], place, "text"), "due": self.of_item(o["due"], place, "due")}
        for n in ("candidates", "people", "not_by"):
            if not isinstance(names[n], Function):
                names[n] = (names[n],) if isinstance(names[n], str) else tuple(names[n])
        due: Any = names["due"]
        given = Verdict if o["approval"] else list if o["people"] or o["need"] != 1 else o["form"]
        return TaskNode(
            key, names["title"], form, o["approval"], names["role"], names["assignee"], names["candidates"], names["people"],
            names["not_by"], o["need"], due if due is None or isinstance(due, Function) else to_span(due), o["calendar"],
            None if o["remind"] is None else to_span(o["remind"]), o["escalate"], o["priority"],
            self.mapper(o["into"], place, given), o["on_reject"],
        )  # fmt: skip

    def scope(self, o: Any, key: str, place: str) -> MachineNode:
        where = f"{place}:within"
        ends = self.ends(where, o["on"], o["after"], o["on_failure"], interrupt=True)
        body = self.body(o["body"], where)
        within = State("within", body=body, **ends, transitions=(Transition("over"),))
        return MachineNode(key, {"within": within, "over": State("over", ending=Ending("completed"))}, "within")

    def pick(self, o: Any, key: str, place: str) -> MachineNode:
        ends = self.ends(f"{place}:picking", o["on"], o["after"], (), interrupt=False)
        return MachineNode(key, {"picking": State("picking", **ends), "over": State("over", ending=Ending("completed"))}, "picking")

    def ends(self, where: str, on: Any, after: Any, failures: Any, *, interrupt: bool) -> Any:
        """Reactions that lead out of the one state of a scope or pick."""
        used: dict[str, int] = {}
        over = Move("to", "over")
        found: dict[str, list[Reaction]] = {"signals": [], "timeouts": [], "failures": []}
        for kind, body in on:
            signal = self.signal(kind, where)
            name = numbered(signal, used)
            do = self.body(body, f"{where}!{name}", kind)
            found["signals"].append(Reaction(name, "signal", over, signal, do=do, interrupt=interrupt))
        for span, body in after:
            name = numbered("after", used)
            do = self.body(body, f"{where}!{name}")
            found["timeouts"].append(Reaction(name, "timeout", over, delay=to_span(span), do=do, interrupt=interrupt))
        for error, body in failures:
            name = numbered("failure", used)
            do = self.body(body, f"{where}!{name}")
            found["failures"].append(Reaction(name, "failure", over, errors=matcher((error,)), do=do))
        return {name: tuple(reactions) for name, reactions in found.items()}

    def join(self, written: concurrent.Join, place: str) -> Join:
        need: Any = written.need
        need = self.function(need, place) if callable(need) else need
        return Join(need, written.failures, written.rest, written.late, written.again, written.unmet)

    def own(self, written: concurrent.Own | None, place: str) -> Own | None:
        if written is None:
            return None
        if isinstance(written.back, str):
            return Own(cast("Any", written.back))
        for field in written.back:
            check_field(self.problems, self.data, field, place)
        return Own(tuple(written.back))

    def handler(self, name: str, given: Any) -> tuple[Node, ...]:
        """A body of the definition's ending."""
        body = self.body(several(given), f"!{name}")
        nodes = [*walk(body)]
        if any(isinstance(n, MachineNode | DuringNode) or (isinstance(n, WaitNode) and (n.signal or n.condition)) for n in nodes):
            text = "a machine, or a wait for a signal or a condition: an instance that is ending judges none"
            self.problems.add("bad_handler", f"{self.name} {name}", text, "wait in a state, or for a time")
        return body
