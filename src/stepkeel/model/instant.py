"""Instants and spans as integers: microseconds, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stepkeel.errors import BadRequest

__all__ = ["from_micros", "to_micros", "to_span"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


def to_micros(at: datetime) -> int:
    """Microseconds since 1970. A time without a zone is refused: whose midnight would it be?"""
    if at.tzinfo is None:
        raise BadRequest(f"{at!r} has no time zone", remedy="say which: datetime(..., tzinfo=UTC)")
    return (at - _EPOCH) // _MICRO


def from_micros(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def to_span(span: timedelta | float) -> int:
    """A timedelta, or a number of seconds, in microseconds."""
    return span // _MICRO if isinstance(span, timedelta) else round(span * 1_000_000)
