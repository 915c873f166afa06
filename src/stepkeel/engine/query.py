"""Reading: one instance, lists, history, inbox, timers, metrics, explanations."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, get_args

from stepkeel.document.diagram import mermaid
from stepkeel.document.marks import marks_of
from stepkeel.document.svg import svg
from stepkeel.engine.core import Core
from stepkeel.engine.cursor import read_cursor, write_cursor
from stepkeel.engine.result import (
    Entry,
    InboxEntry,
    Info,
    Timer,
    data_of,
    entry_of,
    failure_of,
    inbox_entry_of,
    info_of,
    readable_snapshot,
    reading_history,
    snapshot_of,
)
from stepkeel.errors import BadRequest, NotFound
from stepkeel.kernel.explain import Explanation, explain
from stepkeel.kernel.path import address
from stepkeel.kernel.replay import data_at, read_events
from stepkeel.model.commit import TicketRow
from stepkeel.model.instant import from_micros, to_micros
from stepkeel.model.snapshot import Status
from stepkeel.store.port import MetricRow, Query, Store, WorkerRow

__all__ = [
    "LATEST",
    "Page",
    "attributes_of",
    "data",
    "diagram",
    "explanation",
    "get",
    "history",
    "latest_failures",
    "list_instances",
    "make_query",
    "metrics",
    "served_by",
    "served_by_live_workers",
    "signals",
    "timers",
]

LATEST = 200  # failures
QUEUE = 1_000  # tickets of a pool that are looked at to tell a place in its queue
_TIMES = ("created_from", "created_to", "updated_from", "updated_to", "completed_from", "completed_to")
_PLAIN = ("definition", "version", "state", "correlation_id", "parent", "key", "fault")
FILTERS = (*_PLAIN, "status", "attributes", *_TIMES)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list; `cursor` gives the next one, None at the end."""

    items: tuple[Info, ...]
    cursor: str | None


def make_query(core: Core, filters: Mapping[str, Any]) -> Query:
    """A query from keyword filters. Raises BadRequest on unknown names and values that make no sense."""
    values: dict[str, Any] = {"tenant": core.tenant}
    for name, value in filters.items():
        if name not in FILTERS:
            near = difflib.get_close_matches(name, FILTERS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(FILTERS)}"
            raise BadRequest(f"there is no filter {name}", remedy=hint)
        if value is None:
            continue
        if name == "status":
            values[name] = _statuses(value)
        elif name in _TIMES:
            if not isinstance(value, datetime):
                raise BadRequest(f"{name}={value!r}", remedy="a datetime with a zone")
            values[name] = to_micros(value)
        else:
            values[name] = value
    return Query(**values)


def _statuses(value: Any) -> tuple[str, ...]:
    wanted = (value,) if isinstance(value, str) else tuple(value)
    for status in wanted:
        if status not in get_args(Status):
            raise BadRequest(f"there is no status {status!r}", remedy=", ".join(get_args(Status)))
    return wanted


def attributes_of(pairs: Iterable[str] | None) -> dict[str, Any]:
    """`name=value` pairs; a value that JSON knows is what JSON says (7, true), else a text. Raises BadRequest."""
    found: dict[str, Any] = {}
    for pair in pairs or ():
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise BadRequest(f"attribute {pair!r}", remedy="name=value")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


async def get(core: Core, instance_id: str) -> Info:
    row = await core.row(instance_id)
    return info_of(row, core.definitions.get((row.definition, row.version)))


async def list_instances(
    core: Core, filters: Mapping[str, Any], sort: str, descending: bool, limit: int, cursor: str | None, archived: bool
) -> Page:
    if sort not in ("created", "updated"):
        raise BadRequest(f"sort={sort!r}", remedy="created or updated")
    if not 1 <= limit <= 1_000:
        raise BadRequest(f"limit={limit}", remedy="1 to 1000")
    query = make_query(core, filters)
    after = read_cursor(cursor, sort)
    query = replace(
        query,
        sort="created" if sort == "created" else "updated",
        descending=descending,
        limit=limit + 1,
        after=after,
        archived=archived,
    )
    rows = await core.store.list(query)
    more, rows = len(rows) > limit, rows[:limit]
    last = rows[-1] if rows and more else None
    items = tuple(info_of(r, core.definitions.get((r.definition, r.version))) for r in rows)
    if last is None:
        return Page(items, None)
    at = last.created_at if sort == "created" else last.updated_at
    return Page(items, write_cursor(sort, at, last.id))


