"""What a decision wants done. RunAttempt, StopAttempt and Log are performed once the commit is durable;

SettleSignal, AskPool, ReturnPool, Park and End are part of the commit itself.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["AskPool", "Effect", "End", "Log", "Park", "ReturnPool", "RunAttempt", "SettleSignal", "StopAttempt"]


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
    """Queue for a slot of a pool. `n` tells this asking from others of the same path."""

    path: str
    pool: str
    n: int
    size: int
    per: int | None = None


class ReturnPool(msgspec.Struct, frozen=True, gc=False):
    """Give a slot back, or leave the queue for it."""

    path: str
    pool: str
    n: int


class Park(msgspec.Struct, frozen=True, gc=False):
    """Give the lease back and rest until `wake_at` (None: until something comes)."""

    wake_at: int | None = None


class End(msgspec.Struct, frozen=True, gc=False):
    """The instance has ended: give the lease back for good."""


Effect = RunAttempt | StopAttempt | Log | SettleSignal | AskPool | ReturnPool | Park | End
