"""`stepkeel serve`: API and worker in one process, on this machine alone unless told otherwise; told to stop, it loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepkeel import Engine
from stepkeel.cli.main import main

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
        assert server.stdout is not None
        address = server.stdout.readline().split()[0]
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
        while listening.readline() != b"id: 1\r\n":
            pass
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
