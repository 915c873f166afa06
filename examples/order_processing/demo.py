"""Six orders, as they come into a shop; a week of them takes a moment, for the clock is a virtual one."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from examples.order_processing.services import Shop, services
from examples.order_processing.workflow import Line, Order, order_processing
from examples.story import tell
from stepkeel.testing import Harness


def basket(order_id: str, customer: str, sku: str, quantity: int, price: int) -> Order:
    return Order(order_id, customer, (Line(sku, quantity, Decimal(price)),))


BASKETS = (
    basket("O-1", "ann", "lamp", 1, 40),
    basket("O-2", "bob", "lamp", 1, 40),
    basket("O-3", "cy", "sofa", 1, 900),
    basket("O-4", "dan", "sofa", 1, 900),
    basket("O-5", "eve", "sofa", 5, 900),
    basket("O-6", "fay", "lamp", 0, 40),
)
ANSWERS = {"O-3": True, "O-4": False}  # what the manager says to the two that have to be approved


async def main(console: Console) -> None:
    shop = Shop({"lamp": 5, "sofa": 2}, away=2, no_credit=("bob",))
    harness = Harness(services=services(shop))
    orders = [await harness.start(order_processing, each, key=each.order_id) for each in BASKETS]
    await harness.advance(timedelta(hours=30))
    engine = await harness.engine()
    for asked in (await engine.tasks(role="director")).items:
        yes = ANSWERS[asked.title.split()[1]]
        verb = engine.task(asked.id).approve if yes else engine.task(asked.id).reject
        await verb(actor="mia", wait=0)
    await harness.settle()
    table = Table(title="orders and what has become of them")
    for name in ("order", "customer", "total", "phase", "because", "parcel"):
        table.add_column(name, justify="right" if name == "total" else "left")
    for order in orders:
        info = await order.get()
        value = order.value
        because = info.failure.code if info.failure else ""
        phase = order_processing.phase(info).name
        table.add_row(value.order_id, value.customer, str(value.total), phase, because, value.tracking or "")
    console.print(table)
    console.print(f"on the shelves: {dict(shop.stock)}   in the till: {sum(shop.charges.values())}   letters: {len(shop.letters)}")
    console.print("\nO-4, which the director has refused:")
    await tell(console, orders[3], leave_out=("state_entered",))
    await harness.close()


if __name__ == "__main__":
    asyncio.run(main(Console()))
