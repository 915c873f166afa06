"""Nodes that are machines: another workflow's states, a body with ways out of it, and the first of several things to come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypeVar, cast

from stepkeel.authoring.node import BodyNode, Item
from stepkeel.errors import BadRequest
from stepkeel.model.definition import Definition
from stepkeel.model.schema import Schema

__all__ = ["add_items", "machine", "pick", "scope", "stop"]

D = TypeVar("D")


def machine(workflow: type[Any] | Definition, *, name: str | None = None) -> BodyNode[Any]:
    """Run the states of another workflow of the same data as a node: its signals, timeouts and failures are heard while it is open.

    It ends when one of its completed states is entered; a failed one fails the node with its code, a terminated one
    terminates the instance. The name is `name`, else the workflow's. Raises BadRequest.
    """
    definition = workflow if isinstance(workflow, Definition) else getattr(workflow, "definition", None)
    if not isinstance(definition, Definition):
        raise BadRequest(f"machine({workflow!r})", remedy="a class that derives from Workflow[...]")
    return BodyNode("machine", name or definition.name, {"workflow": definition})


def scope(
    *body: Item[D],
    on: Mapping[type[Any], Item[D] | Sequence[Item[D]]] | None = None,
    after: Mapping[timedelta, Item[D] | Sequence[Item[D]]] | None = None,
    on_failure: Mapping[str | type[BaseException], Item[D] | Sequence[Item[D]]] | None = None,
    name: str | None = None,
) -> BodyNode[D]:
    """Run a body that a signal, a time or a failure may end: `scope(ship, on={Stopped: call_back}, after={timedelta(days=2): []})`.

    Whichever comes stops what is in flight in it and closes what waits, runs its own body (which is given the signal or
    the failure as `ctx.input`), and the flow goes on behind the scope. Raises BadRequest.
    """
    if not body:
        raise BadRequest("scope() of nothing", remedy="scope(activity, ..., on={Signal: activity})")
    if not on and not after and not on_failure:
        raise BadRequest("scope() that nothing can end", remedy="on=, after= or on_failure=")
    options = {"body": body, "on": _bodies(on), "after": _bodies(after), "on_failure": _bodies(on_failure)}
    return BodyNode("scope", name or "scope", options)


def stop(
    target: str, *, how: Literal["cancel", "complete"] = "cancel", then: Literal["end", "skip"] = "end", name: str | None = None
) -> BodyNode[Any]:
    """Cancel or complete what is open elsewhere: `stop("shipping/quote")`: a path, the end of one (a key, say), or a tag.

    Cancelled, its branch ends (`then="end"`; a node in no branch is skipped), or goes on behind it (`then="skip"`).
    Completed, a parallel or for_each is joined with what has arrived, and a node that waits is done. Raises BadRequest.
    """
    if not isinstance(target, str) or not target.strip("/"):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadRequest(f"stop({target!r})", remedy="the key or path of a node")
    if how not in ("cancel", "complete") or then not in ("end", "skip"):
        raise BadRequest(f"stop(how={how!r}, then={then!r})", remedy="how: cancel, complete; then: end, skip")
    return BodyNode("stop", name or "stop", {"target": target.strip("/"), "how": how, "then": then})


def add_items(target: str, items: Callable[[D], Iterable[Any]], *, name: str | None = None) -> BodyNode[D]:
    """Add items, which a function of the data gives, to a for_each that is open elsewhere: `add_items("lines", lambda o: o.more)`.

    The target is a path, the end of one, or a tag. Where no for_each is open there, nothing is done. Raises BadRequest.
    """
    if not isinstance(target, str) or not target.strip("/") or not callable(items):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadRequest(f"add_items({target!r}, {items!r})", remedy="the key or path of a for_each, and a function of the data")
    return BodyNode("add_items", name or "add_items", {"target": target.strip("/"), "items": items})


def pick(choices: Mapping[Any, Item[D] | Sequence[Item[D]]], *, name: str | None = None) -> BodyNode[D]:
    """Wait for the first of several signals and times: `pick({Approved: ship, Rejected: [refund, tell], timedelta(3): remind})`.

    The body of what comes first runs (given the signal as `ctx.input`), the others are not waited for any more. Raises BadRequest.
    """
    on = {k: v for k, v in choices.items() if isinstance(k, type | Schema)}
    after = {k: v for k, v in choices.items() if isinstance(k, timedelta)}
    strange = next((k for k in choices if k not in on and k not in after), None)
    if not choices or strange is not None:
        raise BadRequest(
            f"pick of {strange!r}" if choices else "pick() of nothing", remedy="signals and timedeltas, each with a body"
        )
    return BodyNode("pick", name or "pick", {"on": _bodies(on), "after": _bodies(after)})


def _bodies(given: Mapping[Any, Any] | None) -> list[tuple[Any, tuple[Any, ...]]]:
    found: list[tuple[Any, tuple[Any, ...]]] = []
    for key, body in (given or {}).items():
        found.append((key, tuple(cast("Sequence[Any]", body)) if isinstance(body, Sequence) else (body,)))
    return found
