"""The simulation bites: every planted defect is found within 2,000 seeds, as what it is."""

from __future__ import annotations

import pytest

from stepkeel.testing.simulation.builtin import BUILTIN
from tests.simulation.mutants_beyond import MUTANTS

SEEDS = 2_000


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_defect_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    simulation, codes, plant, first = MUTANTS[name]
    plant(monkeypatch)
    report = next(s for s in BUILTIN if s.name == simulation).run(range(first, SEEDS))
    assert report.broken, f"{SEEDS} seeds did not find {name}"
    broken = report.broken[0]
    print(f"{name}: seed {broken.seed}, {len(broken.faults)} faults, {broken.code}")  # noqa: T201
    assert broken.code in codes, str(broken)
