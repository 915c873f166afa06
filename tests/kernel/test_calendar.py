"""Business calendars: spans of working time, by the clock of a place."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepkeel import Calendar, State, Workflow, delay
from stepkeel.errors import BadRequest
from stepkeel.model import input as inputs
from stepkeel.model.instant import from_micros, to_micros, to_span
from stepkeel.testing import Scenario
from tests.flows import Job

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = Calendar("Europe/Berlin", ("09:00", "17:00"), holidays=["2026-12-25", date(2026, 12, 28)])


def after(calendar: Calendar, at: datetime, hours: float) -> datetime:
    return from_micros(calendar.add(to_micros(at), to_span(timedelta(hours=hours)))).astimezone(BERLIN)


@pytest.mark.parametrize(
    ("begins", "hours", "ends"),
    [
        ("2026-12-21T10:00", 2, "2026-12-21T12:00"),  # Monday
        ("2026-12-21T16:00", 2, "2026-12-22T10:00"),  # over night
        ("2026-12-21T06:00", 8, "2026-12-21T17:00"),  # up to the last minute of the day
        ("2026-12-24T16:00", 2, "2026-12-29T10:00"),  # a holiday, the weekend, another one
        ("2026-12-26T12:00", 0, "2026-12-29T09:00"),  # nothing, begun on a Saturday: the next hour that counts
        ("2026-12-21T18:00", 40, "2026-12-30T17:00"),
    ],
)
def test_spans_of_working_time(begins: str, hours: float, ends: str) -> None:
    got = after(OFFICE, datetime.fromisoformat(begins).replace(tzinfo=BERLIN), hours)
    assert got == datetime.fromisoformat(ends).replace(tzinfo=BERLIN)


def test_days_with_hours_of_their_own_a_lunch_break_and_midnight() -> None:
    shop = Calendar("UTC", days={"mon": (("09:00", "12:00"), ("13:00", "18:00")), "tue": ("22:00", "24:00")})
    monday = datetime(2026, 12, 21, 11, tzinfo=UTC)
    assert after(shop, monday, 2) == datetime(2026, 12, 21, 14, tzinfo=UTC)
    assert after(shop, monday, 7) == datetime(2026, 12, 22, 23, tzinfo=UTC)
    assert after(shop, monday, 8) == datetime(2026, 12, 23, 0, tzinfo=UTC)


def test_the_day_on_which_the_clock_is_put_forward_is_shorter_where_that_is_within_its_hours() -> None:
    night = Calendar("Europe/Berlin", ("00:00", "06:00"), days=["sun"])
    assert after(night, datetime(2026, 3, 29, 0, tzinfo=BERLIN), 5) == datetime(2026, 3, 29, 6, tzinfo=BERLIN)
    assert after(night, datetime(2026, 3, 22, 0, tzinfo=BERLIN), 5) == datetime(2026, 3, 22, 5, tzinfo=BERLIN)


@given(st.integers(0, 2**41), st.integers(0, 500 * 3_600), st.integers(0, 500 * 3_600))
def test_two_spans_one_after_another_are_one(at: int, first: int, second: int) -> None:
    calendar, micros = Calendar("America/New_York", ("08:30", "17:00")), 1_000_000
    once = calendar.add(at * micros // 1_000, (first + second) * micros)
    if second:
        assert calendar.add(calendar.add(at * micros // 1_000, first * micros), second * micros) == once
    assert once >= at * micros // 1_000


def test_timers_in_working_time() -> None:
    office = Calendar("UTC")

    class Flow(Workflow[Job]):
        work = State[Job](delay(timedelta(hours=1), calendar=office))
        late = State.completed()
        done = State.completed()
        work.to(done)
        work.after(timedelta(hours=3), to=late, calendar=office)

    s = Scenario(Flow, Job())  # Thursday, 00:16
    due = {p: from_micros(next(iter(t.values()))) for p, t in s.snapshot.timers.items()}
    assert due["work/delay"] == datetime(1970, 1, 1, 10, tzinfo=UTC)
    assert due["work!after"] == datetime(1970, 1, 1, 12, tzinfo=UTC)
    s.feed(inputs.Tick(), after=10 * 3_600_000_000)
    assert s.snapshot.status == "completed"


def test_what_cannot_be() -> None:
    wrong: list[dict[str, Any]] = [
        {"zone": "Nowhere/City"}, {"hours": ("17:00", "09:00")}, {"hours": ("9", "17")}, {"days": ["monday"]}, {"days": []},
        {"holidays": ["Christmas"]}, {"hours": (("09:00", "12:00"), ("11:00", "13:00"))}, {"hours": "9-5"},
    ]  # fmt: skip
    for options in wrong:
        with pytest.raises(BadRequest):
            Calendar(**options)
    never = Calendar("UTC", days=["mon"], holidays=[date(1970, 1, 5) + timedelta(weeks=n) for n in range(600)])
    with pytest.raises(BadRequest, match="ten years"):
        never.add(0, 1)
