"""What the worker processes of the fleet tests run: `stepkeel worker tests.acceptance.fleet:engine --database URL`."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from stepkeel import Context, Engine, Retry, Signal, State, Workflow, activity
from tests.flows import FAST, Job
from tests.processes import first_line

ROOT = Path(__file__).parents[2]
EFFECTS = "STEPKEEL_TEST_EFFECTS"
SETTINGS = replace(FAST, patience=20.0)


class Effects:
    """Appends a line for each effect; O_APPEND keeps the lines of several processes whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, key: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(key + "\n")


@activity(retry=Retry(attempts=3))
async def first(ctx: Context[Job], effects: Effects) -> None:
    effects.note(ctx.idempotency_key)
    await asyncio.sleep(0.01)
    ctx.data.log.append("first")


@activity
async def second(ctx: Context[Job], effects: Effects) -> None:
    effects.note(ctx.idempotency_key)
    await asyncio.sleep(0.01)
    ctx.data.log.append("second")


@activity
async def third(ctx: Context[Job], effects: Effects) -> None:
    effects.note(ctx.idempotency_key)
    ctx.data.log.append("third")


class FleetFlow(Workflow[Job]):
    work = State(first, second, third)
    done = State.completed()
    work.to(done)


class Nudge(Signal):
    n: int


class Finish(Signal): ...


@activity
async def take_nudge(ctx: Context[Job, Nudge]) -> None:
    await asyncio.sleep(0.002)
    ctx.data.amount += 1


class NudgedFlow(Workflow[Job]):
    """Waits and is nudged, again and again, until it is told to finish."""

    ready = State[Job]()
    done = State.completed()
    ready.on(Nudge, do=take_nudge)
    ready.on(Finish, to=done)


FLOWS = [FleetFlow, NudgedFlow]


def engine() -> Engine:
    effects = Effects(Path(os.environ[EFFECTS]))
    return Engine("memory://", FLOWS, {Effects: effects}, settings=SETTINGS, concurrency=200)


class Worker:
    """A worker process of the command line; ready when it says so."""

    def __init__(self, url: str, log: Path, concurrency: int = 200, *, wait: bool = True) -> None:
        self.began, self.took = time.monotonic(), 0.0
        command = [str(Path(sys.executable).parent / "stepkeel"), "worker", "tests.acceptance.fleet:engine"]
        self.process = subprocess.Popen(
            [*command, "--database", url, "--concurrency", str(concurrency), "--log-level", "error"],
            cwd=ROOT,
            env={**os.environ, EFFECTS: str(log), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if wait:
            self.ready()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def ready(self) -> None:
        line = first_line(self.process)
        assert line.startswith("worker "), line
        self.took = time.monotonic() - self.began  # at most; how slow this machine is just now

    def send(self, what: signal.Signals) -> None:
        os.kill(self.pid, what)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def terminate(self) -> tuple[int, str]:
        """SIGTERM; its exit code and what it said."""
        self.process.terminate()
        out, _ = self.process.communicate(timeout=30)
        return self.process.returncode, out
