"""An instance whose definition and version no live worker serves is no orphan: it waits, and everybody can see for what."""

from __future__ import annotations

from stepkeel import Engine, State, Workflow
from tests.flows import FAST, ChainFlow, Job, World


class ChainFlow2(Workflow[Job], name="ChainFlow", version=2):
    only = State.completed()


async def test_it_is_named_by_explain_and_doctor_and_runs_as_soon_as_a_worker_has_it(url: str) -> None:
    async with (
        Engine(url, [ChainFlow, ChainFlow2], {World: World()}, worker=False) as client,
        Engine(url, [ChainFlow], {World: World()}, settings=FAST),
    ):
        old = await client.start(ChainFlow, Job(), version=1)
        new = await client.start(ChainFlow2, Job())
        assert (await old.wait(10)).status == "completed", "the one that is served runs"
        explained = await new.explain()
        assert "unserved" in [r.kind for r in explained.why]
        assert "no live worker serves ChainFlow version 2" in str(explained)
        assert "a worker that is given ChainFlow version 2" in str(explained)
        report = await client.doctor()
        assert report.clean
        assert [(f.kind, f.instance_id) for f in report.findings] == [("unserved", new.id)]
        async with Engine(url, [ChainFlow2], settings=FAST):
            assert (await new.wait(10)).status == "completed"
        assert not (await client.doctor()).findings
