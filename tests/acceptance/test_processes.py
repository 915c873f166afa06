"""Several worker processes on one database: killed, stopped and restarted, nothing is lost and no commit is doubled."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import apsw
import pytest

from stepkeel import Engine
from tests import postgres
from tests.acceptance.fleet import FLOWS, SETTINGS, Effects, Finish, FleetFlow, Nudge, NudgedFlow, Worker
from tests.flows import FAST, Job


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Only what several processes can share."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'fleet.db'}"
    else:
        with postgres.fresh_schema() as made:
            yield made


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    """A server that the test stops and starts; it runs again afterwards."""
    server = postgres.own_server()
    yield server
    server.ensure()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "effects.log"


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    """Those the test has started; none outlives it."""
    started: list[Worker] = []
    yield started
    for each in started:
        if each.alive:
            each.send(signal.SIGCONT)
            each.kill()


def client(url: str, log: Path) -> Engine:
    return Engine(url, FLOWS, {Effects: Effects(log)}, worker=False, settings=SETTINGS)


def stop_between_transactions(process: Worker, url: str) -> None:
    """SIGSTOP; on SQLite a process stopped within a transaction would hold the file's one write lock until it goes on."""
    if not url.startswith("sqlite"):
        process.send(signal.SIGSTOP)
        return
    db = apsw.Connection(url.removeprefix("sqlite:///"))
    for _ in range(200):
        process.send(signal.SIGSTOP)
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            continue
        try:
            db.execute("begin immediate")
            db.execute("rollback")
            break
        except apsw.BusyError:
            process.send(signal.SIGCONT)
    db.close()


async def until(engine: Engine, count: int, seconds: float = 90) -> None:
    async with asyncio.timeout(seconds):
        while sum(m.count for m in await engine.metrics() if m.status == "completed") < count:
            await asyncio.sleep(0.02)


async def check_all_ran_once(engine: Engine, log: Path, count: int, at_most_again: int, since: int = 0) -> float:
    """Every instance has its three effects, each activity recorded once. The longest pause of a step after `since`, seconds."""
    seen, cursor, pause = 0, None, 0
    while True:
        page = await engine.list(definition="FleetFlow", limit=1000, cursor=cursor)
        for info in page.items:
            assert info.data.log == ["first", "second", "third"]
            rows = await engine.store.history(info.id)
            # The first one waits for room; after that nothing has a reason to.
            pause = max([pause, *(b.at - max(a.at, since) for a, b in pairwise(rows[1:]))])
            assert sum(r.events.count(b'"activity_completed"') for r in rows) == 3
        seen += len(page.items)
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == count
    effects = Counter(log.read_text().split())
    assert len(effects) == 3 * count
    assert sum(1 for n in effects.values() if n > 1) <= at_most_again, "only what was in flight when a worker died ran again"
    report = await engine.doctor(histories=False)
    assert report.clean, report.findings
    return pause / 1e6


async def test_workers_killed_over_and_over_lose_nothing_and_run_nothing_again_that_committed(
    url: str, log: Path, workers: list[Worker]
) -> None:
    """One of two is killed with each twelfth that is done, every 300 ms at most, as soon as it runs; others go on within the lease.

    Measured from the last kill: before it, whoever takes an instance over may be killed in turn, and what was taken over
    waits behind the rest for room. A kill waits for work to be done: where starting takes seconds there would be none between two.
    """
    count, room, kills, done, last, slowest = 5_000, 32, 0, 0, 0, 0.0
    async with client(url, log) as engine:
        workers += [Worker(url, log, room), Worker(url, log, room)]
        await engine.start_many(FleetFlow, [Job(str(n)) for n in range(count)])
        deadline = time.monotonic() + 120
        while done < count:
            assert time.monotonic() < deadline, f"{done} of {count} have completed"
            await asyncio.sleep(0.3)
            done = sum(m.count for m in await engine.metrics() if m.status == "completed")
            if kills * count / 12 <= done < 0.9 * count:
                workers[kills % 2].kill()
                last = engine.store.now()
                workers[kills % 2] = Worker(url, log, room, wait=False)
                kills += 1
                await asyncio.to_thread(workers[kills % 2].ready) if kills > 1 else None
                slowest = max(slowest, workers[kills % 2].took)
                deadline = time.monotonic() + 120
        assert kills >= 3
        pause = await check_all_ran_once(engine, log, count, kills * room, last)
        assert pause < FAST.lease + 2 + slowest, "on a machine as slow as it was when it started these workers"


