"""What an operator is told of without having asked: rules over facts of the database, as of several looks at it.

| alert | while | severity |
|---|---|---|
| failing | over 5 % of what completed or failed in the last hour failed, of ten at least | critical |
| behind | what is due has waited for a worker for more than a minute, at two looks | critical |
| breaker_open | a circuit breaker has been open for five minutes | warning |
| new_failure | a definition fails in a state with a code that it had not among the latest failures before; told once | info |

The rules are functions of what was seen; who looks, and who is told, is said elsewhere (runtime/services/alerter.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

__all__ = ["Alert", "Facts", "Failed", "Memory", "judge"]

MINUTE = 60_000_000
HOUR = 60 * MINUTE
SHARE, ENOUGH = 0.05, 10
BEHIND, OPEN = MINUTE, 5 * MINUTE

Severity = Literal["critical", "warning", "info"]
Failed = tuple[str, str, str]  # definition, state, code


@dataclass(frozen=True, slots=True)
class Alert:
    """`name` and `subject` tell one from another; `summary` is for people."""

    name: str
    subject: str
    severity: Severity
    summary: str

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.subject


@dataclass(frozen=True, slots=True)
class Facts:
    """One look. Times in microseconds.

    completed, failed   how many there are, by definition
    waiting             for how long the first that is due has waited, by definition
    open                since when breakers are open, by name
    latest              of the latest failures: definition, state, code
    """

    at: int
    completed: Mapping[str, int]
    failed: Mapping[str, int]
    waiting: Mapping[str, int] = field(default_factory=dict[str, int])
    open: Mapping[str, int] = field(default_factory=dict[str, int])
    latest: frozenset[Failed] = frozenset()


@dataclass(slots=True)
class Memory:
    """What is kept of earlier looks: an hour of them, and which failures were seen. Empty at the first."""

    looks: list[Facts] = field(default_factory=list[Facts])
    seen: set[Failed] = field(default_factory=set[Failed])


def judge(facts: Facts, memory: Memory) -> list[Alert]:
    """What is wrong now. The memory takes the look in."""
    looks = [f for f in memory.looks if f.at > facts.at - HOUR]
    found = [*_failing(facts, looks), *_behind(facts, looks), *_open(facts), *_new(facts, memory)]
    memory.looks = [*looks, facts]
    memory.seen |= facts.latest
    return found


def _failing(facts: Facts, looks: list[Facts]) -> list[Alert]:
    """By what came in each span between two looks: purging and archiving make counts fall, and hide nothing else."""
    failed, ended = Counter[str](), Counter[str]()
    for before, after in pairwise((*looks, facts)):
        for now, then, kinds in ((after.completed, before.completed, (ended,)), (after.failed, before.failed, (ended, failed))):
            for definition, count in now.items():
                for kind in kinds:
                    kind[definition] += max(0, count - then.get(definition, 0))
    return [
        Alert("failing", name, "critical", f"{failed[name]} of the {count} instances of {name} that ended in the last hour failed")
        for name, count in sorted(ended.items())
        if count >= ENOUGH and failed[name] > SHARE * count
    ]


def _behind(facts: Facts, looks: list[Facts]) -> list[Alert]:
    found: list[Alert] = []
    for name, waiting in sorted(facts.waiting.items()):
        if waiting > BEHIND and looks and looks[-1].waiting.get(name, 0) > BEHIND:
            text = f"instances of {name} have been due for {waiting // 1_000_000} s: does any worker serve it?"
            found.append(Alert("behind", name, "critical", text))
    return found


def _open(facts: Facts) -> list[Alert]:
    found: list[Alert] = []
    for name, since in sorted(facts.open.items()):
        if facts.at - since >= OPEN:
            text = f"the breaker {name} has let nothing through for {(facts.at - since) // MINUTE} minutes"
            found.append(Alert("breaker_open", name, "warning", text))
    return found


def _new(facts: Facts, memory: Memory) -> list[Alert]:
    if not memory.looks:
        return []  # what was there before anybody looked is no news
    found: list[Alert] = []
    for definition, state, code in sorted(facts.latest - memory.seen):
        text = f"{definition} fails in {state} with {code}, which it did not before"
        found.append(Alert("new_failure", f"{definition}/{state}/{code}", "info", text))
    return found
