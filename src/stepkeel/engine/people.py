"""Tasks: which there are, and what people do about them.

| asked | then |
|---|---|
| a list | the rows that the instances' own commits have written: never behind |
| an act | looked at here first, so that what is plainly refused stores nothing; then its instance decides |
| an act with a key that was known | nothing: its receipt is told again, whatever became of the task |
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from stepkeel.engine.audit import act_of, check_key
from stepkeel.engine.core import Core
from stepkeel.engine.cursor import read_cursor, write_cursor
from stepkeel.engine.result import Receipt, receipt_of
from stepkeel.engine.signal import check_schema, raise_refused, wait_for_receipt
from stepkeel.errors import BadRequest, InvalidTransition, NotAllowed, NotFound, TaskClosed
from stepkeel.kernel.path import address
from stepkeel.kernel.people import refusal
from stepkeel.model.codec import Codec, to_json
from stepkeel.model.commit import Batch, Delivery
from stepkeel.model.commit import Receipt as Stored
from stepkeel.model.input import TaskActed
from stepkeel.model.instant import from_micros
from stepkeel.model.node import TaskNode
from stepkeel.model.snapshot import NOTHING
from stepkeel.model.task import Act, TaskRow
from stepkeel.store.port import TaskQuery
from stepkeel.store.sql import FAR

__all__ = ["Asked", "TaskInfo", "TaskPage", "act", "get", "list_tasks"]

STATUSES = ("open", "completed", "withdrawn")


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task as its row tells it. `status` is open, completed or withdrawn; an open one that is claimed has `claimed_by`.

    `form` names the type that a completion is checked against (empty: none), `result` is what it was completed with.
    """

    id: str
    instance_id: str
    definition: str
    version: int
    path: str
    title: str
    status: str
    role: str
    assignee: str
    candidates: tuple[str, ...]
    excluded: tuple[str, ...]
    claimed_by: str
    form: str
    priority: int
    due_at: datetime | None
    opened_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    closed_by: str
    result: Any
    reminded: int
    escalated: int
    overdue: bool


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A page of a list; `cursor` leads to the next, None after the last."""

    items: tuple[TaskInfo, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """An act: who, which roles they have (None: trusted as far as roles go), and what it is about."""

    act: Act
    actor: str = ""
    roles: Collection[str] | None = None
    payload: Any = None
    to: str = ""
    text: str = ""
    key: str | None = None


def _info(t: TaskRow, now: int) -> TaskInfo:
    result: Any = None
    with suppress(ValueError):
        result = msgspec.json.decode(t.result) if t.result else None
    return TaskInfo(
        t.id, t.instance_id, t.definition, t.version, t.path, t.title, t.status, t.role, t.assignee, t.candidates, t.excluded,
        t.claimed_by, t.form, t.priority, _at(t.due_at), from_micros(t.opened_at), from_micros(t.updated_at), _at(t.closed_at),
        t.closed_by, result, t.reminded, t.escalated, t.status == "open" and t.due_at is not None and t.due_at < now,
    )  # fmt: skip


def _at(at: int | None) -> datetime | None:
    return None if at is None else from_micros(at)


async def list_tasks(core: Core, query: TaskQuery, cursor: str | None) -> TaskPage:
    """Raises BadRequest."""
    if strange := sorted(set(query.status) - set(STATUSES)):
        raise BadRequest(f"there is no status {strange[0]!r} of tasks", remedy=", ".join(STATUSES))
    if query.sort not in ("opened", "due"):
        raise BadRequest(f"sort={query.sort!r}", remedy="opened or due")
    if not 1 <= query.limit <= 1_000:
        raise BadRequest(f"limit={query.limit}", remedy="1 to 1000")
    after = read_cursor(cursor, query.sort)
    rows = await core.store.tasks(replace(query, tenant=core.tenant, after=after, limit=query.limit + 1))
    now = core.store.now()
    more, rows = len(rows) > query.limit, rows[: query.limit]
    items = tuple(_info(t, now) for t in rows)
    if not more:
        return TaskPage(items, None)
    last = rows[-1]
    at = 0 if query.sort == "opened" else FAR if last.due_at is None else last.due_at
    return TaskPage(items, write_cursor(query.sort, at, last.id))


async def _row(core: Core, task_id: str) -> TaskRow:
    rows = await core.store.tasks(TaskQuery(tenant=core.tenant, ids=(task_id,)))
    if not rows:
        raise NotFound(f"there is no task {task_id}", remedy="an id as a list of tasks gives it")
    return rows[0]


async def get(core: Core, task_id: str) -> TaskInfo:
    """Raises NotFound."""
    return _info(await _row(core, task_id), core.store.now())


async def act(core: Core, task_id: str, asked: Asked, wait: float) -> Receipt:
    """Durable when this returns. Raises NotFound, TaskClosed, NotAllowed, DataInvalid, InvalidTransition (nothing is changed)."""
    check_key(key=asked.key)
    row = await _row(core, task_id)
    key = f"{row.id}/{asked.actor}/{asked.key or core.ids.id(core.store.now())}"  # of two people it is two acts
    stored = await _known(core, row, asked, key) if asked.key is not None else None
    if stored is None:
        _refuse_closed(row)
        _refuse(row, asked)
        stored = await _sent(core, row, asked, key)
    if stored.status == "pending":
        stored = await wait_for_receipt(core, row.instance_id, stored, wait)
    if stored.status == "rejected":
        later = await _row(core, task_id)
        _refuse_closed(later)
        _refuse(later, asked)
        raise InvalidTransition(f"{asked.act} of the task {task_id}: {stored.reason}", remedy="explain says what its instance does")
    return receipt_of(row.instance_id, asked.act, stored)


async def _known(core: Core, row: TaskRow, asked: Asked, key: str) -> Stored | None:
    """What became of this person's act that has this key already."""
    for letter in await core.store.signals(row.instance_id):
        if (letter.kind, letter.name, letter.key) == ("task", asked.act, key):
            return Stored(letter.seq, letter.status, letter.reason, key, duplicate=True)
    return None


