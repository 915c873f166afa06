"""State machines as classes: `class OrderApproval(Workflow[Order])` with states as attributes and ways between them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from stepkeel.authoring.node import Item
from stepkeel.errors import DefinitionError
from stepkeel.model.definition import Ending
from stepkeel.model.policy import CompensationPolicy, Unhandled

if TYPE_CHECKING:
    from stepkeel.authoring.view import AuthoredDefinition
    from stepkeel.model.snapshot import Failure

__all__ = ["AnyOf", "State", "Way", "Workflow", "any_of"]

D = TypeVar("D")
S = TypeVar("S")


@dataclass(frozen=True, eq=False)
class Way:
    """One declared way out, as written; the definition is built from these."""

    trigger: str
    to: State[Any] | None
    line: str
    options: Mapping[str, Any]


def _caller(depth: int = 2) -> str:
    frame = sys._getframe(depth)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class State(Generic[D]):
    """A named phase. Its body runs, in order, when it is entered; then signals, timeouts and automatic ways lead on.

    body      activities and nodes (delay, until, wait, log, transform)
    name      default: the attribute it is assigned to
    label     the business name, for people; several states may share one
    initial   the first state is initial unless one says so
    """

    def __init__(self, *body: Item[D], name: str | None = None, label: str | None = None, initial: bool = False) -> None:
        self._body: tuple[Any, ...] = body
        self._name = name
        self._label = label
        self._initial = initial
        self._ending: Ending | None = None
        self._ways: list[Way] = []
        self._line = _caller()
        self._owner = ""

    @staticmethod
    def completed(*body: Item[Any], reason: str = "", name: str | None = None, label: str | None = None) -> State[Any]:
        """A final state: its body runs, then the instance is completed."""
        return _final("completed", body, reason, "", name, label)

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

    def to(self, target: State[Any], *, when: Callable[[D], bool] | None = None) -> None:
        """An automatic way, taken when the body is done and `when` holds; the first of several that holds."""
        self._add("automatic", target, {"when": when})

    def on(
        self,
        signal: type[S],
        *,
        to: State[Any] | None = None,
        when: Callable[[D, S], bool] | None = None,
        into: Callable[[D, S], D | Mapping[str, Any] | None] | str | None = None,
        do: Item[D] | Sequence[Item[D]] | None = None,
        interrupt: bool = False,
        name: str | None = None,
    ) -> None:
        """Handle a signal: `into` changes the data, then `do` runs, then the move. Without `to` the state stays."""
        self._add("signal", to, {"signal": signal, "when": when, "into": into, "do": do, "interrupt": interrupt, "name": name})

    def after(
        self,
        span: timedelta | float | Callable[[D], timedelta],
        *,
        to: State[Any] | None = None,
        when: Callable[[D], bool] | None = None,
        into: Callable[[D, None], D | Mapping[str, Any] | None] | None = None,
        do: Item[D] | Sequence[Item[D]] | None = None,
        interrupt: bool = False,
        name: str | None = None,
    ) -> None:
        """A timeout, counted from entering the state. Without `to` the state stays; it fires once a visit."""
        self._add("timeout", to, {"span": span, "when": when, "into": into, "do": do, "interrupt": interrupt, "name": name})

    def on_failure(
        self,
        *errors: str | type[BaseException],
        to: State[Any] | None = None,
        when: Callable[[D, Failure], bool] | None = None,
        into: Callable[[D, Failure], D | Mapping[str, Any] | None] | None = None,
        do: Item[D] | Sequence[Item[D]] | None = None,
        name: str | None = None,
    ) -> None:
        """When an activity of this state finally fails with one of these codes or exceptions (none: any).

        Without `to` the failed node counts as skipped and the body goes on behind it.
        """
        self._add("failure", to, {"errors": errors, "when": when, "into": into, "do": do, "name": name})

    def _add(self, trigger: str, to: State[Any] | None, options: Mapping[str, Any], depth: int = 3) -> None:
        if self._owner:
            raise DefinitionError(
                f"{self._owner} is built, {self._name} cannot be given another way", remedy="declare it in the class body"
            )
        self._ways.append(Way(trigger, to, _caller(depth), options))

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = self._name or name

    def __repr__(self) -> str:
        return f"<State {self._name or '?'}>"

    def __str__(self) -> str:
        return self._name or "?"


def _final(status: Any, body: tuple[Any, ...], reason: str, code: str, name: str | None, label: str | None) -> State[Any]:
    state: State[Any] = State(*body, name=name, label=label)
    state._ending = Ending(status, reason, code)  # pyright: ignore[reportPrivateUsage]
    state._line = _caller(3)  # pyright: ignore[reportPrivateUsage]
    return state


class AnyOf(Generic[D]):
    """Declares the same way out of several states."""

    def __init__(self, states: tuple[State[D], ...]) -> None:
        self._states = states

    def _add(self, trigger: str, to: State[Any] | None, options: Mapping[str, Any]) -> None:
        for state in self._states:
            state._add(trigger, to, options, 4)  # pyright: ignore[reportPrivateUsage]

    to = State[D].to
    on = State[D].on
    after = State[D].after
    on_failure = State[D].on_failure


def any_of(*states: State[D]) -> AnyOf[D]:
    """`any_of(ringing, connected).on(HungUp, to=off_hook)`: the same way out of each."""
    return AnyOf(states)


class Workflow(Generic[D]):
    """Base of state machines. Class keywords carry the policies:

    name               default: the class name. Never the module path, so code may move
    version            default 1; several versions may be given to one engine, each instance stays on its own
    unhandled_signals  "reject" (default) or "keep": what becomes of signals nothing takes
    compensation       when an undo fails: "continue_then_fail" (default), "stop_and_fail", "continue_then_terminate"
    Raises DefinitionError with every problem found, when the class is built. `definition` is the only public attribute.
    """

    definition: ClassVar[AuthoredDefinition]

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        version: int = 1,
        unhandled_signals: Unhandled = "reject",
        compensation: CompensationPolicy = "continue_then_fail",
    ) -> None:
        from stepkeel.authoring.build import build

        super().__init_subclass__()
        cls.definition = build(cls, name or cls.__name__, version, unhandled_signals, compensation)

    def __new__(cls) -> Any:
        raise TypeError(f"{cls.__name__} is a definition and has no instances: engine.start({cls.__name__}, data) starts one")
