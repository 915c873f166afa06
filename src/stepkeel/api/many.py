"""What requests and answers about many instances, and about the fleet, hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from stepkeel.api.schema import Attributes, Key, Priority, Reason, Span, Text
from stepkeel.engine.audit import AuditEntry
from stepkeel.engine.bulk import Bulk, DeadLetters
from stepkeel.engine.doctor import OVERDUE, Finding
from stepkeel.engine.pool import LimitInfo
from stepkeel.model.breaker import BreakerRow
from stepkeel.model.instant import from_micros
from stepkeel.model.message import Message
from stepkeel.model.snapshot import Status
from stepkeel.store.port import DueRow, MetricRow, WorkerRow

__all__ = [
    "Audited",
    "Begun",
    "Breaker",
    "Breakers",
    "Checked",
    "Count",
    "Counted",
    "Dead",
    "Doctor",
    "Due",
    "Fates",
    "Filter",
    "Forget",
    "Limits",
    "Many",
    "ManyRedrive",
    "ManySignal",
    "ManyStop",
    "Messages",
    "Metrics",
    "Purge",
    "Retire",
    "StartMany",
    "Started",
    "StartedMany",
    "Verification",
    "Worker",
    "Workers",
]

MOST = 1_000


class Filter(Struct, frozen=True, forbid_unknown_fields=True):
    """Which instances; every field narrows, at least one has to be there. Times are half-open: from <= t < to."""

    definition: Text | None = None
    version: Annotated[int, Meta(ge=1)] | None = None
    status: list[Status] | None = None
    state: Text | None = None
    key: Key | None = None
    parent: Text | None = None
    correlation_id: Key | None = None
    attributes: Attributes = {}
    fault: bool | None = None
    created_from: Annotated[datetime, Meta(tz=True)] | None = None
    created_to: Annotated[datetime, Meta(tz=True)] | None = None
    updated_from: Annotated[datetime, Meta(tz=True)] | None = None
    updated_to: Annotated[datetime, Meta(tz=True)] | None = None
    completed_from: Annotated[datetime, Meta(tz=True)] | None = None
    completed_to: Annotated[datetime, Meta(tz=True)] | None = None

    def read(self) -> dict[str, Any]:
        return {k: v for k, v in msgspec.structs.asdict(self).items() if v not in (None, {}, [])}


class Many(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Oldest first, at most `limit` of them; those that are refused do not count. `dry_run` only says which."""

    filter: Filter
    dry_run: bool = False
    limit: Annotated[int, Meta(ge=1, le=MOST)] = MOST
    reason: Reason = ""


class ManyStop(Many, frozen=True, forbid_unknown_fields=True, kw_only=True):
    compensate: bool = False


