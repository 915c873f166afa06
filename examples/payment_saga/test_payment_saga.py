"""A failure in each step, and what is undone of those before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from examples.payment_saga import activities
from examples.payment_saga.activities import World
from stepkeel import load
from stepkeel.testing import Harness, HarnessInstance, Simulation
from stepkeel.testing.simulation.run import Ended

FILE = Path(__file__).with_name("payment_saga.yaml")
PAYMENT = load(FILE, [each for each in vars(activities).values() if hasattr(each, "__stepkeel_activity__")])
ORDER = {"order_id": "O-1", "product": "lamp", "amount": 80}
BOOKED = ["inventory.reserve lamp", "payment.charge 80 for lamp-1"]
UNDONE = ["payment.refund R80: order O-1 was not shipped", "inventory.release lamp-1"]


async def pay(refuses: str = "", **order: Any) -> tuple[HarnessInstance[Any], list[str], Harness]:
    harness, world = Harness(), World(refuses)
    harness.services[World] = world
    return await harness.start(PAYMENT, ORDER | order), world.done, harness


async def test_a_payment_that_goes_well() -> None:
    instance, done, harness = await pay()
    instance.assert_status("completed")
    assert done == [*BOOKED, "shipping.ship lamp-1", "email.send order O-1: 80 for lamp"]
    assert instance.value["receipt"] == "R80 P-lamp-1"
    await harness.close()


@pytest.mark.parametrize(
    ("refuses", "undone"),
    [
        ("inventory.reserve", []),
        ("payment.charge", UNDONE[1:]),
        ("shipping.ship", ["shipping.recall None", *UNDONE]),
    ],
)
async def test_what_was_done_is_undone_last_first(refuses: str, undone: list[str]) -> None:
    instance, done, harness = await pay(refuses)
    instance.assert_status("failed")
    assert instance.info.failure is not None
    assert instance.info.failure.code == "REFUSED"
    assert [d for d in done if d.split(" ")[0] in ("inventory.release", "payment.refund", "shipping.recall")] == undone
    await harness.close()


async def test_a_courier_is_booked_for_those_who_pay_for_it_and_may_say_no() -> None:
    _, done, harness = await pay(express=True)
    assert "shipping.book_courier O-1" in done
    await harness.close()
    instance, done, harness = await pay("shipping.book_courier", express=True)
    instance.assert_status("completed")
    await harness.close()


async def test_where_no_mail_goes_through_a_text_is_sent() -> None:
    instance, done, harness = await pay("email.send")
    instance.assert_status("completed")
    assert done[-1] == "sms.send order O-1: 80 for lamp"
    await harness.close()


def test_crashes_and_races_leave_nothing_half_done() -> None:
    def whole(payment: Ended) -> str | None:
        if payment.status == "completed" and payment.data["receipt"] != "R80 P-lamp-1":
            return f"completed with {payment.data}"
        return None

    for refuses in ("", "shipping.ship"):
        plan = Simulation((PAYMENT,), ORDER, services=lambda refuses=refuses: {World: World(refuses)}, check=whole)
        report = plan.run(range(60))
        assert not report.broken, str(report)
        assert report.statuses["completed" if not refuses else "failed"] > 30
