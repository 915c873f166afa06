"""Whatever is said to an instance, in whatever order: decided twice alike, arguments untouched, the history folds to it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepkeel import Workflow
from tests.kernel.talk import FLOWS, Talk, digest


@pytest.mark.parametrize("workflow", FLOWS, ids=lambda w: w.definition.name)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_anything_may_be_said_in_any_order(workflow: type[Workflow[Any]], data: st.DataObject) -> None:
    """Each step asserts it, see Scenario.feed and Talk.go_on; what fails is shrunk to the shortest conversation."""

    def pick(name: str, options: Any) -> Any:
        return options[data.draw(st.integers(0, len(options) - 1), label=name)]

    talk = Talk(workflow, pick, data.draw(st.integers(0, 1_000), label="seed"))
    for _ in range(data.draw(st.integers(1, 25), label="length")):
        talk.go_on()


def test_decisions_are_the_same_bytes_in_every_process_whatever_its_hash_seed() -> None:
    count = 300
    told = {
        subprocess.run(
            [sys.executable, "-m", "tests.kernel.talk", "0", str(count)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert told == {digest(0, count)}
    assert digest(1, count) not in told, "it tells one conversation from another"
