"""`make demo`: 500 orders from a file, an approver, timeouts, declined cards, a flaky payment service, one SQLite file.

Kill it with `kill -9` and run it again: it continues from the file and ends with the same totals.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import logging
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.order_approval.services import FlakyPayments, Warehouse, number
from examples.order_approval.workflow import Order, OrderApproval, OrderApproved, OrderRejected, Payments, Stock
from stepkeel import Engine, Settings
from stepkeel.errors import InstanceEnded

ORDERS = Path(__file__).with_name("orders.csv")
# What is three days in the shop is four seconds here.
APPROVAL_HOURS = 4 / 3600
ENDED = ("completed", "failed", "cancelled", "terminated")


def read_orders() -> dict[str, Order]:
    with ORDERS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {r["order_id"]: Order(r["order_id"], r["customer_id"], Decimal(r["amount"]), APPROVAL_HOURS) for r in rows}


async def answer(engine: Engine) -> int:
    """One look of the approver at what waits: every seventh is never answered, every fourth of the rest is rejected."""
    answered = 0
    cursor: str | None = None
    while True:
        page = await engine.list(definition="OrderApproval", status="waiting", state="awaiting", limit=500, cursor=cursor)
        for info in page.items:
            n = number(info.data.order_id)
            if n % 7 == 0:
                continue
            signal = OrderRejected(reason="too expensive") if n % 4 == 0 else OrderApproved(by="ann")
            try:
                # The same key each time: an answer that was already given is not given twice.
                receipt = await engine.signal(info.id, signal, key=f"answer-{n}", actor="ann")
            except InstanceEnded:
                continue
            answered += not receipt.duplicate
        cursor = page.cursor
        if cursor is None:
            return answered


async def approve(engine: Engine) -> None:
    while True:
        await answer(engine)
        await asyncio.sleep(0.1)


async def watch(engine: Engine, total: int, console: Console) -> None:
    columns = (
        TextColumn("[bold]orders"),
        BarColumn(40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}"),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("orders", total=total, now="")
        done = 0
        while done < total:
            counts: Counter[str] = Counter()
            for row in await engine.metrics():
                if row.definition == "OrderApproval":
                    counts[row.status] += row.count
            done = sum(counts[s] for s in ENDED)
            progress.update(bar, completed=done, now=" ".join(f"{s} {counts[s]}" for s in ("running", "waiting") if counts[s]))
            await asyncio.sleep(0.05)


async def report(engine: Engine, console: Console, steps: int, seconds: float) -> None:
    events: Counter[str] = Counter()
    table = Table(title="orders by status and state")
    for name in ("status", "state", "orders"):
        table.add_column(name, justify="right" if name == "orders" else "left")
    for row in await engine.metrics():
        table.add_row(row.status, row.state, str(row.count))
    cursor: str | None = None
    while True:
        page = await engine.list(definition="OrderApproval", limit=500, cursor=cursor)
        for info in page.items:
            events.update(e.type for h in await engine.history(info.id) for e in h.events)
        cursor = page.cursor
        if cursor is None:
            break
    console.print(table)
    retries = events["activity_retried"] + events["activity_retry_scheduled"]
    console.print(
        f"retries {retries}   compensations {events['compensation_completed']}   timeouts {events['timer_fired'] - retries}"
    )
    console.print(f"this run: {steps} steps in {seconds:.1f} s, {steps / seconds:.0f} steps/s (the services answer after 5-10 ms)")
    console.print(str(await engine.doctor()))


async def main(path: Path, console: Console) -> None:
    url = f"sqlite:///{path}"
    services = {Payments: FlakyPayments(), Stock: Warehouse()}
    orders = read_orders()
    known = path.exists()
    async with Engine(url, [OrderApproval], services, worker=False) as client:
        if known:
            # The shop was closed for a while: answers come before the clock is looked at again.
            console.print(f"continuing from {path} ({await answer(client)} answers lay on the desk)")
        else:
            console.print(f"{len(orders)} orders from {ORDERS.name}, database {path}")
    async with Engine(url, [OrderApproval], services, settings=Settings(lease=2.0, margin=0.5), concurrency=50) as engine:
        began = time.perf_counter()
        approver = asyncio.create_task(approve(engine))
        await engine.start_many(OrderApproval, orders)  # by key: those of an earlier run are not started again
        await watch(engine, len(orders), console)
        approver.cancel()
        seconds = time.perf_counter() - began
        await report(engine, console, engine.process.worker.attempts_started, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", type=Path, default=Path("demo.db"), help="SQLite file; default demo.db")
    parser.add_argument("--fresh", action="store_true", help="forget an earlier run")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    if options.fresh:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{options.database}{suffix}").unlink(missing_ok=True)
    asyncio.run(main(options.database, Console()))
