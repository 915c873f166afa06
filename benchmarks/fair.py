"""How long a small tenant waits for its turn while another floods the workers: `python -m benchmarks.fair`.

One worker with 50 slots; an instance holds one for 0.1 s, so it can begin 500 a second. The small tenant starts 5 a second.
Solo it is alone; under the flood another tenant starts 100 for each of its own, all from a process of its own. Queue wait is
from the moment `start` is called to the moment the activity runs. Solo and flood alternate, each on a fresh database.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.server import Databases
from stepkeel import Context, Engine, State, Workflow, activity
from stepkeel.runtime.settings import Settings

SLOTS, HELD, RATE, FLOOD = 50, 0.1, 5, 100
waits: dict[str, list[float]] = {"small": [], "big": []}


@dataclass
class Turn:
    tenant: str
    asked_at: float


@activity
async def take_turn(ctx: Context[Turn]) -> None:
    waits[ctx.data.tenant].append(time.time() - ctx.data.asked_at)
    await asyncio.sleep(HELD)


class TurnFlow(Workflow[Turn], name="turn"):
    work = State(take_turn)
    done = State.completed()
    work.to(done)


async def serve(url: str, told: Connection) -> None:
    """The worker; at the end it tells how long each waited."""
    async with Engine(url, [TurnFlow], settings=Settings(concurrency=SLOTS)):
        told.send("ready")
        await asyncio.to_thread(told.recv)
    told.send(waits)


async def ask(url: str, tenant: str, each: int, told: Connection) -> None:
    """`each` starts at once, RATE times a second, until told to stop."""
    async with Engine(url, [TurnFlow], tenant=tenant, worker=False) as engine:
        told.send("ready")
        stop = asyncio.ensure_future(asyncio.to_thread(told.recv))
        while not stop.done():
            await asyncio.gather(*(engine.start(TurnFlow, Turn(tenant, time.time())) for _ in range(each)))
            await asyncio.wait({stop}, timeout=1 / RATE)


def _run(work: Any, *arguments: Any) -> None:
    uvloop.run(work(*arguments))


@contextlib.contextmanager
def beside(work: Any, *arguments: Any) -> Iterator[Connection]:
    """It runs in a process of its own, and is ready."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(work, *arguments, there), daemon=True)
    process.start()
    try:
        assert here.recv() == "ready"
        yield here
    finally:
        here.send("stop")
        process.join(60)
        process.kill()


def measure(url: str, seconds: float, *, flood: bool) -> dict[str, list[float]]:
    with beside(serve, url) as worker:
        with contextlib.ExitStack() as stack:
            if flood:
                stack.enter_context(beside(ask, url, "big", FLOOD))
                time.sleep(seconds / 4)  # its backlog is there before the small tenant comes
            stack.enter_context(beside(ask, url, "small", 1))
            time.sleep(seconds)
        worker.send("stop")
        told: dict[str, list[float]] = worker.recv()
    return told


def p(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, round(len(values) * part))] * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    asked = parser.parse_args()
    with Databases() as databases, tempfile.TemporaryDirectory() as folder:
        for store in ("SQLite", "PostgreSQL"):
            found: dict[str, list[tuple[float, float]]] = {"solo": [], "flood": [], "big": []}
            for n in range(2 * asked.rounds):
                url = databases.fresh() if store == "PostgreSQL" else f"sqlite:///{Path(folder) / f'{n}.db'}"
                told = measure(url, asked.seconds, flood=bool(n % 2))
                found["flood" if n % 2 else "solo"].append((p(told["small"], 0.5), p(told["small"], 0.99)))
                if n % 2:
                    found["big"].append((p(told["big"], 0.5), p(told["big"], 0.99)))
            for name, rounds in found.items():
                halves, tails = zip(*rounds, strict=True)
                print(
                    f"{store:10} {name:5} p50 {statistics.median(halves):8.1f} ms"
                    f"   p99 {statistics.median(tails):8.1f} ms ({min(tails):.1f}-{max(tails):.1f})"
                )
            ratio = statistics.median(t for _, t in found["flood"]) / statistics.median(t for _, t in found["solo"])
            print(f"{store:10} p99 under the flood / solo: {ratio:.2f}")


if __name__ == "__main__":
    main()
