"""A clock that moves only when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stepkeel.errors import BadRequest
from stepkeel.model.instant import from_micros, to_micros, to_span

__all__ = ["VirtualClock"]


class VirtualClock:
    """Starts at 2026-01-01 00:00 UTC unless said."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = self._now = to_micros(start)

    def now(self) -> int:
        return self._now

    def monotonic(self) -> int:
        return self._now - self._start

    @property
    def time(self) -> datetime:
        return from_micros(self._now)

    def advance(self, span: timedelta | float) -> None:
        """Raises BadRequest for a negative span: it never goes back."""
        micros = to_span(span)
        if micros < 0:
            raise BadRequest(f"advance({span!r})", remedy="time does not go back")
        self._now += micros

    def move_to(self, at: int) -> None:
        self._now = max(self._now, at)
