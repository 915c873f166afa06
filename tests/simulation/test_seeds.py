"""Ten thousand seeds of the engine's own definitions break nothing, the first two thousand of them on a machine of one's own;

`make soak` goes on with others for as long as is asked.
"""

from __future__ import annotations

import os

import pytest

from stepkeel.clock import SystemClock
from stepkeel.testing.simulation.builtin import BUILTIN

SEEDS, PARTS = (10_000 if os.environ.get("CI") else 2_000), 20  # all of them where everything is to be proved
# simulation, seed, what it had found: each a defect that the engine once had. A seed means what the simulation was then;
# what keeps such a defect out for good is a test of its own beside it, or a planted one in mutants.py.
REGRESSIONS = [
    ("telephone", 76, "a claim whose inbox could not be read was held and never begun"),
    ("limits", 76, "the same, for a grant that lay in the inbox"),
    ("approval", 7841, "a lease began at the time its worker believed in, and was over when the store heard of it"),
    ("flood", 13, "more signals than one decision is given, and the rest of them was never shown to another"),
    ("rounds", 1465, "a start that was answered after its worker was declared dead was run beside those who had it"),
    ("approval", 3025, "a timer that an operator fired left an overdue one behind a wake-up of a clock that was ahead"),
    ("saga", 7, "a row given back later than its timer was due counted as one whose timer is lost"),
]


# How many of forty seeds each has: the quick ones more than those that play many instances out. All have the same in a soak.
SHARES = {
    "telephone": 8,
    "saga": 6,
    "approval": 6,
    "rounds": 4,
    "limits": 4,
    "branches": 3,
    "graphs": 2,
    "machines": 2,
    "flood": 2,
    "families": 2,
}
TURNS = [simulation for simulation in BUILTIN for _ in range(SHARES.get(simulation.name, 1))]


@pytest.mark.parametrize("part", range(PARTS))
def test_so_many_seeds_break_nothing(part: int) -> None:
    first, last = part * SEEDS // PARTS, (part + 1) * SEEDS // PARTS
    assert {s.name for s in TURNS} == {s.name for s in BUILTIN}
    for simulation in BUILTIN:
        report = simulation.run(s for s in range(first, last) if TURNS[s % len(TURNS)] is simulation)
        assert not report.broken, str(report)


@pytest.mark.parametrize(("name", "seed", "was"), REGRESSIONS, ids=lambda v: str(v)[:20])
def test_what_was_broken_once_is_whole(name: str, seed: int, was: str) -> None:
    report = next(s for s in BUILTIN if s.name == name).run([seed])
    assert not report.broken, f"{was}: {report}"


@pytest.mark.soak
def test_other_seeds_for_as_long_as_is_asked() -> None:
    clock = SystemClock()
    end = clock.monotonic() + float(os.environ.get("MINUTES", "10")) * 60e6
    seed = clock.now() // 1_000_000 * 1_000
    while clock.monotonic() < end:
        for simulation in BUILTIN:
            report = simulation.run(range(seed, seed + 200))
            assert not report.broken, str(report)
        seed += 200
