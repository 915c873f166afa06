"""Nodes for a body besides activities: delay, until, wait, log, transform; loop and choice, which hold bodies themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Concatenate, Generic, TypeVar, cast, get_args

from stepkeel.authoring.context import Context
from stepkeel.errors import BadRequest
from stepkeel.model.calendar import Calendar
from stepkeel.model.instant import to_span
from stepkeel.model.node import AtMax
from stepkeel.model.run import Run

__all__ = [
    "BodyNode",
    "Item",
    "Step",
    "When",
    "choice",
    "delay",
    "emit",
    "log",
    "loop",
    "tagged",
    "tagged_all",
    "tagged_items",
    "transform",
    "until",
    "wait",
    "when",
]

D = TypeVar("D")
S = TypeVar("S")
T = TypeVar("T")

_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, eq=False)
class BodyNode(Generic[D]):
    """A node as its author wrote it, before the definition is built. `origin`: where it stands in a document."""

    kind: str
    name: str | None
    options: Mapping[str, Any]
    types: type[D] | None = None
    origin: tuple[str | int, ...] | None = None


@dataclass(frozen=True, eq=False)
class Step(Generic[T]):
    """A step as its author wrote it; `run[step]` is its output. `origin`: where it stands in a document."""

    key: str
    body: tuple[Any, ...]
    given: Callable[[Run[Any]], Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    origin: tuple[str | int, ...] | None = None

    @property
    def single(self) -> bool:
        """It is one activity, whose policies and mappings may be told of it."""
        return len(self.body) == 1 and not isinstance(self.body[0], BodyNode | Step)

    def output_of(self, run: Run[Any]) -> T:
        return run[self]

    def __repr__(self) -> str:
        return f"<Step {self.key}>"


Item = (
    Callable[Concatenate[Context[D, Any], ...], Any]
    | Callable[..., Callable[Concatenate[Context[D, Any], ...], Any]]
    | BodyNode[D]
    | Step[Any]
)


def delay(
    span: timedelta | float | Callable[[D], timedelta], *, calendar: Calendar | None = None, name: str | None = None
) -> BodyNode[D]:
    """Wait for a span (a timedelta, seconds, or a function of the data), durably and without holding a worker.

    With a `calendar` it is a span of working time. Raises BadRequest.
    """
    if not callable(span) and to_span(span) < 0:
        raise BadRequest(f"delay({span!r})", remedy="not negative")
    return BodyNode("wait", name or "delay", {"delay": span, "calendar": calendar})


def until(at: Callable[[D], datetime], *, name: str | None = None) -> BodyNode[D]:
    """Wait until the moment the function gives (a datetime with a zone); a past one is over at once."""
    return BodyNode("wait", name or "until", {"until": at})


def wait(
    signal: type[S] | None = None,
    *,
    when: Callable[[D, S], bool] | str | None = None,
    into: Callable[[D, S], D | Mapping[str, Any] | None] | Mapping[str, Any] | str | None = None,
    condition: Callable[[D], bool] | str | None = None,
    delay: timedelta | float | Callable[[D], timedelta] | None = None,
    until: Callable[[D], datetime] | None = None,
    name: str | None = None,
) -> BodyNode[D]:
    """Wait for a signal, a condition on the data, a time, or whichever comes first. `into` brings the signal into the data.

    A condition is asked whenever something has happened to the instance; where nothing can change its data any more it
    fails with the code `stuck`. Raises BadRequest.
    """
    if signal is None and delay is None and until is None and condition is None:
        raise BadRequest("wait() for nothing", remedy="name a signal, condition=, delay= or until=")
    if delay is not None and until is not None:
        raise BadRequest("wait(delay=, until=)", remedy="one time is enough")
    options = {"signal": signal, "when": when, "into": into, "condition": condition, "delay": delay, "until": until}
    return BodyNode("wait", name or "wait", options)


def log(text: str | Callable[[D], str], *, level: str = "info", name: str | None = None) -> BodyNode[D]:
    """Write a line to the log when the step is durable: a template over the data's fields, or a function of the data."""
    if level not in _LEVELS:
        raise BadRequest(f"log(level={level!r})", remedy=", ".join(_LEVELS))
    return BodyNode("log", name or "log", {"text": text, "level": level})


def emit(what: Callable[[D], Any] | Mapping[str, Any] | str | None = None, *, to: str, name: str | None = None) -> BodyNode[D]:
    """Tell the world: a message about a topic, `emit(lambda order: order.lines, to="orders")`; without a function, the data.

    It is part of the step's own commit and delivered to a sink (`Engine(sinks={"orders": publish})`) at least once, in the order of
    the instance's steps. Where no engine has a sink for its topic it stays in the outbox. Raises BadRequest.
    """
    known = what is None or callable(what) or isinstance(what, str | Mapping)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not isinstance(to, str) or not 1 <= len(to) <= 200 or not known:  # pyright: ignore[reportUnnecessaryIsInstance]
        remedy = "a function of the data, or templates, and a topic of 1 to 200 characters"
        raise BadRequest(f"emit({what!r}, to={to!r})", remedy=remedy)
    return BodyNode("emit", name or "emit", {"what": what, "topic": to})


