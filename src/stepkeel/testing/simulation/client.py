"""Those outside: they start instances, send signals, interfere; what they were told is durable they remember."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from stepkeel.engine.instance import Instance
from stepkeel.errors import BadRequest, InboxFull, InstanceEnded, InvalidTransition, NotFound, Unavailable
from stepkeel.model.commit import Row
from stepkeel.model.definition import Definition
from stepkeel.model.snapshot import TERMINAL
from stepkeel.testing.simulation.machine import SimulatedEngine
from stepkeel.testing.simulation.people import People
from stepkeel.testing.simulation.watch import Violation

if TYPE_CHECKING:
    from stepkeel.testing.simulation.run import Run

__all__ = ["Client"]

VERBS = ("pause", "resume", "cancel", "terminate", "redrive", "fire_timer", "release")
NODE_VERBS = ("cancel_node", "complete_node", "add_items", "set_state", "fork")
PAUSE = 0.3


class Client:
    """`started`: id -> definition; `accepted`: (id, seq) -> name of each signal; `requests`: (id, actor) of each request."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.keys: dict[tuple[str, str], str] = {}
        self.started: dict[str, Definition] = {}
        self.accepted: dict[tuple[str, int], str] = {}
        self.requests: list[tuple[str, str]] = []
        self.people = People(self)

    async def act(self, until: float) -> None:
        """Everything this run's clients do, begun before `until`."""
        run = self.run
        count = 1 + run.chance.below("instances", run.plan.instances)
        tasks = [asyncio.ensure_future(self._start(n, until)) for n in range(count)]
        tasks.append(asyncio.ensure_future(self._signal_all(until)))
        tasks.append(asyncio.ensure_future(self._operate(until)))
        tasks.append(asyncio.ensure_future(self.people.work(until)))
        await asyncio.gather(*tasks)

    def known(self) -> dict[str, Definition]:
        """What was started, and what that has begun."""
        definitions = {(d.name, d.version): d for d in self.run.plan.definitions}
        begun = {r.id: definitions[r.definition, r.version] for r in self.run.server.store.rows() if r.parent is not None}
        return {**self.started, **begun}

    async def engine(self) -> SimulatedEngine:
        client = self.run.fleet.client
        while client.engine is None:
            await asyncio.sleep(0.01)
        return client.engine

    # -- starting

    async def _start(self, n: int, until: float) -> None:
        run, chance = self.run, self.run.chance
        definition = chance.pick("definition", run.plan.begun)
        data = run.plan.data_for(definition, chance)
        key = f"key-{n}"
        await asyncio.sleep(chance.between("start", 0.0, until * 0.5))
        engine = await self.engine()
        here = chance.draw("where") < 0.5
        while True:
            try:
                if here:
                    instance = await self._on_a_worker(definition, data, key)
                else:
                    instance = await engine.start(definition, data, key=key)
            except Unavailable:
                instance = None
            if instance is None:
                here = False
                await asyncio.sleep(PAUSE)
                continue
            known = self.keys.setdefault((definition.name, key), instance.id)
            if known != instance.id:
                raise Violation("acknowledged_lost", instance.id, f"{key} started {known} and this one")
            self.started[instance.id] = definition
            run.note("client", f"has started {run.short(instance.id)} ({definition.name})")
            if not (here := run.faults.come("duplicate")):
                return

    async def _on_a_worker(self, definition: Definition, data: Any, key: str) -> Instance[Any] | None:
        """Started in a worker's own process, as an application does it; None when that dies meanwhile."""
        run = self.run
        machines = [m for m in run.fleet.workers if m.up and definition in m.kinds]
        if not machines:
            return None
        machine = run.chance.pick("starter", machines)
        engine, process = machine.engine, machine.process
        if engine is None or process is None:
            return None
        task = process.spawn(_quietly(lambda: engine.start(definition, data, key=key)))
        await asyncio.wait({task}, timeout=8.0)
        return task.result() if task.done() and not task.cancelled() else None

    # -- signals

    async def _signal_all(self, until: float) -> None:
        run, chance = self.run, self.run.chance
        tasks: list[asyncio.Future[None]] = []
        count = chance.below("signals", run.plan.signals_at_most + 1)
        gap = until / max(4, count / 2)  # however many: about as many as fit before the end
        for n in range(count):
            await asyncio.sleep(chance.between("signal", 0.0, gap))
            if run.loop.time() > until:
                break
            if self.started:
                instance_id = chance.pick("whom", list(self.known()))
                tasks.append(asyncio.ensure_future(self._signal(instance_id, n)))
        if tasks:
            await asyncio.gather(*tasks)

    async def _signal(self, instance_id: str, n: int) -> None:
        run = self.run
        definition = self.known()[instance_id]
        signal = run.plan.signal_for(definition, run.chance)
        if signal is None:
            return
        name, payload = signal
        engine = await self.engine()
        key, seqs = f"signal-{n}", set[int]()
        for _ in range(2):
            receipt = await self._until_answered(lambda: engine.signal(instance_id, name, payload, key=key))
            if receipt is None:
                return
            seqs.add(receipt.seq)
            self.accepted[instance_id, receipt.seq] = name
            run.note("client", f"has sent {name} to {run.short(instance_id)} as {receipt.seq} ({receipt.status})")
            if not run.faults.come("duplicate"):
                break
        if len(seqs) > 1:
            raise Violation("acknowledged_lost", instance_id, f"{name} with the key {key} was taken as {sorted(seqs)}")

    async def _until_answered(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """The answer; None if it was refused for a reason that a caller has to expect."""
        while True:
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(PAUSE)
            except (InstanceEnded, InvalidTransition, InboxFull, NotFound):
                return None

    # -- operators

    async def _operate(self, until: float) -> None:
        run = self.run
        n = 0
        while run.loop.time() < until:
            await asyncio.sleep(PAUSE)
            if self.started and run.faults.come("operator"):
                n += 1
                instance_id = run.chance.pick("operated", list(self.known()))
                await self.request(instance_id, run.chance.pick("verb", VERBS + NODE_VERBS * run.plan.node_verbs), f"operator-{n}")

    async def request(self, instance_id: str, verb: str, actor: str) -> None:
        """Ask, and remember what was processed."""
        engine = await self.engine()
        options: dict[str, Any] = {"actor": actor, "wait": 5.0}
        if verb in ("cancel", "terminate"):
            options["compensate"] = self.run.chance.draw("compensate") < 0.5
        call = getattr(engine, verb)
        try:
            if verb == "fire_timer":
                timers = await engine.timers(instance_id)
                options["path"] = self.run.chance.pick("timer", [t.path for t in timers] or ["nowhere"])
            elif verb == "set_state":
                options["state"] = self._place(instance_id)
                options["stop"] = self.run.chance.draw("stop") < 0.5
            elif verb == "fork":
                await self._fork(instance_id, actor)
                return
            elif verb == "release":
                del options["wait"]
            elif verb in NODE_VERBS:
                row = self.run.server.store.row(instance_id)
                paths = [*self.run.watch.snapshot(row).open] if row is not None else []
                options["path"] = path = self.run.chance.pick("node", paths or ["nowhere"])
                if verb == "cancel_node" and self.run.chance.draw("skip") < 0.5:
                    options["then"] = "skip"
                if verb == "cancel_node" and self.run.chance.draw("branch") < 0.5:
                    options["path"] = path.rpartition("/")[0]
                if verb == "add_items":
                    options["items"] = [7, 8]
            receipt = await call(instance_id, **options)
        except (Unavailable, InstanceEnded, InvalidTransition, NotFound, BadRequest):
            return
        self.run.note("client", f"asked for {verb} of {self.run.short(instance_id)}: {receipt.status}")
        if receipt.status == "processed":
            self.requests.append((instance_id, actor))

    async def _fork(self, instance_id: str, actor: str) -> None:
        engine = await self.engine()
        from_state = self._place(instance_id) if self.run.chance.draw("forked from") < 0.5 else ""
        made = await engine.fork(instance_id, from_state=from_state, key=actor, actor=actor)
        self.started[made.id] = self.known()[instance_id]
        self.run.note("client", f"has forked {self.run.short(instance_id)}: {self.run.short(made.id)}")

    def _place(self, instance_id: str) -> str:
        """A state, or a node of its body."""
        chance, states = self.run.chance, self.known()[instance_id].states
        state = states[chance.pick("state", list(states))]
        keys = [node.key for node in state.body] if chance.draw("node") < 0.5 else []
        return f"{state.name}/{chance.pick('key', keys)}" if keys else state.name

    async def mend(self) -> None:
        """After the storm: what is paused is resumed, and some of what failed is redriven."""
        for n, instance_id in enumerate(list(self.known())):
            row = self.run.server.store.row(instance_id)
            if row is None:
                continue
            if row.status == "paused":
                await self.request(instance_id, "resume", f"mender-{n}")
            elif row.status == "failed" and self.run.chance.draw("redrive") < 0.5:
                await self.request(instance_id, "redrive", f"mender-{n}")

    # -- at the end

    def check(self) -> None:
        """What was told to be durable is there. Raises Violation."""
        store, seen = self.run.server.store, self.run.watch.seen
        for instance_id in self.started:
            if store.row(instance_id) is None:
                raise Violation("acknowledged_lost", instance_id, "its start was acknowledged")
        for (instance_id, seq), name in self.accepted.items():
            row, kept = store.row(instance_id), store.inbox_row(instance_id, seq)
            if kept is None:
                raise Violation("acknowledged_lost", instance_id, f"{name} was accepted as {seq}")
            if row is not None and row.status in TERMINAL and kept.status == "pending":
                raise Violation("no_fate", instance_id, f"it has ended, and signal {seq} is still pending")
            if kept.status == "pending" and row is not None and row.status != "paused" and not self._may_keep(row, name):
                raise Violation("no_fate", instance_id, f"it rests, and {name} ({seq}) is still pending")
        self.people.check()
        for instance_id, actor in self.requests:
            if actor not in seen[instance_id].actors:
                raise Violation("acknowledged_lost", instance_id, f"the request of {actor} was processed")

    def _may_keep(self, row: Row, name: str) -> bool:
        return self.run.watch.snapshot(row).queues or self.known()[row.id].keeps(name)


async def _quietly(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await call()
    except Unavailable:
        return None
