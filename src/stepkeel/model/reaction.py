"""Reactions: what a state or machine does when something comes, and where it then goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stepkeel.model.calendar import Calendar
from stepkeel.model.node import Function, Mapper, Node
from stepkeel.model.policy import Matcher

__all__ = ["Move", "Reaction", "Transition"]


@dataclass(frozen=True, slots=True)
class Move:
    """`to` another state, `stay`, or `go_on` (what is open in the body closes; a failed node counts as skipped)."""

    kind: Literal["to", "stay", "go_on"] = "stay"
    state: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Reaction:
    """One record for signal, timeout and failure. `name` is unique in its state and part of paths: `State!name`."""

    name: str
    trigger: Literal["signal", "timeout", "failure"]
    move: Move
    signal: str = ""
    delay: int | None = None
    delay_of: Function | None = None
    errors: Matcher = Matcher()
    when: Function | None = None
    into: Mapper | None = None
    do: tuple[Node, ...] = ()
    interrupt: bool = False
    calendar: Calendar | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Transition:
    """Automatic: taken when the body is done and the guard holds."""

    to: str
    when: Function | None = None
