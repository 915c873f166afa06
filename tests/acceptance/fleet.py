"""A worker process for the tests that kill and stop processes: python -m tests.acceptance.fleet FILE LOG."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from stepkeel import Context, Engine, Retry, State, Workflow, activity
from tests.flows import FAST, Job


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


async def main(database: str, log: str) -> None:
    engine = Engine(f"sqlite:///{database}", [FleetFlow], {Effects: Effects(Path(log))}, settings=FAST, concurrency=30)
    async with engine:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
