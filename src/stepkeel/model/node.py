"""Nodes: what a body is made of. One record per kind; the rules of each stand in kernel/node/, one file per kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from msgspec import json

from stepkeel.model.calendar import Calendar
from stepkeel.model.codec import Codec
from stepkeel.model.flow import Arc, FlowNode, FlowStep
from stepkeel.model.function import Function, Mapper
from stepkeel.model.graph import GraphNode, Step
from stepkeel.model.join import Join, Own
from stepkeel.model.policy import Breaker, CompensateWhen, Retry

if TYPE_CHECKING:
    from stepkeel.model.definition import Definition, State
    from stepkeel.model.reaction import Reaction

P = TypeVar("P")

__all__ = [
    "Activity",
    "ActivityNode",
    "AddNode",
    "Arc",
    "Arm",
    "AtMax",
    "Branch",
    "ChildNode",
    "ChoiceNode",
    "DuringNode",
    "EmitNode",
    "FlowNode",
    "FlowStep",
    "ForEachNode",
    "GraphNode",
    "HoldNode",
    "LoopNode",
    "MachineNode",
    "Node",
    "ParallelNode",
    "Pool",
    "PureNode",
    "Reference",
    "Scope",
    "Step",
    "StopNode",
    "TaskNode",
    "WaitNode",
    "bodies",
    "walk",
]


Scope = Literal["fleet", "tenant", "definition", "instance"]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Slots that are shared by the whole fleet: `size` at once, or `size` begun in any `per` microseconds.

    `key` gives each of its values slots of its own, `scope` each tenant, definition or instance; "tier": what a tenant's tier has.
    `amount` is how many of them are taken together: a number, or a function of the data.
    """

    name: str
    size: int
    per: int | None = None
    key: Function | None = None
    scope: Scope | Literal["tier"] = "fleet"
    amount: int | Function = 1


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """A unit of user code with its policies. `target` is a function, or a class whose instances are called.

    `batch`: it takes so many at once, the list of their inputs; 0: one. `cache`: for so many microseconds what it returned is taken
    again for the same input.
    """

    name: str
    target: Callable[..., Any]
    retry: Retry | None = None
    timeout: int | None = None
    deadline: int | None = None
    optional: bool = False
    fallback: Activity | None = None
    compensate: Activity | None = None
    compensate_when: CompensateWhen = "done"
    pools: tuple[Pool, ...] = ()
    transactional: bool = False
    breaker: Breaker | None = None
    batch: int = 0
    cache: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ActivityNode:
    """Runs user code, attempt by attempt. Done when an attempt succeeds or the node is skipped.

    `gives`: what it returns is the result of the item or step in whose body it stands; the last one's counts. Functions of the
    Run: `given` is what its attempts are given, `fallback_given` those of its fallback, `undo_given` its compensation.
    `into` brings what it returned, read by `read`, into the data.
    """

    key: str
    activity: Activity
    gives: bool = False
    given: Function | None = None
    fallback_given: Function | None = None
    undo_given: Function | None = None
    into: Mapper | None = None
    read: Callable[[Any], Any] = json.decode


@dataclass(frozen=True, slots=True, eq=False)
class WaitNode:
    """Waits for any of a signal, a time and a condition on the data: the first of them ends it. None: done at once."""

    key: str
    signal: str = ""
    when: Function | None = None
    into: Mapper | None = None
    delay: int | None = None
    delay_of: Function | None = None
    until_of: Function | None = None
    condition: Function | None = None
    calendar: Calendar | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PureNode:
    """No effect beyond the data and the log: `transform` changes data, `log` writes a line when it is durable."""

    key: str
    kind: Literal["log", "transform"]
    function: Function | None = None
    template: str = ""
    level: str = "info"


AtMax = Literal["fail", "go_on", "cancel", "terminate"]


@dataclass(frozen=True, slots=True, eq=False)
class LoopNode:
    """A body again and again. `while_` is asked before each iteration, `until` behind each; `at_max` says what it means

    that `max_iterations` were not enough. `Break` ends it.
    """

    key: str
    body: tuple[Node, ...]
    while_: Function | None = None
    until: Function | None = None
    max_iterations: int = 1_000
    at_max: AtMax = "fail"


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """One way of a choice; without a guard it is `otherwise`, which is tried last."""

    key: str
    body: tuple[Node, ...]
    when: Function | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ChoiceNode:
    """The first arm whose guard holds, and no other. None of them: done at once."""

    key: str
    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """One way of a parallel. `otherwise`: taken when no other is."""

    key: str
    body: tuple[Node, ...]
    when: Function | None = None
    otherwise: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ParallelNode:
    """Bodies at the same time, at most `max_concurrency` of them open. Done when its join resolves.

    `into` takes the Paths of branches with data of their own; their changes do not flow back by themselves then.
    `detached`: the flow goes on at once behind it.
    """

    key: str
    branches: tuple[Branch, ...]
    join: Join
    max_concurrency: int | None = None
    own: Own | None = None
    into: Mapper | None = None
    detached: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ForEachNode:
    """A body for each item, at most `max_concurrency` of them open. Done when its join resolves, and no more can be added.

    `into` takes the list of results, in the order of the items; None for an item that gave none.
    `detached`: the flow goes on at once behind it. `stays`: items may be added until this holds, or, where it is True, until
    somebody completes it.
    """

    key: str
    items: Function
    body: tuple[Node, ...]
    join: Join
    max_concurrency: int = 100
    into: Mapper | None = None
    own: Own | None = None
    detached: bool = False
    stays: Function | Literal[True] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DuringNode:
    """A body that is offered only while a guard holds; `otherwise` says what else: wait for it, skip, fail."""

    key: str
    guard: Function
    body: tuple[Node, ...]
    otherwise: Literal["wait", "skip", "fail"] = "wait"


