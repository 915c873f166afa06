"""The speed figures, measured: order, latency, signal, start, sleepers. Each verifies what it ran before it tells how fast.

| bench | does | tells |
|---|---|---|
| order | four activities one after the other, `concurrency` instances in flight | steps/s, CPU a step, latencies |
| latency | the same, one instance at a time | time added a step |
| signal | instances that wait are signalled one by one, then all at once | signal to completion, completions/s |
| start | many instances at once, from a client | starts/s |
| sleepers | instances that wait for a month | parking rate, memory and CPU of an idle worker |
"""

from __future__ import annotations

import asyncio
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stepkeel.authoring.activity import activity
from stepkeel.authoring.context import Context
from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.node import delay
from stepkeel.authoring.signal import Signal
from stepkeel.authoring.state import State
from stepkeel.cli.bench_branches import BenchFailed, bench_branches, bench_items, flows
from stepkeel.config.read import read_config
from stepkeel.engine.instance import Instance
from stepkeel.errors import BadRequest
from stepkeel.facade import Engine
from stepkeel.kernel.replay import differs
from stepkeel.model.snapshot import read_snapshot
from stepkeel.store.port import Query

__all__ = ["BENCHES", "BenchFailed", "run_bench"]

STEPS = 4
NOTE = "fragile, leave at the back door, ring twice, do not bend; the customer asked for gift wrapping and a card"


@dataclass
class BenchOrder:
    """About 300 bytes encoded."""

    order_id: str
    customer_id: str
    amount: float
    currency: str = "EUR"
    note: str = NOTE
    valid: bool = False
    payment: str | None = None
    shipment: str | None = None
    confirmed_at: int = 0


@activity
async def validate(ctx: Context[BenchOrder]) -> None:
    ctx.data.valid = ctx.data.amount > 0


@activity
async def pay(ctx: Context[BenchOrder]) -> None:
    ctx.data.payment = f"pay-{ctx.data.order_id}"


@activity
async def ship(ctx: Context[BenchOrder]) -> None:
    ctx.data.shipment = f"ship-{ctx.data.order_id}"


@activity
async def confirm(ctx: Context[BenchOrder]) -> None:
    ctx.data.confirmed_at = 1


class BenchOrderFlow(Workflow[BenchOrder], name="bench-order"):
    work = State(validate, pay, ship, confirm)
    done = State.completed()
    work.to(done)


class Go(Signal):
    at: int


class BenchSignalFlow(Workflow[BenchOrder], name="bench-signal"):
    ready = State[BenchOrder]()
    done = State.completed()
    ready.on(Go, to=done, into=lambda o, s: {"confirmed_at": s.at})


class BenchSleeperFlow(Workflow[BenchOrder], name="bench-sleeper"):
    asleep = State[BenchOrder](delay(timedelta(days=30)))
    done = State.completed()
    asleep.to(done)


def _order(n: int) -> BenchOrder:
    return BenchOrder(f"ORD-{n:08d}", f"C-{n % 997:05d}", 10.0 + n % 500)


def _percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


class _Meter:
    """CPU of this process, all threads; batches and rows of its committer."""

    def __init__(self, engine: Engine) -> None:
        self._stats = engine.process.committer.stats
        self._engine = engine
        self.begin()

    def begin(self) -> None:
        self._cpu = time.process_time()
        self._at = time.perf_counter()
        self._batches, self._rows = self._stats.batches, self._stats.rows
        self._attempts = self._engine.process.worker.attempts_started

    def end(self) -> dict[str, Any]:
        seconds = time.perf_counter() - self._at
        cpu = time.process_time() - self._cpu
        batches, rows = self._stats.batches - self._batches, self._stats.rows - self._rows
        steps = self._engine.process.worker.attempts_started - self._attempts
        return {"seconds": seconds, "cpu": cpu, "batches": batches, "rows": rows, "steps": steps}


async def _verify(engine: Engine, definition: str, expected: int) -> None:
    """Every instance has completed with the right data, and each history folds to its snapshot. Raises BenchFailed."""
    store = engine.store
    after: tuple[int, str] | None = None
    seen = 0
    while True:
        rows = await store.list(Query(definition=definition, limit=1_000, after=after))
        for row in rows:
            snapshot = read_snapshot(row.snapshot, row.revision)
            data = BenchOrderFlow.definition.data.decode(snapshot.data)
            if row.status != "completed" or not data.confirmed_at:
                raise BenchFailed(f"{row.id} is {row.status}")
            wrong = differs(snapshot, await store.history(row.id))
            if wrong:
                raise BenchFailed(f"history of {row.id} does not fold to its snapshot: {wrong}")
        seen += len(rows)
        if len(rows) < 1_000:
            break
        after = (rows[-1].created_at, rows[-1].id)
    if seen != expected:
        raise BenchFailed(f"{seen} instances of {definition}, {expected} expected (use a new database)")


