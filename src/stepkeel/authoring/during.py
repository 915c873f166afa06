"""Guards about where an instance stands, and a body that is offered only while one holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from stepkeel.authoring.node import BodyNode, Item
from stepkeel.errors import BadRequest
from stepkeel.model.fact import Count, Fact, quoted

__all__ = ["at", "branches_open", "children", "done", "during", "size", "started", "visits"]

D = TypeVar("D")


def at(path: str) -> Any:
    """Holds while something is open at a path, or the end of one: `at("shipping/pick")`, `at("pick")`. For any guard.

    Guards about positions are joined with each other and with functions of the data by `&`, `|` and `~`.
    """
    where = _text(path, "at")
    return Fact(f"at({where})", lambda ask, _: bool(ask("at", where)), f"at({quoted(where)})")


def done(path: str) -> Any:
    """Holds when a branch of a parallel that is still open has ended well, `done("parallel:stock")`, or a state was left."""
    where = _text(path, "done")
    return Fact(f"done({where})", lambda ask, _: bool(ask("done", where)), f"done({quoted(where)})")


def visits(state: str) -> Count:
    """How often a state has been entered, to be compared: `visits("Pay") < 3`."""
    return Count("visits", _text(state, "visits"))


def size(path: str) -> Count:
    """How many branches or items an open parallel or for_each has, to be compared: `size("lines") > 100`."""
    return Count("size", _text(path, "size"))


def started(path: str) -> Any:
    """Holds when a branch of a parallel that is still open has begun, `started("parallel:stock")`; or a state was ever entered."""
    where = _text(path, "started")
    return Fact(f"started({where})", lambda ask, _: bool(ask("started", where)), f"started({quoted(where)})")


def branches_open(path: str = "") -> Count:
    """How many branches or items of an open parallel or for_each (without a path: of all) have begun and not ended, to compare."""
    return Count("branches_open", path and _text(path, "branches_open"))


def children(definition: str = "") -> Count:
    """How many children have begun and not ended, to be compared: those of a definition, by its name, or all."""
    return Count("children", definition and _text(definition, "children"))


def _text(path: Any, name: str) -> str:
    if not isinstance(path, str) or not path:
        raise BadRequest(f"{name}({path!r})", remedy="a path, or the end of one")
    return path


def during(
    guard: Callable[[D], bool] | Fact | str,
    *body: Item[D],
    otherwise: Literal["wait", "skip", "fail"] = "wait",
    name: str | None = None,
) -> BodyNode[D]:
    """Offer a body only while a guard holds: `during(at("parallel:packing/pack"), wait(Changed))`.

    Where it does not hold: `wait` until it does, `skip` the body, or `fail` (with the code not_offered). When it ceases to
    hold, what waits in the body is withdrawn, and the body begins anew when it is offered again; what is in flight ends
    first. Raises BadRequest.
    """
    if not body:
        raise BadRequest("during() of nothing", remedy="during(at(...), wait(Signal))")
    if otherwise not in ("wait", "skip", "fail"):
        raise BadRequest(f"during(otherwise={otherwise!r})", remedy="wait, skip, fail")
    return BodyNode("during", name or "during", {"guard": guard, "body": body, "otherwise": otherwise})
