"""What documents cost: to load, draw, export, run; and how quickly hostile ones are refused. Medians of five.

python -m benchmarks.documents
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stepkeel import Context, Engine, activity, load
from stepkeel.errors import DefinitionError


@activity(name="work.do")
async def do(ctx: Context[Any, str]) -> str:
    return ctx.input


def saga(steps: int) -> str:
    """A tree of steps, each given the output of another, with a retry policy."""
    first = "name: big\nsteps:\n  - {name: s0, uses: work.do, with: a}\n"
    return first + "".join(
        f'  - {{name: s{i}, uses: work.do, with: "{{{{ steps.s{i // 2}.output }}}}", retry: {{attempts: 3}}}}\n'
        for i in range(1, steps)
    )


def flow(steps: int) -> str:
    """Steps one behind the other, each of them fired by a token."""
    said = "".join(f"          - {{name: s{i}, uses: work.do, with: a, to: s{i + 1}}}\n" for i in range(steps - 1))
    last = f"          - {{name: s{steps - 1}, uses: work.do, with: a}}\n"
    return f"name: flow\nstates:\n  begin:\n    body:\n      flow:\n{said}{last}    to: done\n  done: {{end: completed}}\n"


ALIASES = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else '1'}]\n" for n in range(30))
LARGE = "name: x\nsteps:\n" + "  - {name: a, uses: work.do, with: a}\n" * 280_000


def milliseconds(work: Callable[[], Any], rounds: int = 5) -> float:
    spent: list[float] = []
    for _ in range(rounds):
        before = time.perf_counter()
        work()
        spent.append((time.perf_counter() - before) * 1_000)
    return statistics.median(spent)


def refused(file: Path) -> None:
    try:
        load(file, [do])
    except DefinitionError:
        return
    raise AssertionError(f"{file.name} was taken")


async def run(definition: Any, url: str) -> float:
    async with Engine(url, [definition]) as engine:
        before = time.perf_counter()
        result = await (await engine.start(definition, {})).wait(120)
        assert result.status == "completed", result
        return (time.perf_counter() - before) * 1_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        texts = {"big": saga(1_000), "small": saga(100), "aliases": ALIASES, "large": LARGE, "flow": flow(1_000)}
        files = {n: Path(folder, f"{n}.yaml") for n in texts}
        for name, text in texts.items():
            files[name].write_text(text, encoding="utf-8")
        load(files["small"], [do])  # what is imported, and compiled once
        big, small = load(files["big"], [do]), load(files["small"], [do])
        print(f"load 1,000 steps         {milliseconds(lambda: load(files['big'], [do])):8.0f} ms")
        print(f"  of that, for each step {milliseconds(lambda: load(files['small'], [do])) / 100:8.2f} ms with 100 steps")
        print(f"export                   {milliseconds(big.document):8.0f} ms")
        print(f"draw, Mermaid            {milliseconds(big.mermaid):8.0f} ms")
        print(f"draw, SVG                {milliseconds(big.svg):8.0f} ms")
        for n, definition in ((100, small), (1_000, big)):
            spent = statistics.median(asyncio.run(run(definition, f"sqlite:///{folder}/{n}-{k}.db")) for k in range(3))
            print(f"run {n:5,} steps, SQLite  {spent:8.0f} ms, {spent / n:.2f} ms a step")
        tokens = load(files["flow"], [do])
        print(f"flow, load 1,000 steps   {milliseconds(lambda: load(files['flow'], [do])):8.0f} ms")
        print(f"flow, draw, SVG          {milliseconds(tokens.svg):8.0f} ms")
        spent = statistics.median(asyncio.run(run(tokens, f"sqlite:///{folder}/flow-{k}.db")) for k in range(3))
        print(f"flow, run 1,000 steps    {spent:8.0f} ms, {spent / 1_000:.2f} ms a step")
        size = files["large"].stat().st_size / 1e6
        print(f"refuse {size:.0f} MB             {milliseconds(lambda: refused(files['large'])):8.1f} ms")
        print(f"refuse nested aliases    {milliseconds(lambda: refused(files['aliases'])):8.1f} ms")


if __name__ == "__main__":
    main()
