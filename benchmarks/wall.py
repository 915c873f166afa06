"""What row-level security costs a request: `python -m benchmarks.wall`.

One row, a page of 100, a search by attribute, as one tenant asks for them, with the wall and without it in turn; and rows asked
for by two tenants in turn, for each of which the connection has to be told. 20,000 instances of each tenant wait.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import uvloop

from benchmarks.server import Databases
from stepkeel import Engine, Signal, State, Workflow
from stepkeel.store.port import Query, Store

TENANTS, EACH, TIMES, ROLE = ("small", "large"), 20_000, 2_000, "stepkeel_tenant"


@dataclass
class Note:
    text: str = ""


class Go(Signal): ...


class NoteFlow(Workflow[Note], name="note"):
    waiting = State[Note]()
    done = State.completed()
    waiting.on(Go, to=done)


async def timed(ask: Callable[[], Awaitable[Any]], times: int) -> float:
    """The median, milliseconds."""
    took: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        await ask()
        took.append(time.perf_counter() - began)
    return 1e3 * statistics.median(took)


async def measure(store: Store, ids: dict[str, list[str]]) -> dict[str, float]:
    found: dict[str, float] = {}
    mine = TENANTS[0]
    for name, one in (("without", store), ("with", store.within(mine))):
        found[f"a row {name}"] = await timed(lambda one=one: one.load([random.choice(ids[mine])]), TIMES)
        found[f"a page {name}"] = await timed(lambda one=one: one.list(Query(tenant=mine)), TIMES // 10)
        red = Query(tenant=mine, attributes={"colour": "red"})
        found[f"a search {name}"] = await timed(lambda red=red, one=one: one.list(red), TIMES // 10)
    turns = [0]

    async def next_tenant() -> None:
        turns[0] += 1
        tenant = TENANTS[turns[0] % 2]
        await store.within(tenant).load([random.choice(ids[tenant])])

    found["a row with, tenants in turn"] = await timed(next_tenant, TIMES)
    return found


async def fill(url: str) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for tenant in TENANTS:
        async with Engine(url, [NoteFlow], tenant=tenant, worker=False) as engine:
            ids[tenant] = [i.id for i in await engine.start_many(NoteFlow, [Note(str(n)) for n in range(EACH)])]
            await engine.start(NoteFlow, Note("found"), attributes={"colour": "red"})
    return ids


async def main(url: str, rounds: int) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(f"create role {ROLE} nologin")
    url += f"?tenant_role={ROLE}"
    ids = await fill(url)
    await connection.execute("analyze")
    await connection.close()
    async with Engine(url, [NoteFlow], worker=False) as engine:
        figures = [await measure(engine.core().store, ids) for _ in range(rounds)]
    for name in figures[0]:
        values = [f[name] for f in figures]
        print(f"{name:30} {statistics.median(values):.2f} ms ({min(values):.2f}-{max(values):.2f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    with Databases() as databases:
        uvloop.run(main(databases.fresh(), parser.parse_args().rounds))
