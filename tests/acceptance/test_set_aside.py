"""What cannot be decided or stored is set aside, with its fault named, and harms no other instance of its batch."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepkeel import Engine
from stepkeel.clock import SystemClock
from stepkeel.errors import DataInvalid
from stepkeel.facade import open_store
from stepkeel.model.commit import Answer, Batch, Delivery
from stepkeel.store.port import Store, Wanted, WorkerRow
from tests import postgres
from tests.acceptance.proxy import Proxy
from tests.flows import FAST, ChainFlow, Go, Job, WaitFlow, World


async def test_a_poisoned_instance_is_set_aside_with_its_fault_named_and_harms_no_other(url: str) -> None:
    async with Engine(url, [WaitFlow], settings=FAST) as engine:
        jobs = await engine.start_many(WaitFlow, [Job(str(n)) for n in range(5)])
        for job in jobs:
            await job.wait(10, state=WaitFlow.ready)
        poisoned = jobs[2]
        good = (await engine.store.load([poisoned.id]))[poisoned.id].snapshot
        _overwrite(engine, poisoned.id, b'{"id": 7, "broken"')
        for job in jobs:
            await job.signal(Go())
        for job in jobs:
            if job is not poisoned:
                assert (await job.wait(10)).status == "completed"
        async with asyncio.timeout(10):
            while (await engine.store.load([poisoned.id]))[poisoned.id].fault is None:
                await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            while (row := (await engine.store.load([poisoned.id]))[poisoned.id]).owner or row.wake_at:
                await asyncio.sleep(0.01)
        await asyncio.sleep(3 * FAST.poll_max)
        again = (await engine.store.load([poisoned.id]))[poisoned.id]
        assert again.revision == row.revision, "the signal it has not read does not wake it again and again"
        info = await poisoned.get()
        assert info.status == "paused"
        assert "does not decode" in (info.fault or "")
        assert "set aside" in str(await poisoned.explain())
        report = await engine.doctor()
        assert report.clean
        assert [f.kind for f in report.findings] == ["set_aside"]
        _overwrite(engine, poisoned.id, good)
        await poisoned.resume(actor="ann")
        assert (await poisoned.wait(10)).status == "completed"
        assert (await engine.doctor()).clean


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        (b'{"id"', b'{"schema":2,"id"', "a newer release wrote it"),
        (b'"waiting"', b'"running"', "its row says waiting, its snapshot running"),
        (b'{"id":"', b'{"id":"not ', "it is that of not "),
        (b'{"id":"', b'{"id":"\xd5', "does not decode"),
    ],
    ids=["newer", "status", "another", "no text"],
)
@pytest.mark.corrupts
async def test_bytes_that_are_not_its_own_snapshot_are_told_for_what_they_are(url: str, was: bytes, now: bytes, told: str) -> None:
    async with Engine(url, [WaitFlow], settings=FAST) as engine:
        job = await engine.start(WaitFlow, Job())
        await job.wait(10, state=WaitFlow.ready)
        async with asyncio.timeout(10):
            while (row := (await engine.store.load([job.id]))[job.id]).owner is not None:
                await asyncio.sleep(0.01)
        assert was in row.snapshot
        _overwrite(engine, job.id, row.snapshot.replace(was, now, 1))
        await job.signal(Go())
        async with asyncio.timeout(10):
            while (info := await job.get()).fault is None:
                await asyncio.sleep(0.01)
        assert info.status == "paused"
        assert told in str(info.fault)


async def test_a_request_that_does_not_decode_is_rejected_and_the_worker_goes_on(url: str) -> None:
    async with Engine(url, [WaitFlow], settings=FAST) as engine:
        jobs = await engine.start_many(WaitFlow, [Job(), Job()])
        for job in jobs:
            await job.wait(10, state=WaitFlow.ready)
        broken = Delivery(jobs[0].id, "default", "control", "pause", b'{"reason":"\xd5"}', "k", "", engine.store.now())
        await engine.store.commit(Batch(deliveries=(broken,)))
        for job in jobs:
            assert (await job.signal(Go(), wait=10)).status == "processed"
        told = [s for s in await jobs[0].signals() if s.kind == "control"]
        assert [(s.status, s.payload) for s in told] == [("rejected", None)]
        assert "not understood" in told[0].reason


def _overwrite(engine: Engine, instance_id: str, snapshot: bytes) -> None:
    """Corrupt (or mend) the bytes behind the engine's back."""
    store: Any = engine.store
    if hasattr(store, "_rows"):
        from msgspec.structs import replace

        store._rows[instance_id] = replace(store._rows[instance_id], snapshot=snapshot)
    elif hasattr(store, "server"):
        values = f"snapshot = '\\x{snapshot.hex()}' where id = '{instance_id}'"
        postgres.execute(store.server.dsn, f'update "{store.server.schema}".instances set {values}')
    else:
        store._write_to.db.execute("update instances set snapshot = ? where id = ?", (snapshot, instance_id))


