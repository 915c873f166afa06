"""What verbs return: records of what the store says."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from stepkeel.errors import DataInvalid, InstanceFault
from stepkeel.kernel.replay import read_changes, read_events
from stepkeel.model.commit import HistoryRow, InboxRow, Row
from stepkeel.model.commit import Receipt as StoredReceipt
from stepkeel.model.definition import Definition
from stepkeel.model.event import Event
from stepkeel.model.instant import from_micros
from stepkeel.model.snapshot import UNREADABLE, Failure, Snapshot, read_snapshot

__all__ = [
    "Entry",
    "InboxEntry",
    "Info",
    "Receipt",
    "Result",
    "Timer",
    "data_of",
    "entry_of",
    "failure_of",
    "inbox_entry_of",
    "info_of",
    "readable_snapshot",
    "reading_history",
    "receipt_of",
    "snapshot_of",
]

D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Result(Generic[D]):
    """What `wait` and `run` return. `timed_out`: the time was over first; the rest is as it was then."""

    id: str
    status: str
    state: str
    data: D
    reason: str = ""
    failure: Failure | None = None
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """The fate of a signal or request: pending, processed, ignored, rejected, failed; `reason` says why.

    `duplicate`: the same name and key had been sent before; this is the first one's receipt.
    """

    instance_id: str
    name: str
    key: str
    status: str
    reason: str = ""
    seq: int = 0
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Timer:
    path: str
    purpose: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Info:
    """An instance as its row tells it. `data` is a plain mapping, or the author's type where the definition is known;

    None where what is stored does not decode. `open` is what each open node does, `children` the ids of those it

    waits for, by path.
    """

    id: str
    tenant: str
    definition: str
    version: int
    key: str | None
    status: str
    state: str
    label: str
    revision: int
    data: Any
    attributes: Mapping[str, Any]
    correlation_id: str | None
    priority: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    reason: str = ""
    failure: Failure | None = None
    owner: str | None = None
    wake_at: datetime | None = None
    fault: str | None = None
    archived: bool = False
    open: Mapping[str, str] = field(default_factory=dict[str, str])
    parent: str | None = None
    children: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of history: what happened (events) and which keys of the snapshot changed."""

    revision: int
    at: datetime
    actor: str
    worker: str
    events: tuple[Event, ...]
    set: Mapping[str, Any]
    unset: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """`payload` is None where what is stored does not decode."""

    seq: int
    kind: str
    name: str
    payload: Any
    key: str
    actor: str
    status: str
    reason: str
    received_at: datetime
    processed_at: datetime | None


def snapshot_of(row: Row) -> Snapshot:
    """Raises InstanceFault when the bytes are no snapshot."""
    try:
        return read_snapshot(row.snapshot, row.revision, row.id)
    except UNREADABLE as error:
        raise InstanceFault(f"the snapshot of {row.id} does not decode: {error}", remedy="explain says more") from None


def readable_snapshot(row: Row) -> Snapshot | None:
    """None when the bytes are no snapshot."""
    with suppress(InstanceFault):
        return snapshot_of(row)
    return None


def failure_of(row: Row) -> Failure | None:
    """Why it has failed; None where it has not, or its bytes are no snapshot."""
    snapshot = readable_snapshot(row) if row.status == "failed" else None
    return None if snapshot is None else snapshot.failure


def _when(at: int | None) -> datetime | None:
    return None if at is None else from_micros(at)


def info_of(row: Row, definition: Definition | None) -> Info:
    """A row as a record; one that does not decode still tells all its columns."""
    snapshot = readable_snapshot(row)
    data: Any = None
    with suppress(InstanceFault):
        data = data_of(row, snapshot, definition) if snapshot else None
    return Info(
        row.id, row.tenant, row.definition, row.version, row.key, row.status, row.state, row.label, row.revision, data,
        _decoded(row.attributes) or {}, row.correlation_id, row.priority, from_micros(row.created_at),
        from_micros(row.updated_at), _when(row.completed_at), snapshot.reason if snapshot else "",
        snapshot.failure if snapshot else None, row.owner, _when(row.wake_at), row.fault, row.archived,
        {p: f.run for p, f in snapshot.open.items()} if snapshot else {}, row.parent,
        {p: f.child.id for p, f in snapshot.open.items() if f.child is not None and not f.child.over} if snapshot else {},
    )  # fmt: skip


def data_of(row: Row, snapshot: Snapshot, definition: Definition | None) -> Any:
    """The author's data, as their type where the definition is known. Raises InstanceFault when it does not decode."""
    try:
        return definition.data.decode(snapshot.data) if definition else msgspec.json.decode(snapshot.data)
    except (DataInvalid, *UNREADABLE) as error:
        raise InstanceFault(f"the data of {row.id} does not decode: {error}", remedy="explain says more") from None


@contextmanager
def reading_history(instance_id: str) -> Generator[None]:
    """Raises InstanceFault for entries that do not decode."""
    try:
        yield
    except UNREADABLE as error:
        raise InstanceFault(f"the history of {instance_id} does not decode: {error}", remedy="doctor says more") from None


def entry_of(row: HistoryRow) -> Entry:
    changes = read_changes(row.changes)
    return Entry(row.revision, from_micros(row.at), row.actor, row.worker, read_events(row.events), changes.set, changes.unset)


def _decoded(raw: bytes) -> Any:
    """None for what does not decode."""
    try:
        return msgspec.json.decode(raw) if raw else None
    except UNREADABLE:
        return None


def inbox_entry_of(row: InboxRow) -> InboxEntry:
    return InboxEntry(
        row.seq, row.kind, row.name, _decoded(row.payload), row.key, row.actor, row.status, row.reason,
        from_micros(row.received_at), _when(row.processed_at),
    )  # fmt: skip


def receipt_of(instance_id: str, name: str, stored: StoredReceipt) -> Receipt:
    return Receipt(instance_id, name, stored.key, stored.status, stored.reason, stored.seq, stored.duplicate)
