"""How the console bears much: a list of 100,000 instances and a history of 10,000 commits, shown and scrolled in Chromium.

python -m benchmarks.console [--instances 100000] [--commits 10000]

One `stepkeel serve` without a worker on a SQLite file, the browser on the same machine. A frame is what `requestAnimationFrame`
tells, while the page goes down by 600 pixels in each for three seconds; 16.7 ms is as good as it gets.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.console.conftest import browsing

from benchmarks.api import running
from stepkeel import Context, Engine, Signal, State, Workflow, activity, loop

URL = os.environ.get("STEPKEEL_BENCH_URL", "memory://")
FRAMES = """async () => {
  const frames = []; let last = performance.now(); const begun = last;
  const inner = document.querySelector('[aria-label=Entries], [aria-label=Timeline]');
  while (performance.now() - begun < 3000) {
    (inner ?? window).scrollBy(0, 600);
    await new Promise((next) => requestAnimationFrame(next));
    const now = performance.now(); frames.push(now - last); last = now;
  }
  frames.sort((a, b) => a - b);
  return [frames[frames.length >> 1], frames[Math.floor(frames.length * 0.95)]];
}"""


class Go(Signal):
    pass


@dataclass
class Count:
    n: int = 0
    most: int = 0


@activity
async def count(ctx: Context[Count]) -> None:
    ctx.data.n += 1


class Long(Workflow[Count]):
    work = State[Count](loop(count, until=lambda c: c.n >= c.most, max_iterations=1_000_000))
    done = State.completed()
    work.to(done)


class Many(Workflow[Count]):
    waiting = State[Count]()
    done = State.completed()
    waiting.on(Go, to=done)


engine = Engine(URL, [Long, Many], worker=False)


async def fill(url: str, instances: int, commits: int) -> str:
    async with Engine(url, [Long, Many]) as made:
        long = await made.start(Long, Count(most=commits))
        await long.wait(600)
    async with Engine(url, [Long, Many], worker=False) as made:
        for n in range(0, instances, 5_000):
            await made.start_many(Many, [Count(k) for k in range(n, min(n + 5_000, instances))])
    return long.id


def measure(browser: Any, at: str, path: str, heading: str) -> str:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(60_000)
    before = time.perf_counter()
    page.goto(at + path)
    page.get_by_role("heading", name=heading).first.wait_for()
    page.get_by_label("Loading", exact=True).wait_for(state="hidden")
    shown = time.perf_counter() - before
    page.wait_for_timeout(500)
    middle, most = page.evaluate(FRAMES)
    page.close()
    return f"shown in {shown:.1f} s, a frame takes {middle:.0f} ms, 95 % of them at most {most:.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=100_000)
    parser.add_argument("--commits", type=int, default=10_000)
    given = parser.parse_args()
    with ExitStack() as stack:
        url = f"sqlite:///{Path(stack.enter_context(tempfile.TemporaryDirectory())) / 'bench.db'}"
        id = asyncio.run(fill(url, given.instances, given.commits))
        line = stack.enter_context(
            running("serve", "benchmarks.console:engine", "--port", "0", "--no-worker", url=url, told="http")
        )
        at = line.split("/api/v1")[0]
        browser = stack.enter_context(browsing())
        print(f"{given.instances:,} instances: {measure(browser, at, '/instances', 'Instances')}", flush=True)
        for tab in ("history", "timeline"):
            print(f"{tab} of {given.commits:,} commits: {measure(browser, at, f'/instances/{id}?tab={tab}', 'Long')}", flush=True)


if __name__ == "__main__":
    main()
