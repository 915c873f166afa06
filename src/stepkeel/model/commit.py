"""Everything that may be written, as records. A batch is applied whole or not at all, each row fenced by itself."""

from __future__ import annotations

from typing import Literal

import msgspec

from stepkeel.model.act import Act
from stepkeel.model.message import MessageRow
from stepkeel.model.task import TaskChange, TaskRow

__all__ = [
    "Answer",
    "Ask",
    "Batch",
    "Commit",
    "Delivery",
    "HistoryRow",
    "InboxRow",
    "Receipt",
    "Return",
    "Row",
    "Settled",
    "Start",
    "StartRow",
    "Step",
    "TicketRow",
]


class HistoryRow(msgspec.Struct, frozen=True, gc=False):
    """One decision as history keeps it; `events` and `changes` are encoded JSON."""

    revision: int
    at: int
    actor: str
    worker: str
    events: bytes
    changes: bytes


class Settled(msgspec.Struct, frozen=True, gc=False):
    """The fate of an inbox row."""

    seq: int
    status: Literal["processed", "ignored", "rejected", "failed"]
    reason: str
    at: int


class Ask(msgspec.Struct, frozen=True, gc=False):
    """A ticket: a place in the queue of a pool, for `amount` slots together. `rank` orders it: the time of asking, later for the

    less urgent.
    """

    path: str
    pool: str
    n: int
    size: int
    per: int | None
    rank: int
    amount: int = 1


class Return(msgspec.Struct, frozen=True, gc=False):
    """The end of a ticket. One that counts for a rate stays until its span is over."""

    path: str
    pool: str
    n: int


class TicketRow(msgspec.Struct, frozen=True, gc=False):
    instance_id: str
    path: str
    pool: str
    n: int
    tenant: str
    size: int
    per: int | None
    rank: int
    granted_at: int | None = None
    amount: int = 1


class PoolRow(msgspec.Struct, frozen=True, gc=False):
    """A pool with tickets, as large as the first of them says: the slots that are held, the tickets that wait."""

    name: str
    size: int
    per: int | None
    held: int
    waiting: int


class StartRow(msgspec.Struct, frozen=True, gc=False):
    """What a start says about its instance and no step changes."""

    tenant: str
    definition: str
    version: int
    key: str | None = None
    correlation_id: str | None = None
    priority: int = 2
    attributes: bytes = b"{}"
    parent: str | None = None


class Step(msgspec.Struct, frozen=True, gc=False):
    """What a step writes into the row.

    release    owner goes, epoch grows, `wake_at` is set (to now if `inbox > seen`)
    moved      status, state or label may differ from the row's: False spares their index
    archive    the ended instance leaves the lists in the same commit
    asked, returned   tickets of pools
    children, sent    instances it begins, and rows for the inboxes of others
    opened, changed   tasks, as they are opened, and what has become of them
    emitted    messages for the outbox
    snapshot   None leaves the bytes as they are (an instance that is set aside)
    """

    status: str
    state: str
    label: str
    revision: int
    snapshot: bytes | None
    at: int
    seen: int
    history: tuple[HistoryRow, ...] = ()
    settled: tuple[Settled, ...] = ()
    release: bool = False
    wake_at: int | None = None
    ended: bool = False
    fault: str | None = None
    moved: bool = True
    archive: bool = False
    asked: tuple[Ask, ...] = ()
    returned: tuple[Return, ...] = ()
    children: tuple[Start, ...] = ()
    sent: tuple[Delivery, ...] = ()
    opened: tuple[TaskRow, ...] = ()
    changed: tuple[TaskChange, ...] = ()
    emitted: tuple[MessageRow, ...] = ()

    @property
    def wide(self) -> bool:
        """It writes rows beyond the instance's own and its history."""
        return bool(self.asked or self.returned or self.children or self.sent or self.opened or self.changed or self.emitted)


class Start(msgspec.Struct, frozen=True, gc=False):
    """A new instance; `owner` is the starter if it has room for it. `act`: who began it, for the audit log."""

    id: str
    row: StartRow
    step: Step
    owner: str | None = None
    act: Act | None = None


class Commit(msgspec.Struct, frozen=True, gc=False):
    """A step of one instance, fenced by who owns it and by the revision it was decided on. `act`: who asked for it."""

    id: str
    tenant: str
    owner: str | None
    epoch: int
    revision: int
    step: Step
    act: Act | None = None


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A row for another's inbox. `key` is never empty: the caller makes one before it first sends. `act`: who sends it."""

    instance_id: str
    tenant: str
    kind: Literal["signal", "control", "grant", "child", "task"]
    name: str
    payload: bytes
    key: str
    actor: str
    at: int
    limit: int = 10_000
    act: Act | None = None


class Batch(msgspec.Struct, frozen=True, gc=False):
    starts: tuple[Start, ...] = ()
    commits: tuple[Commit, ...] = ()
    deliveries: tuple[Delivery, ...] = ()

    def __len__(self) -> int:
        return len(self.starts) + len(self.commits) + len(self.deliveries)


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What became of a delivery: `pending, processed, ignored, rejected, failed`; `refused` is a code (nothing stored)."""

    seq: int = 0
    status: str = "pending"
    reason: str = ""
    key: str = ""
    duplicate: bool = False
    refused: Literal["", "not_found", "instance_ended", "inbox_full"] = ""
    owner: str | None = None


class Answer(msgspec.Struct, frozen=True, gc=False):
    """In the order of the batch. A start answers with the id that holds its key, its own when it was created.

    A commit answers True when its row matched. `reached` is who owns the rows whose inboxes its commits and starts put
    something into (None: nobody): ended ones are not among them.
    """

    starts: tuple[str, ...] = ()
    commits: tuple[bool, ...] = ()
    deliveries: tuple[Receipt, ...] = ()
    reached: dict[str, str | None] = {}


class InboxRow(msgspec.Struct, frozen=True, gc=False):
    instance_id: str
    seq: int
    kind: str
    name: str
    payload: bytes
    key: str
    stamp: int
    actor: str
    status: str
    reason: str
    received_at: int
    processed_at: int | None


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row of `instances`."""

    id: str
    tenant: str
    definition: str
    version: int
    key: str | None
    status: str
    state: str
    label: str
    revision: int
    snapshot: bytes
    attributes: bytes
    wake_at: int | None
    owner: str | None
    epoch: int
    takeovers: int
    inbox: int
    seen: int
    fault: str | None
    priority: int
    correlation_id: str | None
    created_at: int
    updated_at: int
    completed_at: int | None
    parent: str | None = None
    archived: bool = False
