"""What an author wrote, normalised and immutable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stepkeel.model.codec import Codec
from stepkeel.model.node import Activity, Node, Pool
from stepkeel.model.policy import CompensationPolicy, Unhandled
from stepkeel.model.reaction import Ending, Reaction, Transition
from stepkeel.model.reducer import Reducer

__all__ = ["Definition", "Ending", "Fingerprint", "Place", "Problem", "SignalType", "State"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a definition: a stable code, the place, what it is, and the remedy."""

    code: str
    place: str
    message: str
    remedy: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {self.message} [{self.code}] -> {self.remedy}"


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A named phase: a body, the reactions while it is current, the automatic ways out, an ending for final ones.

    `settable`: operators may put an instance there.
    """

    name: str
    label: str = ""
    body: tuple[Node, ...] = ()
    signals: tuple[Reaction, ...] = ()
    timeouts: tuple[Reaction, ...] = ()
    failures: tuple[Reaction, ...] = ()
    transitions: tuple[Transition, ...] = ()
    ending: Ending | None = None
    line: str = ""
    settable: bool = True

    @property
    def reactions(self) -> tuple[Reaction, ...]:
        return self.signals + self.timeouts + self.failures


@dataclass(frozen=True, slots=True, eq=False)
class SignalType:
    """A declared signal. `keep` is None (the definition's choice), True, or a time to live in microseconds."""

    name: str
    type: Any
    codec: Codec
    keep: bool | int | None = None


class Fingerprint(NamedTuple):
    """Two hashes: `shape` (states, nodes, names, policies, schemas) and `code` (source of guards and mappings)."""

    shape: str
    code: str

    def __str__(self) -> str:
        return f"{self.shape}.{self.code}"


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a node stands in the definition: its body and its successor there."""

    node: Node
    next: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """`places` maps an address (a path without its counters) to its node; `conditional`: some wait of it has a condition;

    `concurrent`: there are branches in it; `nested`: machines; `holding`: bodies that hold slots;
    `itemized`: a function of it wants the item of a for_each;
    `compensation_timeout`: what is not undone by then, counted from the first undo of an ending, is left as it is;
    `reducers` are those of its data's fields, `deadlines` the timeouts of the machine as a whole,
    `tags` what nodes are marked with, by address. What a tenant's tier adds (tier.py): `begin_pools` before the first state,
    `step_pools` before each attempt, and in microseconds `step_timeout`, the longest an attempt takes, and `workflow_timeout`,
    the longest the instance does.
    """

    name: str
    version: int
    data: Codec
    initial: str
    states: dict[str, State]
    signals: dict[str, SignalType]
    fingerprint: Fingerprint
    unhandled: Unhandled = "reject"
    compensation: CompensationPolicy = "continue_then_fail"
    compensation_timeout: int | None = None
    on_failure: tuple[Node, ...] = ()
    on_cancel: tuple[Node, ...] = ()
    finally_: tuple[Node, ...] = ()
    problems: tuple[Problem, ...] = ()
    places: dict[str, Place] = field(default_factory=dict[str, Place])
    reactions: dict[str, Reaction] = field(default_factory=dict[str, Reaction])
    activities: dict[str, Activity] = field(default_factory=dict[str, Activity])
    pools: tuple[Pool, ...] = ()
    conditional: bool = False
    concurrent: bool = False
    nested: bool = False
    holding: bool = False
    itemized: bool = False
    reducers: dict[str, Reducer] = field(default_factory=dict[str, Reducer])
    deadlines: tuple[Reaction, ...] = ()
    tags: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    begin_pools: tuple[Pool, ...] = ()
    step_pools: tuple[Pool, ...] = ()
    step_timeout: int | None = None
    workflow_timeout: int | None = None

    def keeps(self, signal: str) -> bool:
        """True when a signal of this name that nothing takes stays pending."""
        kind = self.signals.get(signal)
        if kind is None or kind.keep is None:
            return self.unhandled == "keep"
        return kind.keep is not False
