"""doctor: asks the invariants of every row, and of the fold of its history. purge: deletes ended instances."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from stepkeel.engine.core import Core
from stepkeel.engine.query import make_query, served_by_live_workers
from stepkeel.engine.result import snapshot_of
from stepkeel.errors import BadRequest, InstanceFault
from stepkeel.kernel.invariants import violations_of_history, violations_of_row, violations_of_tickets
from stepkeel.model.commit import Row
from stepkeel.model.snapshot import TERMINAL, Snapshot
from stepkeel.store.port import Query

__all__ = ["Finding", "Report", "doctor", "purge", "retire"]

PAGE = 500
OVERDUE = 60_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind`: a violated invariant's code, or set_aside, dead_owner, unserved, overdue (which are no violations)."""

    kind: str
    instance_id: str
    text: str
    violation: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    checked: int
    findings: tuple[Finding, ...]

    @property
    def violations(self) -> int:
        return sum(1 for f in self.findings if f.violation)

    @property
    def clean(self) -> bool:
        return not self.violations

    def __str__(self) -> str:
        notes = len(self.findings) - self.violations
        return f"doctor: {self.checked} instances, {self.violations} violations, {notes} notes"


async def doctor(core: Core, *, histories: bool = True) -> Report:
    """Check every instance of all tenants that is not archived. `histories=False` leaves the folds out (they read all)."""
    alive = {w.id for w in await core.store.workers()}
    served = await served_by_live_workers(core)
    now = core.store.now()
    findings: list[Finding] = []
    checked = 0
    query = Query(limit=PAGE)
    while True:
        rows = await core.store.list(query)
        for row in rows:
            findings += await _check(core, row, histories)
            findings += _notes(row, alive, served, now)
        checked += len(rows)
        if len(rows) < PAGE:
            return Report(checked, tuple(findings))
        query = replace(query, after=(rows[-1].created_at, rows[-1].id))


async def _check(core: Core, row: Row, histories: bool) -> list[Finding]:
    try:
        snapshot: Snapshot | None = snapshot_of(row)
    except InstanceFault:
        snapshot = None
    outline = await core.outline(row.definition, row.version) or {}
    state = next((s for s in outline.get("states", ()) if s["name"] == row.state), None)
    handles = any(r["trigger"] == "signal" for r in state.get("reactions", ())) if state else None
    codes = violations_of_row(row, snapshot, handles)
    if histories and snapshot is not None and row.fault is None and row.owner is None:
        codes += violations_of_history(snapshot, await core.store.history(row.id))
    if snapshot is not None and snapshot.tickets and row.owner is None:
        codes += violations_of_tickets(snapshot, await core.store.tickets(row.id))
    if not codes:
        return []
    again = (await core.store.load([row.id])).get(row.id)
    if again is None or again.revision != row.revision or again.epoch != row.epoch:
        return []  # it moved while we looked
    return [Finding(code, row.id, f"{row.definition} in {row.status}/{row.state}") for code in codes]


def _notes(row: Row, alive: set[str], served: set[str], now: int) -> list[Finding]:
    if row.status in TERMINAL:
        return []
    notes: list[Finding] = []
    if row.fault is not None:
        notes.append(Finding("set_aside", row.id, row.fault, False))
    if row.owner is not None and row.owner not in alive:
        notes.append(Finding("dead_owner", row.id, f"held by {row.owner}, which is dead: the next sweep frees it", False))
    if (alive or row.wake_at is not None) and f"{row.definition}@{row.version}" not in served:
        notes.append(Finding("unserved", row.id, f"no live worker serves {row.definition} version {row.version}", False))
    if row.wake_at is not None and row.wake_at < now - OVERDUE:
        late = (now - row.wake_at) // 1_000_000
        notes.append(Finding("overdue", row.id, f"due for {late} s and not claimed", False))
    return notes


async def retire(core: Core, older_than: int, filters: Mapping[str, Any], *, delete: bool, archived: bool = False) -> int:
    """Archive, or delete for good, what ended more than so many microseconds ago; in batches. How many.

    Failed instances wait to be redriven: they stay unless `status` names them (or they lie in the archive). Raises BadRequest.
    """
    query = make_query(core, filters)
    live = [s for s in query.status if s not in TERMINAL]
    if live:
        raise BadRequest(f"retiring {', '.join(live)} instances", remedy=f"only ended ones: {', '.join(sorted(TERMINAL))}")
    status = query.status or tuple(sorted(TERMINAL if archived else TERMINAL - {"failed"}))
    query = replace(query, status=status, completed_to=core.store.now() - older_than, archived=archived, limit=PAGE)
    move = core.store.purge if delete else core.store.archive
    gone = 0
    while moved := await move(query):
        gone += moved
        await asyncio.sleep(0)  # others come first
    return gone


async def purge(core: Core, filters: Mapping[str, Any], *, archived: bool) -> int:
    """Raises BadRequest without a filter, or with a status that is no ended one."""
    if not any(v is not None and v not in ({}, ()) for v in filters.values()):
        raise BadRequest("purge without a filter", remedy="say which: definition=, status=, completed_to= ...")
    query = make_query(core, filters)
    live = [s for s in query.status if s not in TERMINAL]
    if live:
        raise BadRequest(f"purge of {', '.join(live)} instances", remedy=f"only ended ones: {', '.join(sorted(TERMINAL))}")
    query = replace(query, status=query.status or tuple(sorted(TERMINAL)), archived=archived, limit=PAGE)
    gone = 0
    while deleted := await core.store.purge(query):
        gone += deleted
    return gone
