"""What the console is tried on: orders that a person approves, payments that fail until they are mended, and something small."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from stepkeel import (
    Context,
    Engine,
    Limit,
    PermanentError,
    Signal,
    State,
    Tier,
    Workflow,
    activity,
    approval,
    child,
    for_each,
    task,
)
from stepkeel.access import Access, Issuer, SignIn

URL = os.environ.get("CONSOLE_URL", "memory://")
ISSUER = os.environ.get("CONSOLE_ISSUER", "https://id.example")
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


class Paying(Workflow[Order], limits=[Limit(50, name="bank")]):
    paying = State(take, charge)
    done = State.completed()
    paying.to(done)


@dataclass
class Address:
    street: str
    number: int = 1
    gate: bool = False


class Leaf(Workflow[Order]):
    waiting = State[Order]()
    done = State.completed()
    waiting.on(Paid, to=done)


class Branch(Workflow[Order]):
    working = State[Order](child(Leaf, data=lambda o: o))
    done = State.completed()
    working.to(done)


class Trunk(Workflow[Order]):
    """Where it is sent is asked for, and then it has a child and a grandchild."""

    asking = State[Order](
        task("Where does {name} live?", Address, role="approver", into=lambda o, a: o.log.append(f"{a.street} {a.number}"))
    )
    working = State[Order](child(Branch, data=lambda o: o))
    done = State.completed()
    asking.to(working)
    working.to(done)


class Waiting(Workflow[Order]):
    waiting = State[Order](label="Waiting for money")
    done = State.completed()
    waiting.on(Paid, to=done)
    waiting.after(timedelta(days=3), to=done)


class Till(Workflow[Order], limits=[Limit(1)]):
    busy = State[Order]()
    done = State.completed()
    busy.on(Paid, to=done)


class Packing(Workflow[Order]):
    """Parcels that come one after the other, until somebody says that these are all."""

    packing = State[Order](for_each(lambda o: ["a"], approval("Pack it?", role="approver"), stay_open_until="completed"))
    done = State.completed()
    packing.to(done)


class Late(Workflow[Order]):
    asked = State[Order](approval("Is {name} late?", role="approver", due=timedelta(seconds=0.05)))
    done = State.completed()
    asked.to(done)


@activity
async def ring(ctx: Context[Order]) -> None:
    ctx.data.log.append("rung")


@activity
async def tidy(ctx: Context[Order]) -> None:
    ctx.data.log.append("tidied")


class Ringing(Workflow[Order], finally_=[tidy]):
    listening = State[Order]()
    done = State.completed()
    listening.on(Paid, do=ring, to=done)


def engine() -> Engine:
    return Engine(
        URL, [Ordering, Paying, Trunk, Branch, Leaf, Waiting, Till, Packing, Ringing, Late], tenants={"globex": Tier(instances=5)}
    )


sign_in = SignIn("console", title="the house")
access = Access(issuers=[Issuer(ISSUER, "stepkeel", sign_in=sign_in)])
