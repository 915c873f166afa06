"""A new instance from an old one: where that failed, or from a state, with other data, on every store."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from stepkeel import Context, Engine, Fail, Join, Signal, State, Workflow, activity, for_each, parallel, wait
from stepkeel.errors import BadRequest, DataInvalid, InvalidTransition, NotFound
from tests.flows import FAST, ChainFlow, Job, World


@dataclass
class Shipment:
    lines: list[str] = field(default_factory=list[str])
    bad: str = ""
    packed: list[str | None] = field(default_factory=list[str | None])
    note: str = ""


class Approved(Signal): ...


class Tear(Signal): ...


@activity
async def pack(ctx: Context[Shipment, str], world: World) -> str:
    await world.do(ctx.input, ctx.idempotency_key)
    if ctx.input == ctx.data.bad:
        raise Fail("BROKEN", ctx.input)
    return ctx.input.upper()


@activity
async def label(ctx: Context[Shipment], world: World) -> None:
    await world.do("label", ctx.idempotency_key)


class Shipping(Workflow[Shipment]):
    labelling = State[Shipment](label)
    approval = State[Shipment](wait(Approved))
    packing = State[Shipment](for_each(lambda s: s.lines, pack, into="packed", name="lines"))
    done = State.completed()
    labelling.to(approval)
    approval.to(packing)
    packing.to(done)


async def failed(engine: Engine) -> object:
    job = await engine.start(Shipping, Shipment(["a", "b", "c"], bad="b"), correlation_id="order-7", priority=1)
    await job.signal(Approved())
    result = await job.wait(10)
    assert (result.status, result.failure is not None and result.failure.code) == ("failed", "BROKEN")
    return job


async def test_one_that_failed_goes_on_as_another_with_other_data_and_what_had_ended_is_not_done_again(url: str) -> None:
    world = World()
    async with Engine(url, [Shipping], {World: world}, settings=FAST) as engine, Engine(url, worker=False) as client:
        job = await failed(engine)
        for asker in (engine, client):
            world.order.clear()
            world.effects.clear()
            fork = await asker.fork(job.id, {"bad": ""}, actor="ann", reason="damaged label")  # type: ignore[attr-defined]
            result = await engine.instance(fork.id, Shipping).wait(10)
            assert (result.status, result.data.packed) == ("completed", ["A", "B", "C"])
            assert "a" not in world.order, "had ended before"
            assert "label" not in world.order
            assert all(key.startswith(fork.id) for key in world.effects), "keys of its own"
            info = await fork.get()
            assert (info.correlation_id, info.priority, info.data["bad"] if asker is client else info.data.bad) == (
                "order-7",
                1,
                "",
            )
            (told,) = [e.detail for h in await fork.history() for e in h.events if e.type == "forked"]
            assert {k: told[k] for k in ("of", "by", "reason")} == {"of": job.id, "by": "ann", "reason": "damaged label"}  # type: ignore[attr-defined]
        assert (await engine.get(job.id)).status == "failed", "the old one stays as it is"  # type: ignore[attr-defined]
        assert (await engine.doctor()).clean


async def test_from_a_state_or_node_or_an_earlier_revision_of_one_in_any_status(url: str) -> None:
    world = World()
    async with Engine(url, [Shipping], {World: world}, settings=FAST) as engine:
        job = await engine.start(Shipping, Shipment(["a"]))
        await job.wait(10, state="approval")
        waiting = await job.fork({"note": "copy"})
        await waiting.wait(10, state="approval")
        assert world.order == ["label"], "it stands where the other stood"
        await job.signal(Approved())
        assert (await job.wait(10)).data.packed == ["A"]
        again = await job.fork({"lines": ["x", "y"]}, from_state=Shipping.packing)
        assert (await again.wait(10)).data.packed == ["X", "Y"]
        early = await job.fork(revision=1)
        assert (await early.wait(10, state="approval")).state == "approval"
        assert (await early.get()).data.packed == []
        first, second = await job.fork(key="one", from_state="packing/lines"), await job.fork(key="one")
        assert (first.id, first.created, second.created) == (second.id, True, False)
        await waiting.signal(Approved())
        assert (await waiting.wait(10)).data.note == "copy"
        assert (await engine.doctor()).clean


async def test_what_cannot_be_forked_is_refused_and_nothing_is_stored(url: str) -> None:
    world = World()
    async with Engine(url, [Shipping, ChainFlow], {World: world}, settings=FAST) as engine, Engine(url, worker=False) as client:
        job = await failed(engine)
        undone = await engine.start(ChainFlow, Job(note="explode"))
        await undone.wait(10)
        count = len((await engine.list()).items)
        for asker in (engine, client):
            for changes, told in (({"nte": 1}, "no field nte"), ({"note": 7}, "note")):
                with pytest.raises(DataInvalid, match=told):
                    await asker.fork(job.id, changes)  # type: ignore[attr-defined]
            with pytest.raises(InvalidTransition, match="undone since the failure"):
                await asker.fork(undone.id)
            with pytest.raises(InvalidTransition, match="no state nowhere"):
                await asker.fork(undone.id, from_state="nowhere")
            with pytest.raises(InvalidTransition, match="say from there"):
                await asker.fork(undone.id, from_state="work/ship")
            for wrong in ({"revision": 0}, {"revision": 999}, {"key": ""}):
                with pytest.raises(BadRequest):
                    await asker.fork(job.id, **wrong)  # type: ignore[arg-type, attr-defined]
            with pytest.raises(NotFound):
                await asker.fork("nobody")
            with pytest.raises(BadRequest):
                await asker.fork(job.id, [1])  # type: ignore[arg-type, attr-defined]
        assert len((await engine.list()).items) == count


async def test_items_that_were_added_and_branches_that_had_failed_are_known_to_the_fork(url: str) -> None:
    world = World()

    class Wide(Workflow[Shipment]):
        work = State[Shipment](
            parallel(
                lines=for_each(lambda s: s.lines, pack, wait(Approved), into="packed", name="lines", join=Join(failures="collect")),
                hold=[wait(Tear), label],
            )
        )
        done = State.completed()
        work.to(done)

    world.fail["label"] = 1
    world.errors["label"] = Fail("TORN", "label")
    lines = "work/parallel:lines/lines"
    async with Engine(url, [Wide], {World: world}, settings=FAST) as engine:
        job = await engine.start(Wide, Shipment(["a", "b"], bad="b"))
        await job.wait(10, state="work")
        await job.add_items(lines, ["c", "d"])
        while world.order.count("d") < 1:
            await job.wait(0.05)
        await job.signal(Approved(), wait=10)
        await job.signal(Tear())
        assert (await job.wait(10)).status == "failed"
        world.order.clear()
        fork = await job.fork({"bad": ""})
        for signal in (Approved(), Approved()):
            await fork.signal(signal)
        result = await fork.wait(10)
        assert (result.status, result.data.packed) == ("completed", ["A", None, "C", "D"]), result.failure
        assert world.order == ["label"]
        assert (await engine.doctor()).clean
