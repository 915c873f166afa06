"""Orders that go well, and each way in which one does not, under a virtual clock: what was taken is given back."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

from rich.console import Console

from examples.order_processing import demo
from examples.order_processing.services import Shop, services
from examples.order_processing.workflow import Line, Order, order_processing
from stepkeel.testing import Harness, HarnessInstance

PHASE = order_processing.Phase


def order(price: int = 40, customer: str = "ann", quantity: int = 1) -> Order:
    return Order("O-1", customer, (Line("lamp", quantity, Decimal(price)),))


async def placed(harness: Harness, shop: Shop, what: Order) -> HarnessInstance[Order]:
    harness.services.update(services(shop))
    return await harness.start(order_processing, what)


async def phase(of: HarnessInstance[Order]) -> Any:
    return order_processing.phase(await of.get())


async def decide(harness: Harness, of: HarnessInstance[Order], *, yes: bool, actor: str = "mia") -> None:
    engine = await harness.engine()
    (asked,) = (await engine.tasks(instance_id=of.id)).items
    verb = engine.task(asked.id).approve if yes else engine.task(asked.id).reject
    await verb(actor=actor, wait=0)
    await harness.settle()


async def test_a_small_order_asks_nobody(harness: Harness) -> None:
    shop = Shop({"lamp": 3})
    done = await placed(harness, shop, order())
    assert await phase(done) is PHASE["COMPLETED"]
    assert (done.value.tracking, done.value.invoice) == ("parcel-1", "invoice O-1: 40")
    assert [*shop.letters.values()] == [("ann", "O-1 is on its way: parcel-1")]
    assert (shop.stock["lamp"], [*shop.charges.values()]) == (2, [Decimal(40)])


async def test_a_till_that_is_away_is_asked_again_and_charges_once(harness: Harness) -> None:
    shop = Shop({"lamp": 3}, away=3)
    late = await placed(harness, shop, order())
    assert (await phase(late), shop.charges) == (PHASE["TAKE_PAYMENT"], {})
    await harness.advance(timedelta(minutes=1))
    assert await phase(late) is PHASE["COMPLETED"]
    assert [*shop.charges.values()] == [Decimal(40)]


async def test_a_large_order_is_shipped_behind_a_managers_yes(harness: Harness) -> None:
    shop = Shop({"lamp": 3})
    large = await placed(harness, shop, order(600))
    assert (await phase(large), shop.parcels) == (PHASE["APPROVAL"], {})
    await decide(harness, large, yes=True)
    assert (await phase(large), large.value.approved_by) == (PHASE["COMPLETED"], "mia")


async def test_a_refused_order_is_refunded_and_its_stock_given_back(harness: Harness) -> None:
    shop = Shop({"lamp": 3})
    refused = await placed(harness, shop, order(600))
    await decide(harness, refused, yes=False)
    info = await refused.get()
    assert (await phase(refused), info.failure and info.failure.code) == (PHASE["FAILED"], "rejected")
    assert (shop.stock["lamp"], shop.charges, shop.reserved) == (3, {}, {})
    assert [*shop.letters.values()] == [("ann", "O-1 cannot be delivered")]
    refused.assert_history("task_completed", "compensation_completed", "compensation_completed")


async def test_an_approval_passes_on_after_a_working_day_and_fails_after_a_week(harness: Harness) -> None:
    shop = Shop({"lamp": 3})
    waits = await placed(harness, shop, order(600))
    await harness.advance(timedelta(days=4))
    engine = await harness.engine()
    (asked,) = (await engine.tasks(instance_id=waits.id)).items
    assert (asked.title, asked.role) == ("Ship O-1 to ann", "director")
    await harness.advance(timedelta(days=4))
    info = await waits.get()
    assert (info.failure and info.failure.code, shop.stock["lamp"], shop.charges) == ("approval_timeout", 3, {})


async def test_what_is_sold_out_declined_or_nonsense_leaves_nothing_behind(harness: Harness) -> None:
    shop = Shop({"lamp": 3}, no_credit=("bob",))
    gone = await placed(harness, shop, order(quantity=4))
    declined = await placed(harness, shop, order(customer="bob"))
    empty = await placed(harness, shop, Order("O-2", "ann", ()))
    codes = [(i.failure.code if i.failure else "") for i in (await gone.get(), await declined.get(), await empty.get())]
    assert codes == ["OUT_OF_STOCK", "CARD_DECLINED", "VALIDATION_FAILED"]
    assert await phase(empty) is PHASE["VALIDATION_FAILED"]
    assert (shop.stock["lamp"], shop.charges, shop.reserved, shop.parcels) == (3, {}, {}, {})


async def test_the_demo_tells_what_becomes_of_six_orders() -> None:
    out = StringIO()
    await demo.main(Console(file=out, width=120))
    told = out.getvalue()
    assert [told.count(p) for p in ("COMPLETED", "CARD_DECLINED", "rejected", "OUT_OF_STOCK")] == [2, 1, 3, 1]
    assert "on the shelves: {'lamp': 4, 'sofa': 1}   in the till: 940   letters: 6" in told
    assert "undone: take_payment" in told
