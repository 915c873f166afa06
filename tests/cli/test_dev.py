"""`stepkeel dev`: a module is enough to begin with, a change is there a moment later, and a mistake is told and waited out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from stepkeel.cli.main import main
from tests.processes import end, first_line

PROGRAM = """
from dataclasses import dataclass
from stepkeel import State, Workflow

@dataclass
class Order:
    number: int

class {name}(Workflow[Order]):
    begin = State[Order]()
    done = State.completed()
    begin.to(done)
"""


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Its address."""
    command = [sys.executable, "-c", "from stepkeel.cli.main import run; run()", "dev", "shop", "--port", "0"]
    env = {k: v for k, v in os.environ.items() if k.startswith("PYTHON") or k in ("PATH", "HOME")}
    with (
        (folder / "told").open("w") as told,
        subprocess.Popen(
            command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=told, text=True, start_new_session=True
        ) as process,
    ):
        try:
            yield first_line(process).split()[0]
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            end(process)  # and the process that it restarts, which outlives it if it had to be killed


def ask(address: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read())


def until(address: str, name: str) -> None:
    """That workflow is served there."""
    end = time.monotonic() + 30
    while True:
        try:
            if name in {d["name"] for d in ask(f"{address}/definitions")["items"] if d["served"]}:
                return
        except (OSError, urllib.error.URLError):
            pass
        assert time.monotonic() < end, f"{name} is not served"
        time.sleep(0.1)


def test_a_module_is_served_and_again_when_it_changes(tmp_path: Path) -> None:
    source = tmp_path / "shop.py"
    source.write_text(PROGRAM.format(name="First"))
    with running(tmp_path) as address:
        until(address, "First")
        made = ask(f"{address}/instances", {"definition": "First", "data": {"number": 1}})
        source.write_text("this is no Python")
        end = time.monotonic() + 30
        while "SyntaxError" not in (tmp_path / "told").read_text():
            assert time.monotonic() < end, "it is told"
            time.sleep(0.05)
        source.write_text(PROGRAM.format(name="First") + PROGRAM.format(name="Second"))
        until(address, "Second")
        assert ask(f"{address}/instances/{made['id']}")["id"] == made["id"], "kept in the file"
    assert (tmp_path / "shop.db").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.com"])
def test_it_serves_this_machine_alone(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dev", "shop", "--host", host]) == 2
    assert "this machine alone" in capsys.readouterr().err
