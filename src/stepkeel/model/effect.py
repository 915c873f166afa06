"""What a decision wants done. RunAttempt, StopAttempt and Log are performed once the commit is durable;

the others are part of the commit itself.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from stepkeel.model.input import Cancel, ChildReported, Pause, Resume, Terminate
from stepkeel.model.snapshot import Parent
from stepkeel.model.task import TaskChange, TaskRow

__all__ = [
    "AskPool",
    "ChangeTask",
    "ControlChild",
    "Effect",
    "Emit",
    "End",
    "Log",
    "OpenTask",
    "Park",
    "ReportToParent",
    "ReturnPool",
    "RunAttempt",
    "SettleSignal",
    "StartChild",
    "StopAttempt",
]


class RunAttempt(msgspec.Struct, frozen=True, gc=False):
    path: str
    attempt: int


class StopAttempt(msgspec.Struct, frozen=True, gc=False):
    path: str
    attempt: int


class Log(msgspec.Struct, frozen=True, gc=False):
    level: str
    text: str


class SettleSignal(msgspec.Struct, frozen=True, gc=False):
    seq: int
    status: Literal["processed", "ignored", "rejected", "failed"]
    reason: str = ""


class AskPool(msgspec.Struct, frozen=True, gc=False):
    """Queue for `amount` slots of a pool, together. `n` tells this asking from others of the same path."""

    path: str
    pool: str
    n: int
    size: int
    per: int | None = None
    amount: int = 1


class ReturnPool(msgspec.Struct, frozen=True, gc=False):
    """Give a slot back, or leave the queue for it."""

    path: str
    pool: str
    n: int


class StartChild(msgspec.Struct, frozen=True, gc=False):
    """Make an instance; `parent` is what it will remember of this one, nothing if it is detached."""

    path: str
    id: str
    definition: str
    version: int
    data: bytes
    parent: Parent | None


class ControlChild(msgspec.Struct, frozen=True, gc=False):
    """A control request for a child's inbox."""

    path: str
    id: str
    name: Literal["cancel", "terminate", "pause", "resume"]
    request: Cancel | Terminate | Pause | Resume


class ReportToParent(msgspec.Struct, frozen=True, gc=False):
    """What the instance that began this one waits for has come about."""

    to: str
    report: ChildReported


class Emit(msgspec.Struct, frozen=True, gc=False):
    """A message for the outbox."""

    path: str
    topic: str
    payload: bytes


class OpenTask(msgspec.Struct, frozen=True, gc=False):
    """A row among the tasks."""

    row: TaskRow


class ChangeTask(msgspec.Struct, frozen=True, gc=False):
    """What has become of one."""

    change: TaskChange


class Park(msgspec.Struct, frozen=True, gc=False):
    """Give the lease back and rest until `wake_at` (None: until something comes)."""

    wake_at: int | None = None


class End(msgspec.Struct, frozen=True, gc=False):
    """The instance has ended: give the lease back for good."""


Effect = (
    RunAttempt | StopAttempt | Log | SettleSignal | AskPool | ReturnPool | StartChild | ControlChild | ReportToParent
    | OpenTask | ChangeTask | Emit | Park | End
)  # fmt: skip
