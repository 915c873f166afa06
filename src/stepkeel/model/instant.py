"""Instants and spans as integers: microseconds, UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from stepkeel.errors import BadRequest

__all__ = ["from_micros", "read_span", "span_of", "to_micros", "to_span"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_LONGEST = 1_000 * 366 * 86_400_000_000  # a thousand years


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


def read_span(text: object) -> int | None:
    """`500ms`, `1h30m`, or a number of seconds, in microseconds; None if it is none, or not within a thousand years."""
    if isinstance(text, str):
        found = _PIECE.findall(text)
        if not found or "".join(n + unit for n, unit in found) != text:
            return None
        span = sum(round(float(n) * _UNITS[unit]) for n, unit in found)
    elif isinstance(text, int | float) and 0 <= text < 1e12:
        span = to_span(text)
    else:
        return None
    return span if 0 <= span <= _LONGEST else None


def span_of(text: str, what: str) -> timedelta:
    """The same of a text that has to be one. Raises BadRequest."""
    span = read_span(text)
    if span is None:
        raise BadRequest(f"{what} {text!r} is no span", remedy="like 90d, 12h, 1h30m or 45s")
    return timedelta(microseconds=span)
