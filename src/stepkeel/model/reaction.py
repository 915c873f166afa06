"""Reactions: what a state or machine does when something comes, and where it then goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stepkeel.model.calendar import Calendar
from stepkeel.model.function import Function, Mapper
from stepkeel.model.node import Node
from stepkeel.model.policy import Matcher

__all__ = ["Ending", "Move", "Reaction", "Transition"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a machine ends. `at_once`: a completed one does not wait for branches that were left to finish."""

    status: Literal["completed", "cancelled", "terminated", "failed"]
    reason: str = ""
    code: str = ""
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """What a reaction does when its body is done.

    to                 leaves the state for another
    stay               nothing
    go_on              what is open in the body closes; after a failure the failed node counts as skipped
    cancel, complete   what a stop node does to its `target`; after a failure, that too
    end                ends the machine
    """

    kind: Literal["to", "stay", "go_on", "cancel", "complete", "end"] = "stay"
    state: str = ""
    target: str = ""
    ending: Ending | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reaction:
    """One record for signal, timeout and failure. `name` is unique in its state and part of paths: `State!name`.

    undo       what was done in this visit of the state, or in the whole machine, is undone before the move
    anywhere   it belongs to the machine: its timeout is counted from the machine's beginning (`!name`)
    otherwise  its author wants it tried after all others: they stand in the order in which they are tried
    """

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
    undo: Literal["none", "state", "all"] = "none"
    anywhere: bool = False
    otherwise: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Transition:
    """Automatic: taken when the body is done and the guard holds."""

    to: str
    when: Function | None = None
