"""`make peers`: the order workload here and on what a user might pick instead, interleaved, as a Markdown table.

Each peer lives in benchmarks/<peer>/ with requirements and a virtual environment of its own, made at first use. Every run has
an empty database. Raw results are kept as JSON in bench-results/. Where a peer has no workflows, independent jobs run instead,
which is less work: one step, no state, no history.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.server import Databases

ROOT = Path(__file__).parent
RESULTS = Path("bench-results")
STEPS = "workflows of 4 durable steps"
JOBS = "independent jobs, one step, no history"


@dataclass(frozen=True)
class Run:
    title: str
    peer: str
    store: str
    count: int
    concurrency: int
    what: str = STEPS
    options: tuple[str, ...] = ()


OURS_SQLITE = Run("Stepkeel", "", "SQLite", 10_000, 1_000)
OURS_POSTGRES = Run("Stepkeel", "", "PostgreSQL", 10_000, 1_000)
RUNS = (
    OURS_SQLITE,
    Run("DBOS, as shipped", "dbos", "SQLite", 200, 100),
    Run("DBOS, WAL by hand", "dbos", "SQLite", 200, 100, STEPS, ("--wal",)),
    OURS_POSTGRES,
    Run("DBOS", "dbos", "PostgreSQL", 300, 100),
    Run("Restate", "restate", "its own log", 2_000, 100),
    Run("Restate, one partition", "restate", "its own log", 2_000, 100, STEPS, ("--one-partition",)),
    Run("procrastinate", "procrastinate", "PostgreSQL", 2_000, 100, JOBS),
    Run("pgqueuer", "pgqueuer", "PostgreSQL", 10_000, 1_000, JOBS),
)


def python_of(peer: str) -> Path:
    """The peer's own environment, made where it is missing."""
    place = ROOT / peer / ".venv"
    python = place / "bin" / "python"
    if not python.exists():
        print(f"setting up {place} (once) ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", ROOT / peer / "requirements.txt"], check=True)
    if (ROOT / peer / "package.json").exists() and not (ROOT / peer / "node_modules").exists():
        subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", "--no-package-lock"], cwd=ROOT / peer, check=True)
    return python


def version_of(peer: str) -> str:
    if (ROOT / peer / "package.json").exists() and peer:
        python_of(peer)
        (package,) = json.loads((ROOT / peer / "package.json").read_text())["dependencies"].values()
        return str(package)
    code = f"from importlib.metadata import version; print(version({peer or 'stepkeel'!r}))"
    done = subprocess.run([python_of(peer) if peer else sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def run(each: Run, server: Databases) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        url = server.fresh() if each.store == "PostgreSQL" else folder
        if each.store == "SQLite":
            url = f"sqlite:///{folder}/bench.db"
        if each.peer:
            command = [str(python_of(each.peer)), str(ROOT / each.peer / "bench.py"), url, str(each.count), str(each.concurrency)]
        else:
            ours = [str(Path(sys.executable).parent / "stepkeel"), "bench", "order", "--database", url, "--json"]
            command = [*ours, "--instances", str(each.count), "--concurrency", str(each.concurrency)]
        done = subprocess.run([*command, *each.options], capture_output=True, text=True, check=False)
        if each.store == "PostgreSQL":
            server.drop(url)
    if done.returncode:
        sys.exit(f"{each.title}: {done.stderr[-2000:]}")
    text = done.stdout if not each.peer else done.stdout.strip().splitlines()[-1]
    result: dict[str, Any] = json.loads(text)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    if shutil.which("npm") is None:
        print("no npm on this machine: Restate is left out", file=sys.stderr)
    runs = [each for each in RUNS if each.peer != "restate" or shutil.which("npm")]
    versions = {each.peer: version_of(each.peer) for each in runs}
    results: dict[str, list[dict[str, Any]]] = {}
    with Databases() as server:
        for n in range(rounds):
            for each in runs:
                print(f"round {n + 1}: {each.title} on {each.store} ...", file=sys.stderr, flush=True)
                results.setdefault(f"{each.title} on {each.store}", []).append(run(each, server))
        server_version = server.version
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "peers.json").write_text(json.dumps({"versions": versions, "results": results}, indent=2))
    medians = {k: statistics.median(r["workflows_per_s"] for r in rs) for k, rs in results.items()}
    print(f"| | on | what | in flight | per second, median of {rounds} | spread | Stepkeel is |\n|---|---|---|---|---|---|---|")
    for each in runs:
        name = f"{each.title} on {each.store}"
        values = [r["workflows_per_s"] for r in results[name]]
        ours = OURS_SQLITE if each.store == "SQLite" else OURS_POSTGRES
        ratio = medians[f"Stepkeel on {ours.store}"] / medians[name]
        said = "" if not each.peer else f"{ratio:.1f}x" if ratio >= 1 else f"{ratio:.2f}x: slower"
        print(
            f"| {each.title} {versions[each.peer]} | {each.store} | {each.what} | {each.concurrency:,} | {medians[name]:,.0f} "
            f"| {min(values):,.0f} - {max(values):,.0f} | {said} |"
        )
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"\n{machine}, PostgreSQL {server_version} with its defaults")


if __name__ == "__main__":
    main()