async def test_a_stopped_process_cannot_commit_when_it_goes_on(url: str, log: Path, workers: list[Worker]) -> None:
    async with client(url, log) as engine:
        workers.append(Worker(url, log, 30))
        jobs = await engine.start_many(FleetFlow, [Job(str(n)) for n in range(200)])
        await until(engine, 20)
        stop_between_transactions(workers[0], url)
        stopped_at = time.monotonic()
        workers.append(Worker(url, log, 30))
        await until(engine, 200)
        await asyncio.sleep(max(0.0, stopped_at + 2 * FAST.lease - time.monotonic()))
        before = {j.id: (await j.get()).revision for j in jobs}
        workers[0].send(signal.SIGCONT)
        late = await engine.start_many(FleetFlow, [Job(f"late{n}") for n in range(50)])
        await until(engine, 250)
        await asyncio.sleep(FAST.lease)
        assert {j.id: (await j.get()).revision for j in jobs} == before
        assert workers[0].alive, "it began again under a new id"
        assert {(await j.get()).status for j in late} == {"completed"}
        await check_all_ran_once(engine, log, 250, 30)


async def test_a_worker_told_to_stop_finishes_or_hands_back_and_burns_no_attempt(
    url: str, log: Path, workers: list[Worker]
) -> None:
    async with client(url, log) as engine:
        await engine.start_many(FleetFlow, [Job(str(n)) for n in range(400)])
        first = Worker(url, log, 50)
        workers.append(first)
        await until(engine, 50)
        code, said = first.terminate()
        assert code == 0
        assert "worker stopped" in said
        rows = (await engine.list(limit=1000)).items
        assert not [r for r in rows if r.owner is not None], "it has given back all it held"
        assert not await engine.store.workers()
        workers.append(Worker(url, log, 50))
        await until(engine, 400)
        await check_all_ran_once(engine, log, 400, 0)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_server_restarted_under_load_loses_nothing_and_everybody_goes_on(
    server: postgres.Server, mode: str, log: Path, workers: list[Worker]
) -> None:
    with postgres.fresh_schema(base=server.url) as url:
        workers += [Worker(url, log), Worker(url, log)]
        async with client(url, log) as engine:
            starting = asyncio.gather(*(engine.start_many(FleetFlow, {f"k{n}-{m}": Job() for m in range(500)}) for n in range(4)))
            await until(engine, 300)
            await asyncio.to_thread(server.restart, mode)
            await starting  # calls are survivors as well
            waiting = await engine.start(FleetFlow, Job(), key="while it was away")
            await asyncio.to_thread(server.restart, mode)
            assert (await waiting.wait(30)).status == "completed"
            await until(engine, 2001)
            assert all(w.alive for w in workers)
            await check_all_ran_once(engine, log, 2001, 800)


async def test_every_signal_has_a_fate_while_workers_come_and_go(url: str, log: Path, workers: list[Worker]) -> None:
    """200 signals a second to 1,000 instances; every fifth is sent twice, and workers are killed meanwhile."""
    seconds = 6.0
    async with client(url, log) as engine:
        jobs = await engine.start_many(NudgedFlow, [Job(str(n)) for n in range(1_000)])
        workers += [Worker(url, log), Worker(url, log)]
        sent: Counter[str] = Counter()
        began, n = time.monotonic(), 0

        async def churn() -> None:
            for k in range(4):
                await asyncio.sleep(seconds / 5)
                workers[k % 2].kill()
                workers[k % 2] = await asyncio.to_thread(Worker, url, log)

        churning = asyncio.create_task(churn())
        while (past := time.monotonic() - began) < seconds:
            while n < past * 200:
                job = jobs[n * 7919 % 1000]
                await job.signal(Nudge(n=n), key=f"k{n}")
                if n % 5 == 0:
                    await job.signal(Nudge(n=n), key=f"k{n}")  # sent again: the same signal
                sent[job.id] += 1
                n += 1
            await asyncio.sleep(0.005)
        await churning
        for job in jobs:
            await job.signal(Finish())
        await until(engine, 1_000)
        statuses: Counter[str] = Counter()
        for job in jobs:
            for row in await job.signals():
                statuses[row.status] += 1
            assert (await job.get()).data.amount == sent[job.id], "each was taken exactly once"
        assert statuses.keys() <= {"processed", "ignored", "rejected"}, statuses
        assert statuses["processed"] == n + 1_000
        report = await engine.doctor(histories=False)
        assert report.clean, report.findings
        assert not [r for r in (await engine.list(limit=1000)).items if r.owner]
