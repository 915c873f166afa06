"""Tasks on the command line, while a worker serves their instance elsewhere."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepkeel import Engine
from stepkeel.cli.main import main
from tests.acceptance.test_people import Paper
from tests.flows import FAST, Job


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A database with a worker in another thread, and one instance that asks for something."""
    place, ready, over = f"sqlite:///{tmp_path / 'tasks.db'}", threading.Event(), threading.Event()

    async def serve() -> None:
        async with Engine(place, [Paper], settings=FAST) as engine:
            await engine.start(Paper, Job("dan"))
            while not (await engine.tasks()).items:
                await asyncio.sleep(0.01)
            ready.set()
            while not over.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    yield place
    over.set()
    thread.join(20)


def test_a_clerk_and_two_who_sign(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPKEEL_DATABASE", url)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    def ids() -> list[str]:
        return [t["id"] for t in json.loads(run("tasks", "--json", "--sort", "opened")[1])["items"]]

    code, out, _ = run("tasks", "--role", "clerk")
    assert code == 0
    assert "Where does dan live?" in out
    (first,) = ids()
    assert "Address" in run("task", "show", first)[1]
    code, _, err = run("task", "complete", first, "{}", "--actor", "eve")
    assert (code, "data_invalid" in err, "street is missing" in err) == (2, True, True)
    code, _, err = run("task", "complete", first, '{"street": "Mill"}', "--actor", "eve", "--role", "boss")
    assert (code, "not_allowed" in err) == (2, True)
    assert run("task", "claim", first, "--actor", "eve")[0] == 0
    assert run("task", "comment", first, "soon", "--actor", "eve")[:2] == (0, "comment: processed\n")
    assert run("task", "release", first, "--actor", "eve")[0] == 0
    assert run("task", "complete", first, '{"street": "Mill"}', "--actor", "fay")[:2] == (0, "complete: processed\n")
    code, _, err = run("task", "complete", first, '{"street": "Lane"}', "--actor", "eve")
    assert (code, "completed by fay" in err) == (4, True)
    while len(ids()) < 3:
        pass
    ann, _, cy = ids()
    assert run("task", "reassign", ann, "gil", "--actor", "ann")[0] == 0
    assert run("task", "approve", ann, "fine", "--actor", "gil")[0] == 0
    assert run("task", "reject", cy, "no", "--actor", "cy")[0] == 0
    assert json.loads(run("task", "show", cy, "--json")[1])["result"] == {"approved": False, "comment": "no"}
    assert run("task", "show", "nobody")[0] == 3
