"""Steps that need each other: what a graph is made of, and what is worked out of it once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import json

from stepkeel.model.function import Function, Mapper
from stepkeel.model.join import Join

if TYPE_CHECKING:
    from stepkeel.model.node import Node

__all__ = ["GraphNode", "Step"]

_ALL = Join()


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step of a graph: begins when all it `needs` are over, unless its guard, a function of the Run, does not hold.

    `read` makes the output, as its activity gave it, of what is stored.
    """

    key: str
    body: tuple[Node, ...]
    needs: tuple[str, ...] = ()
    when: Function | None = None
    read: Callable[[Any], Any] = json.decode


@dataclass(frozen=True, slots=True, eq=False)
class GraphNode:
    """Steps that need each other, at most `max_concurrency` of them open. Done when every step is done, skipped or dead.

    `steps` stand so that each comes behind those it needs. `into` takes the outputs by name. `sequential`: each may
    ask for the outputs of all before it. Worked out here: of each step its
    `place`, which others need it (`behind`), and, a bit for each place, which it needs, also through others (`above`).
    """

    key: str
    steps: tuple[Step, ...]
    max_concurrency: int = 100
    into: Mapper | None = None
    sequential: bool = False
    place: dict[str, int] = field(init=False)
    behind: dict[str, list[str]] = field(init=False)
    above: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        place = {s.key: n for n, s in enumerate(self.steps)}
        behind: dict[str, list[str]] = {s.key: [] for s in self.steps}
        above: dict[str, int] = {}
        for n, step in enumerate(self.steps):
            above[step.key] = (1 << n) - 1 if self.sequential else 0
            for name in step.needs:
                behind[name].append(step.key)
                above[step.key] |= above[name] | 1 << place[name]
        for name, value in (("place", place), ("behind", behind), ("above", above)):
            object.__setattr__(self, name, value)

    @property
    def join(self) -> Join:
        return _ALL

    @property
    def own(self) -> None:
        return None

    @property
    def detached(self) -> bool:
        return False

    def needed(self, step: str, among: Iterable[str]) -> list[str]:
        """Those of some steps that it needs, directly or through others, in order."""
        above = self.above[step]
        return sorted((s for s in among if above >> self.place[s] & 1), key=self.place.__getitem__)

    def last(self, among: Iterable[str]) -> list[str]:
        """Those of some steps that no other of them needs, in order."""
        every = set(among)
        above = 0
        for step in every:
            above |= self.above[step]
        return sorted((s for s in every if not above >> self.place[s] & 1), key=self.place.__getitem__)