async def _drive(engine: Engine, count: int, concurrency: int) -> list[float]:
    """Start and await `count` orders with `concurrency` in flight; seconds each took."""
    numbers = iter(range(count))
    took: list[float] = []

    async def client() -> None:
        for n in numbers:
            began = time.perf_counter()
            instance = await engine.start(BenchOrderFlow, _order(n))
            await instance.wait()
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(client() for _ in range(min(concurrency, count))))
    return took


async def bench_order(engine: Engine, instances: int, concurrency: int) -> dict[str, Any]:
    meter = _Meter(engine)
    took = await _drive(engine, instances, concurrency)
    m = meter.end()
    await _verify(engine, "bench-order", instances)
    steps = instances * STEPS
    return {
        "instances": instances,
        "concurrency": concurrency,
        "seconds": round(m["seconds"], 3),
        "workflows_per_s": round(instances / m["seconds"]),
        "steps_per_s": round(steps / m["seconds"]),
        "engine_cpu_us_per_step": round(m["cpu"] / steps * 1e6, 1),
        "p50_ms": round(_percentile(took, 0.5) * 1e3, 2),
        "p99_ms": round(_percentile(took, 0.99) * 1e3, 2),
        "batches": m["batches"],
        "mean_batch": round(m["rows"] / max(1, m["batches"]), 1),
        "commits_per_step": round(m["batches"] / steps, 4),
    }


async def bench_latency(engine: Engine, instances: int, concurrency: int) -> dict[str, Any]:
    """The activities do nothing, so the time of a workflow is what the engine adds: start, four steps, the news of it."""
    meter = _Meter(engine)
    took = await _drive(engine, instances, 1)
    m = meter.end()
    await _verify(engine, "bench-order", instances)
    per_step = [t / STEPS for t in took]
    return {
        "instances": instances,
        "seconds": round(m["seconds"], 3),
        "workflow_p50_ms": round(_percentile(took, 0.5) * 1e3, 3),
        "workflow_p99_ms": round(_percentile(took, 0.99) * 1e3, 3),
        "added_per_step_p50_ms": round(_percentile(per_step, 0.5) * 1e3, 3),
        "added_per_step_p99_ms": round(_percentile(per_step, 0.99) * 1e3, 3),
        "commits_per_step": round(m["batches"] / (instances * STEPS), 3),
    }


async def bench_signal(engine: Engine, instances: int, concurrency: int) -> dict[str, Any]:
    one_by_one = min(500, instances)
    waiting = await _waiting(engine, one_by_one)
    took: list[float] = []
    for n, instance in enumerate(waiting):
        began = time.perf_counter()
        await instance.signal(Go(at=n + 1))
        await instance.wait()
        took.append(time.perf_counter() - began)
    together = await _waiting(engine, instances)
    began = time.perf_counter()
    await asyncio.gather(*(i.signal(Go(at=n + 1)) for n, i in enumerate(together)))
    await asyncio.gather(*(i.wait() for i in together))
    seconds = time.perf_counter() - began
    await _verify(engine, "bench-signal", one_by_one + instances)
    return {
        "instances": instances,
        "signal_to_completion_p50_ms": round(_percentile(took, 0.5) * 1e3, 2),
        "signal_to_completion_p99_ms": round(_percentile(took, 0.99) * 1e3, 2),
        "all_at_once_seconds": round(seconds, 3),
        "completions_per_s": round(instances / seconds),
    }


async def _waiting(engine: Engine, count: int) -> list[Instance[BenchOrder]]:
    found = await engine.start_many(BenchSignalFlow, [_order(n) for n in range(count)])
    await _until(lambda: engine.process.worker.idle, 60)
    return found


async def _until(ready: Callable[[], bool], seconds: float) -> None:
    end = time.perf_counter() + seconds
    while not ready():
        if time.perf_counter() > end:
            raise BenchFailed(f"not at rest after {seconds:g} s")
        await asyncio.sleep(0.005)


