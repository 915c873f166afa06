"""`simulate(OrderApproval, data=Order(...), seeds=1000, check=my_invariant)`: many runs, and the story of the one that broke."""

from __future__ import annotations

import gc
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.signal import signal_name_of
from stepkeel.clock import Clock, SystemClock
from stepkeel.engine.deploy import registry
from stepkeel.errors import BadRequest
from stepkeel.model.definition import Definition
from stepkeel.runtime.settings import Settings
from stepkeel.testing.simulation.chance import RATES, Chance
from stepkeel.testing.simulation.machine import SETTINGS
from stepkeel.testing.simulation.run import Ended, Line, Run
from stepkeel.testing.simulation.sample import sample
from stepkeel.testing.simulation.watch import Violation

__all__ = ["Broken", "Report", "Simulation", "SimulationFailed", "simulate", "simulation_of"]

LAST = 20
COLLECT = 50  # runs between two rounds of the collector, which is off meanwhile: what a run leaves behind is small
TRIES = 300  # runs spent on making a schedule small
_NAMED = re.compile(r"#\d")
Check = Callable[[Ended], Any]


@dataclass(frozen=True)
class Simulation:
    """What is simulated. `run` explores seeds; `stepkeel simulate module:name` finds one by its name.

    workflows   classes or definitions; several, or several versions, stand side by side
    data        a value, or a function of a `Chance` that makes one; None: made up from the type
    signals     values that may be sent; None: made up from the signals' types
    services    by type, as for an engine; or a function that makes them anew for each run
    activities  by name: a function that takes the context and stands in for the activity
    pretend     activities without a stand-in do nothing, and need no services; a step's gives a value of its output's type
    check       asked of each instance at the end: raises AssertionError, or returns False or a text, where it is broken
    workers     processes; default 3
    instances   at most so many in a run, `signals_at_most` signals are sent
    node_verbs  operators also cancel and complete nodes, add items and set states: what `check` then finds is not what was written
    faults      kinds that may come; default all (see docs/how-to/simulate.md)
    settings    of the workers
    """

    workflows: tuple[Any, ...]
    data: Any = None
    signals: Sequence[Any] | None = None
    services: Mapping[Any, Any] | Callable[[], Mapping[Any, Any]] = field(default_factory=dict[Any, Any])
    activities: Mapping[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])
    pretend: bool = False
    check: Check | None = None
    workers: int = 3
    instances: int = 3
    signals_at_most: int = 8
    node_verbs: bool = False
    faults: Collection[str] = tuple(RATES)
    settings: Settings = SETTINGS
    name: str = ""

    def __post_init__(self) -> None:
        if not self.workflows:
            raise BadRequest("a simulation without workflows", remedy="Simulation((OrderApproval,), ...)")
        if not 1 <= self.workers <= 50 or not 1 <= self.instances <= 1_000:
            raise BadRequest(f"workers={self.workers}, instances={self.instances}", remedy="1 to 50, 1 to 1000")
        unknown = sorted(set(self.faults) - set(RATES))
        if unknown:
            raise BadRequest(f"there is no fault {', '.join(unknown)}", remedy=f"known: {', '.join(RATES)}")
        object.__setattr__(self, "definitions", tuple(registry(self.workflows).values()))
        given = tuple(w if isinstance(w, Definition) else w.definition for w in self.workflows)
        object.__setattr__(self, "begun", given)
        known = {a for d in self.definitions for a in d.activities}
        strange = sorted(set(self.activities) - known)
        if strange:
            raise BadRequest(f"there is no activity {', '.join(strange)}", remedy=f"known: {', '.join(sorted(known))}")

    definitions: tuple[Definition, ...] = field(init=False, repr=False)
    begun: tuple[Definition, ...] = field(init=False, repr=False)  # by clients; the others only as children
    bindings: dict[Any, Any] = field(init=False, repr=False, default_factory=dict[Any, Any])

    @property
    def title(self) -> str:
        return self.name or ", ".join(f"{d.name} v{d.version}" if d.version > 1 else d.name for d in self.definitions)

    # -- what a run asks

    def data_for(self, definition: Definition, chance: Chance) -> Any:
        if callable(self.data):
            return self.data(chance)
        return sample(definition.data, chance) if self.data is None else cast("object", self.data)

    def signal_for(self, definition: Definition, chance: Chance) -> tuple[str, Any] | None:
        if self.signals is not None:
            known = [s for s in self.signals if signal_name_of(s) in definition.signals]
            chosen = chance.pick("signal of", known) if known else None
            return None if chosen is None else (signal_name_of(chosen), chosen)
        if not definition.signals:
            return None
        kind = chance.pick("signal of", list(definition.signals.values()))
        return kind.name, sample(kind.codec, chance)

    # -- running

    def run(self, seeds: Iterable[int], *, most: int = 1, clock: Clock | None = None) -> Report:
        """Run these seeds, until `most` of them were broken; each of those is made small and told."""
        clock = clock or SystemClock()
        for definition in self.definitions:  # what cannot be made up is said before anything runs
            self.data_for(definition, Chance(0))
            self.signal_for(definition, Chance(0))
        began = clock.monotonic()
        report = Report(self)
        with _quiet() as listener:
            for n, seed in enumerate(seeds):
                if n % COLLECT == 0:
                    gc.collect()
                run, violation = _once(self, seed, None, listener)
                report.count(run)
                if violation is not None:
                    report.broken.append(_small(self, seed, run, violation, listener))
                    if len(report.broken) >= most:
                        break
        report.seconds = (clock.monotonic() - began) / 1e6
        return report

    def again(self, seed: int, faults: Collection[str] | None = None) -> Broken | None:
        """One seed once more, with these of its faults only (`kind:n`, as a report names them). Raises BadRequest."""
        for name in faults or ():
            kind, _, n = name.partition(":")
            if kind not in RATES or not n.isdecimal():
                raise BadRequest(f"{name!r} is no fault", remedy=f"kind:n, as a report names them; kinds: {', '.join(RATES)}")
        with _quiet() as listener:
            run, violation = _once(self, seed, faults, listener)
        return None if violation is None else _broken(self.title, seed, run, violation)


