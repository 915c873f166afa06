"""Many at once from the command line: what became of each, and an exit code for who asks from a script."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from stepkeel import Engine
from stepkeel.cli.main import main
from tests.flows import Job, WaitFlow


@pytest.fixture
def at(tmp_path: Path) -> list[str]:
    """The option that names a database with five instances that wait, three of shop 1."""
    url = f"sqlite:///{tmp_path / 'bulk.db'}"

    async def made() -> None:
        async with Engine(url, [WaitFlow]) as engine:
            for n in range(5):
                await engine.start(WaitFlow, Job(str(n)), attributes={"shop": n % 2 + n // 4})
            async with asyncio.timeout(10):
                while len((await engine.list(status="waiting")).items) < 5:
                    await asyncio.sleep(0.01)

    asyncio.run(made())
    return ["-d", url]


def test_many_are_paused_resumed_signalled_cancelled_and_archived(at: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def told(code: int, *arguments: str) -> str:
        assert main([*arguments, *at]) == code
        return capsys.readouterr().out

    assert told(0, "pause-all", "--attribute", "shop=1", "--dry-run") == "3 would be paused\n"
    assert told(0, "pause-all", "--attribute", "shop=1", "--limit", "2") == "2 paused; there may be more\n"
    assert told(0, "resume-all", "--status", "paused", "--actor", "ann", "--reason", "go on") == "2 resumed\n"
    assert told(0, "signal-all", "Go", '{"note": "x"}', "--attribute", "shop=0", "--once", "k") == "0 signalled, 2 asked for\n"
    refused = told(1, "signal-all", "Nothing", "--attribute", "shop=1")
    assert ("3 refused" in refused, "has no signal Nothing" in refused) == (True, True)
    found = json.loads(told(0, "cancel-all", "--attribute", "shop=1", "--compensate", "--json"))
    assert (len(found["done"]), found["refused"], found["more"]) == (3, {}, False)
    assert told(0, "archive-all", "--status", "cancelled") == "3 archived\n"
    assert told(0, "terminate-all", "--definition", "WaitFlow") == "2 terminated\n"
    assert told(0, "redrive-all") == "0 redriven\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pause-all"], "without a filter"),
        (["cancel-all", "--status", "completed"], "cancel of completed"),
        (["cancel-all", "--status", "asleep"], "no status"),
        (["archive-all", "--completed-to", "tomorrow"], "--completed-to"),
        (["resume-all", "--attribute", "shop"], "name=value"),
        (["signal-all", "Go", "no json", "--status", "waiting"], "is no JSON"),
        (["terminate-all", "--definition", "WaitFlow", "--limit", "0"], "limit"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], told: str, at: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, *at]) == 2
    assert told in capsys.readouterr().err
