"""Services that answer after a moment, and fail the way such services do: always the same way for the same order."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from stepkeel import TransientError


def number(order_id: str) -> int:
    return int(order_id.rpartition("-")[2])


class FlakyPayments:
    """Away for every fifth order's first attempt, and for every twenty-fifth's second; every eleventh card is declined."""

    def __init__(self, latency: float = 0.01) -> None:
        self.latency = latency

    async def reserve(self, order_id: str, amount: Decimal, *, key: str, attempt: int) -> str | None:
        await asyncio.sleep(self.latency)
        n = number(order_id)
        if (n % 5 == 0 and attempt == 1) or (n % 25 == 0 and attempt == 2):
            raise TransientError("the payment service is away")
        return None if n % 11 == 0 else f"res-{order_id}"


class Warehouse:
    def __init__(self, latency: float = 0.005) -> None:
        self.latency = latency

    async def hold(self, order_id: str, *, key: str) -> None:
        await asyncio.sleep(self.latency)

    async def release(self, order_id: str, *, key: str) -> None:
        await asyncio.sleep(self.latency)
