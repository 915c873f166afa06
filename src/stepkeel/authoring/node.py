"""Nodes for a body besides activities: delay, until, wait, log, transform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Concatenate, Generic, TypeVar

from stepkeel.authoring.context import Context
from stepkeel.errors import BadRequest
from stepkeel.model.instant import to_span

__all__ = ["BodyNode", "Item", "delay", "log", "transform", "until", "wait"]

D = TypeVar("D")
S = TypeVar("S")

_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, eq=False)
class BodyNode(Generic[D]):
    """A node as its author wrote it, before the definition is built."""

    kind: str
    name: str | None
    options: Mapping[str, Any]
    types: type[D] | None = None


Item = (
    Callable[Concatenate[Context[D, Any], ...], Any] | Callable[..., Callable[Concatenate[Context[D, Any], ...], Any]] | BodyNode[D]
)


def delay(span: timedelta | float | Callable[[D], timedelta], *, name: str | None = None) -> BodyNode[D]:
    """Wait for a span (a timedelta, seconds, or a function of the data), durably and without holding a worker."""
    if not callable(span) and to_span(span) < 0:
        raise BadRequest(f"delay({span!r})", remedy="not negative")
    return BodyNode("wait", name or "delay", {"delay": span})


def until(at: Callable[[D], datetime], *, name: str | None = None) -> BodyNode[D]:
    """Wait until the moment the function gives (a datetime with a zone); a past one is over at once."""
    return BodyNode("wait", name or "until", {"until": at})


def wait(
    signal: type[S] | None = None,
    *,
    when: Callable[[D, S], bool] | None = None,
    into: Callable[[D, S], D | Mapping[str, Any] | None] | str | None = None,
    delay: timedelta | float | Callable[[D], timedelta] | None = None,
    until: Callable[[D], datetime] | None = None,
    name: str | None = None,
) -> BodyNode[D]:
    """Wait for a signal, a time, or whichever of the two comes first. `into` brings the signal into the data."""
    if signal is None and delay is None and until is None:
        raise BadRequest("wait() for nothing", remedy="name a signal, delay= or until=")
    if delay is not None and until is not None:
        raise BadRequest("wait(delay=, until=)", remedy="one time is enough")
    options = {"signal": signal, "when": when, "into": into, "delay": delay, "until": until}
    return BodyNode("wait", name or "wait", options)


def log(text: str | Callable[[D], str], *, level: str = "info", name: str | None = None) -> BodyNode[D]:
    """Write a line to the log when the step is durable: a template over the data's fields, or a function of the data."""
    if level not in _LEVELS:
        raise BadRequest(f"log(level={level!r})", remedy=", ".join(_LEVELS))
    return BodyNode("log", name or "log", {"text": text, "level": level})


def transform(change: Callable[[D], D | Mapping[str, Any] | None], *, name: str | None = None) -> BodyNode[D]:
    """Change the data by a pure function: it returns new data, a mapping of fields, or changes what it is given."""
    return BodyNode("transform", name, {"change": change})
