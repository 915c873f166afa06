"""Order approval under a virtual clock, and the demo killed half-way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import apsw

from examples.order_approval.services import FlakyPayments, Warehouse
from examples.order_approval.workflow import (
    Order,
    OrderApproval,
    OrderApproved,
    OrderRejected,
    Payments,
    ReservePayment,
    Stock,
    check_order,
)
from stepkeel.testing import Harness, context, route


def services() -> dict[type, object]:
    return {Payments: FlakyPayments(0), Stock: Warehouse(0)}


async def test_activities_are_callables() -> None:
    order = Order("ORD-0001", "C-1", Decimal(250))
    await check_order(context(order))
    await ReservePayment(FlakyPayments(0))(context(order))
    assert order.requires_approval
    assert order.reservation_id == "res-ORD-0001"


def test_the_way_an_order_takes() -> None:
    order = Order("ORD-0001", "C-1", Decimal(250), requires_approval=True)
    assert route(OrderApproval.created, order).state is OrderApproval.awaiting
    assert route(OrderApproval.awaiting, order, OrderApproved("ann")).data.approved_by == "ann"


async def test_small_orders_go_straight_through(harness: Harness) -> None:
    harness.services.update(services())
    order = await harness.start(OrderApproval, Order("ORD-0001", "C-1", Decimal(20)))
    order.assert_status("completed").assert_state(OrderApproval.confirmed)


async def test_large_orders_wait_for_an_answer(harness: Harness) -> None:
    harness.services.update(services())
    yes = await harness.start(OrderApproval, Order("ORD-0001", "C-1", Decimal(200)))
    no = await harness.start(OrderApproval, Order("ORD-0002", "C-1", Decimal(200)))
    never = await harness.start(OrderApproval, Order("ORD-0003", "C-1", Decimal(200)))
    await harness.signal(yes, OrderApproved(by="ann"))
    await harness.signal(no, OrderRejected(reason="too much"))
    await harness.advance(3 * 86_400 + 1)
    assert yes.assert_status("completed").value.approved_by == "ann"
    assert no.assert_state(OrderApproval.rejected).value.rejection_reason == "too much"
    never.assert_status("terminated").assert_state(OrderApproval.expired).assert_history("timer_fired")


async def test_a_declined_card_gives_the_stock_back(harness: Harness) -> None:
    harness.services.update(services())
    order = await harness.start(OrderApproval, Order("ORD-0011", "C-1", Decimal(20)))
    order.assert_status("terminated").assert_state(OrderApproval.declined).assert_history("compensation_completed")
    assert not order.value.stock_held


async def test_an_away_payment_service_is_tried_again(harness: Harness) -> None:
    harness.services.update(services())
    order = await harness.start(OrderApproval, Order("ORD-0025", "C-1", Decimal(20)))
    await harness.advance(5)
    order.assert_status("completed")
    assert order.events.count("activity_retry_scheduled") == 2


def _demo(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "examples.order_approval.demo", "--database", str(path)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "COLUMNS": "100"}
    )


def _ended(path: Path) -> int:
    """Orders that have ended so far, read from the file while the demo writes it."""
    if not path.exists():
        return 0
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        return next(db.execute("select count(*) from instances where completed_at is not null"))[0]
    except apsw.Error:
        return 0


def _totals(output: str) -> list[str]:
    keep = re.compile(r"│ (completed|failed|cancelled|terminated)|^retries|^doctor")
    return [line.strip() for line in output.splitlines() if keep.search(line.strip())]


def test_the_demo_killed_half_way_continues_and_ends_with_the_same_totals(tmp_path: Path) -> None:
    whole, _ = _demo(tmp_path / "whole.db").communicate(timeout=60)
    killed = tmp_path / "killed.db"
    for ended in (100, 350):
        run = _demo(killed)
        deadline = time.monotonic() + 30
        while _ended(killed) < ended and time.monotonic() < deadline:
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.communicate()
    assert _ended(killed) < 500
    again, _ = _demo(killed).communicate(timeout=60)
    assert "continuing from" in again
    assert _totals(again) == _totals(whole)
    assert any(line.startswith("doctor: 500 instances, 0 violations") for line in _totals(again)), again
