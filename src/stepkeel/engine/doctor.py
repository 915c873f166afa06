"""doctor: asks the invariants of every row and of the fold of its history, and what an operator should look at besides.

| kind | is | `fix` |
|---|---|---|
| no_orphan, unread_inbox, letter_taken | a violation | due at once: a worker claims it and settles it |
| timer_matches, in_flight_owned | a violation | the same |
| status_matches | a violation | the row is written again, from its snapshot |
| snapshot_decodes | a violation | due at once: a worker claims it and sets it aside |
| terminal_at_rest | a violation | its wake-up is removed |
| owner_and_wake, ticket_matches, task_matches, child_exists, child_unreported | a violation | nothing: who knows what is right |
| history_decodes, fold_matches, times_increase | a violation | nothing |
| dead_worker, dead_owner | a worker's lease is over / what it held | buried; freed and due at once, as any worker's sweep does |
| pending | a signal or request unread for too long | due at once, where nobody holds the instance |
| set_aside, unserved, overdue | a fault / no worker has its version / due and not claimed | nothing: see how-to/operate |
| undelivered | a message waits in the outbox | nothing: give some engine a sink, or mend what it calls |

A repair is a commit like any other: fenced, with an entry of history (`repaired`) that says what was done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from stepkeel.engine.audit import act_of
from stepkeel.engine.core import Core
from stepkeel.engine.query import served_by
from stepkeel.engine.result import readable_snapshot
from stepkeel.kernel.history import encode
from stepkeel.kernel.invariants import (
    children_of,
    violations_of_children,
    violations_of_history,
    violations_of_letters,
    violations_of_row,
    violations_of_tasks,
    violations_of_tickets,
)
from stepkeel.model.commit import Batch, Commit, HistoryRow, InboxRow, Row, Step
from stepkeel.model.event import Event
from stepkeel.model.message import MessageRow
from stepkeel.model.snapshot import TERMINAL, Snapshot
from stepkeel.store.port import Query, TaskQuery

__all__ = ["OVERDUE", "Finding", "Fleet", "Report", "doctor", "examine", "fleet_of"]

PAGE = 500
MOST = 100_000  # open tasks of one instance
OVERDUE = 60.0
NUDGED = {"snapshot_decodes", "no_orphan", "unread_inbox", "letter_taken", "timer_matches", "in_flight_owned", "pending"}


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind` as in the table above; `instance_id` is a worker's for dead_worker. `repaired`: what was done about it."""

    kind: str
    instance_id: str
    text: str
    violation: bool = True
    repaired: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """`violations` counts those that were not repaired."""

    checked: int
    findings: tuple[Finding, ...]

    @property
    def violations(self) -> int:
        return sum(1 for f in self.findings if f.violation and not f.repaired)

    @property
    def clean(self) -> bool:
        return not self.violations

    @property
    def repaired(self) -> int:
        return sum(1 for f in self.findings if f.repaired)

    def __str__(self) -> str:
        notes = sum(1 for f in self.findings if not f.violation)
        mended = f", {self.repaired} repaired" if self.repaired else ""
        return f"doctor: {self.checked} instances, {self.violations} violations, {notes} notes{mended}"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Who lives and what they serve; `dead`: those whose lease is over and whom nobody has buried yet."""

    alive: frozenset[str]
    served: frozenset[str]
    dead: tuple[Finding, ...]


async def doctor(
    core: Core, *, histories: bool = True, fix: bool = False, overdue: float = OVERDUE, tenant: str | None = None
) -> Report:
    """Check every instance that is not archived, of all tenants or one. `histories=False` leaves the folds out (they read all)."""
    fleet = await fleet_of(core)
    findings = list(fleet.dead)
    checked = 0
    query = Query(tenant=tenant, limit=PAGE)
    while True:
        rows = await core.store.list(query)
        findings += await examine(core, rows, fleet, histories=histories, overdue=overdue)
        checked += len(rows)
        if len(rows) < PAGE:
            break
        query = replace(query, after=(rows[-1].created_at, rows[-1].id))
    findings += await _undelivered(core, overdue, tenant)
    return Report(checked, tuple(await _repair(core, findings) if fix else findings))


async def _undelivered(core: Core, overdue: float, tenant: str | None) -> list[Finding]:
    """One for each topic whose oldest message has waited for so long: nobody has a sink for it, or it fails."""
    now, oldest = core.store.now(), dict[str, MessageRow]()
    for message in await core.store.outbox(PAGE, tenant):
        oldest.setdefault(message.topic, message)
    late = [m for m in oldest.values() if m.at < now - overdue * 1e6]
    why = {m.topic: f"; {m.tries} tries, the last: {m.error}" if m.error else "; no engine has a sink for it" for m in late}
    texts = {m.topic: f"message {m.id} to {m.topic} waits for {(now - m.at) / 1e6:.0f} s{why[m.topic]}" for m in late}
    return [Finding("undelivered", m.instance_id, texts[m.topic], False) for m in late]


async def fleet_of(core: Core) -> Fleet:
    workers, now = await core.store.workers(), core.store.now()
    alive = [w for w in workers if w.expires_at >= now]
    dead = [
        Finding("dead_worker", w.id, f"{w.name}: its lease has been over for {(now - w.expires_at) / 1e6:.1f} s", False)
        for w in workers
        if w.expires_at < now
    ]
    return Fleet(frozenset(w.id for w in alive), frozenset(served_by(alive)), tuple(dead))


async def examine(core: Core, rows: Sequence[Row], fleet: Fleet, *, histories: bool, overdue: float) -> list[Finding]:
    """What is wrong with these rows, or worth a look."""
    findings: list[Finding] = []
    lettered = {r.id: 0 for r in rows if r.inbox and r.status not in TERMINAL and not r.archived}
    inboxes = await core.store.inbox(lettered) if lettered else {}
    now = core.store.now()
    for row in rows:
        snapshot = readable_snapshot(row)
        letters = inboxes.get(row.id, (0, []))[1]
        findings += await _check(core, row, snapshot, letters, now, histories)
        if row.status not in TERMINAL:
            findings += _notes(row, fleet, now, overdue)
            findings += await _pending(core, row, snapshot, letters, now, overdue)
    return findings


def _has(outline: Any, name: str, value: object) -> bool:
    """Something in it, however deep, says so of itself."""
    if isinstance(outline, Mapping):
        found = cast("Mapping[str, Any]", outline)
        return found.get(name) == value or any(_has(v, name, value) for v in found.values())
    several = isinstance(outline, Sequence) and not isinstance(outline, str)
    return several and any(_has(v, name, value) for v in cast("Sequence[Any]", outline))


@dataclass(frozen=True, slots=True)
class _Traits:
    """What has to be known of a definition: of each state whether it takes signals, or items; and whether anybody is asked."""

    hears: Mapping[str, bool] = field(default_factory=dict[str, bool])
    asks: bool = False


async def _traits(core: Core, row: Row) -> _Traits:
    key = row.definition, row.version
    if key not in core.traits:
        outline = await core.outline(*key)
        if outline is None:
            return _Traits()
        anywhere = _has(outline.get("anywhere", ()), "trigger", "signal")
        states = outline.get("states", ())
        hears = {s["name"]: anywhere or _has(s, "trigger", "signal") or _has(s, "stays", True) for s in states}
        core.traits[key] = _Traits(hears, asks=_has(outline, "kind", "task"))
    return core.traits[key]


async def _check(
    core: Core, row: Row, snapshot: Snapshot | None, letters: Sequence[InboxRow], now: int, histories: bool
) -> list[Finding]:
    traits = await _traits(core, row)
    codes = violations_of_row(row, snapshot, now, traits.hears.get(row.state)) + violations_of_letters(row, letters)
    if histories and snapshot is not None and row.fault is None and row.owner is None:
        codes += violations_of_history(snapshot, await core.store.history(row.id))
    if snapshot is not None and snapshot.tickets and row.owner is None:
        codes += violations_of_tickets(snapshot, await core.store.tickets(row.id))
    if snapshot is not None and row.owner is None and row.status not in TERMINAL and (children := children_of(snapshot)):
        rows = await core.store.load(children)
        codes += violations_of_children(snapshot, rows, (await core.store.inbox({row.id: 0}))[row.id][1])
    if snapshot is not None and row.owner is None and row.fault is None and traits.asks:
        codes += violations_of_tasks(snapshot, await core.store.tasks(TaskQuery(instance_id=row.id, status=("open",), limit=MOST)))
    if not codes:
        return []
    again = (await core.store.load([row.id])).get(row.id)
    if again is None or (again.revision, again.epoch, again.inbox) != (row.revision, row.epoch, row.inbox):
        return []  # it moved while we looked
    return [Finding(code, row.id, f"{row.definition} in {row.status}/{row.state}") for code in codes]


def _notes(row: Row, fleet: Fleet, now: int, overdue: float) -> list[Finding]:
    notes: list[Finding] = []
    if row.fault is not None:
        notes.append(Finding("set_aside", row.id, row.fault, False))
    if row.owner is not None and row.owner not in fleet.alive:
        notes.append(Finding("dead_owner", row.id, f"held by {row.owner}, which is dead: the next sweep frees it", False))
    if (fleet.alive or row.wake_at is not None) and f"{row.definition}@{row.version}" not in fleet.served:
        notes.append(Finding("unserved", row.id, f"no live worker serves {row.definition} version {row.version}", False))
    if row.wake_at is not None and row.wake_at < now - overdue * 1e6:
        late = (now - row.wake_at) // 1_000_000
        notes.append(Finding("overdue", row.id, f"due for {late} s and not claimed", False))
    return notes


async def _pending(
    core: Core, row: Row, snapshot: Snapshot | None, inbox: Sequence[InboxRow], now: int, overdue: float
) -> list[Finding]:
    """Unread for longer than the bound: not those that the definition keeps, nor of an instance that is paused or queues."""
    old = [r for r in inbox if r.received_at < now - overdue * 1e6]
    if not old or snapshot is None or row.fault is not None:
        return []
    outline = await core.outline(row.definition, row.version) or {}
    found: list[Finding] = []
    for each in old:
        if each.kind == "signal" and (snapshot.queues or snapshot.pause is not None or _kept(outline, each.name)):
            continue
        where = f"worker {row.owner} holds it" if row.owner else "nobody holds it"
        text = f"{each.kind} {each.name} ({each.seq}) unread for {(now - each.received_at) // 1_000_000} s, {where}"
        found.append(Finding("pending", row.id, text, False))
    return found


def _kept(outline: Mapping[str, Any], name: str) -> bool:
    by_default = outline.get("policies", {}).get("unhandled_signals") == "keep"
    return outline.get("keep", {}).get(name, by_default) is not False


# -- repairing


async def _repair(core: Core, findings: Sequence[Finding]) -> list[Finding]:
    """What is safe. One commit an instance at most: what is left shows at the next look."""
    freed: set[str] = set()
    if any(f.kind in ("dead_worker", "dead_owner") for f in findings):
        await core.store.bury()
        while taken := await core.store.take_over(PAGE):
            freed |= set(taken)
    done: set[str] = set()
    mended: list[Finding] = []
    # A row that is written again from its snapshot is due at once besides: that comes before what only makes it due.
    for finding in sorted(findings, key=lambda f: f.kind != "status_matches"):
        what = ""
        if finding.kind == "dead_worker":
            what = "buried"
        elif finding.kind == "dead_owner":
            what = "freed, and due at once" if finding.instance_id in freed else ""
        elif finding.instance_id not in done:
            what = await _mend(core, finding)
            done |= {finding.instance_id} if what else set()
        mended.append(replace(finding, repaired=what))
    return mended


async def _mend(core: Core, finding: Finding) -> str:
    """Empty where nothing was done: nothing is safe, or it has moved meanwhile."""
    row = (await core.store.load([finding.instance_id])).get(finding.instance_id)
    if row is None or row.owner is not None or row.archived or row.fault is not None:
        return ""
    now = core.store.now()
    status, state, label = row.status, row.state, row.label
    if finding.kind in NUDGED:
        if status in TERMINAL or status == "paused":
            return ""
        what = "due at once"
    elif finding.kind == "status_matches" and (snapshot := readable_snapshot(row)) is not None:
        status, state, label = snapshot.status, snapshot.state, snapshot.label
        what = "written again from its snapshot"
    elif finding.kind == "terminal_at_rest":
        what = "its wake-up is removed"
    else:
        return ""
    at = max(now, row.updated_at + 1)
    events = encode((Event("repaired", "", {"finding": finding.kind, "done": what}),))
    entry = HistoryRow(row.revision + 1, at, "", "", events, b"{}")
    ended = status in TERMINAL
    step = Step(
        status, state, label, row.revision + 1, None, at, row.seen, (entry,), release=True,
        wake_at=None if ended or status == "paused" else now, ended=ended,
    )  # fmt: skip
    mine = core if row.tenant == core.tenant else replace(core, tenant=row.tenant)
    act = act_of(mine, "repair", "instance", row.id, instance_id=row.id, detail={"finding": finding.kind, "done": what})
    answer = await core.store.commit(Batch(commits=(Commit(row.id, row.tenant, None, row.epoch, row.revision, step, act),)))
    if not answer.commits[0]:
        return ""
    core.hint(row.id, None)
    return what
