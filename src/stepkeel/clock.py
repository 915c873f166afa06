"""The only reader of time. Instants are integer microseconds since 1970, UTC."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]

# Linux counts suspend only in CLOCK_BOOTTIME; elsewhere the ordinary monotonic clock has to do.
_BOOT = getattr(time, "CLOCK_BOOTTIME", None)


class Clock(Protocol):
    """Where time comes from: the system, or a test."""

    def now(self) -> int:
        """Microseconds since 1970, UTC. May step back."""
        ...

    def monotonic(self) -> int:
        """Microseconds from an arbitrary start. Never steps back."""
        ...


class SystemClock:
    def now(self) -> int:
        return time.time_ns() // 1000

    if _BOOT is not None:
        _boot: int = _BOOT

        def monotonic(self) -> int:
            return time.clock_gettime_ns(self._boot) // 1000
    else:

        def monotonic(self) -> int:
            return time.monotonic_ns() // 1000