async def history(core: Core, instance_id: str) -> list[Entry]:
    await core.row(instance_id)
    with reading_history(instance_id):
        return [entry_of(r) for r in await core.store.history(instance_id)]


async def signals(core: Core, instance_id: str) -> list[InboxEntry]:
    row = await core.row(instance_id)
    return [inbox_entry_of(r) for r in await core.store.signals(row.id)]


async def timers(core: Core, instance_id: str) -> list[Timer]:
    snapshot = snapshot_of(await core.row(instance_id))
    found = [(at, path, purpose) for path, purposes in snapshot.timers.items() for purpose, at in purposes.items()]
    return [Timer(path, purpose, from_micros(at)) for at, path, purpose in sorted(found)]


async def data(core: Core, instance_id: str, revision: int | None) -> dict[str, Any]:
    """The data, as it was at a revision if one is given: history folded up to there."""
    row = await core.row(instance_id)
    if revision is None:
        return data_of(row, snapshot_of(row), None)
    if not 1 <= revision <= row.revision:
        raise BadRequest(f"revision={revision}", remedy=f"1 to {row.revision}")
    with reading_history(instance_id):
        return data_at(await core.store.history(instance_id), revision)


async def metrics(core: Core) -> Sequence[MetricRow]:
    return await core.store.metrics(core.tenant)


async def latest_failures(store: Store, tenant: str | None) -> Counter[tuple[str, str, str]]:
    """How many of the `LATEST` that failed last did so by definition, state and code. None: of all tenants."""
    query = Query(tenant=tenant, status=("failed",), sort="updated", descending=True, limit=LATEST)
    failures = ((row, failure_of(row)) for row in await store.list(query))
    return Counter((row.definition, row.state, failure.code) for row, failure in failures if failure is not None)


async def explanation(core: Core, instance_id: str) -> Explanation:
    row = await core.row(instance_id)
    _, inbox = (await core.store.inbox({instance_id: 0}))[instance_id]
    snapshot = readable_snapshot(row)
    served = await served_by_live_workers(core)
    definition = core.definitions.get((row.definition, row.version))
    queues: dict[str, list[TicketRow]] = {}
    for held in snapshot.tickets.values() if snapshot else ():
        for ticket in held.values():
            if not ticket.granted:
                queues[ticket.pool] = await core.store.pool(ticket.pool, QUEUE)
    ids = [f.child.id for f in snapshot.open.values() if f.child is not None] if snapshot else []
    family = await core.store.load([*ids, *([row.parent] if row.parent else [])])
    serves = f"{row.definition}@{row.version}" in served
    return explain(row, snapshot, definition, inbox, served=serves, queues=queues, family=family)


async def diagram(core: Core, instance_id: str, form: str) -> str:
    """A definition's picture with what is known of this instance. Raises NotFound, BadRequest."""
    if form not in ("svg", "mermaid"):
        raise BadRequest(f"format={form!r}", remedy="svg or mermaid")
    row = await core.row(instance_id)
    outline = await core.outline(row.definition, row.version)
    if outline is None:
        raise NotFound(f"nothing is known of {row.definition} version {row.version}", remedy="is it this database?")
    snapshot = snapshot_of(row)
    with reading_history(instance_id):
        events = [e for entry in await core.store.history(instance_id) for e in read_events(entry.events)]
    paths = [*(e.path for e in events), *snapshot.open, snapshot.failure.path if snapshot.failure else ""]
    marks = marks_of(snapshot, events, {path: address(path) for path in paths})
    return svg(outline, marks) if form == "svg" else mermaid(outline, marks)


async def served_by_live_workers(core: Core) -> set[str]:
    """`definition@version` of all that some live worker serves."""
    now = core.store.now()
    return served_by(w for w in await core.store.workers() if w.expires_at >= now)


def served_by(workers: Iterable[WorkerRow]) -> set[str]:
    return {c for w in workers for c in json.loads(w.capabilities)}
