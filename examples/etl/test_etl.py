"""A day that is extracted, cleaned, joined, scored and loaded; sources that are away; a day without orders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from examples.etl import activities
from examples.etl.activities import Warehouse
from stepkeel import load
from stepkeel.testing import Harness, HarnessInstance

FILE = Path(__file__).with_name("etl.yaml")
ETL = load(FILE, [each for each in vars(activities).values() if hasattr(each, "__stepkeel_activity__")])
ORDERS: list[dict[str, Any]] = [
    {"day": "2026-03-01", "customer": 1, "amount": 5},
    {"day": "2026-03-01", "customer": 1, "amount": 7},
    {"day": "2026-03-01", "customer": 2, "amount": 0},
    {"day": "2026-03-02", "customer": 2, "amount": 9},
]


async def run(away: int = 0, **given: Any) -> tuple[HarnessInstance[Any], Warehouse, Harness]:
    harness, warehouse = Harness(), Warehouse(ORDERS, [{"id": 1, "name": "ann"}, {"id": 2, "name": "bob"}], away=away)
    harness.services[Warehouse] = warehouse
    instance = await harness.start(ETL, {"day": "2026-03-01"} | given)
    await harness.advance(60)
    return instance, warehouse, harness


async def test_a_day_is_loaded_and_scored() -> None:
    instance, warehouse, harness = await run()
    instance.assert_status("completed")
    assert (instance.value["loaded"], instance.value["scores"]) == (2, {"ann": 12})
    assert [(r["name"], r["amount"]) for r in warehouse.rows] == [("ann", 5), ("ann", 7)]
    await harness.close()


async def test_sources_that_are_away_are_asked_again() -> None:
    instance, _, harness = await run(away=3)
    instance.assert_status("completed").assert_history("activity_retry_scheduled")
    await harness.close()


async def test_where_there_is_nothing_to_score_nothing_is_scored_and_the_load_goes_on() -> None:
    instance, _, harness = await run(day="2026-04-01")
    instance.assert_status("completed").assert_history("step_ended")
    assert (instance.value["loaded"], instance.value["scores"]) == (0, {})
    await harness.close()


async def test_scoring_can_be_left_out() -> None:
    instance, _, harness = await run(score=False)
    assert (instance.value["loaded"], instance.value["scores"]) == (2, {})
    await harness.close()
