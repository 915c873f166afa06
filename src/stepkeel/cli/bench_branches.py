"""What branches and items cost: a for_each of many items, and ten branches against ten steps in a row."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Any

from stepkeel.authoring.activity import activity
from stepkeel.authoring.concurrent import for_each, parallel
from stepkeel.authoring.context import Context
from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.state import State
from stepkeel.errors import StepkeelError
from stepkeel.facade import Engine

__all__ = ["BenchFailed", "bench_branches", "bench_items", "flows"]

WIDTH = 100
TEN = 10


class BenchFailed(StepkeelError):
    """What ran is not what should have: the figures are worth nothing."""

    code = "bench_failed"


@dataclass
class BenchList:
    n: int = 0
    squares: list[int] = field(default_factory=list[int])


@activity
async def look(ctx: Context[BenchList, int]) -> None: ...


@activity
async def square(ctx: Context[BenchList, int]) -> int:
    return ctx.input * ctx.input


class BenchItemsFlow(Workflow[BenchList], name="bench-items"):
    work = State[BenchList](for_each(lambda d: range(d.n), look, max_concurrency=WIDTH))
    done = State.completed()
    work.to(done)


class BenchResultsFlow(Workflow[BenchList], name="bench-results"):
    work = State[BenchList](for_each(lambda d: range(d.n), square, max_concurrency=WIDTH, into="squares"))
    done = State.completed()
    work.to(done)


class BenchStepsFlow(Workflow[BenchList], name="bench-steps"):
    work = State[BenchList](*[look] * TEN)
    done = State.completed()
    work.to(done)


class BenchBranchesFlow(Workflow[BenchList], name="bench-branches"):
    work = State[BenchList](parallel(a=look, b=look, c=look, d=look, e=look, f=look, g=look, h=look, i=look, j=look))
    done = State.completed()
    work.to(done)


flows: list[type[Workflow[Any]]] = [BenchItemsFlow, BenchResultsFlow, BenchStepsFlow, BenchBranchesFlow]


async def _timed(engine: Engine, flow: type[Workflow[BenchList]], n: int) -> tuple[float, float]:
    """Seconds for a list of n, and bytes of its history for each item."""
    began = time.perf_counter()
    job = await engine.start(flow, BenchList(n))
    result = await job.wait(600)
    seconds = time.perf_counter() - began
    if result.status != "completed" or (flow is BenchResultsFlow and result.data.squares != [k * k for k in range(n)]):
        raise BenchFailed(f"{flow.__name__} is {result.status}: {result.failure}")
    told, after = 0, 0
    while rows := await engine.store.history(job.id, after, 10_000):
        told += sum(len(row.events) + len(row.changes) for row in rows)
        after = rows[-1].revision
    return seconds, told / max(1, n)


async def bench_items(engine: Engine, instances: int, concurrency: int) -> dict[str, Any]:
    """`instances` is the number of items, of one for_each. Raises BenchFailed."""
    tenth = max(1, instances // 10)
    _, few = await _timed(engine, BenchItemsFlow, tenth)
    seconds, many = await _timed(engine, BenchItemsFlow, instances)
    with_results, _ = await _timed(engine, BenchResultsFlow, instances)
    return {
        "instances": instances,
        "max_concurrency": WIDTH,
        "items_per_s": round(instances / seconds),
        "items_with_results_per_s": round(instances / with_results),
        "history_bytes_per_item": round(many),
        "history_bytes_per_item_of_a_tenth": round(few),
    }


async def bench_branches(engine: Engine, instances: int, concurrency: int) -> dict[str, Any]:
    """One at a time, alternating: ten steps in a row, ten branches. Raises BenchFailed."""
    took: dict[str, list[float]] = {"steps": [], "branches": []}
    for _ in range(instances):
        for name, flow in (("steps", BenchStepsFlow), ("branches", BenchBranchesFlow)):
            took[name].append((await _timed(engine, flow, 0))[0])
    steps, branches = statistics.median(took["steps"]), statistics.median(took["branches"])
    return {
        "instances": instances,
        "ten_steps_p50_ms": round(steps * 1e3, 2),
        "ten_branches_p50_ms": round(branches * 1e3, 2),
        "branches_to_steps": round(branches / steps, 2),
    }
