"""Tasks on every store: rows of the instance's own commit, listed as people look for them, completed once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from stepkeel import Engine, Instance, State, Verdict, Workflow, approval, for_each, task
from stepkeel.engine.people import TaskInfo
from stepkeel.errors import BadRequest, DataInvalid, NotAllowed, NotFound, TaskClosed
from tests.acceptance.crash import crash, crashed_engine
from tests.flows import FAST, Job, World


@dataclass
class Address:
    street: str
    number: int = 1


def moved(job: Job, address: Address) -> None:
    job.note = f"{address.street} {address.number}"


def decided(job: Job, verdict: Verdict) -> None:
    job.log = [f"{who} {yes} {comment}".strip() for who, yes, comment in verdict.votes]


class Paper(Workflow[Job]):
    filling = State[Job](task("Where does {name} live?", Address, role="clerk", due=timedelta(hours=1), into=moved))
    signing = State[Job](approval("Sign {note}", people=["ann", "bob", "cy"], need=2, not_by=lambda job: job.name, into=decided))
    done = State.completed()
    refused = State.failed(code="REFUSED")
    filling.to(signing)
    signing.to(done)
    signing.on_failure("rejected", to=refused)


class Round(Workflow[Job]):
    asking = State[Job](
        for_each(lambda job: job.log, task(lambda job, who: f"Hello {who}", assignee=lambda job, who: who), max_concurrency=2)
    )
    done = State.completed()
    asking.to(done)


async def tasks_of(engine: Engine, job: Instance[Any], count: int) -> list[TaskInfo]:
    async with asyncio.timeout(10):
        while len(found := (await engine.tasks(instance_id=job.id)).items) < count:
            await asyncio.sleep(0.01)
    return [*found]


async def test_a_task_is_listed_as_people_look_for_it(url: str) -> None:
    async with Engine(url, [Paper], settings=FAST) as engine:
        job = await engine.start(Paper, Job("dan"))
        (t,) = await tasks_of(engine, job, 1)
        assert (t.title, t.role, t.form, t.status, t.overdue) == ("Where does dan live?", "clerk", "Address", "open", False)
        wanted: list[dict[str, Any]] = [
            {"roles": "clerk"}, {"person": "eve", "roles": ["x", "clerk"]}, {"role": "clerk"}, {"definition": "Paper"},
            {"text": "DAN LIVE"}, {"due_to": t.due_at + timedelta(seconds=1) if t.due_at else None}, {"status": None},
        ]  # fmt: skip
        for filters in wanted:
            assert [x.id for x in (await engine.tasks(**filters)).items] == [t.id], filters
        others: list[dict[str, Any]] = [
            {"roles": "lead"}, {"person": "eve"}, {"assignee": "eve"}, {"text": "100%"}, {"status": "completed"},
            {"due_from": t.due_at + timedelta(seconds=1) if t.due_at else None}, {"claimed_by": "eve"}, {"definition": "x"},
        ]  # fmt: skip
        for filters in others:
            assert (await engine.tasks(**filters)).items == (), filters
        await engine.task(t.id).claim(actor="eve")
        assert [x.id for x in (await engine.tasks(person="eve")).items] == [t.id]
        assert "waits for eve to do the task" in str(await job.explain())


async def test_two_of_three_sign_and_the_third_is_told_that_it_is_closed(url: str) -> None:
    async with Engine(url, [Paper], settings=FAST) as engine:
        job = await engine.start(Paper, Job("dan"))
        (t,) = await tasks_of(engine, job, 1)
        with pytest.raises(DataInvalid):
            await engine.task(t.id).complete({"street": 7}, actor="eve")
        with pytest.raises(NotAllowed, match="role clerk"):
            await engine.task(t.id).complete(Address("Mill"), actor="eve", roles=["boss"])
        assert (await engine.task(t.id).complete(Address("Mill", 3), actor="eve", roles=["clerk"])).status == "processed"
        with pytest.raises(TaskClosed, match="was completed by eve") as closed:
            await engine.task(t.id).complete(Address("Mill"), actor="fay")
        assert closed.value.details["by"] == "eve"
        ann, bob, cy = await tasks_of(engine, job, 3)
        assert (ann.title, ann.assignee, ann.excluded) == ("Sign Mill 3", "ann", ("dan",))
        with pytest.raises(NotAllowed):
            await engine.task(ann.id).approve(actor="dan")
        await engine.task(ann.id).reassign("gil", actor="ann")
        await engine.task(ann.id).comment("gil knows better", actor="ann")
        await engine.task(ann.id).approve("fine", actor="gil")
        await engine.task(cy.id).approve(actor="cy")
        result = await job.wait(10)
        assert (result.status, result.data.log) == ("completed", ["gil True fine", "cy True"])
        with pytest.raises(TaskClosed, match="was withdrawn"):
            await engine.task(bob.id).approve(actor="bob")
        closed_ones = (await engine.tasks(status=["completed", "withdrawn"])).items
        assert [(x.status, x.closed_by) for x in closed_ones] == [
            ("completed", "eve"), ("completed", "gil"), ("withdrawn", ""), ("completed", "cy"),
        ]  # fmt: skip
        assert closed_ones[1].result == {"approved": True, "comment": "fine"}


async def test_two_who_complete_at_once_are_one_and_the_other_learns_it(url: str) -> None:
    async with Engine(url, [Paper], settings=FAST) as engine:
        job = await engine.start(Paper, Job("dan"))
        (t,) = await tasks_of(engine, job, 1)
        both = [engine.task(t.id).complete(Address(street), actor=who) for who, street in (("eve", "Mill"), ("fay", "Lane"))]
        answers = await asyncio.gather(*both, return_exceptions=True)
        (lost,) = [a for a in answers if isinstance(a, BaseException)]
        assert isinstance(lost, TaskClosed)
        await tasks_of(engine, job, 3)
        winner = (await engine.task(t.id).get()).closed_by
        assert f"completed by {winner}" in str(lost)
        assert (await job.get()).data.note == {"eve": "Mill 1", "fay": "Lane 1"}[winner]


async def test_the_same_key_is_the_same_act(url: str) -> None:
    async with Engine(url, [Paper], settings=FAST) as engine:
        job = await engine.start(Paper, Job("dan"))
        (t,) = await tasks_of(engine, job, 1)
        core = engine.core()
        row = (await core.store.load([job.id]))[job.id]
        assert row.inbox == 0
        done = [engine.task(t.id).complete(Address("Mill"), actor="eve", key="k") for _ in range(5)]
        receipts = [*await asyncio.gather(*done), await engine.task(t.id).complete(Address("Mill"), actor="eve", key="k")]
        assert {(r.status, r.seq) for r in receipts} == {("processed", receipts[0].seq)}
        assert sorted(r.duplicate for r in receipts) == [False, True, True, True, True, True]
        with pytest.raises(TaskClosed, match="completed by eve"):
            await engine.task(t.id).complete(Address("Lane"), actor="fay", key="k")
        assert len([s for s in await job.signals() if s.kind == "task"]) == 1
        ann = next(x for x in await tasks_of(engine, job, 3) if x.assignee == "ann")
        for _ in range(2):
            await engine.task(ann.id).reassign("gil", actor="ann", key="r")
        assert [(e.verb, e.actor) for e in await engine.audit.list(kind="task", subject=ann.id)] == [("reassign", "ann")]
        with pytest.raises(BadRequest, match="key="):
            await engine.task(ann.id).claim(actor="gil", key="")


async def test_tasks_and_the_items_they_are_about_outlive_a_crash(url: str) -> None:
    world = World()
    first = await crashed_engine(url, [Round], world)
    job = await first.start(Round, Job(log=["ann", "bob", "cy", "dan"]))
    await tasks_of(first, job, 2)
    crash(first)
    async with Engine(url, [Round], {World: world}, settings=FAST) as second:
        job = second.instance(job.id, Round)
        for n, who in enumerate(["ann", "bob", "cy", "dan"]):
            found = next(t for t in await tasks_of(second, job, min(2, 4 - n)) if t.assignee == who)
            assert found.title == f"Hello {who}"
            await second.task(found.id).complete(actor=who)
        assert (await job.wait(10)).status == "completed"
        assert len((await second.tasks(status="completed")).items) == 4


async def test_pages_of_tasks_follow_each_other(url: str) -> None:
    async with Engine(url, [Paper], settings=FAST) as engine:
        jobs = await engine.start_many(Paper, [Job(str(n)) for n in range(7)])
        for job in jobs:
            await tasks_of(engine, job, 1)
        for sort in ("opened", "due"):
            ids: list[str] = []
            cursor = None
            while True:
                page = await engine.tasks(sort=sort, limit=3, cursor=cursor)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                ids += [t.id for t in page.items]
                if (cursor := page.cursor) is None:
                    break
            assert len(ids) == len(set(ids)) == 7
        with pytest.raises(BadRequest):
            await engine.tasks(cursor=msgspec.json.encode([]).decode())
        for wrong in ({"status": "done"}, {"sort": "title"}, {"limit": 0}):
            with pytest.raises(BadRequest):
                await engine.tasks(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(NotFound):
            await engine.task("nobody").get()


async def test_a_client_without_the_code_completes_a_task_and_is_checked_by_its_schema(url: str) -> None:
    async with Engine(url, [Paper], settings=FAST) as engine:
        job = await engine.start(Paper, Job("dan"))
        (t,) = await tasks_of(engine, job, 1)
        async with Engine(url, worker=False) as client:
            with pytest.raises(DataInvalid, match="missing"):
                await client.task(t.id).complete({}, actor="eve")
            await client.task(t.id).complete({"street": "Mill"}, actor="eve")
        await tasks_of(engine, job, 3)


async def test_purging_an_instance_removes_its_tasks(url: str) -> None:
    async with Engine(url, [Paper], settings=FAST) as engine:
        job = await engine.start(Paper, Job("dan"))
        await tasks_of(engine, job, 1)
        await job.cancel()
        await job.wait(10)
        assert [t.status for t in (await engine.tasks(status=None)).items] == ["withdrawn"]
        await engine.purge(definition="Paper")
        assert (await engine.tasks(status=None)).items == ()
