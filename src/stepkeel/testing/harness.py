"""Whole workflows under a virtual clock: the real engine and worker on a store in memory, days pass at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.state import State
from stepkeel.authoring.view import Authored
from stepkeel.engine.doctor import Report
from stepkeel.engine.instance import Instance
from stepkeel.engine.result import Info, snapshot_of
from stepkeel.facade import Engine
from stepkeel.kernel.replay import read_events
from stepkeel.model.definition import Definition
from stepkeel.model.instant import to_span
from stepkeel.runtime.behaviour import Behaviour
from stepkeel.runtime.settings import Settings
from stepkeel.store.memory import MemoryStore
from stepkeel.store.outbox import ANY
from stepkeel.testing.clock import VirtualClock
from stepkeel.testing.immediate import at_once

__all__ = ["Harness", "HarnessInstance"]

D = TypeVar("D")
SLACK = 1_000


class HarnessInstance(Instance[D]):
    """An instance with assertions; each returns the instance, so they can be chained. They need no await."""

    harness: Harness

    @property
    def info(self) -> Info:
        return at_once(self.get())

    @property
    def value(self) -> D:
        """Its data as it is now."""
        return self.info.data

    @property
    def events(self) -> list[str]:
        """The types of all history events so far."""
        rows = at_once(self.harness.store.history(self.id))
        return [e.type for row in rows for e in read_events(row.events)]

    def assert_status(self, status: str) -> HarnessInstance[D]:
        assert self.info.status == status, f"{at_once(self.explain())}"
        return self

    def assert_state(self, state: State[Any] | str) -> HarnessInstance[D]:
        assert self.info.state == str(state), f"it is in {self.info.state}, not in {state}\n{at_once(self.explain())}"
        return self

    def assert_history(self, *events: str) -> HarnessInstance[D]:
        """These events happened, in this order (others may stand between)."""
        left = iter(self.events)
        for event in events:
            assert event in left, f"no {event} in that order; history: {', '.join(self.events)}"
        return self

    def assert_no_event(self, event: str) -> HarnessInstance[D]:
        assert event not in self.events, f"there is a {event}; history: {', '.join(self.events)}"
        return self


class Harness:
    """`harness.services[Payments] = ...` before the first start that needs it; `behaviours` likewise.

    Every call returns when nothing can move any more but time: retries with a delay, timers and waits are left to
    `advance`, which stops at each moment at which something is due.
    """

    def __init__(self, *, services: Mapping[Any, Any] | None = None, behaviours: Sequence[Behaviour] = (), **engine: Any) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore(clock=self.clock)
        self.services: dict[Any, Any] = dict(services or {})
        self._behaviours = behaviours
        self._options = engine
        self._engine: Engine | None = None
        self._next_slot: int | None = None  # when a slot of a rate is free

    async def engine(self) -> Engine:
        """The engine behind it, opened at first use."""
        if self._engine is None:
            settings = Settings(heartbeat=False, grace=1.0)
            self._engine = await Engine(
                "memory://", services=self.services, behaviours=self._behaviours, settings=settings, clock=self.clock,
                store=self.store, **self._options,
            ).open()  # fmt: skip
        return self._engine

    async def start(
        self, workflow: type[Workflow[D]] | Authored[D] | Definition, data: D | Mapping[str, Any], **options: Any
    ) -> HarnessInstance[D]:
        """Start an instance and let it run until it rests."""
        engine = await self.engine()
        await engine.register(workflow)
        instance = await engine.start(workflow, data, **options)
        await self.settle()
        return self.instance(instance.id, workflow, created=instance.created)

    def instance(
        self, instance_id: str, workflow: type[Workflow[D]] | Authored[D] | Definition, *, created: bool = False
    ) -> HarnessInstance[D]:
        assert self._engine is not None
        definition = workflow if isinstance(workflow, Definition) else workflow.definition
        handle: HarnessInstance[D] = HarnessInstance(self._engine.core, instance_id, definition, created=created)
        handle.harness = self
        return handle

    async def signal(self, instance: Instance[Any], what: Any, payload: Any = None, **options: Any) -> Any:
        """Send a signal and let the instance run until it rests. The receipt, as it is then."""
        receipt = await instance.signal(what, payload, **options)
        await self.settle()
        rows = await instance.signals()
        return next(r for r in rows if r.seq == receipt.seq)

    async def advance(self, span: timedelta | float) -> None:
        """Let time pass, stopping at each moment at which something is due."""
        target = self.clock.now() + to_span(span)
        engine = await self.engine()
        await self.settle()
        while True:
            due = await self._next_due()
            # Two decisions of one moment are a microsecond apart, so what a test calls due may lie a little behind.
            if due is None or due > target + SLACK:
                break
            self.clock.move_to(due)
            if self._next_slot is not None and self._next_slot <= due:
                self._next_slot = None
                engine.process.worker.granting.set()
            await self.settle()
        self.clock.move_to(target)
        await self.settle()

    @property
    def now(self) -> datetime:
        return self.clock.time

    async def _next_due(self) -> int | None:
        engine = await self.engine()
        worker = engine.process.worker
        timers = [at for r in worker.residents.values() if (at := r.timer()) is not None]
        rows = [r.wake_at for r in self.store.rows() if r.wake_at is not None]
        slots = [] if self._next_slot is None else [self._next_slot]
        sinks = engine.process.deliverer.sinks
        left = await self.store.outbox(10_000) if sinks else ()
        # One that is due already waits for an earlier one of its instance.
        messages = [m.due_at for m in left if (ANY in sinks or m.topic in sinks) and m.due_at > self.clock.now()]
        return min((*timers, *rows, *slots, *messages), default=None)

    async def settle(self, timeout: float = 30.0) -> None:
        """Until nothing can move any more but time. Raises TimeoutError if activities do not end in real seconds."""
        engine = await self.engine()
        process = engine.process
        async with asyncio.timeout(timeout):
            while True:
                busy, before = await process.worker.look(), self.store.version()
                await process.committer.drain()
                busy = busy or self.store.version() != before  # what was committed may have something for others
                busy = bool(process.deliverer.sinks and await process.deliverer.sweep()) or busy
                if process.worker.granting.is_set():
                    process.worker.granting.clear()
                    self._next_slot = await process.granter.sweep()
                    busy = True
                if not busy and process.worker.idle:
                    return
                await asyncio.sleep(0 if busy else 0.0005)

    async def doctor(self) -> Report:
        return await (await self.engine()).doctor()

    def snapshot(self, instance: Instance[Any]) -> Any:
        """The kernel's snapshot of an instance, for tests of its inner workings."""
        return snapshot_of(at_once(self.store.load([instance.id]))[instance.id])

    async def close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()

    def discard(self) -> None:
        """Let go without waiting; what a fixture does after the test's loop is gone."""
        if self._engine is not None:
            self._engine.process.executor.close()
            self._engine = None
