"""What a decision does beyond its own row, as rows of its commit: children it begins, letters to others, tasks of people,

messages for the world.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from stepkeel.errors import UnknownWorkflow
from stepkeel.kernel.decide import start
from stepkeel.kernel.history import encode, history_row
from stepkeel.model.commit import Delivery, Start, StartRow, Step
from stepkeel.model.decision import Decision
from stepkeel.model.definition import Definition
from stepkeel.model.effect import ChangeTask, ControlChild, Effect, Emit, OpenTask, ReportToParent, StartChild
from stepkeel.model.input import Started
from stepkeel.model.message import MessageRow
from stepkeel.model.snapshot import Snapshot
from stepkeel.model.task import TaskChange, TaskRow

__all__ = ["children_of", "letters_of", "messages_of", "start_of", "tasks_of"]


def children_of(
    effects: Iterable[Effect],
    by: Snapshot,
    definitions: Mapping[tuple[str, int], Definition],
    priority: int,
    correlation_id: str | None,
    now: int,
) -> tuple[Start, ...]:
    """The instances that a decision begins, each to be claimed at once. Raises UnknownWorkflow.

    `now` is the database's time: that of the decision may be some microseconds ahead of it.
    """
    found: list[Start] = []
    for effect in effects:
        if not isinstance(effect, StartChild):
            continue
        definition = definitions.get((effect.definition, effect.version))
        if definition is None:
            raise UnknownWorkflow(
                f"{effect.path} begins {effect.definition} version {effect.version}, which this engine was not given",
                remedy="Engine(..., workflows=[...])",
            )
        decision = start(definition, Started(effect.id, by.tenant, effect.data, parent=effect.parent), by.at, 0)
        parent = by.id if effect.parent else None
        row = StartRow(by.tenant, definition.name, definition.version, None, correlation_id, priority, parent=parent)
        found.append(start_of(decision, row, now))
    return tuple(found)


def start_of(decision: Decision, row: StartRow, now: int, actor: str = "") -> Start:
    """An instance that nobody holds yet: the next worker with room claims it."""
    s, entry = decision.snapshot, history_row(decision, actor, "")
    step = Step(s.status, s.state, s.label, s.revision, encode(s), s.at, 0, (entry,), release=True, wake_at=min(now, s.at))
    return Start(s.id, row, step)


def letters_of(effects: Iterable[Effect], by: Snapshot) -> tuple[Delivery, ...]:
    """What a decision sends. The key is the revision's and the place in it: sent again, it is the same row."""
    found: list[Delivery] = []
    for n, effect in enumerate(effects):
        key = f"{by.id}/{by.revision}/{n}"
        if isinstance(effect, ControlChild):
            payload = msgspec.json.encode(effect.request)
            found.append(Delivery(effect.id, by.tenant, "control", effect.name, payload, key, f"instance {by.id}", by.at))
        elif isinstance(effect, ReportToParent):
            payload = msgspec.json.encode(effect.report)
            found.append(Delivery(effect.to, by.tenant, "child", effect.report.status, payload, key, "", by.at))
    return tuple(found)


def tasks_of(effects: Iterable[Effect]) -> tuple[tuple[TaskRow, ...], tuple[TaskChange, ...]]:
    """Tasks that a decision opens, and what has become of them."""
    opened = tuple(e.row for e in effects if isinstance(e, OpenTask))
    return opened, tuple(e.change for e in effects if isinstance(e, ChangeTask))


def messages_of(effects: Iterable[Effect], by: Snapshot, now: int) -> tuple[MessageRow, ...]:
    """What a decision tells the world, due at once. `now` is the database's time, which that of the decision may be ahead of."""
    return tuple(
        MessageRow(
            f"{by.id}/{e.path}", by.id, by.tenant, by.definition, by.version, e.path, e.topic, e.payload, by.at, min(now, by.at)
        )
        for e in effects
        if isinstance(e, Emit)
    )
