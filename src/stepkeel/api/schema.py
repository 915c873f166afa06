"""What requests and answers hold. Unknown fields of a request are refused; times are RFC 3339 in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from stepkeel.engine.result import Entry, InboxEntry, Info, Result, Timer
from stepkeel.kernel.explain import Explanation as ExplanationRecord
from stepkeel.model.codec import to_json
from stepkeel.store.port import DefinitionRow

__all__ = [
    "AddItems",
    "Asked",
    "Attributes",
    "CancelNode",
    "Comment",
    "Complete",
    "Definition",
    "Definitions",
    "Explanation",
    "FireTimer",
    "Fork",
    "History",
    "HistoryEntry",
    "Inbox",
    "Instance",
    "Instances",
    "Key",
    "Node",
    "Priority",
    "Problem",
    "Reason",
    "Reassign",
    "Redrive",
    "Said",
    "SetData",
    "SetState",
    "Signal",
    "Span",
    "Start",
    "Stop",
    "TenantEntry",
    "Text",
    "Timers",
    "Waited",
    "Wrong",
]

Text = Annotated[str, Meta(max_length=512)]
Span = Annotated[str, Meta(max_length=50, examples=["90d", "12h", "30m"])]
Key = Annotated[str, Meta(min_length=1, max_length=512)]
Priority = Annotated[int, Meta(ge=0, le=4, description="0 first to 4 last")]
Attributes = dict[str, str | int | float | bool | None]
Reason = Annotated[str, Meta(max_length=2_000, description="why; kept in the history")]


# -- answers


class Failure(Struct, frozen=True, kw_only=True):
    code: str
    message: str
    path: str
    attempt: int
    kind: str
    details: Any
    causes: tuple[str, ...]


class Instance(Struct, frozen=True, kw_only=True):
    """An instance as its row tells it; `data` is null where what is stored does not decode."""

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
    reason: str
    failure: Failure | None
    wake_at: datetime | None
    fault: str | None
    archived: bool
    open: Annotated[Mapping[str, str], Meta(description="what each open node does, by path")]
    parent: str | None
    children: Annotated[Mapping[str, str], Meta(description="the instances it waits for, by path")]

    @classmethod
    def of(cls, info: Info) -> Instance:
        return msgspec.convert(info, Instance, from_attributes=True)


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return msgspec.json.decode(to_json(value))


class Instances(Struct, frozen=True):
    """`cursor` leads to the next page; null at the end."""

    items: list[Instance]
    cursor: str | None


class Waited(Struct, frozen=True):
    """As it was when the waiting was over. `timed_out`: the time was over first."""

    id: str
    status: str
    state: str
    data: Any
    reason: str
    failure: Failure | None
    timed_out: bool

    @classmethod
    def of(cls, r: Result[Any]) -> Waited:
        failure = None if r.failure is None else msgspec.convert(r.failure, Failure, from_attributes=True)
        return cls(r.id, r.status, r.state, plain(r.data), r.reason, failure, r.timed_out)


class Event(Struct, frozen=True):
    type: str
    path: str
    detail: Mapping[str, Any]


class HistoryEntry(Struct, frozen=True):
    """What happened (`events`), and which keys of the snapshot changed."""

    revision: int
    at: datetime
    actor: str
    worker: str
    events: list[Event]
    set: Mapping[str, Any]
    unset: list[str]

    @classmethod
    def of(cls, e: Entry) -> HistoryEntry:
        events = [Event(x.type, x.path, plain(x.detail)) for x in e.events]
        return cls(e.revision, e.at, e.actor, e.worker, events, plain(e.set), [*e.unset])


class TenantEntry(Struct, frozen=True):
    """An entry, and of which instance it is."""

    instance_id: str
    entry: HistoryEntry


class History(Struct, frozen=True):
    items: list[HistoryEntry]


class Inbox(Struct, frozen=True):
    items: list[InboxEntry]


class Timers(Struct, frozen=True):
    items: list[Timer]


class Because(Struct, frozen=True):
    """`kind` is for programs: attempt, timer, signal, condition, items, token, child, task, limit, pause, fault ..."""

    kind: str
    text: str


class Explanation(Struct, frozen=True):
    """Why it rests, and what would move it."""

    id: str
    status: str
    state: str
    why: list[Because]
    moves: list[str]

    @classmethod
    def of(cls, x: ExplanationRecord) -> Explanation:
        return cls(x.id, x.status, x.state, [Because(r.kind, r.text) for r in x.why], [*x.moves])


class Definition(Struct, frozen=True):
    """`served`: this process can start it."""

    name: str
    version: int
    status: str
    served: bool
    outline: Annotated[Mapping[str, Any], Meta(description="its shape: states, bodies, data, signals; as diagrams are drawn from")]

    @classmethod
    def of(cls, row: DefinitionRow, *, served: bool) -> Definition:
        return cls(row.name, row.version, row.status, served, msgspec.json.decode(row.document))


class Definitions(Struct, frozen=True):
    items: list[Definition]


class Wrong(Struct, frozen=True):
    """One thing that is wrong with a request: `pointer` into its body, or the name of a parameter."""

    pointer: str
    message: str


class Problem(Struct, frozen=True, omit_defaults=True):
    """RFC 9457. `code` is stable and for programs, as are `details`; `detail` and `remedy` are for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    remedy: str = ""
    instance: str = ""
    errors: list[Wrong] = []
    details: dict[str, str | int | float | bool | None] = {}


