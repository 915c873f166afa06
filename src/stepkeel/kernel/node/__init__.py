"""One file per kind of node. Each has `open(draft, path, frame)`: what happens when a ready node may start.

Those that hold bodies have `behind(draft, path, body)`: what happens when the last node of a body has closed.
"""

from __future__ import annotations

from typing import Protocol

from stepkeel.kernel.draft import Draft
from stepkeel.kernel.node import (
    activity,
    add,
    child,
    choice,
    during,
    emit,
    flow,
    for_each,
    graph,
    hold,
    loop,
    machine,
    parallel,
    pure,
    stop,
    task,
    wait,
)
from stepkeel.model.node import (
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
    ParallelNode,
    PureNode,
    StopNode,
    TaskNode,
    WaitNode,
)
from stepkeel.model.snapshot import Frame

__all__ = ["CONTAINERS", "KINDS", "container_of", "kind_of"]


class Kind(Protocol):
    def open(self, draft: Draft, path: str, frame: Frame) -> None: ...


class Container(Kind, Protocol):
    def behind(self, draft: Draft, path: str, body: str) -> None: ...


CONTAINERS: dict[type, Container] = {
    LoopNode: loop,
    ChoiceNode: choice,
    ParallelNode: parallel,
    ForEachNode: for_each,
    GraphNode: graph,
    FlowNode: flow,
    MachineNode: machine,
    DuringNode: during,
    HoldNode: hold,
}
KINDS: dict[type, Kind] = {
    ActivityNode: activity,
    WaitNode: wait,
    ChildNode: child,
    TaskNode: task,
    PureNode: pure,
    StopNode: stop,
    AddNode: add,
    EmitNode: emit,
    **CONTAINERS,
}


def kind_of(draft: Draft, path: str) -> Kind:
    """The rules of the node at a path; an undo is an activity."""
    if path.startswith("undo/"):
        return activity
    return KINDS[type(draft.node_at(path))]


def container_of(draft: Draft, path: str) -> Container:
    """The rules of the node that holds the body in which another stood."""
    return CONTAINERS[type(draft.node_at(path))]
