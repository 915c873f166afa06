"""One run: a seed, a storm, a calm, and what must hold then.

| part | until |
|---|---|
| storm | 1 to 6 seconds of virtual time: instances are started, signalled, interfered with; faults come |
| calm | no faults any more: within a bound everything rests, or has ended |
| leaps | the clock is moved to the next timer, a few times, so that what waits for hours goes on too |
| end | every instance has ended, or rests for a reason that `explain` names |
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from stepkeel.errors import StepkeelError
from stepkeel.model.commit import Row
from stepkeel.model.event import Event
from stepkeel.model.snapshot import TERMINAL
from stepkeel.runtime.behaviour import Invocation
from stepkeel.testing.simulation.chance import Chance, Faults
from stepkeel.testing.simulation.client import Client
from stepkeel.testing.simulation.fleet import Fleet
from stepkeel.testing.simulation.loop import Process, SimulatedLoop
from stepkeel.testing.simulation.machine import Acts, Deliveries
from stepkeel.testing.simulation.server import Server
from stepkeel.testing.simulation.watch import Violation, Watch

if TYPE_CHECKING:
    from stepkeel.testing.simulation.simulate import Simulation

__all__ = ["Ended", "Line", "Run"]

BOUND = 90.0  # seconds of virtual time within which all must rest once faults stop
LEAPS = 20
Line = tuple[int, str, str]
RESTS = {"fault", "ended", "pause", "timer", "signal", "limit", "unserved", "wait", "child", "task"}


class Ended:
    """What a check is given of each instance at the end.

    id, definition, status, state, data (of the author's type), events (types, in order), runs (effects begun, by
    idempotency key), why (kinds of reasons it rests for).
    """

    def __init__(self, run: Run, row: Row, data: Any, events: list[str], why: list[str]) -> None:
        self.id = row.id
        self.definition = row.definition
        self.status = row.status
        self.state = row.state
        self.data = data
        self.events = events
        self.runs = {k: n for k, n in run.acts.runs.items() if k.startswith(f"{row.id}/")}
        self.why = why

    def __repr__(self) -> str:
        return f"{self.definition} {self.id}: {self.status} in {self.state or '-'}, {self.data}"


class Run:
    """`execute` raises Violation. `story` is what happened, `faults.came` what was done to it."""

    def __init__(self, plan: Simulation, seed: int, only: Collection[str] | None = None) -> None:
        self.plan = plan
        self.chance = Chance(seed)
        self.faults = Faults(self.chance, plan.faults, only)
        self.story: list[Line] = []
        self.loop = SimulatedLoop(self.chance, lambda text: Violation("unhandled_error", "-", text))
        self.root = self.loop.process("fate")
        definitions = {(d.name, d.version): d for d in plan.definitions}
        self.watch = Watch(definitions, self._event)
        self.server = Server(self.loop, self._seen)
        self.services = plan.services() if callable(plan.services) else plan.services
        self.bindings = {} if callable(plan.services) else plan.bindings  # kept, where every run has the same services
        self.acts = Acts(self.chance, self.faults, self._attempt)
        self.deliveries = Deliveries(self.chance, self.faults)
        self.fleet = Fleet(self)
        self.client = Client(self)
        self.server.crash = self.fleet.crash
        self.ended: list[Ended] = []

    def execute(self) -> None:
        try:
            self.loop.run(self._play())
        finally:
            self.loop.discard()
            for machine in (*self.fleet.workers, self.fleet.client):
                if machine.engine is not None and machine.engine.is_open:
                    machine.engine.process.executor.close()

    # -- the story

    def note(self, who: str, text: str) -> None:
        self.story.append((self.loop.micros, who, text))

    def short(self, instance_id: str) -> str:
        known = list(self.watch.seen)
        return f"#{known.index(instance_id) + 1}" if instance_id in self.watch.seen else instance_id

    def _event(self, instance_id: str, event: Event, worker: str) -> None:
        detail = " ".join(f"{k}={v}" for k, v in event.detail.items())
        self.story.append((self.loop.micros, self.short(instance_id), f"{event.type} {event.path} {detail}".rstrip()))

    def error(self, text: str) -> None:
        """The engine met something that it did not expect."""
        if self.loop.halted is None:
            self.loop.halted = Violation("unexpected_error", "-", text)

    # -- watching

    def _seen(self, name: str, arguments: Any, result: Any, process: Process) -> None:
        if self.loop.halted is not None:
            return
        try:
            self.watch.look(self.server)
        except Violation as violation:
            self.loop.halted = violation

    def _attempt(self, invocation: Invocation) -> None:
        process = self.loop.current
        machine = self.fleet.machine_of(process)
        self.story.append((self.loop.micros, process.name, f"runs {invocation.node} of {self.short(invocation.instance_id)}"))
        if machine is None or machine.engine is None or not machine.engine.is_open:
            return
        owner = machine.engine.process.worker.id
        try:
            self.watch.attempt(self.server, owner, invocation.instance_id, invocation.node, invocation.attempt)
        except Violation as violation:
            self.loop.halted = violation

    # -- the play

    async def _play(self) -> None:
        storm = self.chance.between("storm", 1.0, 6.0)
        self.fleet.boot()
        acting = self.fleet.client.process
        assert acting is not None
        work = acting.spawn(self.client.act(storm))
        await self.fleet.trouble(storm)
        self.note("fate", "calm: no more faults")
        self.fleet.calm()
        await self._within(BOUND, lambda: work.done(), "a client still waits for its answer")
        work.result()
        await self._rest()
        mending = acting.spawn(self.client.mend())
        await self._within(BOUND, lambda: mending.done(), "an operator still waits for an answer")
        mending.result()
        await self._rest()
        for _ in range(LEAPS):
            if self.server.store.undelivered()[1]:
                await asyncio.sleep(2.0)  # not in the midst of a delivery: its sink's time would be over at once
                await self._rest()
            slot = self.server.store.free_slots()[1]
            due = [r.wake_at for r in self.server.store.rows() if r.wake_at is not None] + ([slot] if slot else [])
            due += self.server.store.undelivered()[1]
            if not due:
                break
            self.loop.jump(max(0, min(due) - self.server.now()))
            await asyncio.sleep(0.01)
            await self._rest()
        await self._at_the_end()

    async def _within(self, seconds: float, done: Any, text: str) -> None:
        end = self.loop.time() + seconds
        while not done():
            if self.loop.time() > end:
                raise Violation("stranded", "-", f"{seconds:.0f} s after the last fault {text}")
            await asyncio.sleep(0.1)

    async def _rest(self) -> None:
        """Until every instance rests. Raises Violation."""
        end = self.loop.time() + BOUND
        while (moving := self._moving()) is not None:
            if self.loop.time() > end:
                raise Violation("stranded", moving[0], f"{BOUND:.0f} s after the last fault {moving[1]}")
            await asyncio.sleep(0.2)

    def _moving(self) -> tuple[str, str] | None:
        """An instance that still has something to do by itself, and what."""
        now, store = self.server.now(), self.server.store
        for row in store.rows():
            if row.owner is not None or (row.wake_at is not None and row.wake_at <= now + 1_000_000):
                return row.id, f"it does not rest: {row.status}/{row.state}, owner {row.owner}, wake_at {row.wake_at}"
        free, next_at = store.free_slots()
        if free:
            return free[0].instance_id, f"it waits for {free[0].pool}, which has a free slot"
        waiting, _ = store.undelivered()
        if waiting:
            return waiting[0].instance_id, f"its message {waiting[0].id} is not delivered"
        if next_at is not None and next_at <= now + 1_000_000:
            return "-", "a slot of a rate is due and not given"
        return None

    async def _at_the_end(self) -> None:
        engine = await self.client.engine()
        self.client.check()
        for row in self.server.store.rows():
            try:
                info, why = await engine.get(row.id), (await engine.explain(row.id)).why
            except StepkeelError as error:
                raise Violation("unexpected_error", row.id, str(error)) from error
            kinds = [reason.kind for reason in why]
            if not set(kinds) & RESTS:
                raise Violation("stranded", row.id, f"it is {row.status} in {row.state} and explain says only {kinds}")
            told = [e for entry in await engine.history(row.id) for e in entry.events]
            self._delivered(row, [f"{row.id}/{e.path}" for e in told if e.type == "message_emitted"])
            events = [e.type for e in told]
            self._undone(row)
            self._heeded(row, events)
            self.ended.append(Ended(self, row, info.data, events, kinds))
        report = await engine.doctor()
        if not report.clean:
            finding = next(f for f in report.findings if f.violation)
            raise Violation(finding.kind, finding.instance_id, f"the doctor: {finding.text}")
        if problems := (await engine.audit.verify()).problems:
            raise Violation("audit_broken", "-", problems[0])
        for each in self.ended:
            self._ask(each)

    def _delivered(self, row: Row, emitted: list[str]) -> None:
        """What history tells of has come to a sink, and nothing else."""
        got = {i for i in self.deliveries.got if i.startswith(f"{row.id}/")}
        if lost := [i for i in emitted if i not in got]:
            raise Violation("message_lost", row.id, f"{', '.join(lost)} was emitted and came to no sink")
        if strange := sorted(got - {*emitted}):
            raise Violation("message_invented", row.id, f"{', '.join(strange)} came to a sink and was not emitted")
        if len({*emitted}) < len(emitted):
            raise Violation("message_twice", row.id, "two messages have one id")

    def _undone(self, row: Row) -> None:
        """Where undoing has begun and the instance has ended, nothing that had completed is left out."""
        seen = self.watch.seen[row.id]
        if row.status in TERMINAL and seen.undid_at_end and not seen.excused:
            left = [p for p in seen.to_undo if p not in seen.undone]
            if left:
                raise Violation("not_undone", row.id, f"{', '.join(left)} completed and was not undone")

    def _heeded(self, row: Row, events: list[str]) -> None:
        """A child that goes on is somebody's: its parent knows of it, or it was redriven when that had ended."""
        parent = self.server.store.row(row.parent) if row.parent is not None else None
        if parent is None or row.status in TERMINAL or row.fault is not None or "redriven" in events:
            return
        frames = self.watch.snapshot(parent).open.values()
        if not any(f.child is not None and f.child.id == row.id for f in frames):
            raise Violation("child_forgotten", row.id, f"it is {row.status} in {row.state}, and {parent.id} knows nothing of it")

    def _ask(self, each: Ended) -> None:
        check = self.plan.check
        if check is None:
            return
        try:
            answer = check(each)
        except AssertionError as error:
            raise Violation("check", each.id, str(error) or "the check failed") from error
        if answer is False or (isinstance(answer, str) and answer):
            raise Violation("check", each.id, answer or "the check failed")
