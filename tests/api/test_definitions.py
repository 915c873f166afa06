"""Definitions over HTTP: each told once, as they are known here, drawn once, anew when they have changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from stepkeel import Engine, State, Workflow
from stepkeel.api.routes import definition
from stepkeel.engine.deploy import _row
from tests.flows import Go, Job, WaitFlow

API = "/api/v1"


def calling(engine: Engine) -> httpx2.AsyncClient:
    """On the loop on which the engine is open."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=engine.asgi()), base_url="http://localhost")


class Plain(Workflow[Job]):
    ready = State[Job]()
    done = State.completed()
    ready.on(Go, to=done)


async def test_definitions_are_told_once_and_as_documents(tmp_path: Path) -> None:
    url, at = f"sqlite:///{tmp_path / 'd.db'}", f"{API}/definitions/Plain/versions/1"
    async with Engine(url, [Plain, WaitFlow]) as engine, calling(engine) as client:
        tags = {}
        for path in (f"{API}/definitions", at, f"{at}/document", f"{at}/document?format=yaml", f"{at}/diagram"):
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text
            tags[path] = answer.headers["ETag"]
            again = await client.get(path, headers={"If-None-Match": tags[path]})
            assert (again.status_code, again.content) == (304, b""), path
        assert len(set(tags.values())) == 5
        document = (await client.get(f"{at}/document")).json()
        assert document == Plain.definition.document()
        text = await client.get(f"{at}/document?format=yaml")
        assert text.headers["Content-Type"].startswith("application/yaml")
        assert yaml.safe_load(text.text) == document
        other = await client.get(f"{API}/definitions/WaitFlow/versions/1/document")
        assert (other.status_code, "has no document" in other.text) == (404, True)
    async with Engine(url, worker=False) as engine, calling(engine) as client:
        assert (await client.get(f"{at}/document")).status_code == 404, "its code is elsewhere"
        answer = await client.get(at, headers={"If-None-Match": tags[at]})
        assert (answer.status_code, answer.json()["served"]) == (200, False), "this process cannot start it: that is another answer"


async def test_a_definition_is_drawn_once_and_anew_when_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    draw = definition.svg
    monkeypatch.setattr(definition, "svg", lambda document: drawn.append(document) or draw(document))
    monkeypatch.setattr(definition, "MOST_KEPT", 2)

    class Longer(Workflow[Job], name="Plain"):
        ready = State[Job]()
        later = State[Job]()
        done = State.completed()
        ready.on(Go, to=later)
        later.on(Go, to=done)

    at = f"{API}/definitions/Plain/versions/1/diagram"
    async with Engine("memory://", [Plain], on_change="replace") as engine, calling(engine) as client:
        pictures = [(await client.get(at)) for _ in range(3)]
        assert len({p.text for p in pictures}) == len(drawn) == 1
        assert {p.headers["Cache-Control"] for p in pictures} == {"private, no-cache"}
        assert "Authorization" in pictures[0].headers["Vary"]
        row = next(iter(await engine.store.definitions()))
        await engine.store.put_definition(replace(row, document=_row(Longer.definition).document))
        changed = await client.get(at)
        assert ("later" in changed.text, len(drawn)) == (True, 2), "its own digests say nothing of it, its document does"
        for _ in range(5):
            await client.get(f"{API}/definitions")
            await client.get(f"{API}/definitions/Plain/versions/1")
        assert (await client.get(at)).text == changed.text
        assert len(drawn) == 3, "what was not asked for lately is not kept"
