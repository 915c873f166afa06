"""The other side of children: what an instance tells the one that began it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from stepkeel import Signal, State, Workflow, child
from stepkeel.kernel.decide import decide, start
from stepkeel.model import input as inputs
from stepkeel.model.decision import Decision
from stepkeel.model.effect import End, ReportToParent
from stepkeel.model.snapshot import Parent, Snapshot


@dataclass
class Line:
    sku: str = ""


class Stop(Signal): ...


class Picking(Workflow[Line]):
    picking = State[Line]()
    done = State.completed()
    picking.on(Stop, to=done)


@dataclass
class Node:
    depth: int = 0
    found: list[str] = field(default_factory=list[str])


class Tree(Workflow[Node]):
    """It begins itself."""

    growing = State[Node](child(lambda: Tree, name="branch"))
    grown = State.completed()
    growing.to(grown)


def of_a_parent(workflow: type[Workflow[Any]], data: bytes, parent: Parent) -> Snapshot:
    made = start(workflow.definition, inputs.Started("child-1", "default", data, parent=parent), 10, 1)
    return decide(workflow.definition, made.snapshot, inputs.Claimed(), 20, 2).snapshot


def reports(decision: Decision) -> list[ReportToParent]:
    return [e for e in decision.effects if isinstance(e, ReportToParent)]


def test_a_child_tells_its_parent_of_its_end_in_the_decision_that_ends_it() -> None:
    definition = Picking.definition
    s = of_a_parent(Picking, b'{"sku":"a"}', Parent("instance-1", "work/child"))
    signal = inputs.Signal(1, "Stop", msgspec.Raw(b"{}"), s.revision, 30)
    ended = decide(definition, s, inputs.SignalArrived(), 30, 3, (signal,))
    (sent,) = reports(ended)
    assert (sent.to, sent.report.path, sent.report.child, sent.report.status) == (
        "instance-1",
        "work/child",
        "child-1",
        "completed",
    )
    assert msgspec.json.decode(sent.report.data)["sku"] == "a"
    assert isinstance(ended.effects[-2], End)
    assert reports(decide(definition, ended.snapshot, inputs.Archive(), 40, 4)) == []


def test_it_tells_once_that_it_is_where_its_parent_waits_for_it() -> None:
    class Flow(Workflow[Line]):
        one = State[Line](label="First")
        two = State[Line](label="Second")
        one.on(Stop, to=two)
        two.on(Stop, to=one)

    for mark in ("two", "Second"):
        s = of_a_parent(Flow, b"{}", Parent("instance-1", "work/child", until="state", mark=mark))
        seen: list[int] = []
        for n in range(1, 5):
            signal = inputs.Signal(n, "Stop", msgspec.Raw(b"{}"), s.revision, 30)
            d = decide(Flow.definition, s, inputs.SignalArrived(), 30 * n, n, (signal,))
            s = d.snapshot
            seen.append(len(reports(d)))
        assert seen == [1, 0, 0, 0]
    assert s.parent is not None
    assert s.parent.told


def test_children_of_children_without_end_are_refused() -> None:
    s = of_a_parent(Tree, b"{}", Parent("instance-1", "work/child", depth=100))
    assert s.failure is not None
    assert s.failure.code == "too_deep"
