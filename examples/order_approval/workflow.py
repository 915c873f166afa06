"""Orders that need an approval above 100, a reservation of stock, and a payment that may be declined."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Protocol

from stepkeel import Context, Fail, Retry, Signal, State, Workflow, activity, log


class Payments(Protocol):
    async def reserve(self, order_id: str, amount: Decimal, *, key: str, attempt: int) -> str | None:
        """The reservation's id; None when the card is declined. Raises TransientError when the service is away."""
        ...


class Stock(Protocol):
    async def hold(self, order_id: str, *, key: str) -> None: ...
    async def release(self, order_id: str, *, key: str) -> None: ...


@dataclass
class Order:
    order_id: str
    customer_id: str
    amount: Decimal
    approval_hours: float = 72
    requires_approval: bool = False
    approved_by: str | None = None
    rejection_reason: str | None = None
    stock_held: bool = False
    reservation_id: str | None = None


class OrderApproved(Signal):
    by: str


class OrderRejected(Signal):
    reason: str


@activity
async def check_order(ctx: Context[Order]) -> None:
    if ctx.data.amount <= 0:
        raise Fail("ORDER_INVALID", "the amount must be positive")
    ctx.data.requires_approval = ctx.data.amount >= 100


@activity
async def release_stock(ctx: Context[Order], stock: Stock) -> None:
    await stock.release(ctx.data.order_id, key=ctx.idempotency_key)
    ctx.data.stock_held = False


@activity(compensate=release_stock)
async def hold_stock(ctx: Context[Order], stock: Stock) -> None:
    await stock.hold(ctx.data.order_id, key=ctx.idempotency_key)
    ctx.data.stock_held = True


@activity(retry=Retry(attempts=5, delay=0.1, backoff="exponential", jitter=0.2), timeout=timedelta(seconds=10))
class ReservePayment:
    def __init__(self, payments: Payments) -> None:
        self.payments = payments

    async def __call__(self, ctx: Context[Order]) -> Fail | None:
        order = ctx.data
        reserved = await self.payments.reserve(order.order_id, order.amount, key=ctx.idempotency_key, attempt=ctx.attempt)
        if reserved is None:
            return Fail("CARD_DECLINED", f"the card of {order.customer_id} was declined")
        order.reservation_id = reserved
        return None


@activity
async def record_reason(ctx: Context[Order, OrderRejected]) -> None:
    ctx.data.rejection_reason = ctx.input.reason


class OrderApproval(Workflow[Order]):
    created = State(check_order)
    awaiting = State[Order](label="Awaiting approval")
    payment = State(hold_stock, ReservePayment)
    confirmed = State.completed(log("order {order_id} confirmed", level="debug"))
    rejected = State.terminated(reason="rejected by the approver")
    expired = State.terminated(reason="nobody answered in time")
    declined = State.terminated(reason="the card was declined")

    created.to(awaiting, when=lambda order: order.requires_approval)
    created.to(payment)
    awaiting.on(OrderApproved, to=payment, into=lambda order, s: replace(order, approved_by=s.by))
    awaiting.on(OrderRejected, to=rejected, do=record_reason)
    awaiting.after(lambda order: timedelta(hours=order.approval_hours), to=expired)
    payment.to(confirmed)
    payment.on_failure("CARD_DECLINED", to=declined)
