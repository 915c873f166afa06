"""Tokens on arcs: what a flow is made of, and what is worked out of it once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from stepkeel.model.function import Function

if TYPE_CHECKING:
    from stepkeel.model.node import Node

__all__ = ["Arc", "FlowNode", "FlowStep", "JoinKind", "Leftover", "PartialRest"]

JoinKind = Literal["each", "all", "live", "n", "count"]
PartialRest = Literal["swallow", "block", "cancel"]
Leftover = Literal["fail", "drop"]


@dataclass(frozen=True, slots=True, eq=False)
class Arc:
    """Leads tokens from one step to another, where its guard, a function of the data, holds."""

    source: str
    target: str
    when: Function | None = None

    @property
    def key(self) -> str:
        return f"{self.source}>{self.target}"


@dataclass(frozen=True, slots=True, eq=False)
class FlowStep:
    """One step of a flow: fires when the tokens that its join asks for are there, and puts tokens on its arcs when it is done.

    first   only on the first arc whose guard holds, else on all of those
    times   so many tokens on each of them: a number, or a function of the data
    join    each: fires for each token; all: for one of each arc; live: when no other can come any more; n: for tokens of `need`
            arcs; count: for `need` tokens of one arc
    rest    of n: what becomes of the tokens that come later in the round; `region`: the steps that it then cancels
    """

    key: str
    body: tuple[Node, ...]
    arcs: tuple[Arc, ...] = ()
    first: bool = False
    times: int | Function = 1
    join: JoinKind = "each"
    need: int | Function = 1
    rest: PartialRest = "swallow"
    region: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class FlowNode:
    """Steps that fire for tokens. Begins at the steps `start`; done when nothing fires any more.

    Tokens that are left then: `leftover`. Worked out here: of each step its `place` and the arcs that lead to it (`incoming`).
    """

    key: str
    steps: tuple[FlowStep, ...]
    start: tuple[str, ...]
    max_tokens: int = 1_000
    leftover: Leftover = "fail"
    place: dict[str, int] = field(init=False)
    incoming: dict[str, tuple[Arc, ...]] = field(init=False)
    arcs: dict[str, Arc] = field(init=False)
    _reaching: dict[str, dict[str, int]] = field(init=False)

    def __post_init__(self) -> None:
        arcs = [a for s in self.steps for a in s.arcs]
        incoming: dict[str, list[Arc]] = {s.key: [] for s in self.steps}
        for arc in arcs:
            incoming[arc.target].append(arc)
        for name, value in (
            ("place", {s.key: n for n, s in enumerate(self.steps)}),
            ("incoming", {n: tuple(keys) for n, keys in incoming.items()}),
            ("arcs", {a.key: a for a in arcs}),
            ("_reaching", {}),
        ):
            object.__setattr__(self, name, value)

    def step(self, part: str) -> FlowStep:
        """That of a firing: `pay`, `pay#2`."""
        return self.steps[self.place[part.partition("#")[0]]]

    def order(self, part: str) -> tuple[int, int]:
        """The place of a firing among others: as their steps are declared, and as each of these has fired."""
        name, _, n = part.partition("#")
        return self.place[name], int(n or 1)

    def reaching(self, join: str) -> dict[str, int]:
        """Of each step from which an arc to this one can be reached, not through it itself: which, a bit for each, in their order.

        Guards are ignored.
        """
        known = self._reaching.get(join)
        if known is None:
            known = self._reaching[join] = self._worked_out(join)
        return known

    def _worked_out(self, join: str) -> dict[str, int]:
        before: dict[str, list[str]] = {s.key: [] for s in self.steps}
        for step in self.steps:
            for arc in step.arcs:
                if step.key != join and arc.target != join:
                    before[arc.target].append(step.key)
        found: dict[str, int] = {}
        todo: list[str] = []
        for n, arc in enumerate(self.incoming[join]):
            if arc.source != join:
                found[arc.source] = found.get(arc.source, 0) | 1 << n
                todo.append(arc.source)
        while todo:
            name = todo.pop()
            for other in before[name]:
                both = found.get(other, 0) | found[name]
                if both != found.get(other):
                    found[other] = both
                    todo.append(other)
        return found
