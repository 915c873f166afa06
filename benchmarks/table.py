"""`make bench`: every figure of the README, measured on this machine, medians of three rounds, as one Markdown table.

Each round runs in a process and on a database of its own; rounds of the different benches are interleaved, so that a
noisy minute does not fall on one of them alone. Raw results are kept as JSON in bench-results/.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.server import Databases

RESULTS = Path("bench-results")


@dataclass(frozen=True)
class Bench:
    title: str
    name: str
    instances: int
    concurrency: int
    store: str = "SQLite"
    workers: int = 1


@dataclass(frozen=True)
class Figure:
    bench: Bench
    key: str
    title: str
    unit: str
    target: str


ORDER_100 = Bench("order, 100 in flight", "order", 20_000, 100)
ORDER_1000 = Bench("order, 1,000 in flight", "order", 20_000, 1_000)
LATENCY = Bench("one at a time", "latency", 1_000, 1)
SIGNAL = Bench("signals", "signal", 2_000, 100)
SLEEPERS = Bench("sleepers", "sleepers", 100_000, 100)
PG_100 = Bench("order, 100 in flight, PostgreSQL", "order", 20_000, 100, "PostgreSQL")
PG_1000 = Bench("order, 1,000 in flight, PostgreSQL", "order", 20_000, 1_000, "PostgreSQL")
PG_TWO = Bench("order, 1,000 in flight, two workers", "order", 20_000, 1_000, "PostgreSQL", 2)
PG_LATENCY = Bench("one at a time, PostgreSQL", "latency", 1_000, 1, "PostgreSQL")
PG_SIGNAL = Bench("signals, PostgreSQL", "signal", 2_000, 100, "PostgreSQL")
PG_START = Bench("starts, PostgreSQL", "start", 10_000, 100, "PostgreSQL")
ITEMS = Bench("a for_each of 10,000 items", "items", 10_000, 100)
BRANCHES = Bench("ten branches", "branches", 200, 1)
BENCHES = (
    ITEMS,
    BRANCHES,
    ORDER_100,
    PG_100,
    ORDER_1000,
    PG_1000,
    PG_TWO,
    LATENCY,
    PG_LATENCY,
    SIGNAL,
    PG_SIGNAL,
    PG_START,
    SLEEPERS,
)

FIGURES = (
    Figure(ORDER_100, "steps_per_s", "durable steps/s, 100 in flight", "", ">= 12,000"),
    Figure(ORDER_100, "engine_cpu_us_per_step", "CPU a step, all threads, 100 in flight", "us", "<= 70"),
    Figure(ORDER_100, "commits_per_step", "commits a step, 100 in flight", "", "< 0.05"),
    Figure(ORDER_1000, "steps_per_s", "durable steps/s, 1,000 in flight", "", ">= 12,000"),
    Figure(ORDER_1000, "engine_cpu_us_per_step", "CPU a step, all threads, 1,000 in flight", "us", "<= 70"),
    Figure(LATENCY, "added_per_step_p50_ms", "time added a step, one at a time, p50", "ms", "<= 0.6"),
    Figure(SIGNAL, "signal_to_completion_p50_ms", "signal to completion, p50", "ms", "<= 4"),
    Figure(SIGNAL, "signal_to_completion_p99_ms", "signal to completion, p99", "ms", "<= 20"),
    Figure(SIGNAL, "completions_per_s", "2,000 waiting, all signalled at once: completions/s", "", ">= 2,000"),
    Figure(SLEEPERS, "parked_per_s", "parked/s, 100,000 of them", "", ">= 2,000"),
    Figure(SLEEPERS, "bytes_per_parked", "worker memory for each of 100,000 parked", "bytes", "< 1,024"),
    Figure(SLEEPERS, "idle_cpu_percent", "idle CPU with 100,000 parked", "% of a core", "< 1"),
    Figure(ITEMS, "items_per_s", "a for_each of 10,000 items, 100 at a time: items/s", "", ">= 5,000"),
    Figure(ITEMS, "items_with_results_per_s", "the same, their results collected: items/s", "", ">= 5,000"),
    Figure(ITEMS, "history_bytes_per_item", "bytes of history for each item", "bytes", "as with 1,000"),
    Figure(BRANCHES, "branches_to_steps", "time of ten branches to that of ten steps, one at a time", "", "<= 1"),
    Figure(PG_100, "steps_per_s", "durable steps/s, 100 in flight", "", ">= 8,000"),
    Figure(PG_100, "engine_cpu_us_per_step", "CPU of the worker a step, 100 in flight", "us", "<= 70"),
    Figure(PG_1000, "steps_per_s", "durable steps/s, 1,000 in flight", "", ">= 10,000"),
    Figure(PG_1000, "engine_cpu_us_per_step", "CPU of the worker a step, 1,000 in flight", "us", "<= 70"),
    Figure(PG_TWO, "steps_per_s", "durable steps/s, 1,000 in flight, two worker processes", "", ">= one"),
    Figure(PG_LATENCY, "added_per_step_p50_ms", "time added a step, one at a time, p50", "ms", "<= 1.0"),
    Figure(PG_SIGNAL, "signal_to_completion_p50_ms", "signal to completion, p50", "ms", "<= 4"),
    Figure(PG_SIGNAL, "signal_to_completion_p99_ms", "signal to completion, p99", "ms", "<= 20"),
    Figure(PG_SIGNAL, "completions_per_s", "2,000 waiting, all signalled at once: completions/s", "", ">= 2,000"),
    Figure(PG_START, "seconds", "start_many of 10,000", "s", "< 1"),
)


def run(bench: Bench, server: Databases) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db" if bench.store == "SQLite" else server.fresh()
        command = [
            str(Path(sys.executable).parent / "stepkeel"), "bench", bench.name, "--database", url, "--instances",
            str(bench.instances), "--concurrency", str(bench.concurrency), "--workers", str(bench.workers), "--json",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if bench.store != "SQLite":
            server.drop(url)
    if done.returncode:
        sys.exit(f"{bench.title}: {done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def flush_micros() -> float:
    """Median of 200 appends with fdatasync: what this disk asks for being asked to keep something."""
    took: list[float] = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(200):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    results: dict[str, list[dict[str, Any]]] = {b.title: [] for b in BENCHES}
    with Databases() as server:
        for n in range(rounds):
            for bench in BENCHES:
                print(f"round {n + 1}: {bench.title} ...", file=sys.stderr, flush=True)
                results[bench.title].append(run(bench, server))
        version_of_server = server.version
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(json.dumps(results, indent=2))
    for store, title in (
        ("SQLite", "figure (SQLite, WAL, synchronous=FULL, one process)"),
        ("PostgreSQL", f"figure (PostgreSQL {version_of_server}, its defaults, on the same machine)"),
    ):
        print(f"| {title} | must reach | median of {rounds} | spread |\n|---|---|---|---|")
        for f in (f for f in FIGURES if f.bench.store == store):
            values = [r[f.key] for r in results[f.bench.title]]
            unit = f" {f.unit}" if f.unit else ""
            print(f"| {f.title} | {f.target} | {statistics.median(values):,}{unit} | {min(values):,} - {max(values):,} |")
        print()
    first = results[ORDER_100.title][0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"flush {flush_micros():.0f} us, Python {platform.python_version()}, {first['loop']}, "
        f"msgspec {version('msgspec')}, apsw {version('apsw')}, asyncpg {version('asyncpg')}"
    )


if __name__ == "__main__":
    main()
