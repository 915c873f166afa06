"""Nodes: what a body is made of. One record per kind; the rules of each stand in kernel/node/, one file per kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from stepkeel.model.policy import CompensateWhen, Retry

__all__ = [
    "Activity",
    "ActivityNode",
    "Arm",
    "AtMax",
    "ChoiceNode",
    "Function",
    "LoopNode",
    "Mapper",
    "Node",
    "Pool",
    "PureNode",
    "WaitNode",
    "bodies",
    "walk",
]


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A pure user function the kernel calls: guard, mapping, condition, transform.

    `name` is the function's own, or its place for a lambda; `code` a hash of its source, empty if unknown.
    """

    call: Callable[..., Any]
    name: str
    code: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Mapper:
    """Where a value goes in the data: a field, or a function of data and value."""

    field: str = ""
    function: Function | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Slots that are shared by the whole fleet: `size` at once, or `size` begun in any `per` microseconds.

    `key` gives each of its values slots of its own.
    """

    name: str
    size: int
    per: int | None = None
    key: Function | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """A unit of user code with its policies. `target` is a function, or a class whose instances are called."""

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


@dataclass(frozen=True, slots=True, eq=False)
class ActivityNode:
    """Runs user code, attempt by attempt. Done when an attempt succeeds or the node is skipped."""

    key: str
    activity: Activity


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


Node = ActivityNode | WaitNode | PureNode | LoopNode | ChoiceNode


def bodies(node: Node) -> Iterator[tuple[str, tuple[Node, ...]]]:
    """The bodies within a node, each with what its place adds to the node's address."""
    if isinstance(node, LoopNode):
        yield "", node.body
    elif isinstance(node, ChoiceNode):
        for arm in node.arms:
            yield f":{arm.key}", arm.body


def walk(body: tuple[Node, ...]) -> Iterator[Node]:
    """Every node of a body and of the bodies within it, in order."""
    for node in body:
        yield node
        for _, inner in bodies(node):
            yield from walk(inner)