@dataclass(frozen=True, slots=True, eq=False)
class HoldNode:
    """A body that runs while slots of all its pools are held. `timeout`: how long it waits for them, in microseconds."""

    key: str
    pools: tuple[Pool, ...]
    body: tuple[Node, ...]
    timeout: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AddNode:
    """Adds items to what for_each is open under a path, the end of one, or a tag."""

    key: str
    target: str
    items: Function


@dataclass(frozen=True, slots=True, eq=False)
class EmitNode:
    """Tells the world something: what the function gives, or the data; about `topic`."""

    key: str
    topic: str
    what: Function | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StopNode:
    """Cancels or completes what is open under a path, the end of one, or a tag. `then`: its branch ends, or goes on behind it."""

    key: str
    target: str
    how: Literal["cancel", "complete"] = "cancel"
    then: Literal["end", "skip"] = "end"


@dataclass(frozen=True, slots=True, eq=False)
class MachineNode:
    """A state machine within a body. Done when one of its final states that completes is entered and its body is done."""

    key: str
    states: dict[str, State]
    initial: str
    deadlines: tuple[Reaction, ...] = ()


class Reference:
    """The definition that a child is of, found when it is first asked for: so a workflow may speak of itself, or of a later one."""

    __slots__ = ("_find", "_found", "name")

    def __init__(self, find: Callable[[], Definition], name: str = "") -> None:
        self._find = find
        self._found: Definition | None = None
        self.name = name

    @property
    def definition(self) -> Definition:
        if self._found is None:
            self._found = self._find()
        return self._found


@dataclass(frozen=True, slots=True, eq=False)
class ChildNode:
    """Another workflow's instance, begun by this one. `data` makes its data of ours; None: it is given the same.

    until     what is waited for: its end, that it enters the state (or label) `mark`, that an attempt of it has the outcome
              `mark`, or nothing
    failures  fail: one that does not complete fails the node; record: it is told to `into`, as any other end
    detached  nothing of it is this instance's business once it has begun
    bound_to  the states in which it may live, where it is not waited for; none: wherever this instance stands
    """

    key: str
    of: Reference
    data: Function | None = None
    into: Mapper | None = None
    until: Literal["end", "state", "outcome", "nothing"] = "end"
    mark: str = ""
    failures: Literal["fail", "record"] = "fail"
    detached: bool = False
    bound_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class TaskNode:
    """Work for people. Done when as many as `need` have completed it, or, for an approval, when it is decided.

    What says who and when is a value, or a function of the data (and of the item of a for_each around it).

    people    each gets a task of their own; none: one task, or `need` of them, for whoever may do it
    due       working time of `calendar`, if there is one, else time; a moment, where it is a function that gives one
    remind    again and again after so long; escalate: the roles that it passes on to when it is due, one after another
    on_reject a rejected approval fails the node (with the code rejected), or goes on
    """

    key: str
    title: str | Function
    form: Codec | None = None
    approval: bool = False
    role: str | Function = ""
    assignee: str | Function = ""
    candidates: tuple[str, ...] | Function = ()
    people: tuple[str, ...] | Function = ()
    excluded: tuple[str, ...] | Function = ()
    need: int | Literal["all"] = 1
    due: int | Function | None = None
    calendar: Calendar | None = None
    remind: int | None = None
    escalate: tuple[str, ...] = ()
    priority: int = 2
    into: Mapper | None = None
    on_reject: Literal["fail", "go_on"] = "fail"


Node = (
    ActivityNode | WaitNode | ChildNode | TaskNode | PureNode | LoopNode | ChoiceNode | ParallelNode | ForEachNode | GraphNode
    | FlowNode | MachineNode | StopNode | DuringNode | HoldNode | AddNode | EmitNode
)  # fmt: skip


def bodies(node: Node) -> Iterator[tuple[str, tuple[Node, ...]]]:
    """The bodies within a node, each with what its place adds to the node's address."""
    if isinstance(node, LoopNode | ForEachNode | DuringNode | HoldNode):
        yield "", node.body
    elif isinstance(node, ParallelNode):
        for branch in node.branches:
            yield f":{branch.key}", branch.body
    elif isinstance(node, GraphNode | FlowNode):
        for step in node.steps:
            yield f":{step.key}", step.body
    elif isinstance(node, MachineNode):
        for state in node.states.values():
            yield f":{state.name}", state.body
            for reaction in state.reactions:
                yield f":{state.name}!{reaction.name}", reaction.do
        for reaction in node.deadlines:
            yield f":!{reaction.name}", reaction.do
    elif isinstance(node, ChoiceNode):
        for arm in node.arms:
            yield f":{arm.key}", arm.body


def walk(body: tuple[Node, ...]) -> Iterator[Node]:
    """Every node of a body and of the bodies within it, in order."""
    for node in body:
        yield node
        for _, inner in bodies(node):
            yield from walk(inner)
