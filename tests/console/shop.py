"""What the console is tried on: orders that a person approves, payments that fail until they are mended, and something small."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from stepkeel import Context, Engine, PermanentError, Signal, State, Workflow, activity, approval

URL = os.environ.get("CONSOLE_URL", "memory://")
MENDED = Path(os.environ.get("CONSOLE_MENDED", "/nonexistent"))  # while it is there, the bank answers


@dataclass
class Order:
    name: str
    amount: int = 10
    urgent: bool = False
    log: list[str] = field(default_factory=list[str])


class Paid(Signal):
    by: str
    note: str = ""


@activity
async def give_back(ctx: Context[Order]) -> None:
    ctx.data.log.append("given back")


@activity(compensate=give_back)
async def take(ctx: Context[Order]) -> None:
    ctx.data.log.append("taken")


@activity
async def charge(ctx: Context[Order]) -> None:
    if not MENDED.exists():
        raise PermanentError("the bank does not know that account")
    ctx.data.log.append("charged")


@activity
async def ship(ctx: Context[Order]) -> None:
    ctx.data.log.append("shipped")


class Ordering(Workflow[Order]):
    checking = State[Order](approval("Ship {name}?", role="approver", due=timedelta(hours=24)), label="Waiting for approval")
    shipping = State(take, ship)
    done = State.completed()
    refused = State.failed(code="REFUSED")
    checking.to(shipping)
    checking.on_failure("rejected", to=refused)
    shipping.to(done)


class Paying(Workflow[Order]):
    paying = State(take, charge)
    done = State.completed()
    paying.to(done)


class Waiting(Workflow[Order]):
    waiting = State[Order](label="Waiting for money")
    done = State.completed()
    waiting.on(Paid, to=done)
    waiting.after(timedelta(days=3), to=done)


def engine() -> Engine:
    return Engine(URL, [Ordering, Paying, Waiting])
