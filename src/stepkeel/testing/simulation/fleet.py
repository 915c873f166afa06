"""The machines of a run: workers that crash, stand still, are restarted and come back, and a client that does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stepkeel.errors import Unavailable
from stepkeel.testing.simulation.loop import Process
from stepkeel.testing.simulation.machine import SimulatedEngine
from stepkeel.testing.simulation.wire import Drift, Wire

if TYPE_CHECKING:
    from stepkeel.testing.simulation.run import Run

__all__ = ["Fleet", "Machine"]

TICK = 0.1


class Machine:
    """One that is started again whenever it has died, each time as a new process."""

    def __init__(self, run: Run, name: str, *, worker: bool, kinds: list[Any]) -> None:
        self.run = run
        self.name = name
        self.worker = worker
        self.kinds = kinds
        self.process: Process | None = None
        self.engine: SimulatedEngine | None = None
        self.leaving = False
        self._starts = 0

    def boot(self) -> None:
        """A new process; its engine is open some time later."""
        run = self.run
        if self.process is not None and not self.process.dead:
            return
        self._starts += 1
        process = self.process = run.loop.process(f"{self.name}.{self._starts}" if self._starts > 1 else self.name)
        self.leaving = False
        clock = Drift(run.loop, run.chance)
        wire = Wire(run.server, process, clock, run.faults, run.chance)
        wire.calm = not self.worker
        engine = SimulatedEngine(
            process, wire, clock, run.chance, self.kinds, run.services, run.plan.activities, run.acts, run.deliveries, run.bindings,
            worker=self.worker, pretend=run.plan.pretend, settings=run.plan.settings,
        )  # fmt: skip
        process.spawn(self._open(engine, process))

    async def _open(self, engine: SimulatedEngine, process: Process) -> None:
        while True:
            try:
                await engine.open()
                break
            except Unavailable:
                await asyncio.sleep(0.2)
        self.engine = engine
        self.run.note(process.name, "is up")

    @property
    def up(self) -> bool:
        return (
            self.engine is not None and self.process is not None and not (self.process.dead or self.process.still or self.leaving)
        )

    def crash(self, why: str, back_in: float) -> None:
        process = self.process
        if process is None or process.dead:
            return
        self.run.note(process.name, f"dies ({why})")
        process.kill()
        self.engine = None
        self.run.root.later(back_in, self.boot)

    def stand_still(self, seconds: float) -> None:
        process = self.process
        if process is None or process.dead or process.still:
            return
        self.run.note(process.name, f"stands still for {seconds:.1f} s")
        self.run.loop.stand_still(process)
        self.run.root.later(seconds, self.move_on, process)

    def move_on(self, process: Process | None = None) -> None:
        process = process or self.process
        if process is not None and process.still and not process.dead:
            self.run.note(process.name, "moves on")
            self.run.loop.move_on(process)

    def restart(self) -> None:
        """As a deployment does it: the old process finishes or hands back, then a new one starts."""
        if not self.up or self.process is None or self.engine is None:
            return
        self.run.note(self.process.name, "is being stopped")
        self.leaving = True
        self.process.spawn(self._leave(self.engine, self.process))

    async def _leave(self, engine: SimulatedEngine, process: Process) -> None:
        try:
            await engine.close()
        finally:
            self.run.note(process.name, "has stopped")
            self.engine = None
            process.kill()
            self.run.root.later(0.2, self.boot)


class Fleet:
    """The workers, and what happens to them by chance."""

    def __init__(self, run: Run) -> None:
        self.run = run
        plan = run.plan
        self.workers = [
            Machine(run, f"worker-{n + 1}", worker=True, kinds=kinds) for n, kinds in enumerate(_kinds(run, plan.workers))
        ]
        self.client = Machine(run, "client", worker=False, kinds=list(plan.definitions))

    def boot(self) -> None:
        for machine in (*self.workers, self.client):
            machine.boot()

    def machine_of(self, process: Process) -> Machine | None:
        return next((m for m in (*self.workers, self.client) if m.process is process), None)

    def crash(self, process: Process, how: str) -> None:
        """A worker dies at a commit. The client never does: it is the one that remembers."""
        machine = self.machine_of(process)
        if machine is not None and machine.worker:
            machine.crash(how, self.run.chance.between("back", 0.05, 5.0))

    async def trouble(self, until: float) -> None:
        """What happens to machines, the server and its clock, until then."""
        run, chance = self.run, self.run.chance
        happen: dict[str, Callable[[], Any]] = {
            "crash": lambda: self._any().crash("crash", chance.between("back", 0.05, 5.0)),
            "pause": lambda: self._any().stand_still(chance.between("still", 0.2, 3 * run.plan.settings.lease)),
            "restart": lambda: self._any().restart(),
            "outage": lambda: self._outage(chance.between("outage span", 0.1, 6.0)),
            "clock_step": lambda: self._step(chance.between("step", -3.0, 3.0)),
        }
        while run.loop.time() < until:
            await asyncio.sleep(TICK)
            for kind, act in happen.items():
                if run.faults.come(kind):
                    act()

    def _any(self) -> Machine:
        return self.run.chance.pick("victim", self.workers)

    def _outage(self, seconds: float) -> None:
        server = self.run.server
        if not server.out:
            self.run.note("store", f"answers nobody for {seconds:.1f} s")
            server.out = True
            server.process.later(seconds, setattr, server, "out", False)

    def _step(self, seconds: float) -> None:
        self.run.note("store", f"its clock jumps by {seconds:+.1f} s")
        self.run.server.clock.step(round(seconds * 1e6))

    def calm(self) -> None:
        """No more faults; whatever is down or still comes back."""
        self.run.faults.active = False
        self.run.server.out = False
        for machine in self.workers:
            machine.move_on()
            if machine.process is not None and machine.process.dead:
                machine.boot()


def _kinds(run: Run, count: int) -> list[list[Any]]:
    """What each worker serves: mostly all; of several definitions or versions, some workers know only one."""
    every = list(run.plan.definitions)
    served = [every for _ in range(count)]
    if len(every) > 1 and count > 1 and run.chance.draw("partial") < 0.3:
        served[-1] = [run.chance.pick("partial", every)]
    return served
