"""The definitions that are simulated where none is named: each leans on another part of the engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from stepkeel.authoring.activity import activity
from stepkeel.authoring.context import Context
from stepkeel.authoring.hold import hold
from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.node import choice, delay, log, loop, wait, when
from stepkeel.authoring.signal import Signal
from stepkeel.authoring.state import State
from stepkeel.model.outcome import Break, Fail, TryAgain, Wait
from stepkeel.model.policy import Breaker, Limit, Retry
from stepkeel.testing.simulation.branches import BRANCHES, MACHINES
from stepkeel.testing.simulation.chance import Chance
from stepkeel.testing.simulation.desks import DESKS
from stepkeel.testing.simulation.families import FAMILIES
from stepkeel.testing.simulation.flows import FLOWS
from stepkeel.testing.simulation.graphs import GRAPHS
from stepkeel.testing.simulation.holds import HOLDS
from stepkeel.testing.simulation.run import Ended
from stepkeel.testing.simulation.simulate import Simulation

__all__ = ["BUILTIN", "ONE_TRIP"]

STEPS = 10
OFTEN = Retry(attempts=50, delay=0.2)


# -- a saga of ten steps


@dataclass
class Trip:
    """`breaks`: the step that says no, 0 for none. `done`: those done and not undone."""

    breaks: int = 0
    done: list[int] = field(default_factory=list[int])


def _booking(n: int) -> Any:
    @activity(name=f"undo_{n}", retry=OFTEN)
    async def undo(ctx: Context[Trip]) -> None:
        ctx.data.done = [d for d in ctx.data.done if d != n]  # it is not there if the step was stopped and had ended all the same

    @activity(name=f"book_{n}", retry=OFTEN, compensate=undo)
    async def book(ctx: Context[Trip]) -> None:
        if ctx.data.breaks == n:
            raise Fail("SOLD_OUT", f"step {n}")
        ctx.data.done.append(n)

    return book


class TripSaga(Workflow[Trip]):
    booking = State(*(_booking(n) for n in range(1, STEPS + 1)))
    booked = State.completed()
    booking.to(booked)


def _trip(chance: Chance) -> Trip:
    return Trip(chance.below("breaks", STEPS + 1) if chance.draw("breaks at all") < 0.3 else 0)


def _trip_is_whole(trip: Ended) -> str | None:
    if trip.status == "completed" and trip.data.done != list(range(1, STEPS + 1)):
        return f"completed with {trip.data.done}"
    events = set(trip.events)
    if "compensation_began" in events and not events & {"compensation_skipped", "compensation_failed"} and trip.data.done:
        return f"{trip.status}, and {trip.data.done} are left"
    return None


# -- an approval: signals against timeouts, polling, a wait within an activity, reactions with bodies


@dataclass
class Order:
    amount: int = 0
    polls: int = 0
    notes: list[str] = field(default_factory=list[str])


class Approved(Signal):
    by: str = ""


class Rejected(Signal, keep=True):
    why: str = ""


class Hurry(Signal, keep=timedelta(seconds=5)): ...


class Note(Signal):
    text: str = ""


@activity(retry=OFTEN, timeout=2.0)
async def _check(ctx: Context[Order]) -> Any:
    ctx.data.polls += 1
    if ctx.data.polls < 3:
        return TryAgain("not yet", delay=0.5)
    return Wait("cooling down", delay=1.0) if ctx.data.amount > 100 else None


@activity(retry=OFTEN)
async def _refund(ctx: Context[Order]) -> None:
    ctx.data.notes.append("refunded")


@activity(retry=OFTEN, compensate=_refund, compensate_when="started", deadline=30.0)
async def _pay(ctx: Context[Order]) -> None:
    if ctx.data.amount == 7:
        raise Fail("DECLINED")
    ctx.data.notes.append("paid")


@activity(retry=OFTEN)
async def _note(ctx: Context[Order, Note]) -> None:
    ctx.data.notes.append(ctx.input.text)


@activity(retry=OFTEN)
async def _tell(ctx: Context[Order]) -> None:
    ctx.data.notes.append("told")


class Approval(Workflow[Order], finally_=_tell, on_cancel=_tell):
    checking = State(_check)
    awaiting = State[Order](wait(condition=lambda order: len(order.notes) >= 3), label="Awaiting")
    paying = State[Order](_pay, delay(0.5), wait(Hurry, delay=3.0))
    done = State.completed()
    rejected = State.terminated(reason="rejected")
    late = State.cancelled(reason="late")
    declined = State.failed(code="declined")

    checking.to(awaiting)
    checking.after(20.0, to=late, interrupt=True)
    awaiting.to(paying)
    awaiting.on(Approved, to=paying)
    awaiting.on(Rejected, to=rejected)
    awaiting.on(Note, do=_note)
    awaiting.after(4.0, do=_tell)
    awaiting.after(timedelta(hours=8), to=late)
    paying.to(done)
    paying.on(Rejected, to=rejected, interrupt=True)
    paying.on_failure("DECLINED", to=declined)


# -- rounds: loops in loops, choices, waits and undos within them


@dataclass
class Rounds:
    """`tired`: the round that fails, 0 for none; `want`: how often to ask at least."""

    tired: int = 0
    want: int = 8
    round: int = 0
    asked: int = 0
    trace: list[str] = field(default_factory=list[str])


class Answer(Signal):
    """Kept: a burst of them is used up one by one, a round each."""

    yes: bool = True


@activity(retry=OFTEN)
async def _unask(ctx: Context[Rounds]) -> None:
    ctx.data.trace.append(f"unask {ctx.done['asked']}")


@activity(retry=OFTEN, compensate=_unask)
async def _ask(ctx: Context[Rounds]) -> Any:
    ctx.data.asked += 1
    ctx.data.trace.append(f"ask {ctx.data.asked}")
    return Break("enough") if ctx.data.asked % 4 == 0 else None


@activity(retry=OFTEN)
async def _close_round(ctx: Context[Rounds]) -> None:
    ctx.data.round += 1
    ctx.data.trace.append(f"round {ctx.data.round}")
    if ctx.data.round == ctx.data.tired:
        raise Fail("TIRED")


class Asking(Workflow[Rounds], unhandled_signals="keep"):
    rounds = State[Rounds](
        loop(
            loop(
                _ask, choice(when(lambda d: d.asked % 2 == 0, wait(Answer, delay=0.4), delay(0.1))), while_=lambda d: d.asked < 14
            ),
            choice(when(lambda d: d.round > 1, _close_round, log("{round}")), otherwise=_close_round),
            until=lambda d: d.asked >= d.want,
            max_iterations=4,
            at_max="cancel",
        ),
    )
    done = State.completed()
    rounds.to(done)


def _rounds(chance: Chance) -> Rounds:
    return Rounds(chance.below("tired", 9), chance.pick("want", (3, 8, 16)))


def _rounds_are_whole(asking: Ended) -> str | None:
    """Nothing is asked twice, nothing is left out, whatever happened in between; and what was asked is unasked backwards."""
    asked = [int(t.split()[1]) for t in asking.data.trace if t.startswith("ask")]
    if asked != list(range(1, len(asked) + 1)):
        return f"{asking.status} with {asking.data.trace}"
    undone = [int(t.split()[1]) for t in asking.data.trace if t.startswith("unask")]
    return None if undone == sorted(undone, reverse=True) else f"undone in the order {undone}"


# -- a telephone: signals alone, and a second version of it beside the first


@dataclass
class Call:
    heard: int = 0


class Dialed(Signal): ...


class HungUp(Signal): ...


class Thrown(Signal): ...


def _heard(call: Call, _: Any) -> Call:
    return replace(call, heard=call.heard + 1)


class Telephone(Workflow[Call]):
    idle = State[Call]()
    talking = State[Call]()
    broken = State.terminated(reason="thrown")

    idle.on(Dialed, to=talking, into=_heard)
    talking.on(HungUp, to=idle, into=_heard)
    talking.on(Thrown, to=broken)


class NewTelephone(Workflow[Call], name="Telephone", version=2, unhandled_signals="keep"):
    idle = State[Call]()
    talking = State[Call]()
    broken = State.terminated(reason="thrown")

    idle.on(Dialed, to=talking, into=_heard)
    talking.on(HungUp, to=idle, into=_heard)
    talking.after(30.0, to=idle)
    talking.on(Thrown, to=broken)


# -- limits: for a key, for an activity at once and by rate; and circuit breakers


@dataclass
class Parcel:
    customer: str = "a"
    stops: int = 0


@activity(retry=OFTEN, limits=Limit(1, name="ramp"), breaker=Breaker(2, 5, open=1.5, service="yard"))
async def _load(ctx: Context[Parcel]) -> None:
    ctx.data.stops += 1


@activity(retry=OFTEN, limits=[Limit(2, per=0.5, name="gate"), Limit(2, name="road")], breaker=Breaker(2, 4, open=1.0))
async def _drive(ctx: Context[Parcel]) -> None:
    ctx.data.stops += 1


class Delivery(Workflow[Parcel], limits=Limit(1, key=lambda parcel: parcel.customer, name="customer")):
    loading = State(_load, _drive)
    driving = State(hold(Limit(3, name="fuel"), _drive, amount=2))
    there = State.completed()
    loading.to(driving)
    driving.to(there)


def _parcel(chance: Chance) -> Parcel:
    return Parcel(chance.pick("customer", ("a", "b")))


def _stopped_three_times(parcel: Ended) -> bool:
    return parcel.status != "completed" or parcel.data.stops == 3


# What is measured: `stepkeel simulate stepkeel.testing.simulation.builtin:ONE_TRIP --seeds 1000`
ONE_TRIP = Simulation((TripSaga,), _trip, check=_trip_is_whole, instances=1, name="one saga of ten steps")

BUILTIN: tuple[Simulation, ...] = (
    Simulation((TripSaga,), _trip, check=_trip_is_whole, name="saga"),
    Simulation((Approval,), signals_at_most=16, workers=2, node_verbs=True, name="approval"),
    Simulation((Asking,), _rounds, instances=2, signals_at_most=12, check=_rounds_are_whole, name="rounds"),
    Simulation((Telephone, NewTelephone), instances=4, signals_at_most=16, workers=2, node_verbs=True, name="telephone"),
    Simulation((Telephone,), signals=(Dialed(), HungUp()), instances=1, signals_at_most=300, workers=2, name="flood"),
    BRANCHES,
    FAMILIES,
    FLOWS,
    GRAPHS,
    HOLDS,
    DESKS,
    MACHINES,
    Simulation((Delivery,), _parcel, check=_stopped_three_times, instances=6, name="limits"),
)
