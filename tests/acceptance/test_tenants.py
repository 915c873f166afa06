"""One tenant never sees or moves another's instances."""

from __future__ import annotations

import pytest

from stepkeel import Engine
from stepkeel.errors import NotFound
from tests.flows import Go, Job, WaitFlow


async def test_tenants_are_strangers_to_each_other(url: str) -> None:
    async with Engine(url, [WaitFlow], tenant="red") as red, Engine(url, [WaitFlow], tenant="blue", worker=False) as blue:
        mine = await red.start(WaitFlow, Job("mine"), key="same")
        other = await blue.start(WaitFlow, Job("other"), key="same")
        assert other.created
        assert other.id != mine.id
        theirs = blue.instance(mine.id, WaitFlow)
        for call in (theirs.signal(Go()), theirs.get(), theirs.cancel(), theirs.history(), theirs.explain(), theirs.wait(1)):
            with pytest.raises(NotFound):
                await call
        assert [i.id for i in (await blue.list()).items] == [other.id]
        assert await mine.signals() == []
        assert (await mine.signal(Go(), key="k", wait=10)).status == "processed"
        with pytest.raises(NotFound):
            await theirs.signal(Go(), key="k")
        await other.signal(Go(), wait=10)
        assert (await other.wait(10)).status == "completed", "one worker serves all tenants"
        assert await blue.purge(definition="WaitFlow") == 1
        assert (await mine.wait(10)).status == "completed"
