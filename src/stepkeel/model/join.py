"""When branches that ran at the same time are one again, and what becomes of their data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from stepkeel.model.function import Function

__all__ = ["Arrivals", "Join", "Own", "Paths"]

P = TypeVar("P")


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """What a join's function is asked about: outcomes and results by branch or item, how many are open, and of how many."""

    outcomes: Mapping[str, str]
    results: Mapping[str, Any]
    open: int
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Paths(Mapping[str, P]):
    """What the branches of a parallel have come to, by their names: each its own copy of the data, as it left it."""

    ends: Mapping[str, P]

    def __getitem__(self, name: str) -> P:
        return self.ends[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.ends)

    def __len__(self) -> int:
        return len(self.ends)


@dataclass(frozen=True, slots=True, eq=False)
class Join:
    """When concurrent branches are one again, and what becomes of the others. A function of Arrivals gives a number or a bool.

    failures  against: a failed branch will not arrive; collect: it arrives, as a failed one
    rest      what becomes of branches still open: cancel, undo (cancel, then compensate), finish (they run on, loose)
    late      whether what loose branches do to the data counts: drop, merge
    again     a new visit while branches are loose: overlap, wait for them
    unmet     all have ended and it is not enough: fail (`join_unmet`), go_on
    """

    need: Literal["all", "any"] | int | Function = "all"
    failures: Literal["against", "collect"] = "against"
    rest: Literal["cancel", "undo", "finish"] = "cancel"
    late: Literal["drop", "merge"] = "drop"
    again: Literal["overlap", "wait"] = "overlap"
    unmet: Literal["fail", "go_on"] = "fail"


@dataclass(frozen=True, slots=True, eq=False)
class Own:
    """A branch works on its own copy of the data. What flows back at its end: changed fields, all, nothing, or these fields."""

    back: Literal["changed", "all", "nothing"] | tuple[str, ...] = "changed"
