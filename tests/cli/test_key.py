"""`stepkeel key`: made once shown, listed without what is secret, rotated, revoked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from stepkeel import Engine
from stepkeel.cli.main import main
from tests.flows import WaitFlow


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'keys.db'}"

    async def made() -> str:
        async with Engine(url, [WaitFlow]):
            return url

    return asyncio.run(made())


def test_a_key_is_made_listed_rotated_and_revoked(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["-d", database]
    assert main(["key", "create", "ci", "--role", "operator", "--scope", "get_*", "--ends-in", "90d", "--actor", "ann", *at]) == 0
    secret, told = capsys.readouterr().out.splitlines()
    id = secret.split("_")[1]
    assert (secret.startswith("stepkeel_"), told) == (True, f"id {id}: keep it now, it is not shown again")
    assert main(["key", "list", *at]) == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in (id, "ci", "operator", "get_*"))
    assert secret not in shown
    assert main(["key", "rotate", id, "--overlap", "1h", "--json", *at]) == 0
    rotated = json.loads(capsys.readouterr().out)
    assert rotated["secret"] != secret
    assert main(["key", "revoke", id, *at]) == 0
    assert main(["key", "list", "--json", *at]) == 0
    keys = json.loads(capsys.readouterr().out.partition("from now on\n")[2])
    assert {k["id"]: k["ended"] for k in keys} == {id: True, rotated["key"]["id"]: False}
    assert main(["key", "list", "--tenant", "acme", "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "ci"], "role"),
        (["create", " ", "--role", "viewer"], "no name of a key"),
        (["create", "ci", "--role", "viewer", "--ends-in", "soon"], "--ends-in 'soon' is no span"),
        (["create", "ci", "--role", "viewer", "--scope", "GET"], "no pattern"),
        (["revoke", "nothing"], "no key nothing"),
        (["rotate", "nothing", "--overlap=-1h"], "is no span"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], told: str, database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", *arguments, "-d", database]) != 0
    captured = capsys.readouterr()
    assert told in captured.err + captured.out
