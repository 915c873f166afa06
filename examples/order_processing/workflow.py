"""An order from the basket to the parcel: a pipeline over an immutable state, with a manager's yes above 500."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from examples.order_processing.services import CardDeclined, Inventory, Mail, Payments, Shipping, SoldOut
from stepkeel import Calendar, Context, Fail, Paths, Pipeline, Retry, Verdict

APPROVAL_ABOVE = Decimal(500)
OFFICE = Calendar("Europe/Berlin", ("09:00", "17:00"))


@dataclass(frozen=True)
class Line:
    sku: str
    quantity: int
    price: Decimal


@dataclass(frozen=True)
class Order:
    order_id: str
    customer: str
    lines: tuple[Line, ...]
    reservation: str | None = None
    charge: str | None = None
    approved_by: str | None = None
    tracking: str | None = None
    invoice: str | None = None

    @property
    def total(self) -> Decimal:
        return sum((line.price * line.quantity for line in self.lines), Decimal(0))


def sellable(order: Order) -> bool:
    return bool(order.lines) and all(line.quantity > 0 and line.price > 0 for line in order.lines)


async def reserve_inventory(order: Order, inventory: Inventory, ctx: Context[Order]) -> Order | Fail:
    try:
        reservation = await inventory.reserve({line.sku: line.quantity for line in order.lines}, key=ctx.idempotency_key)
    except SoldOut as gone:
        return Fail("OUT_OF_STOCK", f"{gone} is sold out", {"sku": str(gone)})
    return replace(order, reservation=reservation)


async def release_inventory(order: Order, inventory: Inventory, ctx: Context[Order]) -> Order:
    await inventory.release(order.reservation, key=ctx.idempotency_key)
    return replace(order, reservation=None)


async def take_payment(order: Order, payments: Payments, ctx: Context[Order]) -> Order | Fail:
    try:
        charge = await payments.charge(order.customer, order.total, key=ctx.idempotency_key)
    except CardDeclined as declined:
        return Fail("CARD_DECLINED", str(declined))
    return replace(order, charge=charge)


async def refund(order: Order, payments: Payments, ctx: Context[Order]) -> Order:
    await payments.refund(order.charge, key=ctx.idempotency_key)
    return replace(order, charge=None)


def approved(order: Order, verdict: Verdict) -> Order:
    return replace(order, approved_by=verdict.by)


class Ship:
    """As a class: its services in the constructor, its work in `__call__`."""

    def __init__(self, shipping: Shipping) -> None:
        self.shipping = shipping

    async def __call__(self, order: Order, ctx: Context[Order]) -> Order:
        return replace(order, tracking=await self.shipping.send(order.order_id, order.customer, key=ctx.idempotency_key))


def write_invoice(order: Order) -> Order:
    return replace(order, invoice=f"invoice {order.order_id}: {order.total}")


def fulfilled(order: Order, paths: Paths[Order]) -> Order:
    return replace(order, tracking=paths["parcel"].tracking, invoice=paths["papers"].invoice)


async def confirm(order: Order, mail: Mail, ctx: Context[Order]) -> None:
    await mail.send(order.customer, f"{order.order_id} is on its way: {order.tracking}", key=ctx.idempotency_key)


async def apologise(order: Order, mail: Mail, ctx: Context[Order]) -> None:
    await mail.send(order.customer, f"{order.order_id} cannot be delivered", key=ctx.idempotency_key)


order_processing = (
    Pipeline("order_processing", Order)
    .start_with(reserve_inventory, validate=sellable, compensate=release_inventory)
    .then(
        take_payment,
        retry=Retry(attempts=5, delay=timedelta(seconds=2), backoff="exponential"),
        timeout=timedelta(seconds=10),
        compensate=refund,
    )
    .await_approval(
        "Ship {order_id} to {customer}",
        when=lambda order: order.total > APPROVAL_ABOVE,
        role="manager",
        not_by=lambda order: order.customer,
        into=approved,
        due=timedelta(hours=8),
        calendar=OFFICE,
        escalation="director",
        timeout=timedelta(days=7),
    )
    .fork(parcel=Ship, papers=write_invoice, name="fulfilment")
    .join(fulfilled)
    .on_failure(apologise)
    .end_with(confirm)
)
