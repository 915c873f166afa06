"""The doctor names everything that is wrong or worth a look, repairs what is safe, and the auditor does it all the time."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import apsw
import pytest

from stepkeel import Engine, State, Workflow
from stepkeel.errors import DataInvalid
from stepkeel.model.commit import Row
from stepkeel.store.port import Wanted, WorkerRow
from tests.flows import FAST, ChainFlow, Go, Job, Later, OrderFlow, Soon, WaitFlow, World


async def corrupt(engine: Engine, instance_id: str, **columns: Any) -> None:
    """Write into the row what no commit writes."""
    store: Any = engine.store
    if hasattr(store, "_rows"):
        store._put(store._rows[instance_id], **columns)
        return
    if hasattr(store, "server"):
        table, sign = f'"{store.server.schema}".instances', "${}"
    else:
        table, sign = "instances", "?{}"
    sets = ", ".join(f"{name} = {sign.format(n)}" for n, name in enumerate(columns, 2))
    sql = f"update {table} set {sets} where id = {sign.format(1)}"
    if hasattr(store, "server"):
        await store._people.fetch(sql, instance_id, *columns.values())
    else:
        store._write_to.db.execute(sql, (instance_id, *columns.values()))


async def row_of(engine: Engine, instance_id: str) -> Row:
    return (await engine.store.load([instance_id]))[instance_id]


async def resting(url: str, flow: Any, job: Any, **options: Any) -> str:
    """An instance that rests, and no worker that could mend it meanwhile."""
    async with Engine(url, [flow], {World: World()}, settings=FAST) as engine:
        made = await engine.start(flow, job)
        if options.get("end"):
            await made.wait(10)
        async with asyncio.timeout(10):
            while (await made.get()).owner is not None or (await made.get()).status in ("created", "running"):
                await asyncio.sleep(0.005)
        return made.id


@pytest.mark.corrupts
async def test_an_instance_without_a_reason_to_move_is_found_and_set_going(url: str) -> None:
    instance_id = await resting(url, ChainFlow, Job(note="explode"), end=True)
    async with Engine(url, [ChainFlow], {World: World()}, worker=False) as client:
        other = await client.start(ChainFlow, Job())
        await corrupt(client, other.id, wake_at=None)
        report = await client.doctor()
        assert [(f.kind, f.instance_id) for f in report.findings if f.violation] == [("no_orphan", other.id)]
        assert not (await client.doctor(histories=False)).clean
        mended = await client.doctor(fix=True)
        assert mended.clean
        assert [(f.kind, f.repaired) for f in mended.findings if f.repaired] == [("no_orphan", "due at once")]
        assert "1 repaired" in str(mended)
        events = [e for h in await other.history() for e in h.events]
        assert events[-1].type == "repaired"
        assert events[-1].detail == {"finding": "no_orphan", "done": "due at once"}
        async with Engine(url, [ChainFlow], {World: World()}, settings=FAST):
            assert (await other.wait(10)).status == "completed"
        assert (await client.doctor()).clean
        assert (await client.get(instance_id)).status == "failed"


@pytest.mark.corrupts
@pytest.mark.parametrize(
    ("columns", "kind", "done"),
    [
        ({"inbox": 5}, "unread_inbox", "due at once"),
        ({"state": "elsewhere", "status": "running"}, "status_matches", "written again from its snapshot"),
    ],
)
async def test_a_row_that_contradicts_itself_is_found_and_mended(url: str, columns: dict[str, Any], kind: str, done: str) -> None:
    instance_id = await resting(url, WaitFlow, Job())
    async with Engine(url, [WaitFlow], worker=False) as client:
        await corrupt(client, instance_id, **columns)
        assert kind in {f.kind for f in (await client.doctor()).findings if f.violation}
        mended = await client.doctor(fix=True)
        assert (kind, done) in [(f.kind, f.repaired) for f in mended.findings]
    async with Engine(url, [WaitFlow], settings=FAST) as engine:
        job = engine.instance(instance_id, WaitFlow)
        assert (await job.signal(Go(), wait=10)).status == "processed"
        assert (await job.wait(10)).status == "completed"
        assert (await engine.doctor()).clean


@pytest.mark.corrupts
async def test_a_snapshot_that_does_not_decode_is_found_before_anything_comes_for_it_and_set_aside(url: str) -> None:
    instance_id = await resting(url, WaitFlow, Job())
    async with Engine(url, [WaitFlow], worker=False) as client:
        await corrupt(client, instance_id, snapshot=b'{"id": 7')
        assert [f.kind for f in (await client.doctor()).findings if f.violation] == ["snapshot_decodes"]
        assert "does not decode" in str(await client.explain(instance_id))
        assert [i.data for i in (await client.list()).items] == [None], "the list stands"
        mended = await client.doctor(fix=True)
        assert [(f.kind, f.repaired) for f in mended.findings if f.violation] == [("snapshot_decodes", "due at once")]
    async with Engine(url, [WaitFlow], settings=FAST) as engine:
        async with asyncio.timeout(10):
            while "does not decode" not in str((await engine.get(instance_id)).fault):
                await asyncio.sleep(0.005)
        assert (await engine.doctor()).clean


@pytest.mark.corrupts
async def test_an_ended_row_with_a_wake_up_loses_it_where_a_database_lets_it_be(url: str) -> None:
    instance_id = await resting(url, ChainFlow, Job(), end=True)
    async with Engine(url, [ChainFlow], {World: World()}, worker=False) as client:
        if not url.startswith("memory"):
            with pytest.raises((DataInvalid, apsw.ConstraintError)):
                await corrupt(client, instance_id, wake_at=1)
            return
        await corrupt(client, instance_id, wake_at=1)
        mended = await client.doctor(fix=True)
        assert [(f.kind, f.repaired) for f in mended.findings] == [("terminal_at_rest", "its wake-up is removed")]
        assert (await row_of(client, instance_id)).wake_at is None
        assert (await client.doctor()).clean


@pytest.mark.corrupts
async def test_what_is_not_safe_is_told_and_left(url: str) -> None:
    instance_id = await resting(url, OrderFlow, Job())
    async with Engine(url, [OrderFlow], {World: World()}, worker=False) as client:
        row = await row_of(client, instance_id)
        await corrupt(client, instance_id, snapshot=row.snapshot.replace(b'"reserve"', b'"changed"'))
        report = await client.doctor(fix=True)
        assert [(f.kind, f.repaired) for f in report.findings if f.violation] == [("fold_matches", "")]
        assert not report.clean
        assert (await row_of(client, instance_id)).revision == row.revision


async def test_dead_workers_and_what_they_held_are_named_and_freed(url: str) -> None:
    async with Engine(url, [ChainFlow], {World: World()}, worker=False) as client:
        store = client.store
        past = store.now() - 60_000_000
        await store.add_worker(WorkerRow("w-dead", "gone:1", '["ChainFlow@1"]', past, past + 1))
        job = await client.start(ChainFlow, Job())
        await store.claim("w-dead", [Wanted("ChainFlow", 1)], 10)
        assert (await job.get()).owner == "w-dead"
        async with asyncio.timeout(10):
            while not (await client.doctor()).findings:
                await asyncio.sleep(0.01)
        report = await client.doctor()
        assert report.clean, "what any sweep mends is no violation"
        assert {"dead_worker", "dead_owner"} <= {f.kind for f in report.findings}
        mended = await client.doctor(fix=True)
        assert ("dead_worker", "buried") in [(f.kind, f.repaired) for f in mended.findings]
        assert ("dead_owner", "freed, and due at once") in [(f.kind, f.repaired) for f in mended.findings]
        assert (await job.get()).owner is None
        async with Engine(url, [ChainFlow], {World: World()}, settings=FAST):
            assert (await job.wait(10)).status == "completed"


async def test_what_is_due_or_unread_for_too_long_is_named(url: str) -> None:
    instance_id = await resting(url, WaitFlow, Job())
    async with Engine(url, [WaitFlow], worker=False) as client:
        job = client.instance(instance_id, WaitFlow)
        await job.signal(Go())
        assert not [f for f in (await client.doctor()).findings if f.kind != "unserved"]
        found = {f.kind: f.text for f in (await client.doctor(overdue=0.0)).findings}
        assert "not claimed" in found["overdue"]
        assert "signal Go (1) unread" in found["pending"]
        assert "nobody holds it" in found["pending"]


async def test_signals_that_are_kept_on_purpose_are_no_finding(url: str) -> None:
    class Keeping(Workflow[Job]):
        first = State[Job]()
        second = State[Job]()
        done = State.completed()
        first.on(Go, to=second)
        second.on(Later, to=done)
        second.on(Soon, to=done)

    async with Engine(url, [Keeping], settings=FAST) as engine:
        job = await engine.start(Keeping, Job())
        await job.wait(10, state=Keeping.first)
        await job.signal(Later())
        async with asyncio.timeout(10):
            while (await job.get()).owner is not None or (await row_of(engine, job.id)).seen == 0:
                await asyncio.sleep(0.005)
        assert not (await engine.doctor(overdue=0.0)).findings


@pytest.mark.corrupts
async def test_the_auditor_looks_at_all_of_them_again_and_again_and_tells(url: str, caplog: pytest.LogCaptureFixture) -> None:
    instance_id = await resting(url, WaitFlow, Job())
    async with Engine(url, [WaitFlow], settings=replace(FAST, audit_every=0.02)) as engine:
        auditor = engine.process.auditor
        assert auditor is not None
        await corrupt(engine, instance_id, status="running")
        with caplog.at_level(logging.ERROR, "stepkeel.auditor"):
            async with asyncio.timeout(10):
                while not auditor.facts().get("violations"):
                    await asyncio.sleep(0.01)
        assert auditor.facts()["violations"] == {"no_orphan": 1, "status_matches": 1}
        assert auditor.facts()["checked"] == 1
        assert f"instance {instance_id} breaks no_orphan" in caplog.text
        assert (await engine.doctor(fix=True)).repaired == 1
        async with asyncio.timeout(10):
            while auditor.facts()["violations"]:
                await asyncio.sleep(0.01)
