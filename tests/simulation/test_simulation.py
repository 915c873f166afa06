"""The simulation itself: the same seed is the same run, a broken one is made small and told, and users' workflows fit in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from stepkeel import Context, Fail, Retry, Signal, State, Workflow, activity
from stepkeel.cli.main import main
from stepkeel.errors import BadRequest
from stepkeel.testing import Simulation, SimulationFailed, simulate
from stepkeel.testing.simulation.builtin import BUILTIN
from stepkeel.testing.simulation.chance import RATES
from stepkeel.testing.simulation.run import Ended, Run

TRACE = """
import hashlib, sys
from stepkeel.testing.simulation.builtin import BUILTIN
from stepkeel.testing.simulation.run import Run
trace = hashlib.sha256()
for simulation in BUILTIN:
    for seed in range(12):
        run = Run(simulation, seed)
        run.execute()
        trace.update(repr(run.story).encode())
print(trace.hexdigest())
"""


def test_a_seed_is_the_same_run_in_every_process_whatever_its_hash_seed() -> None:
    traces = {
        subprocess.run(
            [sys.executable, "-c", TRACE], env={**os.environ, "PYTHONHASHSEED": h}, capture_output=True, text=True, check=True
        ).stdout
        for h in ("0", "1", "17")
    }
    assert len(traces) == 1


def test_every_kind_of_fault_comes() -> None:
    came = {name.partition(":")[0] for s in BUILTIN for seed in range(25) for name in _played(s, seed).faults.came}
    assert came == set(RATES)


def _played(simulation: Simulation, seed: int) -> Run:
    run = Run(simulation, seed)
    run.execute()
    return run


# -- users' workflows


class Cards(Protocol):
    async def charge(self, key: str) -> None: ...


@dataclass
class Ticket:
    seat: int
    trace: list[str] = field(default_factory=list[str])


class Confirmed(Signal):
    by: str


@activity(retry=Retry(attempts=50, delay=0.1))
async def charge(ctx: Context[Ticket], cards: Cards) -> None:
    await cards.charge(ctx.idempotency_key)
    ctx.data.trace.append("charged")


@activity(retry=Retry(attempts=50, delay=0.1))
def print_it(ctx: Context[Ticket]) -> None:
    ctx.data.trace.append("printed")


class Booking(Workflow[Ticket]):
    paying = State(charge)
    waiting = State[Ticket]()
    done = State.completed(print_it)
    paying.to(waiting)
    waiting.on(Confirmed, to=done)
    waiting.after(3600.0, to=done)


class Terminal:
    """Counts charges; a careless one does not look at the key."""

    def __init__(self, *, careful: bool) -> None:
        self.careful = careful
        self.charged: list[str] = []

    async def charge(self, key: str) -> None:
        if not self.careful or key not in self.charged:
            self.charged.append(key)


def test_a_users_workflow_is_explored_with_its_own_services() -> None:
    terminals: list[Terminal] = []

    def services() -> dict[Any, Any]:
        terminals.append(Terminal(careful=True))
        return {Cards: terminals[-1]}

    def is_whole(ticket: Ended) -> None:
        assert ticket.status != "failed"
        if ticket.status == "completed":
            assert ticket.data.trace == ["charged", "printed"]
        assert terminals[-1].charged.count(f"{ticket.id}/paying/charge") <= 1

    report = simulate(Booking, Ticket(1), seeds=100, services=services, signals=[Confirmed("ann")], check=is_whole)
    assert report.runs == 100
    assert report.statuses["completed"] > 50
    assert "0 broken" in str(report)


def test_a_check_that_fails_gives_a_seed_the_faults_it_takes_and_the_story() -> None:
    terminals: list[Terminal] = []

    def services() -> dict[Any, Any]:
        terminals.append(Terminal(careful=False))
        return {Cards: terminals[-1]}

    def charged_once(ticket: Ended) -> bool:
        return terminals[-1].charged.count(f"{ticket.id}/paying/charge") <= 1

    simulation = Simulation((Booking,), Ticket(1), signals=[Confirmed("ann")], services=services, check=charged_once)
    report = simulation.run(range(1_000))
    broken = report.broken[0]
    assert broken.code == "check"
    assert 1 <= len(broken.faults) <= 3, "one fault behind the charge is enough to charge twice"
    again = simulation.again(broken.seed, broken.faults)
    assert again is not None, "the small schedule breaks it again"
    assert again.story == broken.story
    assert simulation.again(broken.seed, []) is None, "without its faults the seed is well"
    text = str(broken)
    assert f"seed {broken.seed} of Booking: check" in text
    assert broken.faults[0] in text
    assert text.count("\n") <= 22
    with pytest.raises(SimulationFailed, match=f"seed {broken.seed} of Booking"):
        simulate(Booking, Ticket(1), signals=[Confirmed("ann")], services=services, check=charged_once)


def test_activities_can_be_replaced_by_stand_ins() -> None:
    async def refuse(ctx: Context[Ticket]) -> None:
        raise Fail("NO_MONEY")

    report = simulate(Booking, Ticket(1), seeds=20, activities={"charge": refuse}, check=lambda t: t.status != "completed")
    assert report.statuses["failed"] > 0
    pretended = simulate(Booking, seeds=20, pretend=True, check=lambda t: "charged" not in t.data.trace)
    assert pretended.statuses["completed"] > 0, "signals and data were made up from their types"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"faults": ["crsh"]}, "there is no fault crsh"),
        ({"activities": {"chrge": print}}, "there is no activity chrge"),
        ({"workers": 0}, "workers=0"),
        ({"data": None, "pretend": False}, "no service for cards"),
    ],
)
def test_what_cannot_be_simulated_is_said(options: dict[str, Any], text: str) -> None:
    with pytest.raises(BadRequest if "service" not in text else Exception, match=text):
        simulate(Booking, seeds=1, **options)


async def test_within_an_event_loop_it_is_refused() -> None:
    with pytest.raises(BadRequest, match="has an event loop of its own"):
        simulate(Booking, seeds=1, pretend=True)


# -- the command


def charged_never(ticket: Ended) -> str | None:
    return "it was charged" if "charged" in ticket.data.trace else None


broken_booking = Simulation((Booking,), Ticket(1), services={Cards: Terminal(careful=True)}, check=charged_never, name="never")


def test_the_command_explores_and_repeats(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seeds", str(2 * len(BUILTIN)), "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [(r["simulation"], r["seeds"]) for r in reports] == [(s.name, 2) for s in BUILTIN]
    assert main(["simulate", f"{__name__}:Booking", "--seeds", "3", "--workers", "2"]) == 0
    assert "Booking: 3 seeds" in capsys.readouterr().out
    assert main(["simulate", f"{__name__}:broken_booking", "--seeds", "50"]) == 1
    told = capsys.readouterr().out
    assert "of never: check: it was charged" in told
    assert main(["simulate", f"{__name__}:broken_booking", "--seed", "0", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)[0]["broken"][0]
    assert found["code"] == "check"
    assert found["faults"] == [], "no fault is needed for that"
    assert len(found["story"]) <= 20
    repeated = ["simulate", f"{__name__}:broken_booking", "--seed", "0", "--fault", "crash:1"]
    assert main(repeated) == 1


def test_the_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seeds", "0"]) == 2
    assert main(["simulate", "--fault", "crash:1"]) == 2
    for fault in ("what", "crash", "crash:x", "crsh:1"):
        assert main(["simulate", "--seed", "1", "--fault", fault]) == 2
        assert f"'{fault}' is no fault" in capsys.readouterr().err
    assert main(["simulate", f"{__name__}:Ticket"]) == 2
    assert "a Workflow class, or a stepkeel.testing.Simulation" in capsys.readouterr().err
