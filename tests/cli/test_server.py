"""Commands ask a server as they ask a database: `--server`, or STEPKEEL_SERVER and STEPKEEL_KEY."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stepkeel.cli.main import main
from stepkeel.errors import Unavailable
from tests.processes import first_line

Run = Callable[..., tuple[int, str, str]]
PROGRAM = "from stepkeel.cli.main import run; run()"
APP = """
from stepkeel import Engine
from tests.api.place import Desk
engine = Engine("sqlite:///{file}", [Desk])
"""


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Commands against a server of its own, which asks for keys."""
    file = tmp_path / "s.db"
    (tmp_path / "app.py").write_text(APP.format(file=file))
    monkeypatch.chdir(tmp_path)
    assert main(["db", "upgrade", "-d", f"sqlite:///{file}"]) == 0
    assert main(["key", "create", "ops", "--role", "admin", "-d", f"sqlite:///{file}"]) == 0
    secret = capsys.readouterr().out.split("stepkeel_")[1].split()[0]
    command = [sys.executable, "-c", PROGRAM, "serve", "app:engine", "--access", "keys", "--port", "0"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as server:
        try:
            monkeypatch.setenv("STEPKEEL_SERVER", first_line(server).split()[0])
            monkeypatch.setenv("STEPKEEL_KEY", f"stepkeel_{secret}")

            def call(*arguments: str) -> tuple[int, str, str]:
                code = main(arguments)
                captured = capsys.readouterr()
                return code, captured.out, captured.err

            yield call
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(10)
            server.kill()


def started(run: Run) -> str:
    """One instance, by the only thing that no command does."""
    import asyncio

    from stepkeel.client import Client

    async def work() -> str:
        async with Client(os.environ["STEPKEEL_SERVER"], os.environ["STEPKEEL_KEY"]) as client:
            made = await client.start("Desk", {"name": "x"}, key="k")
            await made.wait(10, state="paying")
            return made.id

    return asyncio.run(work())


def test_commands_ask_a_server(run: Run) -> None:
    id = started(run)
    assert [i["id"] for i in json.loads(run("list", "--key", "k", "--json")[1])["items"]] == [id]
    assert "paying" in run("show", id)[1]
    assert "paying" in run("explain", id)[1]
    assert run("pause", id, "--reason", "stock")[:2] == (0, "pause: processed\n")
    assert run("resume", id)[0] == 0
    assert run("resume", id)[0] == 4
    assert run("set-state", id, "lines")[0] == 0
    task = json.loads(run("tasks", "--json")[1])["items"][0]["id"]
    assert run("task", "approve", task)[0] == 0
    assert run("complete-node", id, "lines/for_each")[0] == 0
    assert "completed" in run("history", id)[1]
    assert run("diagram", id)[1].startswith(("<svg", "stateDiagram", "flowchart"))
    code, out, _ = run("audit", "list", "--instance", id, "--json")
    assert (code, {"pause", "approve", "complete", "set_state"} & {e["verb"] for e in json.loads(out)}) >= (0, {"pause"})
    assert {e["identity"].partition(" ")[0] for e in json.loads(out)} == {"key:ops"}
    assert run("audit", "verify")[0] == 0
    assert run("doctor")[0] == 0
    assert run("dead-letters")[0] == 0
    assert run("key", "list")[0] == 0
    assert run("purge", "--status", "completed")[:2] == (0, "purged 1\n")
    assert run("show", id)[0] == 3


def test_what_a_server_refuses_is_told_in_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPKEEL_KEY", "stepkeel_wrong")
    code, _, err = run("list")
    assert (code, "[not_authenticated]" in err) == (2, True)
    assert "stepkeel_wrong" not in err
    code, _, err = run("list", "--server", "http://127.0.0.1:9x")
    assert code == 2
    code, _, err = run("db", "check", "-d", os.environ["STEPKEEL_SERVER"])
    assert (code, "no store for http" in err) == (2, True)


def test_a_key_is_not_given_to_a_server_that_only_the_folder_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEPKEEL_KEY", "stepkeel_secret")
    (tmp_path / "stepkeel.toml").write_text('server = "http://127.0.0.1:9"\n')
    assert main(["list"]) == 2
    err = capsys.readouterr().err
    assert "names the server, and the key comes from STEPKEEL_KEY" in err
    assert "stepkeel_secret" not in err
    monkeypatch.setattr("stepkeel.client.client.Wire", _refused)
    for trusted in ({"STEPKEEL_SERVER": "http://127.0.0.1:9"}, {"STEPKEEL_CONFIG": "stepkeel.toml"}):
        for name, value in trusted.items():
            monkeypatch.setenv(name, value)
        assert main(["list"]) == 5, "it is asked, and away"
        for name in trusted:
            monkeypatch.delenv(name)


def _refused(url: str, key: str, tenant: str | None, patience: float, transport: object) -> object:
    assert key == "stepkeel_secret"
    raise Unavailable(f"{url} is away")
