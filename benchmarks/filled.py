"""`make filled`: does it matter how much waits and has ended? Starts and workflows on an empty PostgreSQL and on a filled one.

The filled database holds --waiting instances with a timer a month ahead, of the definition that runs, and --ended ones with
their history. Rounds alternate between the two, so that a noisy minute falls on both.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time

import asyncpg
import uvloop

from benchmarks.server import Databases
from stepkeel import Engine
from stepkeel.cli.bench import BenchOrder, BenchOrderFlow

INSTANCES, CONCURRENCY = 4_000, 50
FILL = """
insert into stepkeel.instances (id, tenant, definition, version, key, status, state, label, revision, snapshot, attributes, wake_at,
    owner, epoch, takeovers, inbox, seen, fault, priority, correlation_id, created_at, updated_at, completed_at)
select '{prefix}-7000-8000-' || lpad(to_hex(n), 12, '0'), 'default', 'bench-order', 1, null, '{status}', '{state}', '', 1,
    convert_to(rpad('{{"id":"', 500, 'x'), 'UTF8'), '{{}}', {wake}, null, 1, 0, 0, 0, null, 2, null,
    1700000000000000 + n, 1700000000000000 + n, {ended}
from generate_series(1, {count}) n;
insert into stepkeel.history (instance_id, revision, tenant, at, actor, worker, events, changes)
select '{prefix}-7000-8000-' || lpad(to_hex(n), 12, '0'), 1, 'default', 1700000000000000 + n, '', 'w',
    convert_to('[]', 'UTF8'), convert_to(rpad('{{', 300, 'x'), 'UTF8')
from generate_series(1, {count}) n;
"""
MONTH = "(extract(epoch from now()) * 1000000)::bigint + 2592000000000 + n"


async def fill(url: str, waiting: int, ended: int) -> None:
    async with Engine(url, [BenchOrderFlow], worker=False):
        pass  # makes the tables
    connection = await asyncpg.connect(url)
    parts = (
        {"prefix": "018bcfe5-6800", "status": "waiting", "state": "work", "wake": MONTH, "ended": "null", "count": waiting},
        {
            "prefix": "018bcfe5-6801",
            "status": "completed",
            "state": "done",
            "wake": "null",
            "ended": "1700000000000000 + n",
            "count": ended,
        },
    )
    for part in parts:
        await connection.execute(FILL.format(**part), timeout=1200)
    await connection.execute("vacuum analyze stepkeel.instances", timeout=600)
    await connection.execute("vacuum analyze stepkeel.history", timeout=600)
    await connection.execute("checkpoint", timeout=600)
    await connection.close()


async def drive(url: str) -> tuple[float, float]:
    """p99 of a start and of a whole workflow, milliseconds."""
    starts: list[float] = []
    wholes: list[float] = []
    numbers = iter(range(INSTANCES))
    async with Engine(url, [BenchOrderFlow]) as engine:

        async def client() -> None:
            for n in numbers:
                began = time.perf_counter()
                instance = await engine.start(BenchOrderFlow, BenchOrder(f"ORD-{n}", "C", 10.0))
                starts.append(time.perf_counter() - began)
                await instance.wait()
                wholes.append(time.perf_counter() - began)

        await asyncio.gather(*(client() for _ in range(CONCURRENCY)))
    return _p99(starts), _p99(wholes)


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)] * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--ended", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with Databases() as server:
        empty, full = server.fresh(), server.fresh()
        began = time.perf_counter()
        uvloop.run(fill(full, given.waiting, given.ended))
        print(f"filled in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        results: dict[str, list[tuple[float, float]]] = {"empty": [], "filled": []}
        for n in range(given.rounds + 1):
            for name, url in (("empty", empty), ("filled", full)):
                result = uvloop.run(drive(url))
                if n:  # the first round warms caches and plans
                    results[name].append(result)
    full = f"{given.waiting:,} waiting, {given.ended:,} ended"
    print(f"| p99, ms, {CONCURRENCY} in flight, median of {given.rounds} | empty | {full} | change |\n|---|---|---|---|")
    for k, title in enumerate(("start", "workflow of four steps")):
        medians = [statistics.median(r[k] for r in results[name]) for name in ("empty", "filled")]
        print(f"| {title} | {medians[0]:.1f} | {medians[1]:.1f} | {(medians[1] / medians[0] - 1) * 100:+.0f} % |")


if __name__ == "__main__":
    main()
