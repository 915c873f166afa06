"""The same verbs without await, of a server and of an engine."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stepkeel import Engine
from stepkeel.client import Blocking, Client
from stepkeel.errors import BadRequest, NotFound, Unavailable
from tests.flows import Go, Job, WaitFlow


def test_an_engine_works_on_while_the_program_does_something_else(tmp_path: Path) -> None:
    with Blocking(Engine(f"sqlite:///{tmp_path / 'b.db'}", [WaitFlow])) as stepkeel:
        made = stepkeel.start(WaitFlow, Job("x"), actor="ann")
        assert made.wait(10, state="ready").data == Job("x")
        assert made.signal(Go("y"), wait=10).status == "processed"
        assert made.wait(10).data.note == "y"
        with pytest.raises(NotFound):
            stepkeel.get("none")
        assert stepkeel.keys.create("ci", roles=["viewer"]).secret
        assert [e.verb for e in stepkeel.audit.list()] == ["deploy", "start", "make"]
        assert len([*stepkeel.audit.export()]) == 3
        with ThreadPoolExecutor(8) as threads:
            ids = {m.id for m in threads.map(lambda n: stepkeel.start(WaitFlow, Job(str(n))), range(40))}
        assert len(ids) == 40
        assert len(stepkeel.list(definition="WaitFlow").items) == 41


def test_what_is_closed_says_so() -> None:
    with Blocking(Client("http://127.0.0.1:9")) as stepkeel:
        pass
    with pytest.raises(BadRequest, match="it is not open"):
        stepkeel.metrics()


def test_a_client_without_a_loop() -> None:
    with Blocking(Client("http://127.0.0.1:9", patience=0.1)) as stepkeel:
        with pytest.raises(Unavailable):
            stepkeel.metrics()
        assert repr(stepkeel.task("t")).startswith("<blocking <RemoteTask t")


def test_what_makes_no_sense_is_refused() -> None:
    client: Any = Blocking(Client("http://127.0.0.1:9"))
    with pytest.raises(BadRequest, match="it is not open"):
        client.metrics()
    with pytest.raises(BadRequest, match="neither a Client nor an Engine"):
        Blocking(7)

    async def within() -> None:
        with pytest.raises(BadRequest, match="a loop runs here"):
            client.__enter__()

    asyncio.run(within())
    with pytest.raises(Unavailable), Blocking(Engine("sqlite:////nowhere/b.db", worker=False)):
        pass
