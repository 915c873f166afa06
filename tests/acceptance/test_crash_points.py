"""A process is killed at every commit there is, before it and behind it: a fresh one finishes, and nothing is done over."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import postgres

ENDS: dict[str, list[tuple[str, str]]] = {
    "order": [("completed", "confirmed"), ("terminated", "declined")],
    "telephone": [("terminated", "phone_destroyed")],
}
RECORDED = {"order": 6, "telephone": 0}  # the telephone has no activities


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A URL; for SQLite one file for each process that is killed."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/{{n}}.db"
    else:
        with postgres.fresh_schema() as made:
            yield made


@pytest.mark.parametrize("which", ENDS)
def test_whatever_commit_a_process_is_killed_at_another_finishes(place: str, which: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.acceptance.crashing", which, place, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=250, check=True)
    runs: list[dict[str, Any]] = [json.loads(line) for line in told.stdout.splitlines()]
    errors = [r for r in runs if "error" in r]
    assert not errors, (errors, told.stderr)
    assert len({(r["k"], r["when"]) for r in runs}) == len(runs) >= 16, "each commit, before and after"
    for run in runs:
        assert [(e["status"], e["state"]) for e in run["ended"]] == ENDS[which], run
        assert all(n == 1 for e in run["ended"] for n in e["done"].values()), f"completed twice: {run}"
        assert run["doctor"] == 0, run
        assert not run["again"], f"its completion was durable, and it ran again: {run}"
    assert max(run["recorded"] for run in runs) >= RECORDED[which], "the later a process dies the more it has done"
