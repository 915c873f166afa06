"""States as attributes of a workflow class, and the ways between them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from stepkeel.authoring.node import Item
from stepkeel.errors import DefinitionError
from stepkeel.model.calendar import Calendar
from stepkeel.model.outcome import Cancel, Complete, Fail, Terminate
from stepkeel.model.reaction import Ending

if TYPE_CHECKING:
    from stepkeel.authoring.view import AuthoredDefinition
    from stepkeel.model.snapshot import Failure

__all__ = ["AnyOf", "Anywhere", "End", "State", "Way", "Written", "any_of"]

D = TypeVar("D")
S = TypeVar("S")
# How a reaction ends its machine: a status, or with a reason or code of its own.
End = Literal["completed", "cancelled", "terminated", "failed"] | Complete | Cancel | Terminate | Fail
Undoing = Literal["none", "state", "all"]


@dataclass(frozen=True, eq=False)
class Way:
    """One declared way out, as written; the definition is built from these."""

    trigger: Literal["automatic", "signal", "timeout", "failure"]
    to: State[Any] | None
    line: str
    options: Mapping[str, Any]


@dataclass(eq=False)
class Written:
    """A state as its author wrote it."""

    body: tuple[Any, ...]
    label: str
    initial: bool
    line: str
    ending: Ending | None = None
    settable: bool = True
    ways: list[Way] = field(default_factory=list[Way])


def _caller(depth: int = 2) -> str:
    frame = sys._getframe(depth)  # pyright: ignore[reportPrivateUsage]
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class _Ways(Generic[D]):
    """The ways out that a state, or several at once, can declare."""

    def _add(self, trigger: Any, to: State[Any] | None, options: Mapping[str, Any], depth: int = 3) -> None:
        raise NotImplementedError

    def to(self, target: State[Any], *, when: Callable[[D], bool] | str | None = None) -> None:
        """An automatic way, taken when the body is done and `when` holds; the first of several that holds."""
        self._add("automatic", target, {"when": when})

    def on(
        self,
        signal: type[S],
        *,
        to: State[Any] | None = None,
        when: Callable[[D, S], bool] | str | None = None,
        into: Callable[[D, S], D | Mapping[str, Any] | None] | Mapping[str, Any] | str | None = None,
        do: Item[D] | Sequence[Item[D]] | None = None,
        interrupt: bool = False,
        go_on: bool = False,
        cancel: str | None = None,
        complete: str | None = None,
        end: End | None = None,
        undo: Undoing = "none",
        otherwise: bool = False,
        name: str | None = None,
    ) -> None:
        """Handle a signal: `into` changes the data, then `do` runs, then the move. Without a move the state stays.

        The moves, at most one: `to` another state; `go_on` closes what is open in the body, and the automatic ways are asked;
        `cancel` or `complete` a node of it, by its path or key; `end` the instance (or the machine, within a body).
        `undo` takes back first what was done in this visit of the state, or at all. `otherwise`: tried after all others.
        `when` may be the text of a condition over `data` and `signal` (`failure` in `on_failure`), `into` a mapping of fields to
        templates over them: what is written so can be exported to a document.
        """
        moves = {"go_on": go_on, "cancel": cancel, "complete": complete, "end": end, "undo": undo, "otherwise": otherwise}
        options = {"signal": signal, "when": when, "into": into, "do": do, "interrupt": interrupt, "name": name}
        self._add("signal", to, options | moves)

    def after(
        self,
        span: timedelta | float | Callable[[D], timedelta],
        *,
        to: State[Any] | None = None,
        when: Callable[[D], bool] | str | None = None,
        into: Callable[[D, None], D | Mapping[str, Any] | None] | Mapping[str, Any] | None = None,
        do: Item[D] | Sequence[Item[D]] | None = None,
        interrupt: bool = False,
        go_on: bool = False,
        cancel: str | None = None,
        complete: str | None = None,
        end: End | None = None,
        undo: Undoing = "none",
        calendar: Calendar | None = None,
        name: str | None = None,
    ) -> None:
        """A timeout, counted from entering the state; with a `calendar`, in working time. It fires once a visit.

        The rest is as for `on`.
        """
        moves = {"go_on": go_on, "cancel": cancel, "complete": complete, "end": end, "undo": undo}
        options = {"span": span, "when": when, "into": into, "do": do, "interrupt": interrupt, "calendar": calendar, "name": name}
        self._add("timeout", to, options | moves)

    def on_failure(
        self,
        *errors: str | type[BaseException],
        to: State[Any] | None = None,
        when: Callable[[D, Failure], bool] | str | None = None,
        into: Callable[[D, Failure], D | Mapping[str, Any] | None] | Mapping[str, Any] | None = None,
        do: Item[D] | Sequence[Item[D]] | None = None,
        cancel: str | None = None,
        complete: str | None = None,
        end: End | None = None,
        undo: Undoing = "none",
        otherwise: bool = False,
        name: str | None = None,
    ) -> None:
        """When an activity of this state finally fails with one of these codes or exceptions (none: any).

        Without `to` or `end` the failed node counts as skipped and the body goes on behind it. The rest is as for `on`.
        """
        moves = {"cancel": cancel, "complete": complete, "end": end, "undo": undo, "otherwise": otherwise}
        self._add("failure", to, {"errors": errors, "when": when, "into": into, "do": do, "name": name} | moves)


class State(_Ways[D]):
    """A named phase. Its body runs, in order, when it is entered; then signals, timeouts and automatic ways lead on.

    body      activities and nodes (delay, until, wait, log, transform)
    name      default: the attribute it is assigned to
    label     the business name, for people; several states may share one
    initial   the first state is initial unless one says so
    settable  operators may put an instance there (`set_state`, `redrive(from_state=)`)
    `written` and `home` are the builder's: what was declared, and the definition (with its states) it became part of.
    """

    def __init__(
        self, *body: Item[D], name: str | None = None, label: str | None = None, initial: bool = False, settable: bool = True
    ) -> None:
        self._name = name
        self.written = Written(body, label or "", initial, _caller(), settable=settable)
        self.home: tuple[AuthoredDefinition | None, Mapping[str, State[Any]]] = (None, {})

    @staticmethod
    def completed(
        *body: Item[Any], reason: str = "", at_once: bool = False, name: str | None = None, label: str | None = None
    ) -> State[Any]:
        """A final state: its body runs, then the instance is completed.

        Branches that a join has left to finish are waited for; `at_once` cancels them.
        """
        return _final("completed", body, reason, "", name, label, at_once=at_once)

    @staticmethod
    def cancelled(*body: Item[Any], reason: str = "", name: str | None = None, label: str | None = None) -> State[Any]:
        """A final state: its body runs, what was done is compensated, the instance is cancelled."""
        return _final("cancelled", body, reason, "", name, label)

    @staticmethod
    def terminated(*body: Item[Any], reason: str = "", name: str | None = None, label: str | None = None) -> State[Any]:
        """A final state: its body runs, what was done is compensated, the instance is terminated."""
        return _final("terminated", body, reason, "", name, label)

    @staticmethod
    def failed(
        *body: Item[Any], code: str = "failed", reason: str = "", name: str | None = None, label: str | None = None
    ) -> State[Any]:
        """A final state: its body runs, what was done is compensated, the instance fails with `code`."""
        return _final("failed", body, reason, code, name, label)

    def _add(self, trigger: Any, to: State[Any] | None, options: Mapping[str, Any], depth: int = 3) -> None:
        if self.home[0] is not None:
            raise DefinitionError(
                f"{self.home[0].name} is built, {self._name} cannot be given another way",
                remedy="declare it in the class body",
            )
        self.written.ways.append(Way(trigger, to, _caller(depth), options))

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = self._name or name

    @property
    def name(self) -> str:
        return self._name or ""

    def __repr__(self) -> str:
        return f"<State {self._name or '?'}>"

    def __str__(self) -> str:
        return self._name or "?"


def _final(
    status: Any, body: tuple[Any, ...], reason: str, code: str, name: str | None, label: str | None, *, at_once: bool = False
) -> State[Any]:
    state: State[Any] = State(*body, name=name, label=label)
    state.written.ending = Ending(status, reason, code, at_once)
    state.written.line = _caller(3)
    return state


class AnyOf(_Ways[D]):
    """Declares the same way out of several states."""

    def __init__(self, states: tuple[State[D], ...]) -> None:
        self._states = states

    def _add(self, trigger: Any, to: State[Any] | None, options: Mapping[str, Any], depth: int = 3) -> None:
        for state in self._states:
            state._add(trigger, to, options, depth + 1)  # pyright: ignore[reportPrivateUsage]


class Anywhere(_Ways[D]):
    """What holds in every state of a workflow: `anywhere = Anywhere[Order]()`, `anywhere.on(Cancelled, to=cancelled)`.

    Its reactions are tried after those of the state itself. A timeout is counted from the beginning of the instance (within a
    body: of the machine), and fires once, in whatever state that is.
    """

    def __init__(self) -> None:
        self.ways: list[Way] = []

    def _add(self, trigger: Any, to: State[Any] | None, options: Mapping[str, Any], depth: int = 3) -> None:
        if trigger == "automatic":
            raise DefinitionError("an automatic way out of every state", remedy="it would never rest: State.to(...)")
        self.ways.append(Way(trigger, to, _caller(depth), options))


def any_of(*states: State[D]) -> AnyOf[D]:
    """`any_of(ringing, connected).on(HungUp, to=off_hook)`: the same way out of each."""
    return AnyOf(states)
