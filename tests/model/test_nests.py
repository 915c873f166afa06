"""Whatever is nested in whatever runs as plain Python would, also while machines die under it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from stepkeel.testing import Harness, Simulation
from stepkeel.testing.simulation.chance import Chance
from stepkeel.testing.simulation.run import Ended
from tests.model.nests import Job, TooLong, expected, make, workflow


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data())
def test_a_nest_runs_as_plain_python_would(data: st.DataObject) -> None:
    body = make(lambda name, options: options[data.draw(st.integers(0, len(options) - 1), label=name)])
    try:
        paths = expected(body)
    except TooLong:
        assume(False)

    async def run() -> Any:
        harness = Harness()
        job = await harness.start(workflow(body), Job())
        await harness.advance(60)  # what runs beside takes its time, and a child waits for it, turn after turn
        job.assert_status("completed")
        assert (await harness.doctor()).clean
        log = job.value.log
        await harness.close()
        return log

    assert asyncio.run(run()) == paths


def run_nests(seeds: range) -> tuple[int, int]:
    """Each seed is another nest, on another fleet. How many ran, and how many instances of them completed."""
    ran = completed = 0
    for seed in seeds:
        body = make(Chance(seed).pick)
        try:
            paths = expected(body)
        except TooLong:
            continue

        def is_a_part(nest: Ended, paths: list[str] = paths) -> bool:
            if nest.definition != "Nest":
                return True  # a child: what it comes to is a part of what its parent comes to
            rest = iter(paths)
            return all(path in rest for path in nest.data.log) and (nest.status != "completed" or nest.data.log == paths)

        report = Simulation((workflow(body),), Job(), signals=(), check=is_a_part, instances=2).run([seed])
        assert not report.broken, f"{body}: {report}"
        ran += 1
        completed += report.statuses["completed"]
    return ran, completed


def test_a_nest_runs_every_node_once_whatever_happens_to_the_fleet() -> None:
    ran, completed = run_nests(range(150))
    assert ran > 100
    assert completed > 100


@pytest.mark.soak
def test_ten_thousand_nests_run_every_node_once() -> None:
    ran, completed = run_nests(range(1_000_000, 1_010_600))
    assert ran > 10_000
    assert completed > 10_000
