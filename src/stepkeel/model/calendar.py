"""Business calendars: which hours of which days count, as plain data. Spans of working time are added by the clock of a place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stepkeel.errors import BadRequest
from stepkeel.model.instant import from_micros, to_micros

__all__ = ["Calendar"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FAR = 3_660  # days without an hour that counts, after which nobody waits any longer
Hours = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Calendar:
    """Working hours of a place.

    zone      the name of its time zone: `Europe/Berlin`
    hours     from and to, on each of `days`: ("09:00", "17:00"), or several spans a day
    days      names of weekdays, or a mapping of them to their own hours
    holidays  dates, or texts like 2026-12-25, that do not count
    Hours are those of the wall clock: where it is put forward within them, that day is an hour shorter. Raises BadRequest.
    """

    zone: str = "UTC"
    hours: tuple[str, str] | Hours = ("09:00", "17:00")
    days: Iterable[str] | Mapping[str, tuple[str, str] | Hours] = ("mon", "tue", "wed", "thu", "fri")
    holidays: Iterable[date | str] = ()
    name: str = ""
    _week: tuple[tuple[tuple[time, time], ...], ...] = field(init=False, repr=False, compare=False)
    _free: frozenset[date] = field(init=False, repr=False, compare=False)
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "_zone", ZoneInfo(self.zone))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise BadRequest(f"there is no time zone {self.zone!r}", remedy="a name like Europe/Berlin") from None
        given: Any = self.days
        each: dict[str, Any] = {**given} if hasattr(given, "keys") else dict.fromkeys(given, self.hours)
        unknown = sorted(set(each) - set(DAYS))
        if unknown or not each:
            raise BadRequest(f"Calendar(days={list(each)!r})", remedy=", ".join(DAYS))
        object.__setattr__(self, "_week", tuple(_spans(each[day]) if day in each else () for day in DAYS))
        try:
            free = frozenset(date.fromisoformat(d) if isinstance(d, str) else d for d in self.holidays)
        except ValueError as error:
            raise BadRequest(f"Calendar(holidays=): {error}", remedy="dates, or texts like 2026-12-25") from None
        object.__setattr__(self, "_free", free)

    def outline(self) -> dict[str, Any]:
        """As plain data."""
        week = {d: [[f"{a:%H:%M}", f"{b:%H:%M}"] for a, b in spans] for d, spans in zip(DAYS, self._week, strict=True) if spans}
        return {"zone": self.zone, "week": week, "holidays": sorted(d.isoformat() for d in self._free)}

    def add(self, at: int, span: int) -> int:
        """The instant at which `span` of working time is over, both in microseconds; counting begins at `at`, or at the next hour

        that counts. Raises BadRequest where none comes within ten years.
        """
        left = timedelta(microseconds=max(0, span))
        now = from_micros(at)
        day = now.astimezone(self._zone).date()
        for _ in range(FAR):
            for begin, end in self._of(day):
                begin = max(begin, now)
                if begin >= end:
                    continue
                if begin + left <= end:
                    return to_micros(begin + left)
                left -= end - begin
            day += timedelta(days=1)
        text = f"no working hours of {self.name or self.zone} come within ten years"
        raise BadRequest(text, remedy="fewer holidays, a shorter span")

    def counts(self, at: datetime) -> bool:
        """True within working hours."""
        return any(begin <= at < end for begin, end in self._of(at.astimezone(self._zone).date()))

    def _of(self, day: date) -> list[tuple[datetime, datetime]]:
        """The working hours of a day as instants."""
        if day in self._free:
            return []
        utc = ZoneInfo("UTC")
        found: list[tuple[datetime, datetime]] = []
        for begin, end in self._week[day.weekday()]:
            closes = datetime.combine(day if end > begin else day + timedelta(days=1), end, self._zone)
            found.append((datetime.combine(day, begin, self._zone).astimezone(utc), closes.astimezone(utc)))
        return found


def _spans(hours: tuple[str, str] | Hours) -> tuple[tuple[time, time], ...]:
    pairs = (hours,) if hours and isinstance(hours[0], str) else hours
    try:
        spans = tuple((time.fromisoformat(str(begin)), _end(str(end))) for begin, end in pairs)
    except (ValueError, TypeError) as error:
        raise BadRequest(f"Calendar(hours={hours!r}): {error}", remedy='("09:00", "17:00"), or several such pairs') from None
    last = None
    for begin, end in spans:
        if (end <= begin and end != time(0)) or (last is not None and begin < last):
            raise BadRequest(f"Calendar(hours={hours!r})", remedy="each from before its to, one after another")
        last = end
    return spans


def _end(text: str) -> time:
    """Midnight at the end of a day is 24:00 to people."""
    return time(0) if text == "24:00" else time.fromisoformat(text)
