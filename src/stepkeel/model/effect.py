"""What a decision wants done. RunAttempt, StopAttempt and Log are performed once the commit is durable;

SettleSignal, Park and End are part of the commit itself.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Effect", "End", "Log", "Park", "RunAttempt", "SettleSignal", "StopAttempt"]


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


class Park(msgspec.Struct, frozen=True, gc=False):
    """Give the lease back and rest until `wake_at` (None: until something comes)."""

    wake_at: int | None = None


class End(msgspec.Struct, frozen=True, gc=False):
    """The instance has ended: give the lease back for good."""


Effect = RunAttempt | StopAttempt | Log | SettleSignal | Park | End