async def _sent(core: Core, row: TaskRow, asked: Asked, key: str) -> Stored:
    payload = await _payload(core, row, asked)
    roles = None if asked.roles is None else tuple(asked.roles)
    raw = msgspec.json.encode(TaskActed(row.path, row.id, asked.act, asked.actor, roles, payload, asked.to, asked.text))
    told = act_of(core, asked.act, "task", row.id, instance_id=row.instance_id, actor=asked.actor, detail={"to": asked.to})
    delivery = Delivery(row.instance_id, row.tenant, "task", asked.act, raw, key, asked.actor, core.store.now(), act=told)
    stored = (await core.store.commit(Batch(deliveries=(delivery,)))).deliveries[0]
    raise_refused(row.instance_id, stored, asked.act)
    core.hint(row.instance_id, stored.owner)
    return stored


def _refuse_closed(row: TaskRow) -> None:
    if row.status == "open":
        return
    at = f"{from_micros(row.closed_at or row.updated_at):%Y-%m-%d %H:%M:%S UTC}"
    how = f"was completed by {row.closed_by or 'somebody'}" if row.status == "completed" else "was withdrawn"
    raise TaskClosed(f"the task {row.id} {how} at {at}", remedy="nothing is left to do", by=row.closed_by, at=at)


def _refuse(row: TaskRow, asked: Asked) -> None:
    text = refusal(row, asked.act, asked.actor, asked.roles)
    if text:
        raise NotAllowed(f"{asked.act} of the task {row.id}: {text}", remedy="somebody who may, or reassign it")
    if asked.act == "reassign" and not asked.to:
        raise BadRequest("reassign to whom?", remedy="to=")
    if asked.to in row.excluded and asked.to:
        raise NotAllowed(f"{asked.to} may not do the task {row.id}: four eyes are asked for", remedy="somebody else")


async def _payload(core: Core, row: TaskRow, asked: Asked) -> msgspec.Raw:
    """What it is completed with, checked as far as is known here; the instance's own decision has the last word."""
    if asked.act != "complete":
        return NOTHING
    if not row.form:
        if asked.payload is not None:
            raise BadRequest(f"the task {row.id} asks for nothing", remedy="complete it without a payload")
        return NOTHING
    given: Any = {} if asked.payload is None else asked.payload
    definition = core.definitions.get((row.definition, row.version))
    place = definition.places.get(address(row.path)) if definition is not None else None
    form: Codec | None = place.node.form if place is not None and isinstance(place.node, TaskNode) else None
    if form is not None:
        return msgspec.Raw(form.from_input(given))
    outline = await core.outline(row.definition, row.version) or {}
    raw = to_json(given)
    schema = outline.get("forms", {}).get(row.form)
    if schema is not None:
        check_schema(row.form, schema, msgspec.json.decode(raw))
    return msgspec.Raw(raw)
