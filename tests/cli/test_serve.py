"""`stepkeel serve`: API and worker in one process, on this machine alone unless told otherwise; told to stop, it loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from stepkeel import Engine
from stepkeel.cli.main import main
from tests.processes import first_line

PROGRAM = """
from stepkeel import Engine
from tests.flows import WaitFlow

engine = Engine("sqlite:///{file}", [WaitFlow])
"""


ENGINE = Engine("memory://")


@contextlib.contextmanager
def killed(server: subprocess.Popen[str]) -> Iterator[None]:
    """Whatever fails, nobody waits for it for ever."""
    try:
        yield
    finally:
        server.kill()


def started(folder: Path) -> list[str]:
    """Five instances over HTTP, and then SIGTERM."""
    command = [sys.executable, "-c", "from stepkeel.cli.main import run; run()", "serve", "shop:engine", "--port", "0"]
    env = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""}
    ids: list[str] = []
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as server, killed(server):
        address = first_line(server).split()[0]
        for n in range(5):
            body = b'{"definition": "WaitFlow", "data": {"name": "%d"}}' % n
            asked = urllib.request.Request(f"{address}/instances", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(asked, timeout=10) as answer:
                assert answer.status == 201
                ids.append(answer.headers["Location"].rpartition("/")[2])
        foreign = urllib.request.Request(f"{address}/instances", headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(foreign, timeout=10)
        listening = urllib.request.urlopen(f"{address}/instances/{ids[0]}/events", timeout=10)
        while (line := listening.readline()) != b"id: 1\r\n":
            assert line, "the stream has ended"
        server.send_signal(signal.SIGTERM)
        listening.read()  # it ends, and is not cut off
        assert server.wait(20) in (0, -signal.SIGTERM)
    return ids


async def test_what_was_accepted_before_it_is_told_to_stop_is_there_afterwards(tmp_path: Path) -> None:
    file = tmp_path / "serve.db"
    (tmp_path / "shop.py").write_text(PROGRAM.format(file=file))
    ids = await asyncio.to_thread(started, tmp_path)
    async with Engine(f"sqlite:///{file}", worker=False) as engine:
        assert {i.id: i.status for i in (await engine.list()).items} == dict.fromkeys(ids, "waiting")
        assert (await engine.doctor()).clean


async def pressed(address: str, server: subprocess.Popen[str]) -> set[str]:
    """Twenty clients start instances until the server, told to stop in their midst, is gone. The keys that were answered 201."""
    answered: set[str] = set()
    enough = asyncio.Event()

    async def starts(client: httpx2.AsyncClient, name: int) -> None:
        for n in itertools.count():
            key = f"{name}-{n}"
            try:
                answer = await client.post("/instances", json={"definition": "WaitFlow", "data": {"name": key}, "key": key})
            except httpx2.TransportError:
                return
            assert answer.status_code == 201, answer.text
            answered.add(key)
            if len(answered) >= 200:
                enough.set()

    async with httpx2.AsyncClient(base_url=address, timeout=20, limits=httpx2.Limits(max_connections=20)) as client:
        clients = [asyncio.create_task(starts(client, n)) for n in range(20)]
        await asyncio.wait_for(enough.wait(), 30)
        server.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*clients), 30)
    return answered


async def test_told_to_stop_under_load_it_answers_what_it_does_and_does_what_it_answers(tmp_path: Path) -> None:
    file = tmp_path / "serve.db"
    (tmp_path / "shop.py").write_text(PROGRAM.format(file=file))
    command = [sys.executable, "-c", "from stepkeel.cli.main import run; run()", "serve", "shop:engine", "--port", "0"]
    env = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as server, killed(server):  # noqa: ASYNC220
        answered = await pressed((await asyncio.to_thread(first_line, server)).split()[0], server)
        assert await asyncio.to_thread(server.wait, 30) in (0, -signal.SIGTERM)
    stored: set[str | None] = set()
    async with Engine(f"sqlite:///{file}", worker=False) as engine:
        cursor = None
        while True:
            page = await engine.list(limit=1_000, cursor=cursor)
            stored |= {i.key for i in page.items}
            if (cursor := page.cursor) is None:
                break
        assert (await engine.doctor()).clean
    assert stored == answered, "nothing was done whose answer was lost, nothing answered that was not done"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tests.cli.test_serve:nothing"], "has no engine nothing"),
        (["tests.cli.test_serve:PROGRAM"], "is str, not an Engine"),
        (["tests.cli.test_serve:PROGRAM", "--host", "0.0.0.0"], "nobody is asked who they are"),
        (["tests.cli.test_serve:PROGRAM", "--host", "::"], "nobody is asked who they are"),
        (["tests.cli.test_serve:PROGRAM", "--host", "example.com"], "nobody is asked who they are"),
        (["tests.cli.test_serve:PROGRAM", "--access", "keys", "--trust-network"], "one of them"),
        (
            ["tests.cli.test_serve:PROGRAM", "--host", "0.0.0.0", "--access", "tests.cli.test_serve:PROGRAM"],
            "is str, not an Engine",
        ),
        (["tests.cli.test_serve:ENGINE", "--access", "tests.cli.test_serve:PROGRAM"], "is str, not an Access"),
        (["tests.cli.test_serve:ENGINE", "--access", "roles"], "names no access"),
    ],
)
def test_what_cannot_be_served_is_refused(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *arguments]) == 2
    assert told in capsys.readouterr().err
