"""A simulated definition of branches that run at the same time: nested, raced, undone, left to finish, broken out of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Annotated

from stepkeel.authoring.activity import activity
from stepkeel.authoring.concurrent import Join, for_each, parallel, spawn
from stepkeel.authoring.context import Context
from stepkeel.authoring.during import at, branches_open, during, visits
from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.nested import add_items, machine, pick, scope, stop
from stepkeel.authoring.node import delay, emit, loop, tagged, wait, when
from stepkeel.authoring.pipeline import Pipeline
from stepkeel.authoring.signal import Signal
from stepkeel.authoring.state import Anywhere, State
from stepkeel.authoring.step import Confident
from stepkeel.model.join import Paths
from stepkeel.model.outcome import Break, Fail
from stepkeel.model.policy import Retry
from stepkeel.model.reducer import Append, Sum
from stepkeel.testing.simulation.chance import Chance
from stepkeel.testing.simulation.run import Ended
from stepkeel.testing.simulation.simulate import Simulation

__all__ = ["BRANCHES", "MACHINES"]

OFTEN = Retry(attempts=50, delay=0.2)


@dataclass
class Parcels:
    """`breaks`: the line that says no, -1 for none."""

    lines: int = 0
    breaks: int = -1
    notes: Annotated[list[str], Append] = field(default_factory=list[str])
    total: Annotated[int, Sum] = 0
    carrier: str = ""
    picked: list[int] = field(default_factory=list[int])


class Packed(Signal):
    by: str = ""


@activity(retry=OFTEN)
async def _release(ctx: Context[Parcels]) -> None:
    ctx.data.total -= 1


@activity(retry=OFTEN, compensate=_release)
async def _reserve(ctx: Context[Parcels]) -> None:
    ctx.data.total += 1
    ctx.data.notes.append("reserved")


@activity(retry=OFTEN)
async def _pack(ctx: Context[Parcels, int]) -> int:
    if ctx.input == ctx.data.breaks:
        raise Fail("SOLD_OUT")
    ctx.data.notes.append(f"line {ctx.input}")
    ctx.data.total += 10
    return ctx.input


@activity(retry=OFTEN, compensate=_release, compensate_when="started")
async def _ask(ctx: Context[Parcels]) -> None:
    ctx.data.carrier = "any"


@activity(retry=OFTEN)
async def _quote(ctx: Context[Parcels]) -> Break | None:
    return Break() if ctx.idempotency_key.endswith("loop@3/parallel:slow/_quote") else None


@activity(retry=OFTEN)
async def _tell(ctx: Context[Parcels]) -> None:
    ctx.data.notes.append("told")


class Weighed(Signal): ...


class Claimed(Signal): ...


class Customs(Workflow[Parcels]):
    declared = State(_ask)
    waiting = State[Parcels]()
    cleared = State.completed(_tell)
    seized = State.failed(code="SEIZED")

    declared.to(waiting)
    waiting.on(Weighed, to=cleared)
    waiting.on(Packed, do=_tell)
    waiting.after(1.5, to=declared, when=lambda p: p.total % 3 == 0)
    waiting.after(4.0, to=cleared)
    waiting.on(Claimed, to=seized)


class Crossing(Workflow[Parcels]):
    """Machines within branches, loops and machines; whatever comes first ends them."""

    moving = State[Parcels](
        parallel(
            customs=loop(machine(Customs), max_iterations=2, at_max="go_on"),
            insured=scope(_reserve, wait(Packed), on={Claimed: _tell}, after={timedelta(seconds=3): []}, on_failure={"BOOM": []}),
            asked=pick({Weighed: [_tell, _reserve], Packed: [], timedelta(seconds=2): _tell}),
            milestone=during(at("insured/scope") & (visits("moving") < 2), wait(Weighed), _tell),
            nested=scope(parallel(a=machine(Customs, name="again"), b=delay(2.0), join="any"), after={timedelta(seconds=5): _tell}),
            join=Join(3, rest="undo"),
        ),
    )
    storing = State[Parcels](
        emit(lambda p: p.lines, to="stored", name="arrived"),
        spawn(_reserve, delay(4.0), _tell, late="merge"),
        for_each(lambda p: range(p.lines), _tell, delay(0.5), max_concurrency=1, detached=True, name="beside"),
        parallel(
            shelf=[_ask, tagged("slow", wait(Packed))],
            clock=[delay(3.0), stop("slow", then="skip"), stop("lines", how="complete")],
            more=[_reserve, add_items("lines", lambda p: [p.total]), during(branches_open("lines") < 3, _tell)],
            lines=for_each(lambda p: range(p.lines % 2), delay(0.3), _reserve, stay_open_until="completed", name="lines"),
            name="store",
        ),
        emit(lambda p: p.total, to="stored"),
        _tell,
        emit(to="parcels"),
    )
    lost = State.terminated(reason="seized")
    there = State.completed(_tell)
    anywhere = Anywhere[Parcels]()

    moving.to(storing)
    moving.on_failure("SEIZED", do=_tell)
    storing.to(there)
    storing.on(Weighed, go_on=True, do=_tell)
    storing.on(Claimed, to=moving, undo="state", when=lambda p, _: p.lines > 3, interrupt=True)
    storing.on(Claimed, end="completed", undo="all", do=_reserve, otherwise=True)
    storing.after(2.0, complete="store", interrupt=True)
    storing.on_failure("BOOM", cancel="delay")
    anywhere.after(25.0, to=lost, interrupt=True, name="too_late")
    anywhere.on(Packed, do=_tell)


class Fulfilment(Workflow[Parcels]):
    packing = State[Parcels](
        parallel(
            stock=[_reserve, wait(Packed, delay=2.0), _tell],
            lines=for_each(lambda p: range(p.lines), delay(0.3), _pack, max_concurrency=2, into="picked"),
            carrier=parallel(one=[_reserve, _ask], two=_ask, three=wait(Packed), join=Join("any", rest="undo"), name="carriers"),
            careful=when(lambda p: p.lines > 2, parallel(a=delay(0.5), b=_tell, data="own", max_concurrency=1)),
        ),
        loop(parallel(fast=[delay(0.1), _quote], slow=_quote), max_iterations=5, at_max="go_on"),
        parallel(done=delay(0.2), later=[delay(1.0), _tell], join=Join("any", rest="finish")),
    )
    refused = State.failed(code="SOLD_OUT")
    done = State.completed(_tell)

    packing.to(done)
    packing.on_failure("SOLD_OUT", do=_tell, to=refused)
    packing.after(60.0, to=refused, interrupt=True)


async def _weigh(parcels: Parcels) -> Confident[Parcels]:
    return Confident(replace(parcels, total=parcels.total + 10), parcels.lines / 4)


async def _weigh_again(parcels: Parcels) -> Parcels:
    return replace(parcels, total=parcels.total + 1)


async def _count(parcels: Parcels) -> Parcels:
    return replace(parcels, picked=[*parcels.picked, len(parcels.picked)])


async def _uncount(parcels: Parcels) -> Parcels:
    return replace(parcels, picked=[])


async def _label(parcels: Parcels) -> Parcels | Fail:
    return Fail("NO_LABEL") if parcels.breaks == 1 else replace(parcels, carrier=f"{parcels.total}")


def _together(parcels: Parcels, paths: Paths[Parcels]) -> Parcels:
    return replace(parcels, notes=[f"{name} {end.total} {len(end.picked)}" for name, end in paths.items()])


PACKAGING = (
    Pipeline("packaging", Parcels)
    .start_with(_weigh, retry=OFTEN, min_confidence=0.5, on_low_confidence=[_weigh_again])
    .fork(counted=[_count, _count], weighed=_weigh_again, both=[_weigh_again, _count])
    .join(_together)
    .branch(lambda p: p.lines > 2, {True: _count, False: [_count, _count]}, name="many")
    .repeat_until(lambda p: len(p.picked) >= 4, _count, max_iterations=5)
    .then(_label, retry=OFTEN, compensate=_uncount, validate=lambda p: p.breaks != 0)
    .on_failure(_uncount)
)


def _packaged(parcels: Ended) -> str | None:
    """All that a completed one should have come to, whatever came in between."""
    if parcels.status != "completed":
        return None
    data = parcels.data
    total = 11 if data.lines < 2 else 10
    wanted = [f"counted {total} 2", f"weighed {total + 1} 0", f"both {total + 1} 1"]
    if (data.total, data.notes, data.picked, data.carrier) != (total, wanted, [0, 1, 2, 3], str(total)):
        return f"completed with {data}"
    return None


def _parcels(chance: Chance) -> Parcels:
    lines = chance.below("lines", 5)
    return Parcels(lines, chance.below("breaks", 5) if chance.draw("breaks at all") < 0.2 else -1)


def _packed_in_order(parcels: Ended) -> str | None:
    """Each line once, in the order of the lines, whatever the order they were packed in."""
    if parcels.definition == "packaging":
        return _packaged(parcels)
    data = parcels.data
    packed = [n for n in data.notes if n.startswith("line")]
    if packed != sorted(set(packed)):
        return f"packed {packed}"
    if parcels.status == "failed" and parcels.state == "packing" and "activity_lost" not in parcels.events:
        return "failed where only a line that is sold out may"
    if parcels.status != "completed":
        return None
    if packed != [f"line {k}" for k in range(data.lines)] or data.picked != list(range(data.lines)):
        return f"completed with {packed} of {data.lines}"
    told = data.notes.index("told")
    if data.notes[0] != "reserved" or data.notes.index(packed[0]) < told if packed else data.notes[:2] != ["reserved", "told"]:
        return f"not in the order of the branches: {data.notes}"
    return None


MACHINES = Simulation((Crossing,), _parcels, instances=2, signals_at_most=10, node_verbs=True, name="machines")
BRANCHES = Simulation((Fulfilment, PACKAGING), _parcels, instances=2, check=_packed_in_order, name="branches")
