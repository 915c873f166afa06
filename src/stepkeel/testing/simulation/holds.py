"""Simulated critical sections: slots of the fleet, a key, an instance; several together; what waits and fails in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from stepkeel.authoring.activity import activity
from stepkeel.authoring.concurrent import parallel
from stepkeel.authoring.context import Context
from stepkeel.authoring.hold import hold
from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.node import delay, wait
from stepkeel.authoring.signal import Signal
from stepkeel.authoring.state import State
from stepkeel.model.outcome import Fail
from stepkeel.model.policy import Limit, Retry
from stepkeel.model.reducer import Sum
from stepkeel.testing.simulation.chance import RATES, Chance
from stepkeel.testing.simulation.run import Ended
from stepkeel.testing.simulation.simulate import Simulation

__all__ = ["HOLDS"]

OFTEN = Retry(attempts=50, delay=0.2)


class Floor:
    """Who stands in which room, as those who enter and leave tell it."""

    def __init__(self) -> None:
        self.inside: dict[str, dict[str, int]] = {}
        self.crowded: list[str] = []

    def enter(self, room: str, who: str, many: int, size: int) -> None:
        inside = self.inside.setdefault(room, {})
        inside[who] = many
        if sum(inside.values()) > size:
            self.crowded.append(f"{room}: {inside}")

    def leave(self, room: str, who: str) -> None:
        self.inside.setdefault(room, {}).pop(who, None)


@dataclass
class Load:
    bay: str = "a"
    weight: int = 1
    breaks: str = ""
    moved: Annotated[int, Sum] = 0
    crowd: list[str] = field(default_factory=list[str])


class Ready(Signal): ...


def _told(ctx: Context[Load], floor: Floor, room: str, many: int, size: int) -> None:
    """Between entering and leaving nothing else happens: who is inside now is inside with nobody beyond the size."""
    who = ctx.node if room == "bench" else ctx.instance_id
    where = f"{room} of {ctx.instance_id}" if room == "bench" else room
    floor.enter(where, who, many, size)
    ctx.data.moved += 1
    if floor.crowded:
        ctx.data.crowd = [*floor.crowded]
    if ctx.data.breaks == room:
        floor.leave(where, who)
        raise Fail("BROKEN", f"in {room}")


@activity(retry=OFTEN)
async def _dock(ctx: Context[Load], floor: Floor) -> None:
    _told(ctx, floor, "dock", 1, 1)


@activity(retry=OFTEN)
async def _undock(ctx: Context[Load], floor: Floor) -> None:
    floor.leave("dock", ctx.instance_id)


@activity(retry=OFTEN)
async def _store(ctx: Context[Load], floor: Floor) -> None:
    _told(ctx, floor, "hall", ctx.data.weight, 3)


@activity(retry=OFTEN)
async def _clear(ctx: Context[Load], floor: Floor) -> None:
    floor.leave("hall", ctx.instance_id)


@activity(retry=OFTEN)
async def _work(ctx: Context[Load], floor: Floor) -> None:
    _told(ctx, floor, "bench", 1, 1)


@activity(retry=OFTEN)
async def _tidy(ctx: Context[Load], floor: Floor) -> None:
    floor.leave(f"bench of {ctx.instance_id}", ctx.node.replace("tidy", "work"))


def _bay(load: Load) -> str:
    return load.bay


def _weight(load: Load) -> int:
    return load.weight


_BENCH = Limit(1, name="bench")


class Storing(Workflow[Load]):
    arriving = State[Load](
        hold(Limit(1, name="dock"), _dock, _undock), hold(Limit(1, key=_bay, name="bay"), wait(Ready, delay=2.0))
    )
    storing = State[Load](
        hold([Limit(3, name="hall"), Limit(2, name="carts")], _store, delay(0.5), _clear, amount={"hall": _weight})
    )
    packing = State[Load](
        parallel(
            one=hold(_BENCH, _work, _tidy, scope="instance"),
            two=hold(_BENCH, _work, _tidy, scope="instance"),
            three=hold(_BENCH, delay(0.2), scope="definition", timeout=60),
        )
    )
    stored = State.completed()
    arriving.to(storing)
    storing.to(packing)
    packing.to(stored)


def _load(chance: Chance) -> Load:
    breaks = chance.pick("breaks", ("", "", "", "", "dock", "hall", "bench"))
    return Load(chance.pick("bay", ("a", "b")), 1 + chance.below("weight", 3), breaks)


def _floors() -> Mapping[Any, Any]:
    return {Floor: Floor()}


def _is_orderly(load: Ended) -> str | None:
    if load.data.crowd:
        return f"two at once: {load.data.crowd}"
    if load.status == "completed" and load.data.moved != 4:
        return f"completed with {load.data}"
    return None


# Without operators: who is stopped between entering and leaving does not tell the floor. Without processes that stand still for
# longer than their lease: their attempt may finish the line it was in, which no lease can prevent. `limits` has both.
HOLDS = Simulation(
    (Storing,), _load, services=_floors, check=_is_orderly, instances=5, signals_at_most=6, name="holds",
    faults=tuple(kind for kind in RATES if kind not in ("operator", "pause")),
)  # fmt: skip