def _resident_bytes() -> int:
    """Memory of this process; elsewhere than on Linux its maximum so far."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def bench_sleepers(engine: Engine, instances: int, concurrency: int) -> dict[str, Any]:
    await engine.start_many(BenchSleeperFlow, [_order(n) for n in range(min(2_000, instances))])
    await _until(lambda: engine.process.worker.idle, 60)
    memory = _resident_bytes()
    began = time.perf_counter()
    left = instances
    while left > 0:
        await engine.start_many(BenchSleeperFlow, [_order(n) for n in range(min(2_000, left))])
        left -= 2_000
    await _until(lambda: engine.process.worker.idle, 120)
    seconds = time.perf_counter() - began
    grown = _resident_bytes() - memory
    await asyncio.sleep(1.0)
    cpu, at = time.process_time(), time.perf_counter()
    await asyncio.sleep(3.0)
    idle = (time.process_time() - cpu) / (time.perf_counter() - at)
    parked = sum(m.count for m in await engine.metrics() if m.definition == "bench-sleeper" and m.status == "waiting")
    if parked < instances:
        raise BenchFailed(f"{parked} of {instances} are parked")
    return {
        "instances": instances,
        "parked_per_s": round(instances / seconds),
        "bytes_per_parked": round(max(0, grown) / instances, 1),
        "idle_cpu_percent": round(idle * 100, 2),
    }


async def bench_start(engine: Engine, instances: int, concurrency: int) -> dict[str, Any]:
    """A client without a worker: what it costs to make instances durable, many at a time."""
    orders = [_order(n) for n in range(instances)]
    began = time.perf_counter()
    await engine.start_many(BenchSleeperFlow, orders)
    seconds = time.perf_counter() - began
    found = sum(m.count for m in await engine.metrics() if m.definition == "bench-sleeper")
    if found != instances:
        raise BenchFailed(f"{found} instances, {instances} were started")
    return {"instances": instances, "seconds": round(seconds, 3), "started_per_s": round(instances / seconds)}


BENCHES = {
    "start": (bench_start, 10_000, 100),
    "order": (bench_order, 20_000, 100),
    "latency": (bench_latency, 500, 1),
    "signal": (bench_signal, 2_000, 100),
    "sleepers": (bench_sleepers, 20_000, 100),
    "items": (bench_items, 10_000, 100),
    "branches": (bench_branches, 200, 1),
}
FLOWS: list[type[Workflow[Any]]] = [BenchOrderFlow, BenchSignalFlow, BenchSleeperFlow, *flows]


def _share(url: str, instances: int, concurrency: int, barrier: Any, results: Any) -> None:
    """One of several worker processes on one database: it starts and runs its share when all are ready."""

    async def work() -> tuple[float, float, float]:
        async with Engine(url, FLOWS, concurrency=max(1_000, concurrency), keyring=read_config().keyring()) as engine:
            await asyncio.to_thread(barrier.wait)
            began, cpu = time.perf_counter(), time.process_time()
            await _drive(engine, instances, concurrency)
            return began, time.perf_counter(), time.process_time() - cpu

    results.put(_run(work()))


def _fleet(url: str, instances: int, concurrency: int, workers: int) -> dict[str, Any]:
    """The order bench with several worker processes; time from the first start to the last end."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(workers), context.Queue()
    shares = [instances // workers + (n < instances % workers) for n in range(workers)]
    arguments = [(url, share, max(1, concurrency // workers), barrier, results) for share in shares]
    processes = [context.Process(target=_share, args=a) for a in arguments]
    for process in processes:
        process.start()
    spans: list[tuple[float, float, float]] = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()

    async def verified() -> None:
        async with Engine(url, worker=False, keyring=read_config().keyring()) as engine:
            await _verify(engine, "bench-order", instances)

    _run(verified())
    seconds = max(end for _, end, _ in spans) - min(begin for begin, _, _ in spans)
    steps = instances * STEPS
    return {
        "instances": instances,
        "concurrency": concurrency,
        "workers": workers,
        "seconds": round(seconds, 3),
        "workflows_per_s": round(instances / seconds),
        "steps_per_s": round(steps / seconds),
        "engine_cpu_us_per_step": round(sum(cpu for _, _, cpu in spans) / steps * 1e6, 1),
    }


def run_bench(
    name: str, url: str, instances: int | None, concurrency: int | None, rounds: int = 1, workers: int = 1
) -> dict[str, Any]:
    """Run one of them on a database that holds none of its instances yet. Raises BenchFailed."""
    if name not in BENCHES:
        raise BadRequest(f"there is no bench {name!r}", remedy=", ".join(BENCHES))
    if workers != 1 and (name != "order" or not 1 <= workers <= 64):
        raise BadRequest(f"bench {name} --workers {workers}", remedy="order, 1 to 64")
    bench, usual_instances, usual_concurrency = BENCHES[name]
    count, flying = instances or usual_instances, concurrency or usual_concurrency

    async def once() -> dict[str, Any]:
        polls, keyring = name != "start", read_config().keyring()
        async with Engine(url, FLOWS, concurrency=max(1_000, flying), worker=polls, keyring=keyring) as engine:
            return await bench(engine, count, flying)

    results = [_run(once()) if workers == 1 else _fleet(url, count, flying, workers) for _ in range(rounds)]
    medians = {
        k: statistics.median(r[k] for r in results) if isinstance(results[0][k], int | float) else v for k, v in results[0].items()
    }
    machine = {"python": platform.python_version(), "machine": platform.machine(), "loop": loop_name()}
    return {"bench": name, "store": url.partition(":")[0], **medians, **machine}


def loop_name() -> str:
    try:
        import uvloop  # noqa: F401  # pyright: ignore[reportMissingImports, reportUnusedImport]
    except ImportError:
        return "asyncio"
    return "uvloop"


def _run(main: Any) -> Any:
    """uvloop when present."""
    try:
        import uvloop  # pyright: ignore[reportMissingImports]
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
