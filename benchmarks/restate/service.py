"""The order workload as a Restate service: four steps, each journaled before the next begins."""

from __future__ import annotations

from typing import Any

import restate

service = restate.Service("order")


async def validate(order: dict[str, Any]) -> dict[str, Any]:
    return {**order, "valid": order["amount"] > 0}


async def pay(order: dict[str, Any]) -> dict[str, Any]:
    return {**order, "payment": f"pay-{order['order_id']}"}


async def ship(order: dict[str, Any]) -> dict[str, Any]:
    return {**order, "shipment": f"ship-{order['order_id']}"}


async def confirm(order: dict[str, Any]) -> dict[str, Any]:
    return {**order, "confirmed_at": 1}


@service.handler()
async def run(ctx: restate.Context, order: dict[str, Any]) -> dict[str, Any]:
    for step in (validate, pay, ship, confirm):
        order = await ctx.run_typed(step.__name__, step, order=order)
    return order


app = restate.app([service])
