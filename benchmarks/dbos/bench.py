"""The order workload on DBOS: four trivial async steps in an async workflow, `concurrency` of them in flight.

python bench.py URL COUNT CONCURRENCY [--wal]: prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from typing import Any

import uvloop
from dbos import DBOS, DBOSConfig

NOTE = "fragile, leave at the back door, ring twice, do not bend; the customer asked for gift wrapping and a card"


@DBOS.step()
async def validate(order: dict[str, Any]) -> dict[str, Any]:
    return {**order, "valid": order["amount"] > 0}


@DBOS.step()
async def pay(order: dict[str, Any]) -> dict[str, Any]:
    return {**order, "payment": f"pay-{order['order_id']}"}


@DBOS.step()
async def ship(order: dict[str, Any]) -> dict[str, Any]:
    return {**order, "shipment": f"ship-{order['order_id']}"}


@DBOS.step()
async def confirm(order: dict[str, Any]) -> dict[str, Any]:
    return {**order, "confirmed_at": 1}


@DBOS.workflow()
async def order_flow(order: dict[str, Any]) -> dict[str, Any]:
    for step in (validate, pay, ship, confirm):
        order = await step(order)
    return order


async def drive(count: int, concurrency: int) -> float:
    numbers = iter(range(count))

    async def client() -> None:
        for n in numbers:
            order = {"order_id": f"ORD-{n:08d}", "customer_id": f"C-{n % 997:05d}", "amount": 10.0 + n % 500, "note": NOTE}
            handle = await DBOS.start_workflow_async(order_flow, order)
            result = await handle.get_result()
            assert result["confirmed_at"] == 1

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(concurrency)))
    return time.perf_counter() - began


def main() -> None:
    url, count, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if "--wal" in sys.argv:
        sqlite3.connect(url.removeprefix("sqlite:///")).execute("pragma journal_mode = wal")
    config: DBOSConfig = {"name": "bench", "system_database_url": url, "log_level": "ERROR"}
    DBOS(config=config)
    DBOS.launch()
    seconds = uvloop.run(drive(count, concurrency))
    DBOS.destroy()
    print(json.dumps({"workflows_per_s": round(count / seconds, 1), "seconds": round(seconds, 2), "instances": count}))


main()
