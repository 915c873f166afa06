"""Several processes on one file: killed and stopped at any moment, nothing is lost and no commit is doubled."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import apsw

from stepkeel import Engine
from tests.acceptance.fleet import Effects, FleetFlow
from tests.flows import FAST, Job

ROOT = Path(__file__).parents[2]


def spawn(tmp_path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.acceptance.fleet", str(tmp_path / "fleet.db"), str(tmp_path / "effects.log")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def client(tmp_path: Path) -> Engine:
    services = {Effects: Effects(tmp_path / "effects.log")}
    return Engine(f"sqlite:///{tmp_path / 'fleet.db'}", [FleetFlow], services, worker=False)


def stop_between_transactions(process: subprocess.Popen[str], path: Path) -> None:
    """SIGSTOP; a process stopped within a transaction would hold the file's one write lock until it goes on."""
    db = apsw.Connection(str(path))
    for _ in range(200):
        os.kill(process.pid, signal.SIGSTOP)
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            continue
        try:
            db.execute("begin immediate")
            db.execute("rollback")
            break
        except apsw.BusyError:
            os.kill(process.pid, signal.SIGCONT)
    db.close()


async def ended(engine: Engine) -> int:
    return sum(m.count for m in await engine.metrics() if m.status == "completed")


async def until(engine: Engine, count: int, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while await ended(engine) < count:
            await asyncio.sleep(0.01)


async def test_workers_killed_over_and_over_lose_nothing_and_run_nothing_again_that_committed(tmp_path: Path) -> None:
    async with client(tmp_path) as engine:
        jobs = await engine.start_many(FleetFlow, [Job(str(n)) for n in range(400)])
        for done in (60, 160, 260):
            process = spawn(tmp_path)
            await until(engine, done)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        process = spawn(tmp_path)
        await until(engine, 400)
        process.terminate()
        process.communicate()
        for job in jobs:
            info = await job.get()
            assert info.data.log == ["first", "second", "third"]
            entries = await job.history()
            done = Counter(e.path for h in entries for e in h.events if e.type == "activity_completed")
            assert set(done.values()) == {1}, "each activity is recorded once"
        assert (await engine.doctor()).clean
    effects = Counter((tmp_path / "effects.log").read_text().split())
    assert len(effects) == 1200
    assert sum(1 for n in effects.values() if n > 1) <= 3 * 30, "only what was in flight when a worker died ran again"


async def test_a_stopped_process_cannot_commit_when_it_goes_on(tmp_path: Path) -> None:
    async with client(tmp_path) as engine:
        stopped = spawn(tmp_path)
        jobs = await engine.start_many(FleetFlow, [Job(str(n)) for n in range(200)])
        await until(engine, 20)
        stop_between_transactions(stopped, tmp_path / "fleet.db")
        other = spawn(tmp_path)
        await until(engine, 200)
        before = {j.id: (await j.get()).revision for j in jobs}
        os.kill(stopped.pid, signal.SIGCONT)
        late = await engine.start_many(FleetFlow, [Job(f"late{n}") for n in range(50)])
        await until(engine, 250)
        await asyncio.sleep(FAST.lease)
        assert {j.id: (await j.get()).revision for j in jobs} == before
        assert stopped.poll() is None, "it began again under a new id"
        for process in (stopped, other):
            process.terminate()
            process.communicate()
        assert {(await j.get()).status for j in late} == {"completed"}
        assert (await engine.doctor()).clean