class ManyRedrive(Many, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`code`, `fingerprint`: of their failure. The rest as for one."""

    code: Text | None = None
    fingerprint: Text | None = None
    from_state: Text = ""
    failed_parts: bool = False


class ManySignal(Many, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """With a `key` each is given it once, however often this is said."""

    name: Text
    payload: dict[str, Any] = {}
    key: Key | None = None


class Fate(Struct, frozen=True):
    """`done` (in a dry run: it would be asked for), `pending` (it is asked for, and will be) or `refused`, with the reason."""

    id: str
    outcome: Literal["done", "pending", "refused"]
    reason: str = ""


class Fates(Struct, frozen=True):
    """What became of each. `more`: the limit was reached, there may be others."""

    items: list[Fate]
    more: bool

    @classmethod
    def of(cls, bulk: Bulk) -> Fates:
        found = [Fate(i, "done") for i in bulk.done] + [Fate(i, "pending") for i in bulk.pending]
        found += [Fate(i, "refused", why) for i, why in bulk.refused.items()]
        return cls(sorted(found, key=lambda f: f.id), bulk.more)


class Started(Struct, frozen=True, forbid_unknown_fields=True):
    """One of many to be started. The same `key` again gives the first one."""

    data: dict[str, Any] = {}
    key: Key | None = None
    correlation_id: Key | None = None
    priority: Priority = 2
    attributes: Attributes = {}


class StartMany(Struct, frozen=True, forbid_unknown_fields=True):
    """All their data are checked before anything is stored."""

    definition: Text
    items: Annotated[list[Started], Meta(min_length=1, max_length=MOST)]
    version: Annotated[int, Meta(ge=1)] | None = None


class Begun(Struct, frozen=True):
    id: str
    created: bool


class StartedMany(Struct, frozen=True):
    """In the order of the request."""

    items: list[Begun]


class Purge(Struct, frozen=True, forbid_unknown_fields=True):
    """`archived`: of those in the archive."""

    filter: Filter
    archived: bool = False
    reason: Reason = ""


class Retire(Struct, frozen=True, forbid_unknown_fields=True):
    """Ended longer ago than this span: into the archive, or `delete` for good, also those in the archive (`archived`)."""

    older_than: Span
    filter: Filter | None = None
    delete: bool = False
    archived: bool = False
    reason: Reason = ""


class Counted(Struct, frozen=True):
    count: int


class Dead(Struct, frozen=True):
    """Failed ones in groups of one definition, state, failure code and fingerprint."""

    items: list[DeadLetters]


class Worker(Struct, frozen=True):
    """`alive`: its lease has not run out."""

    id: str
    name: str
    serves: list[str]
    started_at: datetime
    expires_at: datetime
    alive: bool

    @classmethod
    def of(cls, w: WorkerRow, now: int) -> Worker:
        serves = [c for c in msgspec.json.decode(w.capabilities, type=list[str]) if "@" in c]
        return cls(w.id, w.name, serves, from_micros(w.started_at), from_micros(w.expires_at), w.expires_at >= now)


class Workers(Struct, frozen=True):
    items: list[Worker]


class Count(Struct, frozen=True):
    definition: str
    version: int
    status: str
    state: str
    count: int

    @classmethod
    def of(cls, m: MetricRow) -> Count:
        return cls(m.definition, m.version, m.status, m.state, m.count)


class Due(Struct, frozen=True):
    """Instances of a definition that wait for a worker to take them, and since when the first of them has."""

    definition: str
    count: int
    since: datetime

    @classmethod
    def of(cls, d: DueRow) -> Due:
        return cls(d.definition, d.count, from_micros(d.since))


class Metrics(Struct, frozen=True):
    items: list[Count]
    due: list[Due]


class Breaker(Struct, frozen=True):
    """`recent`: the last attempts, oldest first, 1 failed. `until`: when an open one lets somebody try."""

    name: str
    state: Literal["closed", "open", "half_open"]
    recent: str
    until: datetime | None
    opened_at: datetime | None
    reason: str

    @classmethod
    def of(cls, b: BreakerRow) -> Breaker:
        until = None if b.state == "closed" else from_micros(b.until)
        return cls(b.name, b.state, b.recent, until, from_micros(b.opened_at) if b.opened_at else None, b.reason)


class Breakers(Struct, frozen=True):
    items: list[Breaker]


class Limits(Struct, frozen=True):
    items: list[LimitInfo]


class Messages(Struct, frozen=True):
    items: list[Message]


class Doctor(Struct, frozen=True, forbid_unknown_fields=True):
    """`histories` reads them all. `fix` repairs what is safe."""

    histories: bool = True
    fix: bool = False
    overdue: Annotated[float, Meta(ge=0, le=1e9, description="seconds after which what is due or unread is worth a note")] = OVERDUE


class Checked(Struct, frozen=True):
    """`violations`: those that were not repaired."""

    checked: int
    violations: int
    repaired: int
    findings: list[Finding]


class Forget(Struct, frozen=True, forbid_unknown_fields=True):
    """Of an activity; empty: of all."""

    activity: Text = ""
    reason: Reason = ""


class Audited(Struct, frozen=True):
    """Entries of the audit log."""

    items: list[AuditEntry]


class Verification(Struct, frozen=True):
    """`head` is the last entry, `number:digest`: the anchor of a later look, which shows that nothing before it was changed."""

    intact: bool
    entries: int
    head: str
    problems: list[str]
