"""Tasks as rows: how the SQL stores write and read them, and which of them a query means, where no database answers it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from stepkeel.model.task import TaskChange, TaskRow
from stepkeel.store.port import TaskQuery
from stepkeel.store.sql import FAR

__all__ = ["changed", "columns_of", "matching", "task_of"]


def columns_of(t: TaskRow) -> tuple[Any, ...]:
    """In the order in which they are inserted."""
    names = (msgspec.json.encode(t.candidates).decode(), msgspec.json.encode(t.excluded).decode())
    return (
        t.instance_id, t.id, t.tenant, t.definition, t.version, t.path, t.title, t.status, t.role, t.assignee, *names, t.claimed_by,
        t.form, t.priority, t.due_at, t.opened_at, t.updated_at, t.closed_at, t.closed_by, t.result, t.reminded, t.escalated,
    )  # fmt: skip


def task_of(record: Iterable[Any]) -> TaskRow:
    columns = list(record)
    for n in (10, 11):
        columns[n] = tuple(msgspec.json.decode(columns[n]))
    return TaskRow(*columns)


def changed(t: TaskRow, c: TaskChange) -> TaskRow:
    closed = t.closed_at if c.status == "open" else t.closed_at or c.at
    return replace(
        t, status=c.status, role=c.role, assignee=c.assignee, claimed_by=c.claimed_by, updated_at=c.at, closed_at=closed,
        closed_by=c.closed_by, result=c.result, reminded=c.reminded, escalated=c.escalated,
        candidates=t.candidates if c.escalated == t.escalated else (),
    )  # fmt: skip


def matching(tasks: Iterable[TaskRow], query: TaskQuery) -> Sequence[TaskRow]:
    def value(t: TaskRow) -> tuple[int, str]:
        return (0 if query.sort == "opened" else FAR if t.due_at is None else t.due_at), t.id

    found = sorted((t for t in tasks if _matches(t, query)), key=value)
    if query.after is not None:
        at, last = query.after
        found = [t for t in found if value(t) > (0 if query.sort == "opened" else at, last)]
    return found[: query.limit]


def _matches(t: TaskRow, q: TaskQuery) -> bool:
    exact = ("tenant", "instance_id", "definition", "role", "assignee", "claimed_by")
    if any((want := getattr(q, name)) is not None and want != getattr(t, name) for name in exact):
        return False
    if (q.ids and t.id not in q.ids) or (q.status and t.status not in q.status):
        return False
    if (q.due_from is not None or q.due_to is not None) and t.due_at is None:
        return False
    due = t.due_at or 0
    if (q.due_from is not None and due < q.due_from) or (q.due_to is not None and due >= q.due_to):
        return False
    if q.text is not None and q.text.lower() not in t.title.lower():
        return False
    theirs = q.person is not None and q.person in (t.assignee, t.claimed_by, *t.candidates)
    theirs = theirs or bool(q.roles and not t.assignee and t.role in q.roles)
    return theirs or (q.person is None and not q.roles)