# -- requests


class Start(Struct, frozen=True, forbid_unknown_fields=True):
    """Start an instance. The same `key` (or `Idempotency-Key`) again gives the first one."""

    definition: Text
    data: dict[str, Any] = {}
    version: Annotated[int, Meta(ge=1)] | None = None
    key: Key | None = None
    correlation_id: Key | None = None
    priority: Priority = 2
    attributes: Attributes = {}


class Signal(Struct, frozen=True, forbid_unknown_fields=True):
    name: Text
    payload: dict[str, Any] | None = None
    key: Key | None = None


class Said(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason = ""


class Stop(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason = ""
    compensate: bool = False


class Redrive(Struct, frozen=True, forbid_unknown_fields=True):
    """From where it failed; or from a state, or a node of its body (`Pay/charge`)."""

    reason: Reason = ""
    from_state: Text = ""
    failed_parts: bool = False


class Node(Struct, frozen=True, forbid_unknown_fields=True):
    path: Text
    reason: Reason = ""


class CancelNode(Struct, frozen=True, forbid_unknown_fields=True):
    path: Text
    then: Literal["end", "skip"] = "end"
    reason: Reason = ""


class FireTimer(Struct, frozen=True, forbid_unknown_fields=True):
    path: Text
    purpose: Text = ""
    reason: Reason = ""


class AddItems(Struct, frozen=True, forbid_unknown_fields=True):
    path: Text
    items: Annotated[list[Any], Meta(min_length=1)]
    reason: Reason = ""


class SetData(Struct, frozen=True, forbid_unknown_fields=True):
    changes: dict[str, Any]
    reason: Reason = ""


class SetState(Struct, frozen=True, forbid_unknown_fields=True):
    """`body` false leaves out what the state does; `stop` stops attempts in flight instead of waiting for them."""

    state: Text
    body: bool = True
    stop: bool = False
    reason: Reason = ""


class Fork(Struct, frozen=True, forbid_unknown_fields=True):
    data: dict[str, Any] | None = None
    from_state: Text = ""
    revision: Annotated[int, Meta(ge=1)] | None = None
    key: Key | None = None
    reason: Reason = ""


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing more is to be said."""


class Complete(Struct, frozen=True, forbid_unknown_fields=True):
    """`payload` is checked against the task's form; an approval takes `{"approved": true, "comment": "..."}`."""

    payload: dict[str, Any] | None = None
    key: Key | None = None


class Reassign(Struct, frozen=True, forbid_unknown_fields=True):
    to: Annotated[str, Meta(min_length=1, max_length=512)]


class Comment(Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, Meta(min_length=1, max_length=10_000)]