def transform(
    change: Callable[[D], D | Mapping[str, Any] | None] | Mapping[str, Any] | str, *, name: str | None = None
) -> BodyNode[D]:
    """Change the data by a pure function: it returns new data, a mapping of fields, or changes what it is given.

    Or by a mapping of fields to templates, `{"total": "{{ data.net * 2 }}"}`, or the text of an expression that gives one.
    """
    return BodyNode("transform", name or (None if callable(change) else "transform"), {"change": change})


def loop(
    *body: Item[D],
    while_: Callable[[D], bool] | str | None = None,
    until: Callable[[D], bool] | str | None = None,
    max_iterations: int = 1_000,
    at_max: AtMax = "fail",
    name: str | None = None,
) -> BodyNode[D]:
    """Run a body again and again: `while_` is asked before each iteration, `until` behind each. An activity that returns

    `Break` ends the innermost loop. When `max_iterations` were not enough, `at_max` says what then: `fail` (with the code
    max_iterations), `go_on` behind the loop, `cancel` or `terminate` the instance. Raises BadRequest.
    """
    if not body:
        raise BadRequest("loop() of nothing", remedy="loop(activity, ..., until=...)")
    if isinstance(max_iterations, bool) or not isinstance(max_iterations, int) or max_iterations < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadRequest(f"loop(max_iterations={max_iterations!r})", remedy="a whole number from 1")
    if at_max not in get_args(AtMax):
        raise BadRequest(f"loop(at_max={at_max!r})", remedy=", ".join(get_args(AtMax)))
    options = {"body": body, "while": while_, "until": until, "max_iterations": max_iterations, "at_max": at_max}
    return BodyNode("loop", name or "loop", options)


def tagged(tag: str, *items: Item[D]) -> BodyNode[D]:
    """Mark some nodes of a body with a tag: `State(reserve, tagged("risky", charge, ship))`.

    A tag names all nodes that carry it, wherever they stand, for `stop`, `add_items` and the moves `cancel=` and `complete=`.
    It may be given within a tag. Raises BadRequest.
    """
    if not isinstance(tag, str) or not tag or not items:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadRequest(f"tagged({tag!r})", remedy='tagged("name", activity, ...)')
    return BodyNode("tagged", tag, {"items": items})


def tagged_all(tags: Sequence[str], items: list[Any]) -> list[Any]:
    """The same items, marked with all these tags."""
    for tag in tags if items else ():
        items = [tagged(tag, *items)]
    return items


def tagged_items(items: Sequence[Any], around: frozenset[str] = frozenset()) -> Iterator[tuple[Any, frozenset[str]]]:
    """Each node of a body, with the tags it carries."""
    for item in items:
        if isinstance(item, BodyNode) and item.kind == "tagged":
            yield from tagged_items(item.options["items"], around | {str(item.name)})
        else:
            yield item, around


@dataclass(frozen=True, eq=False)
class When(Generic[D]):
    """An arm of a choice: see `when`."""

    guard: Callable[[D], bool] | str | None
    body: tuple[Item[D], ...]
    name: str


def when(guard: Callable[[D], bool] | str, *body: Item[D], name: str | None = None) -> When[D]:
    """An arm of a `choice`: its body runs if the guard, a function or the text of a condition, holds and no earlier one did.

    Its name in paths is `name`, else the guard's; of a lambda it is `arm` (`arm-2` ...).
    """
    own = getattr(guard, "__name__", "<lambda>")
    return When(guard, body, name or ("arm" if own == "<lambda>" else own))


def choice(*arms: When[D], otherwise: Item[D] | Sequence[Item[D]] | None = None, name: str | None = None) -> BodyNode[D]:
    """Run the first arm whose guard holds, else `otherwise`, else nothing. Raises BadRequest."""
    strange = next((a for a in arms if not isinstance(a, When)), None)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not arms or strange is not None:
        raise BadRequest(f"choice({strange!r})" if arms else "choice() of nothing", remedy="choice(when(guard, activity), ...)")
    named = [*arms]
    if otherwise is not None:
        body = cast("Sequence[Item[D]]", otherwise if isinstance(otherwise, Sequence) else (otherwise,))
        named.append(When(None, tuple(body), "otherwise"))
    empty = next((a.name for a in named if not a.body), None)
    if empty is not None:
        raise BadRequest(f"the arm {empty} of a choice is empty", remedy="give it a node, or leave it out")
    if any(a.name == "otherwise" for a in named[:-1]):
        raise BadRequest("an arm is called otherwise", remedy="that is the one without a guard")
    return BodyNode("choice", name or "choice", {"arms": tuple(named)})