@dataclass(frozen=True)
class Broken:
    """A seed that broke something: what, the faults that suffice for it, and what happened, in order."""

    title: str
    seed: int
    violation: Violation
    faults: tuple[str, ...]
    story: tuple[Line, ...]
    instance: str = ""  # how the story names the one that it is about

    @property
    def last(self) -> list[Line]:
        """The last lines of the story that do not tell of other instances."""
        ours = [
            line for line in self.story if not self.instance or not _NAMED.search(f"{line[1]} {line[2]}")
            or re.search(rf"{self.instance}\b", f"{line[1]} {line[2]}")
        ]  # fmt: skip
        return ours[-LAST:]

    @property
    def code(self) -> str:
        return self.violation.code

    def __str__(self) -> str:
        came = ", ".join(self.faults) or "none"
        lines = [
            f"seed {self.seed} of {self.title}: {self.violation} {self.instance}".rstrip(),
            f"  faults it takes: {came}",
            "  the last that happened:",
        ]
        lines += [f"  {at / 1e6:10.4f}  {who:<12} {text}" for at, who, text in self.last]
        return "\n".join(lines)


class SimulationFailed(AssertionError):
    """What `simulate` raises: the story of the first seed that broke something."""

    def __init__(self, broken: Broken) -> None:
        super().__init__(str(broken))
        self.broken = broken


class Report:
    """`runs`, `seconds` (real), `faults` that came by kind, `statuses` reached, `broken` seeds."""

    def __init__(self, simulation: Simulation) -> None:
        self.title = simulation.title
        self.runs = 0
        self.seconds = 0.0
        self.steps = 0
        self.faults: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.broken: list[Broken] = []

    def count(self, run: Run) -> None:
        self.runs += 1
        self.steps += sum(s.entries for s in run.watch.seen.values())
        self.faults.update(name.partition(":")[0] for name in run.faults.came)
        self.statuses.update(each.status for each in run.ended)

    def __str__(self) -> str:
        rate = self.runs / self.seconds if self.seconds else 0.0
        ends = ", ".join(f"{n} {s}" for s, n in sorted(self.statuses.items()))
        text = f"{self.title}: {self.runs} seeds, {rate:.0f} seeds/s, {self.steps} steps, {sum(self.faults.values())} faults"
        return "\n".join([f"{text}; {ends or 'no instance'}; {len(self.broken)} broken", *(str(b) for b in self.broken)])


