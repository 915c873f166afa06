"""What a decision wants done. RunAttempt, StopAttempt and Log are performed once the commit is durable;

SettleSignal, Park and End are part of the commit itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Effect", "End", "Log", "Park", "RunAttempt", "SettleSignal", "StopAttempt"]


@dataclass(frozen=True, slots=True)
class RunAttempt:
    path: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StopAttempt:
    path: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Log:
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class SettleSignal:
    seq: int
    status: Literal["processed", "ignored", "rejected", "failed"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Park:
    """Give the lease back and rest until `wake_at` (None: until something comes)."""

    wake_at: int | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The instance has ended: give the lease back for good."""


Effect = RunAttempt | StopAttempt | Log | SettleSignal | Park | End
