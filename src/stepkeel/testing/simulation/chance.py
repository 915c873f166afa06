"""Everything a simulation decides by chance, and the faults among it: pure functions of the seed, each with a name.

A fault is known by its kind and the number of the opportunity it came at (`crash_after:12`). A run can be repeated with
some of its faults left out, without moving the others: that is how a schedule is made small.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from typing import TypeVar

from stepkeel.ids import fraction

__all__ = ["RATES", "Chance", "Faults"]

T = TypeVar("T")

# kind -> the highest rate at which it comes, per opportunity
RATES: dict[str, float] = {
    "crash_before": 0.03,  # a worker dies as it is about to commit
    "crash_during": 0.03,  # while the commit is on its way; it may land all the same
    "crash_after": 0.03,  # when it has landed, before the answer is here
    "lost_request": 0.1,  # no answer, and nothing was applied
    "lost_answer": 0.1,  # applied, and no answer
    "late_landing": 0.05,  # no answer, and it is applied later
    "slow": 0.1,  # an exchange with the store takes seconds
    "outage": 0.02,  # the store answers nobody for a while
    "crash": 0.02,  # a worker dies at any moment
    "pause": 0.03,  # a worker stands still, mostly for longer than its lease
    "restart": 0.03,  # a worker is stopped as a deployment would, and started again
    "clock_step": 0.03,  # the database's clock jumps
    "lost_hint": 0.5,
    "late_hint": 0.3,
    "double_hint": 0.3,
    "duplicate": 0.4,  # a client says everything twice
    "raise": 0.2,  # an activity fails
    "raise_after": 0.1,  # its effect is done, then it fails
    "hang": 0.05,  # it ends when it is cancelled
    "deaf": 0.05,  # it goes on when it is cancelled, and ends well, late
    "operator": 0.1,  # somebody pauses, resumes, cancels, terminates, redrives, fires a timer
}


class Chance:
    """Named streams of numbers; each depends on the seed and its own name and count alone."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, list[int]] = {}

    def draw(self, name: str) -> float:
        """The next number in [0, 1) of this stream."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = [(zlib.crc32(name.encode()) << 32) ^ (self.seed * 0x9E3779B97F4A7C15), 0]
        stream[1] += 1
        return fraction(stream[0], stream[1])

    def below(self, name: str, n: int) -> int:
        """A whole number in [0, n)."""
        return int(self.draw(name) * n)

    def between(self, name: str, low: float, high: float) -> float:
        return low + (high - low) * self.draw(name)

    def pick(self, name: str, options: Sequence[T]) -> T:
        return options[self.below(name, len(options))]


class Faults:
    """Which faults come. About half of the kinds are off in a run, the others have rates drawn from the seed.

    only   the faults that may come, as `kind:n`; None: whatever the seed says
    """

    def __init__(self, chance: Chance, kinds: Collection[str] = tuple(RATES), only: Collection[str] | None = None) -> None:
        self._chance = chance
        self._only = None if only is None else frozenset(only)
        self._counts: dict[str, int] = {}
        self.active = True
        self.came: list[str] = []
        self.rates: dict[str, float] = {}
        for kind, highest in RATES.items():
            on = chance.draw(f"on/{kind}") < 0.5
            rate = highest * 10 ** -chance.between(f"rate/{kind}", 0.0, 1.5)
            if on and kind in kinds:
                self.rates[kind] = rate

    def come(self, kind: str) -> bool:
        """True if this fault comes at this opportunity."""
        rate = self.rates.get(kind)
        if rate is None or not self.active:
            return False
        n = self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._chance.draw(kind) >= rate:
            return False
        name = f"{kind}:{n}"
        if self._only is not None and name not in self._only:
            return False
        self.came.append(name)
        return True
