"""What operators do to one node, on every store: whoever asks, whoever holds the instance."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from stepkeel import Context, Engine, Join, Signal, State, Workflow, activity, for_each, parallel, wait
from stepkeel.errors import BadRequest, DataInvalid, InstanceEnded, InvalidTransition
from tests.acceptance.crash import crash, crashed_engine
from tests.flows import FAST, World


@dataclass
class Order:
    lines: list[str] = field(default_factory=list[str])
    packed: list[str | None] = field(default_factory=list[str | None])
    paid: int = 0


class Ready(Signal): ...


@activity
async def pack(ctx: Context[Order, str], world: World) -> str:
    await world.do(ctx.input, ctx.idempotency_key)
    return ctx.input.upper()


@activity
async def charge(ctx: Context[Order], world: World) -> None:
    await world.do("charge", ctx.idempotency_key)
    if ctx.data.paid < 0:
        raise ValueError("negative")


class Packing(Workflow[Order]):
    work = State[Order](
        parallel(
            lines=for_each(lambda o: o.lines, pack, wait(Ready), pack, into="packed", name="lines"),
            paid=wait(Ready),
            join=Join(1, rest="cancel"),
        ),
        charge,
    )
    done = State.completed()
    work.to(done)


LINES = "work/parallel:lines/lines"


async def resting(engine: Engine, job: Any) -> None:
    async with asyncio.timeout(10):
        while (await job.get()).status != "waiting":
            await asyncio.sleep(0.01)


async def test_nodes_are_cancelled_completed_and_added_to_whoever_asks(url: str) -> None:
    world = World()
    async with Engine(url, [Packing], {World: world}, settings=FAST) as engine, Engine(url, worker=False) as client:
        job = await engine.start(Packing, Order(["a", "b"]))
        await resting(engine, job)
        assert (await job.add_items(LINES, ["c"], actor="ann")).status == "processed"
        async with asyncio.timeout(10):
            while "c" not in world.order:
                await asyncio.sleep(0.01)
        await resting(engine, job)
        with pytest.raises(InvalidTransition, match="not open"):
            await job.cancel_node("work/parallel:nobody")
        await client.cancel_node(job.id, f"{LINES}[0]/wait", then="skip", reason="no need to wait")
        async with asyncio.timeout(10):
            while world.order.count("a") < 2:
                await asyncio.sleep(0.01)
        await resting(engine, job)
        await client.complete_node(job.id, LINES, actor="bob")
        result = await job.wait(10)
        assert (result.status, result.data.packed) == ("completed", ["A", None, None])
        told = [
            (e.type, e.detail.get("by")) for h in await job.history() for e in h.events if e.type.startswith(("node_", "items_a"))
        ]
        assert told == [("items_added", "ann"), ("node_cancelled", None), ("node_completed", "bob")]
        with pytest.raises(InstanceEnded):
            await job.cancel_node("work/charge")
        assert (await engine.doctor()).clean


@activity
async def count(ctx: Context[Order, str]) -> None:
    ctx.data.paid += 1


class Stocktaking(Workflow[Order]):
    work = State[Order](for_each(lambda order: order.lines, count, name="lines", stay_open_until="completed"))
    done = State.completed()
    work.to(done)


async def test_what_stays_open_until_somebody_completes_it_waits_for_that_and_says_so(url: str) -> None:
    async with Engine(url, [Stocktaking]) as engine, Engine(url, worker=False) as client:
        job = await engine.start(Stocktaking, Order([]))
        await resting(engine, job)
        found = await engine.explain(job.id)
        assert [(r.kind, r.text) for r in found.why] == [("items", "work/lines stays open until somebody completes it")]
        assert found.moves == ("add_items", "complete_node")
        assert (await engine.doctor()).clean
        assert (await client.doctor()).clean, "told by the outline, without the code"
        await client.complete_node(job.id, "work/lines")
        assert (await job.wait(10)).status == "completed"


async def test_added_items_are_found_again_after_a_crash(url: str) -> None:
    world = World()
    first = await crashed_engine(url, [Packing], world)
    job = await first.start(Packing, Order(["a"]))
    await resting(first, job)
    gate = world.gate("z")
    await job.add_items(LINES, ["y", "z"])
    await asyncio.wait_for(world.entered["z"].wait(), 10)
    crash(first)
    gate.set()
    world.gates.clear()
    async with Engine(url, [Packing], {World: world}, settings=FAST) as second:
        async with asyncio.timeout(10):
            while (
                sum(e.path == f"{LINES}[2]/pack" for h in await second.history(job.id) for e in h.events if "completed" in e.type)
                < 1
            ):
                await asyncio.sleep(0.01)
        assert world.order.count("z") == 2, "with the same key: it was in flight when its worker died"


async def test_data_of_a_failed_instance_are_corrected_and_it_is_redriven(url: str) -> None:
    world = World()
    async with Engine(url, [Packing], {World: world}, settings=FAST) as engine, Engine(url, worker=False) as client:
        job = await engine.start(Packing, Order(paid=-1))
        assert (await job.wait(10)).failure is not None
        with pytest.raises(InvalidTransition, match="not known here"):
            await client.set_data(job.id, {"paid": 5})
        with pytest.raises(InvalidTransition, match="no field piad"):
            await job.set_data({"piad": 5})
        with pytest.raises(InvalidTransition, match="paid"):
            await job.set_data({"paid": "five"})
        with pytest.raises(DataInvalid):
            await job.set_data({"paid": object()})
        for nothing in ({}, 7):
            with pytest.raises(BadRequest):
                await job.set_data(nothing)  # type: ignore[arg-type]
        await job.set_data({"paid": 5}, actor="ann", reason="typing error")
        assert (await job.get()).status == "failed"
        await job.redrive()
        result = await job.wait(10)
        assert (result.status, result.data.paid) == ("completed", 5)
        assert (await engine.doctor()).clean


async def test_data_of_a_paused_instance_are_set_by_who_has_not_the_code(url: str) -> None:
    async with Engine(url, [Packing], {World: World()}, settings=FAST) as engine, Engine(url, worker=False) as client:
        job = await engine.start(Packing, Order(["a"]))
        await resting(engine, job)
        await job.pause()
        assert (await client.set_data(job.id, {"paid": 7})).status == "processed"
        info = await job.get()
        assert (info.status, info.data.paid) == ("paused", 7)
