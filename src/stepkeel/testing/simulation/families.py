"""A simulated definition of instances that begin others: waited for, raced, bound to states, left to finish, forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

from stepkeel.authoring.activity import activity
from stepkeel.authoring.concurrent import Join, for_each, parallel
from stepkeel.authoring.context import Context
from stepkeel.authoring.family import child
from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.node import choice, delay, loop, wait, when
from stepkeel.authoring.signal import Signal
from stepkeel.authoring.state import State
from stepkeel.model.child import ChildResult
from stepkeel.model.outcome import Fail
from stepkeel.model.policy import Retry
from stepkeel.model.reducer import Append
from stepkeel.testing.simulation.chance import Chance
from stepkeel.testing.simulation.run import Ended
from stepkeel.testing.simulation.simulate import Simulation

__all__ = ["FAMILIES"]

OFTEN = Retry(attempts=50, delay=0.2)


@dataclass
class House:
    """`fails`: the generation that says no, -1 for none; `depth`: which one this is."""

    fails: int = -1
    depth: int = 0
    notes: Annotated[list[str], Append] = field(default_factory=list[str])


class Moved(Signal):
    by: str = ""


@activity(retry=OFTEN)
async def _unbuild(ctx: Context[House]) -> None:
    ctx.data.notes.append("unbuilt")


@activity(retry=OFTEN, compensate=_unbuild)
async def _build(ctx: Context[House]) -> None:
    if ctx.data.fails == ctx.data.depth:
        raise Fail("NO_GROUND", f"generation {ctx.data.depth}")
    ctx.data.notes.append(f"built {ctx.data.depth}")


@activity(retry=OFTEN)
async def _tell(ctx: Context[House]) -> None:
    ctx.data.notes.append("told")


def _next(house: House) -> House:
    return House(house.fails, house.depth + 1)


def _came(house: House, inner: House) -> House:
    return replace(house, notes=[*house.notes, *inner.notes])


def _ended(house: House, end: ChildResult[House]) -> House:
    return replace(house, notes=[*house.notes, end.status])


class Cottage(Workflow[House], on_cancel=_tell):
    building = State(_build)
    standing = State[House](wait(Moved, delay=1.5))
    left = State.completed(_tell)
    torn = State.cancelled(reason="torn down")

    building.to(standing)
    standing.to(left, when=lambda house: house.fails != 7)
    standing.to(torn)


class Hermitage(Workflow[House], on_cancel=_tell):
    """It would stay for ever."""

    quiet = State[House](_build, wait(Moved))
    left = State.completed()

    quiet.to(left)


class Street(Workflow[House]):
    """A child with children of its own, one of them of its own kind."""

    paving = State[House](
        _build,
        choice(when(lambda house: house.depth < 2, child(lambda: Street, _next, into=_came))),
        parallel(
            waited=child(Cottage, _next, into=_came),
            noted=child(Cottage, _next, failures="record", into=_ended),
            standing=[child(Cottage, _next, state=Cottage.standing), _tell],
            raced=delay(1.0),
            join=Join(3, failures="collect"),
        ),
    )
    done = State.completed()
    paving.to(done)


class Town(Workflow[House]):
    founding = State[House](
        _build,
        child(Cottage, _next, wait=False, name="beside"),
        child(Street, _next, into=_came),
        child(Cottage, _next, detached=True, name="forgotten"),
    )
    growing = State[House](
        for_each(lambda house: range(3), child(Cottage, _next, wait=False), name="many"),
        parallel(hermit=child(Hermitage, _next), passing=delay(0.4), join="any"),
        loop(child(Cottage, _next, outcome="completed", into=_came), max_iterations=2, at_max="go_on"),
        wait(Moved, delay=3.0),
    )
    settled = State[House](delay(0.5), _tell)
    abandoned = State.terminated(reason="too long")
    there = State.completed(_tell)

    founding.to(growing)
    founding.after(20.0, to=abandoned, interrupt=True)
    founding.on_failure("child_cancelled", to=settled)
    growing.to(settled)
    growing.on(Moved, do=_tell)
    settled.to(there)


def _house(chance: Chance) -> House:
    return House(chance.below("fails", 8) if chance.draw("fails at all") < 0.4 else -1)


def _built_once(house: Ended) -> str | None:
    """What a completed one says was built was built once, and a child's part came with it."""
    built = [n for n in house.data.notes if n == f"built {house.data.depth}"]
    if house.status == "completed" and len(built) != 1:
        return f"completed with {house.data.notes}"
    return None


FAMILIES = Simulation((Town,), _house, instances=1, check=_built_once, name="families")
