"""The real engine on a simulated machine: its ids, its heartbeat, and what stands around its attempts come from the seed."""

from __future__ import annotations

import asyncio
import dataclasses
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from stepkeel.authoring.activity import output_type
from stepkeel.authoring.context import Context
from stepkeel.errors import EngineError, TransientError
from stepkeel.facade import Engine
from stepkeel.ids import IdMaker
from stepkeel.model.definition import Definition
from stepkeel.model.message import Message
from stepkeel.model.node import ActivityNode, EmitNode
from stepkeel.runtime.behaviour import Invocation, Next
from stepkeel.runtime.binding import Binding, bind
from stepkeel.runtime.services.heartbeat import Heartbeat
from stepkeel.runtime.settings import Settings
from stepkeel.testing.simulation.chance import Chance, Faults
from stepkeel.testing.simulation.loop import Process
from stepkeel.testing.simulation.sample import sample_of
from stepkeel.testing.simulation.wire import Drift, Wire

__all__ = ["SETTINGS", "Acts", "Deliveries", "LoopHeartbeat", "SimulatedEngine"]

SETTINGS = Settings(lease=3.0, margin=0.75, stall_limit=1.0, grace=1.0, poll_max=1.0, patience=4.0, max_takeovers=1_000)


class LoopHeartbeat(Heartbeat):
    """The same beats as a task of the worker's own loop: in a simulation there are no threads."""

    def start(self) -> None:
        self._beating = self._loop.create_task(self._beat_on())

    async def stop(self) -> None:
        self._beating.cancel()

    async def _beat_on(self) -> None:
        worker = self._worker
        store: Any = worker.store
        while True:
            await asyncio.sleep(worker.settings.lease / 3)
            sent = worker.clock.monotonic()
            try:
                alive = await store.renew(worker.id, round(worker.settings.lease * 1e6))
                if alive:
                    worker.renewed(sent)
                else:
                    await worker.died()
            except EngineError:
                continue


class Acts:
    """The behaviour around every attempt: its time, its failures, and a count of how often each effect was made."""

    def __init__(self, chance: Chance, faults: Faults, started: Callable[[Invocation], None]) -> None:
        self._chance = chance
        self._faults = faults
        self._started = started
        self.runs: Counter[str] = Counter()

    async def __call__(self, invocation: Invocation, call_next: Next) -> Any:
        self._started(invocation)
        chance, faults = self._chance, self._faults
        await asyncio.sleep(chance.between("act", 0.0005, 0.02))
        if faults.come("hang"):
            await asyncio.sleep(chance.between("hang", 2.0, 20.0))
        if faults.come("deaf"):
            await _deaf(chance.between("deaf", 1.0, 6.0))
        if faults.come("raise"):
            raise TransientError(f"simulated in {invocation.node}")
        self.runs[f"{invocation.instance_id}/{invocation.node}"] += 1
        result = await call_next()
        if faults.come("raise_after"):
            raise TransientError(f"simulated after {invocation.node}")
        return result


class Deliveries:
    """The sink of every process: it takes its time, fails, and counts what it was given."""

    def __init__(self, chance: Chance, faults: Faults) -> None:
        self._chance = chance
        self._faults = faults
        self.got: Counter[str] = Counter()

    async def __call__(self, message: Message) -> None:
        await asyncio.sleep(self._chance.between("deliver", 0.0005, 0.02))
        if self._faults.come("raise"):
            raise TransientError(f"simulated at {message.id}")
        self.got[message.id] += 1
        if self._faults.come("raise_after"):
            raise TransientError(f"simulated after {message.id}")


async def _deaf(seconds: float) -> None:
    """Goes on when it is told to stop."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while (left := end - loop.time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue


def _pretended(definition: Definition, name: str) -> Callable[..., Any]:
    """What stands in for an activity: it does nothing, and gives a value of its type where that is its node's output."""
    nodes = [p.node for p in definition.places.values() if isinstance(p.node, ActivityNode)]
    named = [n for n in nodes if name in (n.activity.name, n.activity.fallback.name if n.activity.fallback else "")]
    gives = bool(named) and all(n.gives for n in named)
    kind = output_type(definition.activities[name])

    async def nothing(context: Context[Any]) -> Any:
        return sample_of(kind, Chance(zlib.crc32(context.idempotency_key.encode()))) if gives else None

    return nothing


class SimulatedEngine(Engine):
    """One process's engine. `fakes`: activities by name; `pretend`: the others do nothing; `bindings`: those made before."""

    def __init__(
        self,
        process: Process,
        wire: Wire,
        clock: Drift,
        chance: Chance,
        definitions: list[Definition],
        services: Mapping[Any, Any],
        fakes: Mapping[str, Callable[..., Any]],
        acts: Acts,
        deliveries: Deliveries,
        bindings: dict[Any, Binding],
        *,
        worker: bool,
        pretend: bool,
        settings: Settings,
    ) -> None:
        self._fakes = fakes
        self._bindings_known = bindings
        self._pretend = pretend
        self._entropy = int(chance.draw("ids") * (1 << 62))
        self._make_ids = lambda: IdMaker(self._entropy)
        self._make_heartbeat = LoopHeartbeat
        store: Any = wire
        tells = any(isinstance(p.node, EmitNode) for d in definitions for p in d.places.values())
        super().__init__(
            wire.url, definitions, services, behaviours=(acts,), worker=worker, settings=settings, name=process.name,
            clock=clock, store=store, sinks={"*": deliveries} if worker and tells else None,
        )  # fmt: skip

    async def _check_store(self, store: Any) -> None:  # type: ignore[override]
        """Nothing is encrypted here: a question less for each process."""

    def _bind_all(  # type: ignore[override]
        self, definitions: Mapping[tuple[str, int], Definition], services: Mapping[Any, Any]
    ) -> dict[Any, Binding]:
        known = self._bindings_known
        for (name, version), definition in definitions.items():
            for activity in definition.activities.values():
                place = name, version, activity.name
                if place not in known:
                    known[place] = self._bound(definition, activity, services)
        return known

    def _bound(self, definition: Definition, activity: Any, services: Mapping[Any, Any]) -> Binding:
        fake = self._fakes.get(activity.name)
        if fake is None and not self._pretend:
            return bind(activity, services)
        fake = fake or _pretended(definition, activity.name)
        return bind(dataclasses.replace(activity, target=fake), services)