def simulate(
    workflow: type[Workflow[Any]] | Definition | Sequence[Any],
    data: Any = None,
    *,
    seeds: int | Iterable[int] = 1_000,
    check: Check | None = None,
    **options: Any,
) -> Report:
    """Explore seeds for a workflow, or several; as a test's one line. Options are the fields of `Simulation`.

    Raises SimulationFailed (an AssertionError) with the story of the first seed that broke an invariant of the engine,
    or your `check`. BadRequest where the simulation itself makes no sense.
    """
    workflows: tuple[Any, ...] = tuple(workflow) if isinstance(workflow, Sequence) else (workflow,)
    simulation = Simulation(workflows, data, check=check, **options)
    report = simulation.run(range(seeds) if isinstance(seeds, int) else seeds)
    if report.broken:
        raise SimulationFailed(report.broken[0])
    return report


def simulation_of(found: Any, name: str) -> Simulation:
    """A Simulation as it is; of a workflow class one whose activities are pretended. Raises BadRequest."""
    if isinstance(found, Simulation):
        return found
    if isinstance(found, Definition) or isinstance(getattr(found, "definition", None), Definition):
        return Simulation((found,), pretend=True)
    raise BadRequest(f"{name} is a {type(found).__name__}", remedy="a Workflow class, or a stepkeel.testing.Simulation")


# -- one run, and fewer faults


class _Listener(logging.Handler):
    """The engine's log goes into the story; an error that it did not expect ends the run."""

    run: Run | None = None

    def emit(self, record: logging.LogRecord) -> None:
        run = self.run
        if run is None or record.name == "stepkeel.workflow":
            return
        run.note(run.loop.current.name, f"{record.levelname.lower()}: {record.getMessage()}")
        if record.exc_info and record.exc_info[1] is not None:
            run.error(f"{record.getMessage()}: {record.exc_info[1]!r}")


@contextmanager
def _quiet() -> Generator[_Listener]:
    log = logging.getLogger("stepkeel")
    listener = _Listener(logging.WARNING)
    kept = (log.handlers[:], log.propagate, log.level)
    log.handlers, log.propagate = [listener], False
    gc_was = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield listener
    finally:
        log.handlers, log.propagate, log.level = kept
        gc.unfreeze()
        if gc_was:
            gc.enable()


def _once(simulation: Simulation, seed: int, only: Collection[str] | None, listener: _Listener) -> tuple[Run, Violation | None]:
    run = listener.run = Run(simulation, seed, only)
    try:
        run.execute()
        return run, None
    except Violation as violation:
        return run, violation
    finally:
        listener.run = None


def _small(simulation: Simulation, seed: int, run: Run, violation: Violation, listener: _Listener) -> Broken:
    """Leave out faults, half of them, a quarter, one: as long as the same thing breaks (ddmin, Zeller 2002)."""
    best, faults = (run, violation), list(run.faults.came)
    tries, size = 0, max(1, len(faults) // 2)
    while tries < TRIES and faults:
        shrunk = False
        for at in range(0, len(faults), size):
            kept = faults[:at] + faults[at + size :]
            tries += 1
            again, still = _once(simulation, seed, kept, listener)
            if still is not None and still.code == violation.code:
                best, faults, shrunk = (again, still), list(again.faults.came), True
                break
        if not shrunk:
            if size == 1:
                break
            size = max(1, size // 2)
        size = min(size, max(1, len(faults)))
    return _broken(simulation.title, seed, *best)


def _broken(title: str, seed: int, run: Run, violation: Violation) -> Broken:
    known = violation.instance_id in run.watch.seen
    return Broken(
        title, seed, violation, tuple(run.faults.came), tuple(run.story), run.short(violation.instance_id) if known else ""
    )
