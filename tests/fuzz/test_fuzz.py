"""What reads foreign bytes: a corrupt row stops its instance with a clear status, never the worker, and no reader falls over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stepkeel.engine.result import readable_snapshot
from stepkeel.errors import InstanceFault, StepkeelError
from stepkeel.model.commit import Row
from stepkeel.testing import Harness
from tests.flows import ChainFlow, Go, Job, OrderFlow, Stop, WaitFlow, World
from tests.fuzz.spoil import spoilt

pytestmark = pytest.mark.corrupts
# Not made smaller: one change of one value is small, and to make it smaller takes minutes.
FEW = settings(
    max_examples=100,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
STAGES = ("waiting", "backing off", "paused", "failed", "completed")


class Bench:
    """A world with one instance at some stage, its neighbour, and their store."""

    async def open(self, stage: str) -> Bench:
        world = World()
        self.harness = Harness(services={World: world})
        if stage == "backing off":
            world.fail["charge"] = 1
        note = "explode" if stage == "failed" else ""
        self.flow: Any = ChainFlow if stage in ("failed", "completed") else OrderFlow
        self.job = await self.harness.start(self.flow, Job(note=note))
        if stage == "paused":
            await self.job.pause()
        self.good = await self.harness.start(WaitFlow, Job())
        self.engine = await self.harness.engine()
        return self

    @property
    def row(self) -> Row:
        return self.store._rows[self.job.id]

    @property
    def store(self) -> Any:
        return self.harness.store

    async def readers_stand(self) -> None:
        """Each reader answers, or says in an error of ours what is wrong with this instance."""
        job, engine = self.job, self.engine
        for read in (job.get, job.explain, job.signals):
            await read()
        for read in (job.history, job.data, job.timers):
            await quietly(read)
        await quietly(lambda: job.data(1))
        await quietly(lambda: job.wait(0))
        await quietly(lambda: job.wait(0, state=self.flow.definition.initial))
        assert len((await engine.list()).items) == 2
        await engine.metrics()
        report = await engine.doctor()
        assert self.good.id not in {f.instance_id for f in report.findings}, "nothing is said of the neighbour"

    async def work_goes_on(self) -> None:
        """The worker looks at everything that is due; the neighbour ends."""
        self.store._put(self.row, wake_at=None if self.row.status in ENDED else self.harness.clock.now())
        await self.harness.advance(3600)
        receipt = await self.harness.signal(self.good, Go())
        assert receipt.status == "processed"
        self.good.assert_status("completed")

    async def requests_are_answered(self) -> None:
        for verb in ("pause", "resume", "cancel", "redrive", "terminate", "archive"):
            try:
                await getattr(self.job, verb)()
            except StepkeelError as error:
                assert error.code
            await self.harness.advance(1)
        await quietly(self.job.explain)

    async def close(self) -> None:
        await self.harness.close()


ENDED = ("completed", "failed", "cancelled", "terminated")


async def quietly(call: Callable[[], Awaitable[Any]]) -> None:
    try:
        await call()
    except InstanceFault as error:
        assert "does not decode" in str(error)


@pytest.mark.parametrize("stage", STAGES)
@FEW
@given(data=st.data())
def test_a_spoilt_snapshot_stops_its_instance_and_nobody_else(stage: str, data: st.DataObject) -> None:
    async def run() -> None:
        bench = await Bench().open(stage)
        raw = data.draw(spoilt(bench.row.snapshot), label="snapshot")
        bench.store._rows[bench.job.id] = replace(bench.row, snapshot=raw)
        readable, ended = readable_snapshot(bench.row) is not None, bench.row.status in ENDED
        await bench.readers_stand()
        if not readable:
            kinds = {f.kind for f in (await bench.engine.doctor()).findings}
            assert "snapshot_decodes" in kinds
        await bench.work_goes_on()
        if not readable and not ended:
            info = await bench.job.get()
            assert info.status == "paused"
            assert "does not decode" in str(info.fault)
            assert bench.row.snapshot == raw, "it is left as it was, for whoever mends it"
            assert "set aside" in str(await bench.job.explain())
        await bench.readers_stand()
        await bench.requests_are_answered()
        await bench.close()

    asyncio.run(run())


@pytest.mark.parametrize("stage", STAGES)
@FEW
@given(data=st.data())
def test_a_spoilt_history_is_told_and_stops_no_work(stage: str, data: st.DataObject) -> None:
    async def run() -> None:
        bench = await Bench().open(stage)
        rows = bench.store._history[bench.job.id]
        n = data.draw(st.integers(0, len(rows) - 1), label="entry")
        part = data.draw(st.sampled_from(("events", "changes")), label="part")
        raw = data.draw(spoilt(getattr(rows[n], part)), label=part)
        rows[n] = replace(rows[n], **{part: raw})
        await bench.readers_stand()
        await bench.work_goes_on()
        await bench.readers_stand()
        assert (await bench.job.get()).fault is None, "what is decided next does not ask history"
        await bench.requests_are_answered()
        await bench.close()

    asyncio.run(run())


@FEW
@given(data=st.data())
def test_spoilt_signals_and_requests_get_a_fate_and_others_behind_them_theirs(data: st.DataObject) -> None:
    async def run() -> None:
        bench = await Bench().open("paused")
        await bench.job.signal(Stop(reason="first"))
        await bench.job.signal(Stop(reason="second"))
        inbox = bench.store._inbox[bench.job.id]
        at = max(inbox) - 1
        row = inbox[at]
        payload = data.draw(spoilt(row.payload), label="payload")
        kind = data.draw(st.sampled_from(("signal", "signal", "control", "grant")), label="kind")
        name = data.draw(st.sampled_from((row.name, row.name, "Go", "pause", "no such thing")), label="name")
        inbox[at] = replace(row, payload=payload, kind=kind, name=name)
        await bench.readers_stand()
        await quietly(bench.job.resume)
        await bench.work_goes_on()
        await bench.readers_stand()
        info = await bench.job.get()
        left = [s for s in await bench.job.signals() if s.status == "pending"]
        assert not left or info.status == "paused", (info, left)
        assert info.fault is None, "the instance is not to blame for what was sent to it"
        await bench.close()

    asyncio.run(run())
