"""Operators: pause, resume, cancel, terminate, redrive, archive, purge; and starts by key."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from stepkeel import Engine, State, Workflow
from stepkeel.errors import BadRequest, InstanceEnded, InvalidTransition, NotFound
from stepkeel.testing import Harness
from tests.acceptance.proxy import Proxy
from tests.flows import FAST, ChainFlow, Go, Job, OrderFlow, Stop, WaitFlow, World, charge


async def test_a_second_start_with_the_same_key_returns_the_first_whatever_its_data(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        first, second = await asyncio.gather(
            engine.start(WaitFlow, Job("one"), key="k"), engine.start(WaitFlow, Job("two"), key="k")
        )
        assert first.id == second.id
        assert [first.created, second.created].count(True) == 1
        third = await engine.start(WaitFlow, Job("three"), key="k")
        assert (third.id, third.created) == (first.id, False)
        await first.signal(Go(), wait=10)
        await first.wait(10)
        again = await engine.start(WaitFlow, Job("four"), key="k")
        assert (again.id, again.created) == (first.id, False)
        other = await engine.start(WaitFlow, Job("five"), key="other")
        assert other.created


async def test_cancel_by_an_operator_runs_no_compensation_unless_asked(url: str) -> None:
    world = World()
    async with Engine(url, [OrderFlow], {World: world}) as engine:
        plain = await engine.start(OrderFlow, Job())
        await plain.wait(10, state=OrderFlow.waiting)
        await plain.cancel(actor="ann", reason="mistake")
        result = await plain.wait(10)
        assert (result.status, result.reason) == ("cancelled", "mistake")
        assert "undo-reserve" not in world.order
        undone = await engine.start(OrderFlow, Job())
        await undone.wait(10, state=OrderFlow.waiting)
        await undone.cancel(compensate=True)
        assert (await undone.wait(10)).status == "cancelled"
        assert world.order[-2:] == ["undo-charge", "undo-reserve"]
        entry = next(h for h in await plain.history() if h.actor == "ann")
        assert "ending_began" in [e.type for e in entry.events]


async def test_terminate_ends_an_ending_and_lists_what_was_not_undone(url: str) -> None:
    world = World()
    gate = world.gate("undo-charge")
    async with Engine(url, [OrderFlow], {World: world}) as engine:
        job = await engine.start(OrderFlow, Job())
        await job.wait(10, state=OrderFlow.waiting)
        await job.cancel(compensate=True)
        await world.entered["undo-charge"].wait()
        await job.terminate(reason="enough")
        gate.set()
        result = await job.wait(10)
        assert result.status == "terminated"
        events = [e.type for h in await job.history() for e in h.events]
        assert "compensation_skipped" in events
        assert "undo-reserve" not in world.order


async def test_pause_lets_attempts_end_and_nothing_follow_and_resume_goes_on_at_once(url: str) -> None:
    world = World()
    gate = world.gate("reserve")
    async with Engine(url, [ChainFlow], {World: world}) as engine:
        job = await engine.start(ChainFlow, Job())
        await world.entered["reserve"].wait()
        assert (await job.pause(actor="ann", reason="look")).status == "processed"
        assert (await job.get()).status == "paused"
        gate.set()
        await _until(engine, job.id, lambda info: info.owner is None)
        assert world.order == ["reserve"]
        assert "paused by ann" in str(await job.explain())
        await job.resume()
        assert (await job.wait(10)).status == "completed"
        assert world.order == ["reserve", "charge", "ship"]


async def _until(engine: Engine, instance_id: str, holds) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(10):
        while not holds(await engine.get(instance_id)):
            await asyncio.sleep(0.005)


async def test_pause_and_resume_in_quick_succession_never_strand_it(url: str) -> None:
    world = World()
    async with Engine(url, [ChainFlow], {World: world}) as engine:
        gate = world.gate("charge")
        job = await engine.start(ChainFlow, Job())
        await world.entered["charge"].wait()
        for _ in range(5):
            await job.pause()
            await job.resume()
        gate.set()
        assert (await job.wait(10)).status == "completed"
        assert (await engine.doctor()).clean


async def test_redrive_continues_a_failed_instance_from_its_failed_node(url: str) -> None:
    world = World()
    world.fail["reserve"] = 3
    async with Engine(url, [ChainFlow], {World: world}) as engine:
        job = await engine.start(ChainFlow, Job())
        assert (await job.wait(10)).status == "failed"
        await job.redrive(actor="ann", reason="service is back")
        result = await job.wait(10)
        assert result.status == "completed"
        assert result.data.log == ["reserve", "charge", "ship"]
        assert len({k for k in world.effects if k.endswith("reserve")}) == 1, "the idempotency key is the same"


async def test_redrive_after_an_undo_refuses_without_a_state_and_names_what_was_undone(url: str) -> None:
    world = World()
    async with Engine(url, [ChainFlow], {World: world}) as engine:
        job = await engine.start(ChainFlow, Job(note="explode"))
        assert (await job.wait(10)).status == "failed"
        with pytest.raises(InvalidTransition, match="work/charge"):
            await job.redrive()
        with pytest.raises(InvalidTransition, match="no state nowhere"):
            await job.redrive(from_state="nowhere")
        await job.redrive(from_state=ChainFlow.work)
        await job.wait(10)
        assert "work~2" in str([e.path for h in await job.history() for e in h.events])


async def test_what_is_not_possible_raises_and_stores_nothing(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        job = await engine.start(WaitFlow, Job())
        await job.wait(10, state=WaitFlow.ready)
        before = len(await job.history())
        for call in (job.resume(), job.redrive(), job.archive()):
            with pytest.raises(InvalidTransition):
                await call
        assert len(await job.history()) == before
        await job.cancel()
        await job.wait(10)
        for call in (job.pause(), job.resume(), job.cancel(), job.terminate(), job.redrive()):
            with pytest.raises(InstanceEnded):
                await call
        with pytest.raises(NotFound):
            await engine.pause("01a1fc84-0000-7000-8000-000000000000")


async def test_archive_takes_it_out_of_the_lists_and_keeps_it_readable(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        job = await engine.start(WaitFlow, Job(), key="k")
        await job.signal(Go(note="n"), wait=10)
        await job.wait(10)
        await job.archive(actor="ann")
        assert (await engine.list()).items == ()
        assert [i.id for i in (await engine.list(archived=True)).items] == [job.id]
        info = await job.get()
        assert (info.archived, info.status, info.data.note) == (True, "completed", "n")
        assert (await job.history())[-1].events[0].type == "archived"
        assert (await job.signals())[0].status == "processed"
        assert not (await engine.start(WaitFlow, Job(), key="k")).created, "the key is kept with the archive"
        with pytest.raises(InstanceEnded):
            await job.archive()
        with pytest.raises(InstanceEnded):
            await job.signal(Go())


async def test_purge_refuses_to_run_without_a_filter_and_never_touches_live_instances(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        live = await engine.start(WaitFlow, Job(), key="live")
        ended = await engine.start(WaitFlow, Job(), key="ended")
        await ended.signal(Go(), wait=10)
        await ended.wait(10)
        with pytest.raises(BadRequest, match="without a filter"):
            await engine.purge()
        with pytest.raises(BadRequest, match="waiting"):
            await engine.purge(status="waiting")
        assert await engine.purge(definition="WaitFlow", completed_to=datetime(2020, 1, 1, tzinfo=UTC)) == 0
        assert await engine.purge(definition="WaitFlow") == 1
        assert (await live.get()).status == "waiting"
        with pytest.raises(NotFound):
            await ended.get()
        assert (await engine.start(WaitFlow, Job(), key="ended")).created, "the key went with it"
        assert (await engine.doctor()).clean


async def test_a_wait_that_times_out_is_a_result_and_what_passes_quickly_is_not_missed(url: str) -> None:
    async with Engine(url, [OrderFlow], {World: World()}) as engine:
        job = await engine.start(OrderFlow, Job())
        result = await job.wait(0.05, state=OrderFlow.shipping)
        assert result.timed_out
        await job.signal(Go(), wait=10)
        passed = await job.wait(10, state=OrderFlow.shipping)
        assert not passed.timed_out
        by_label = await job.wait(10, state="Waiting")
        assert not by_label.timed_out
        with pytest.raises(BadRequest, match="no state"):
            await job.wait(1, state="nowhere")
        with pytest.raises(BadRequest, match="no state"):
            await engine.wait(job.id, 1, state="nowhere")  # also where only its id was known


async def test_lists_filter_sort_and_page(url: str) -> None:
    async with Engine(url, [WaitFlow, ChainFlow], {World: World()}) as engine:
        for n in range(25):
            await engine.start(
                WaitFlow, Job(str(n)), correlation_id=f"c{n % 2}", attributes={"even": n % 2 == 0, "n": n}, key=f"k{n}"
            )
        done = await engine.start(ChainFlow, Job())
        await done.wait(10)
        assert len((await engine.list(status="waiting")).items) == 25
        assert [i.id for i in (await engine.list(status=["completed", "failed"])).items] == [done.id]
        assert len((await engine.list(correlation_id="c1")).items) == 12
        assert len((await engine.list(attributes={"even": True})).items) == 13
        assert [i.data.name for i in (await engine.list(attributes={"n": 7})).items] == ["7"]
        assert [i.data.name for i in (await engine.list(key="k3")).items] == ["3"]
        assert (await engine.list(definition="ChainFlow", version=2)).items == ()
        assert len((await engine.list(state="ready")).items) == 25
        for descending in (False, True):
            for sort in ("created", "updated"):
                names: list[str] = []
                cursor = None
                while True:
                    page = await engine.list(definition="WaitFlow", limit=10, cursor=cursor, descending=descending, sort=sort)
                    names += [i.id for i in page.items]
                    cursor = page.cursor
                    if cursor is None:
                        break
                assert len(names) == len(set(names)) == 25
                if sort == "created":
                    assert names == sorted(names, reverse=descending)
        with pytest.raises(BadRequest, match="did you mean status"):
            await engine.list(statuss="waiting")
        with pytest.raises(BadRequest, match="no status 'sleeping'"):
            await engine.list(status="sleeping")
        with pytest.raises(BadRequest, match="cursor"):
            await engine.list(cursor="xyz")
        counts = {(m.definition, m.status): m.count for m in await engine.metrics()}
        assert counts == {("WaitFlow", "waiting"): 25, ("ChainFlow", "completed"): 1}


async def test_status_history_signals_and_data_never_disagree_for_a_reader(url: str) -> None:
    """A reader looks while a writer works: row, fold of history and inbox always tell the same."""
    from stepkeel.engine.result import snapshot_of
    from stepkeel.kernel.replay import differs

    world = World()
    async with Engine(url, [OrderFlow], {World: world}) as engine, Engine(url, [OrderFlow], {World: world}, worker=False) as reader:
        jobs = await engine.start_many(OrderFlow, [Job(str(n)) for n in range(30)])

        async def look() -> int:
            looks = 0
            for job in jobs:
                history = await reader.store.history(job.id)
                row = (await reader.store.load([job.id]))[job.id]
                history = [h for h in await reader.store.history(job.id) if h.revision <= row.revision]
                assert history[-1].revision == row.revision
                assert not differs(snapshot_of(row), history)
                looks += 1
            return looks

        async def write() -> None:
            for n, job in enumerate(jobs):
                await job.signal(Go() if n % 3 else Stop())

        writer = asyncio.create_task(write())
        while not writer.done():
            assert await look() == 30
            await asyncio.sleep(0)
        for job in jobs:
            await job.wait(10)
        await look()


async def test_start_many_starts_in_one_go_and_refuses_all_when_one_is_bad(url: str) -> None:
    from stepkeel.errors import DataInvalid

    async with Engine(url, [WaitFlow]) as engine:
        with pytest.raises(DataInvalid):
            await engine.start_many(WaitFlow, [Job(), {"nmae": "x"}])
        assert (await engine.list()).items == ()
        keyed = await engine.start_many(WaitFlow, {"a": Job("a"), "b": Job("b")})
        again = await engine.start_many(WaitFlow, {"a": Job("a"), "b": Job("b")})
        assert [i.created for i in (*keyed, *again)] == [True, True, False, False]


async def test_data_of_any_revision_is_the_fold_of_history(url: str) -> None:
    async with Engine(url, [ChainFlow], {World: World()}) as engine:
        job = await engine.start(ChainFlow, Job())
        await job.wait(10)
        assert (await job.data(1))["log"] == []
        assert (await job.data(2))["log"] == ["reserve"]
        assert (await job.data())["log"] == ["reserve", "charge", "ship"]
        with pytest.raises(BadRequest):
            await job.data(99)


async def test_the_result_of_a_wait_is_never_older_than_what_it_waited_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Engine(url, [OrderFlow], {World: World()}, settings=FAST) as engine:
        job = await engine.start(OrderFlow, Job())
        await job.wait(10, state=OrderFlow.waiting)
        read = engine.store.history

        async def late(*arguments: Any) -> Any:
            """The step comes between the reading of the row and that of its history."""
            monkeypatch.setattr(engine.store, "history", read)
            await job.signal(Go())
            await job.wait(10)
            return await read(*arguments)

        monkeypatch.setattr(engine.store, "history", late)
        result = await job.wait(10, state=OrderFlow.shipping)
        assert (result.status, result.state) == ("completed", "done")


async def test_a_timer_that_an_operator_fires_is_due_now_and_history_says_by_whom(url: str) -> None:
    world = World()
    world.fail["charge"] = 1
    async with Engine(url, [OrderFlow], {World: world}, settings=FAST) as engine:
        job = await engine.start(OrderFlow, Job())
        async with asyncio.timeout(10):
            while not (timers := await job.timers()):
                await asyncio.sleep(0.01)
        assert [(t.path, t.purpose) for t in timers] == [("begin/charge", "retry")]
        with pytest.raises(InvalidTransition, match=r"no timer at begin/reserve; there are: begin/charge \(retry\)"):
            await job.fire_timer("begin/reserve")
        with pytest.raises(InvalidTransition, match="no after timer"):
            await job.fire_timer("begin/charge", purpose="after")
        with pytest.raises(BadRequest, match="fire_timer"):
            await job.fire_timer(7)  # type: ignore[arg-type]
        await job.fire_timer("begin/charge", actor="ann", reason="the bank is back")
        await job.wait(5, state=OrderFlow.waiting)
        fired = [e for h in await job.history() for e in h.events if e.detail.get("by") == "ann"]
        assert [(e.type, e.path, e.detail["reason"]) for e in fired] == [("timer_scheduled", "begin/charge", "the bank is back")]
        await job.pause()
        await job.fire_timer("waiting!after")
        assert (await job.get()).state == "waiting", "a paused one goes on when it is told to"
        await job.resume()
        assert (await job.wait(10)).state == "rejected"
        with pytest.raises(InstanceEnded):
            await job.fire_timer("waiting!after")


async def test_who_has_not_the_code_can_fire_a_timer_too(url: str) -> None:
    async with Engine(url, [OrderFlow], {World: World()}, settings=FAST) as engine, Engine(url, worker=False) as client:
        job = await engine.start(OrderFlow, Job())
        await job.wait(10, state=OrderFlow.waiting)
        await client.fire_timer(job.id, "waiting!after", actor="ann")
        assert (await job.wait(10)).state == "rejected"


class TwoTimers(Workflow[Job]):
    """An activity that is tried again after 10 s, in a state that is left after 5."""

    begin = State(charge)
    late, done = State.terminated(), State.completed()
    begin.to(done)
    begin.after(5.0, to=late)


class Ahead(Proxy):
    """A store whose time, as this process believes, is ahead of what it is."""

    def now(self) -> int:
        return self._store.now() + 5_000


async def test_a_request_by_a_clock_that_is_ahead_puts_no_overdue_timer_off(harness: Harness) -> None:
    world = World()
    world.fail["charge"] = 1
    harness.services[World] = world
    job = await harness.start(TwoTimers, Job())
    assert len(await job.timers()) == 2
    harness.clock.advance(6.0)  # nobody has looked yet
    store: Any = Ahead(harness.store)
    async with Engine("memory://", store=store, clock=harness.clock, worker=False) as client:
        await client.fire_timer(job.id, "begin/charge")
        assert (await client.doctor(histories=False)).clean
    await harness.settle()
    job.assert_status("terminated").assert_state("late")
