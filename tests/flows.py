"""Workflows and services that several tests use."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from stepkeel import (
    Context,
    Fail,
    Retry,
    Settings,
    Signal,
    State,
    TransientError,
    Workflow,
    activity,
)

# Leases short enough to see a takeover within a test.
FAST = Settings(lease=1.0, margin=0.3, stall_limit=0.7, grace=1.0, poll_min=0.005, poll_max=0.1)


@dataclass
class Job:
    name: str = "job"
    amount: int = 0
    log: list[str] = field(default_factory=list[str])
    note: str = ""


class World:
    """A service that counts its effects by idempotency key, and does what a test tells it."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()
        self.order: list[str] = []
        self.fail: dict[str, int] = {}
        self.errors: dict[str, Exception] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.entered: dict[str, asyncio.Event] = {}
        self.seen: list[Any] = []

    async def do(self, what: str, key: str) -> None:
        self.effects[key] += 1
        self.order.append(what)
        if what in self.entered:
            self.entered[what].set()
        if what in self.gates:
            await self.gates[what].wait()
        if self.fail.get(what, 0) > 0:
            self.fail[what] -= 1
            raise self.errors.get(what) or TransientError(f"{what} is away")

    def gate(self, what: str) -> asyncio.Event:
        """Hold `what` until the event is set; `entered[what]` tells that it is there."""
        self.gates[what] = asyncio.Event()
        self.entered[what] = asyncio.Event()
        return self.gates[what]


class Go(Signal):
    note: str = ""


class Stop(Signal):
    reason: str = ""


class Later(Signal, keep=True):
    note: str = ""


class Soon(Signal, keep=timedelta(hours=1)):
    note: str = ""


@activity
async def undo_reserve(ctx: Context[Job], world: World) -> None:
    await world.do("undo-reserve", ctx.idempotency_key)
    ctx.data.log.append("undo-reserve")


@activity(retry=Retry(attempts=3), compensate=undo_reserve)
async def reserve(ctx: Context[Job], world: World) -> None:
    ctx.data.log.append("reserve")
    await world.do("reserve", ctx.idempotency_key)


@activity
async def undo_charge(ctx: Context[Job], world: World) -> None:
    await world.do("undo-charge", ctx.idempotency_key)
    ctx.data.log.append("undo-charge")


@activity(retry=Retry(attempts=3, delay=10, jitter=0.5), compensate=undo_charge)
async def charge(ctx: Context[Job], world: World) -> None:
    ctx.data.log.append("charge")
    world.seen.append(list(ctx.data.log))
    await world.do("charge", ctx.idempotency_key)
    if ctx.data.amount < 0:
        raise Fail("CARD_DECLINED", "no money")


@activity
async def ship(ctx: Context[Job], world: World) -> None:
    ctx.data.log.append("ship")
    await world.do("ship", ctx.idempotency_key)
    if ctx.data.note == "explode":
        raise ValueError("boom")


class OrderFlow(Workflow[Job]):
    """Reserve, charge, wait for a signal, ship."""

    begin = State(reserve, charge)
    waiting = State[Job](label="Waiting")
    shipping = State(ship)
    done = State.completed()
    rejected = State.terminated(reason="rejected")

    begin.to(waiting)
    begin.on_failure("CARD_DECLINED", to=rejected)
    waiting.on(Go, to=shipping, into=lambda job, s: replace(job, note=s.note))
    waiting.on(Stop, to=rejected)
    waiting.after(timedelta(days=3), to=rejected)
    shipping.to(done)


class ChainFlow(Workflow[Job]):
    """Three activities one after the other."""

    work = State(reserve, charge, ship)
    done = State.completed()
    work.to(done)


class WaitFlow(Workflow[Job]):
    """Only waits for a signal."""

    ready = State[Job]()
    done = State.completed()
    ready.on(Go, to=done, into=lambda job, s: replace(job, note=s.note))
