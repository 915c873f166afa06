"""The document and the pipeline of the same activities: whatever becomes of an order, it is the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from examples.order_processing.services import Shop, services
from examples.order_processing.workflow import Line, Order, order_processing
from stepkeel import load
from stepkeel.testing import Harness

DOCUMENT = load(
    Path(__file__).with_name("order_processing.yaml"), order_processing.definition.activities.values(), types=[Order]
)  # fmt: skip
LAMPS = Order("O-1", "ann", (Line("lamp", 1, Decimal(40)),))
SOFAS = Order("O-2", "ann", (Line("lamp", 2, Decimal(20)), Line("sofa", 1, Decimal("480.50"))))
CASES: dict[str, tuple[Order, bool | None, str]] = {
    "small": (LAMPS, None, ""),
    "large, approved": (SOFAS, True, ""),
    "large, refused": (SOFAS, False, "rejected"),
    "large, nobody answers": (SOFAS, None, "approval_timeout"),
    "sold out": (replace(LAMPS, lines=(Line("lamp", 9, Decimal(1)),)), None, "OUT_OF_STOCK"),
    "no credit": (replace(LAMPS, customer="bob"), None, "CARD_DECLINED"),
    "nothing in it": (replace(LAMPS, lines=()), None, "VALIDATION_FAILED"),
    "no quantity": (replace(LAMPS, lines=(Line("lamp", 0, Decimal(1)),)), None, "VALIDATION_FAILED"),
}


async def outcome(flow: Any, order: Order, answer: bool | None) -> tuple[Any, ...]:
    """What has become of it, and of the world."""
    shop = Shop({"lamp": 3, "sofa": 1}, away=2, no_credit=("bob",))
    harness = Harness(services=services(shop))
    job = await harness.start(flow, order)
    await harness.advance(timedelta(minutes=1))
    engine = await harness.engine()
    for asked in (await engine.tasks()).items if answer is not None else ():
        verb = engine.task(asked.id)
        await (verb.approve(actor="mia", wait=0) if answer else verb.reject(actor="mia", wait=0))
    await harness.advance(timedelta(days=9))
    info, end = await job.get(), job.value
    code = info.failure.code if info.failure else ""
    left = end.approved_by, end.tracking, end.invoice, bool(end.charge), bool(end.reservation)
    await harness.close()
    world = dict(shop.stock), [*shop.charges.values()], len(shop.reserved), [*shop.letters.values()], [*shop.parcels.values()]
    return info.status, code, left, world


@pytest.mark.parametrize("case", CASES)
async def test_an_order_takes_the_same_way(case: str) -> None:
    order, answer, code = CASES[case]
    written = await outcome(DOCUMENT, order, answer)
    assert written == await outcome(order_processing, order, answer)
    assert written[:2] == (("failed", code) if code else ("completed", ""))
