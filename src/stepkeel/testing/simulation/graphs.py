"""A simulated saga: steps that need each other, given each other's outputs, skipped, failed and undone with what they gave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from stepkeel.authoring.activity import activity
from stepkeel.authoring.concurrent import for_each
from stepkeel.authoring.context import Context
from stepkeel.authoring.saga import Saga
from stepkeel.model.outcome import Fail
from stepkeel.model.policy import Retry
from stepkeel.model.reducer import Append, Sum
from stepkeel.model.run import Run
from stepkeel.testing.simulation.chance import Chance
from stepkeel.testing.simulation.run import Ended
from stepkeel.testing.simulation.simulate import Simulation

__all__ = ["GRAPHS"]

OFTEN = Retry(attempts=50, delay=0.2)


@dataclass
class Basket:
    """`held` is what is reserved and not given back: by its own undo, with the name it was given."""

    lines: int = 1
    breaks: str = ""
    gift: bool = False
    held: Annotated[int, Sum] = 0
    log: Annotated[list[str], Append] = field(default_factory=list[str])
    paid: str = ""


class Payment(NamedTuple):
    lines: int
    reservation: str


@activity(retry=OFTEN)
async def _give_back(ctx: Context[Basket, str]) -> dict[str, bool]:
    ctx.data.held -= 1
    ctx.data.log.append(f"gave back {ctx.input}")
    return {"told": True}


@activity(retry=OFTEN, compensate=_give_back)
async def _take(ctx: Context[Basket, str]) -> str:
    if ctx.input == ctx.data.breaks:
        raise Fail("NO")
    ctx.data.held += 1
    ctx.data.log.append(f"took {ctx.input}")
    return f"{ctx.input}-{ctx.data.lines}"


@activity(retry=OFTEN, compensate=_give_back, compensate_when="started")
async def _pay(ctx: Context[Basket, Payment]) -> str:
    if ctx.data.breaks == "pay":
        raise Fail("NO")
    ctx.data.held += 1
    return f"{ctx.input.reservation}*{ctx.input.lines}"


@activity(batch=2, retry=OFTEN)
async def _pack(ctx: Context[Basket, list[int]]) -> list[Fail | None]:
    return [Fail("NO") if ctx.data.breaks == "pack" and n == 2 else None for n in ctx.input]


ORDER: Saga[Basket] = Saga("order", Basket, compensation_timeout=600, max_concurrency=3)


def _same(name: str) -> Callable[[Run[Basket]], str]:
    return lambda _: name


def _lines(basket: Basket) -> range:
    return range(basket.lines)


_stock = ORDER.step("stock", _take, _same("stock"))
_room = ORDER.step("room", _take, _same("room"))
_wrap = ORDER.step("wrap", _take, _same("wrap"), when=lambda run: run.input.gift, needs=[_stock])
_card = ORDER.step("card", _take, _same("card"), needs=[_wrap])


def _payment(run: Run[Basket]) -> Payment:
    return Payment(run.input.lines, f"{run[_stock]}+{run[_room]}")


_paid = ORDER.step("pay", _pay, _payment, needs=[_stock, _room], into="paid", compensate_given=lambda run: f"pay for {run[_stock]}")
_packed = ORDER.step("pack", for_each(_lines, _pack), needs=[_paid])
ORDER.step("ship", _take, lambda run: f"ship {run[_card]}", needs=[_packed, _card])


def _basket(chance: Chance) -> Basket:
    breaks = chance.pick("breaks", ("", "", "", "stock", "room", "wrap", "pay", "pack", "ship None", "ship card-3"))
    return Basket(1 + chance.below("lines", 4), breaks, chance.draw("gift") < 0.5)


def _is_whole(basket: Ended) -> str | None:
    """A completed one has done what its data ask for, each step with the outputs it needs; a failed one has given all back."""
    data = basket.data
    if (
        "compensation_failed" in basket.events and "timer_fired" in basket.events
    ):  # an operator has fired the timer of the compensation_timeout
        return None
    if basket.status != "completed":
        back = [n.removeprefix("gave back ") for n in data.log if n.startswith("gave back")]
        took = {f"{n.removeprefix('took ')}-{data.lines}" for n in data.log if n.startswith("took")}
        if len(set(back)) < len(back) or (basket.status == "failed" and took - {*back}):
            return f"{basket.status} with {data.log}"
        if basket.status == "failed" and not data.breaks and "activity_lost" not in basket.events:
            return "failed where nothing says no"
        return None
    gift = ["took wrap", "took card"] if data.gift else []
    card = f"card-{data.lines}" if data.gift else "None"
    took = ["took stock", "took room", *gift, f"took ship {card}"]
    if data.log != took or data.held != len(took) + 1 or data.paid != f"stock-{data.lines}+room-{data.lines}*{data.lines}":
        return f"completed with {data}"
    return None


GRAPHS = Simulation((ORDER,), _basket, instances=3, check=_is_whole, name="graphs")
