"""What an attempt may return besides data. `Fail` may be returned or raised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

__all__ = ["Break", "Cancel", "Complete", "Continue", "Fail", "Outcome", "Terminate", "TryAgain", "Wait"]


@dataclass(frozen=True)
class Continue:
    """The activity is done; changes of its copy of the data are kept."""

    reason: str = ""


@dataclass(frozen=True)
class TryAgain:
    """Run it again, by its retry policy. Changes are kept (polling with a cursor) unless `discard`."""

    reason: str = ""
    delay: timedelta | float | None = None
    discard: bool = False


@dataclass(frozen=True)
class Wait:
    """Keep the changes and wait. The activity is not run again: its node is done when the time comes or,

    without one, when a reaction or an operator moves the instance.
    """

    reason: str = ""
    delay: timedelta | float | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Break:
    """End the innermost loop; outside one a permanent failure. `data`, if given, replaces the data."""

    reason: str = ""
    data: Any = None


@dataclass(frozen=True)
class Complete:
    """End the instance: completed."""

    reason: str = ""


@dataclass(frozen=True)
class Cancel:
    """End the instance: cancelled, after compensation."""

    reason: str = ""


@dataclass(frozen=True)
class Terminate:
    """End the instance: terminated, after compensation."""

    reason: str = ""


class Fail(Exception):
    """A business failure with a code. Never retried unless the policy lists its code in `retry_on`."""

    def __init__(self, code: str, message: str = "", details: Any = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message or code
        self.details = details

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


Outcome = Continue | TryAgain | Wait | Break | Complete | Cancel | Terminate | Fail
