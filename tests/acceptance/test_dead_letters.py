"""Those that failed: in groups of one cause, redriven one by one or many at once."""

from __future__ import annotations

import asyncio

import pytest

from stepkeel import Breaker, Context, Engine, Fail, State, Workflow, activity
from stepkeel.errors import BadRequest
from stepkeel.model.breaker import BreakerRow
from tests.flows import FAST, Job


class Shop:
    open = False


@activity
async def undo(ctx: Context[Job]) -> None: ...


@activity(compensate=undo)
async def prepare(ctx: Context[Job]) -> None: ...


@activity(breaker=Breaker(service="shop"))
async def sell(ctx: Context[Job], shop: Shop) -> None:
    if not shop.open:
        raise Fail("CLOSED" if ctx.data.amount < 3 else "SOLD_OUT", f"no {ctx.data.name}")


class Sale(Workflow[Job]):
    selling = State(sell)
    sold = State.completed()
    selling.to(sold)


class Careful(Workflow[Job]):
    selling = State(prepare, sell)
    sold = State.completed()
    selling.to(sold)


async def test_they_are_told_in_groups_and_redriven_by_filter(url: str) -> None:
    shop = Shop()
    async with Engine(url, [Sale, Careful], {Shop: shop}, settings=FAST) as engine:
        jobs = await engine.start_many(Sale, [Job(f"job {n}", n) for n in range(5)])
        careful = await engine.start(Careful, Job("careful"))
        for job in (*jobs, careful):
            await job.wait(10)
        groups = await engine.dead_letters()
        assert [(g.definition, g.code, g.count, g.example) for g in groups] == [
            ("Careful", "CLOSED", 1, "no careful"), ("Sale", "CLOSED", 3, "no job 2"), ("Sale", "SOLD_OUT", 2, "no job 4"),
        ]  # fmt: skip
        assert [g.latest for g in groups] == [careful.id, jobs[2].id, jobs[4].id]
        assert [g.newest for g in groups] == [(careful.id,), tuple(j.id for j in jobs[2::-1]), (jobs[4].id, jobs[3].id)]
        alike = await engine.redrive_all(fingerprint=groups[1].fingerprint, dry_run=True)
        assert alike.done == tuple(j.id for j in jobs[:3]), "whichever job each message names"
        assert [g.count for g in await engine.dead_letters(fingerprint=groups[2].fingerprint)] == [2]
        with pytest.raises(BadRequest):
            await engine.redrive_all(fingerprint="0" * 16, status="paused")
        shop.open = True
        dry = await engine.redrive_all(code="CLOSED", definition="Sale", dry_run=True)
        assert (dry.done, dict(dry.refused)) == (tuple(j.id for j in jobs[:3]), {})
        assert len((await engine.list(status="failed")).items) == 6
        assert (await engine.redrive_all(code="CLOSED", limit=2, definition="Sale", actor="ann")).done == (jobs[0].id, jobs[1].id)
        await asyncio.gather(*(j.wait(10) for j in jobs[:2]))
        rest = await engine.redrive_all(reason="open again")
        assert set(rest.done) == {j.id for j in jobs[2:]}
        assert "say from which state" in rest.refused[careful.id]
        assert {(await j.wait(10)).status for j in jobs} == {"completed"}
        assert (await engine.redrive_all(from_state="selling")).done == (careful.id,)
        assert (await careful.wait(10)).status == "completed"
        assert await engine.dead_letters() == []
        for wrong in ({"status": "running"}, {"status": ["failed", "paused"]}, {"colour": "red"}, {"limit": 0}):
            with pytest.raises(BadRequest):
                await engine.redrive_all(**wrong)  # type: ignore[arg-type]


async def test_a_breaker_is_closed_by_hand(url: str) -> None:
    async with Engine(url, [Sale], {Shop: Shop()}, settings=FAST) as engine:
        assert not await engine.close_breaker("shop")
        await engine.store.put_breaker(BreakerRow("shop", 1, "open", "11111", engine.store.now() + 60_000_000, 1, 1, "away"))
        assert [(b.name, b.state) for b in await engine.breakers()] == [("shop", "open")]
        assert await engine.close_breaker("shop")
        assert not await engine.close_breaker("shop")
        assert (await engine.breakers())[0].state == "closed"