async def test_an_instance_that_kills_its_workers_is_set_aside(url: str) -> None:
    world = World()
    world.gate("reserve")
    async with Engine(url, [ChainFlow], {World: world}, worker=False) as client:
        job = await client.start(ChainFlow, Job())
        for _ in range(6):
            now = client.store.now()
            await client.store.add_worker(WorkerRow("doomed", "doomed", "[]", now, now + 5_000_000))
            assert len((await client.store.claim("doomed", [Wanted("ChainFlow", 1)], 10)).rows) == 1
            await client.store.remove_worker("doomed")
            assert await client.store.take_over(10) == [job.id]
    async with Engine(url, [ChainFlow], {World: world}, settings=FAST) as engine:
        async with asyncio.timeout(10):
            while (await engine.get(job.id)).fault is None:
                await asyncio.sleep(0.01)
        assert "6 workers died" in ((await engine.get(job.id)).fault or "")
        world.gates.clear()
        await engine.resume(job.id)
        assert (await engine.wait(job.id, 10)).status == "completed"


async def test_a_snapshot_that_outgrows_its_bound_is_set_aside(url: str) -> None:
    from dataclasses import replace

    settings = replace(FAST, max_snapshot=2_000)
    async with Engine(url, [WaitFlow], settings=settings) as engine:
        job = await engine.start(WaitFlow, Job())
        await job.wait(10, state=WaitFlow.ready)
        await job.signal(Go(note="x" * 5_000))
        async with asyncio.timeout(10):
            while (await engine.get(job.id)).fault is None:
                await asyncio.sleep(0.01)
        assert "2000" in ((await engine.get(job.id)).fault or "")
        assert (await engine.doctor()).clean


async def test_a_kernel_error_sets_one_instance_aside_and_harms_no_other(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from stepkeel.runtime import resident

    broken: set[str] = set()
    real = resident.decide

    def decide(definition: Any, snapshot: Any, *rest: Any) -> Any:
        if snapshot.id in broken:
            raise RuntimeError("a bug in a rule")
        return real(definition, snapshot, *rest)

    monkeypatch.setattr(resident, "decide", decide)
    async with Engine(url, [WaitFlow], settings=FAST) as engine:
        jobs = await engine.start_many(WaitFlow, [Job(str(n)) for n in range(4)])
        for job in jobs:
            await job.wait(10, state=WaitFlow.ready)
        broken.add(jobs[1].id)
        for job in jobs:
            await job.signal(Go())
        for n in (0, 2, 3):
            assert (await jobs[n].wait(10)).status == "completed"
        async with asyncio.timeout(10):
            while (await jobs[1].get()).fault is None:
                await asyncio.sleep(0.01)
        assert "a bug in a rule" in ((await jobs[1].get()).fault or "")
        broken.clear()
        await jobs[1].resume()
        assert (await jobs[1].wait(10)).status == "completed", "the signal was kept"


class Picky(Proxy):
    """A store that refuses the content of one instance's commits, whatever batch they are in."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.refused = ""
        self.batches = 0

    async def commit(self, batch: Batch) -> Answer:
        self.batches += 1
        if any(c.id == self.refused and c.step.fault is None for c in batch.commits):
            raise DataInvalid("the database refused the data: constraint failed")
        return await self._store.commit(batch)


async def test_content_that_is_refused_stands_alone_and_only_its_instance_is_set_aside(url: str) -> None:
    store: Any = Picky(open_store(url, SystemClock()))
    world = World()
    gate = world.gate("charge")
    async with Engine(url, [ChainFlow], {World: world}, store=store, settings=FAST) as engine:
        jobs = await engine.start_many(ChainFlow, [Job(str(n)) for n in range(9)])
        await world.entered["charge"].wait()
        store.refused = jobs[4].id
        gate.set()
        for n, job in enumerate(jobs):
            if n != 4:
                assert (await job.wait(10)).status == "completed"
        async with asyncio.timeout(10):
            while (await jobs[4].get()).fault is None:
                await asyncio.sleep(0.01)
        assert "refused" in ((await jobs[4].get()).fault or "")
        assert (await engine.doctor()).clean


async def test_data_that_no_longer_fits_its_type_sets_the_instance_aside(url: str) -> None:
    world = World()
    gate = world.gate("reserve")
    async with Engine(url, [ChainFlow], {World: world}, settings=FAST) as engine:
        job = await engine.start(ChainFlow, Job())
        await world.entered["reserve"].wait()
        await job.pause()
        gate.set()
        async with asyncio.timeout(10):
            while (await job.get()).owner is not None:
                await asyncio.sleep(0.01)
        row = (await engine.store.load([job.id]))[job.id]
        _overwrite(engine, job.id, row.snapshot.replace(b'"amount":0', b'"amount":"x"'))
        await job.resume()
        async with asyncio.timeout(10):
            while (await engine.store.load([job.id]))[job.id].fault is None:
                await asyncio.sleep(0.01)
        assert "does not fit the type" in ((await engine.store.load([job.id]))[job.id].fault or "")
        _overwrite(
            engine, job.id, row.snapshot.replace(b'"status":"paused"', b'"status":"running"').replace(b',"pause":{', b',"was":{')
        )
        await job.resume()
        assert (await job.wait(10)).status == "completed"
