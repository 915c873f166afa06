"""What the document may name. A world in memory stands in for the services; `refuses` says which of them says no."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict

from stepkeel import Context, Fail, activity


@dataclass
class World:
    refuses: str = ""
    done: list[str] = field(default_factory=list[str])

    def do(self, what: str, of: str) -> None:
        if what == self.refuses:
            raise Fail("REFUSED", f"{what} says no")
        self.done.append(f"{what} {of}")


class Charge(TypedDict):
    amount: int
    reservation: str


class Receipt(TypedDict):
    receipt: str


class Refund(TypedDict):
    receipt: str
    because: str


@activity(name="inventory.reserve")
async def reserve(ctx: Context[Any, str], world: World) -> str:
    """Put a product aside; gives the reservation."""
    world.do("inventory.reserve", ctx.input)
    return f"{ctx.input}-1"


@activity(name="inventory.release")
async def release(ctx: Context[Any, str], world: World) -> None:
    """Put it back."""
    world.do("inventory.release", ctx.input)


@activity(name="payment.charge")
async def charge(ctx: Context[Any, Charge], world: World) -> Receipt:
    """Take the money; the key makes a second try of the same charge harmless."""
    world.do("payment.charge", f"{ctx.input['amount']} for {ctx.input['reservation']}")
    return {"receipt": f"R{ctx.input['amount']}"}


@activity(name="payment.refund")
async def refund(ctx: Context[Any, Refund], world: World) -> None:
    """Give the money back."""
    world.do("payment.refund", f"{ctx.input['receipt']}: {ctx.input['because']}")


@activity(name="shipping.book_courier")
async def book_courier(ctx: Context[Any, str], world: World) -> None:
    """Only for those who pay for it."""
    world.do("shipping.book_courier", ctx.input)


@activity(name="shipping.ship")
async def ship(ctx: Context[Any, str], world: World) -> str:
    """Hand it over; gives the parcel's number."""
    world.do("shipping.ship", ctx.input)
    return f"P-{ctx.input}"


@activity(name="shipping.recall")
async def recall(ctx: Context[Any, str | None], world: World) -> None:
    """A shipment that has failed may have gone out all the same."""
    world.do("shipping.recall", str(ctx.input))


@activity(name="email.send")
async def send_email(ctx: Context[Any, str], world: World) -> None:
    """A message to the customer."""
    world.do("email.send", ctx.input)


@activity(name="sms.send")
async def send_sms(ctx: Context[Any, str], world: World) -> None:
    """The same, where no mail goes through."""
    world.do("sms.send", ctx.input)


SERVICES = {World: World()}
