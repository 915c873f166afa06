"""Nodes whose bodies run at the same time: parallel and for_each, their joins, and whose data their branches work on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast, get_args

from stepkeel.authoring.node import BodyNode, Item, When
from stepkeel.errors import BadRequest
from stepkeel.model.join import Arrivals, Paths

__all__ = ["Join", "Own", "check_bound", "for_each", "join_of", "own_of", "parallel", "spawn"]

D = TypeVar("D")

Failures = Literal["against", "collect"]
Rest = Literal["cancel", "undo", "finish"]
Late = Literal["drop", "merge"]
Again = Literal["overlap", "wait"]
Unmet = Literal["fail", "go_on"]
Need = Literal["all", "any"] | int | Callable[[Arrivals], int | bool]
Back = Literal["changed", "all", "nothing"] | Sequence[str]


@dataclass(frozen=True)
class Join:
    """When concurrent branches or items are one again.

    need      all, any, a number, or a function of `Arrivals` (outcomes, results, open, size) that gives a number, or says
              whether it is enough
    failures  against: a failed branch will not arrive, and the node fails as soon as its need cannot be met; collect: it
              arrives, as a failed one
    rest      branches still open then are cancelled; or undone: cancelled, and what they had finished is compensated; or
              left to finish, and the flow does not wait for them (a completed state does)
    late      what branches left to finish do to the data: drop, merge
    again     a new visit while branches of an earlier one are left to finish: overlap, or wait for them
    unmet     all have ended and it is not enough: fail (with the code join_unmet), or go_on
    Raises BadRequest.
    """

    need: Need = "all"
    failures: Failures = "against"
    rest: Rest = "cancel"
    late: Late = "drop"
    again: Again = "overlap"
    unmet: Unmet = "fail"

    def __post_init__(self) -> None:
        need: Any = self.need
        if not (need in ("all", "any") or callable(need) or (isinstance(need, int) and not isinstance(need, bool) and need > 0)):
            raise BadRequest(f"Join(need={need!r})", remedy="all, any, a number from 1, or a function of Arrivals")
        for field, kind in (("failures", Failures), ("rest", Rest), ("late", Late), ("again", Again), ("unmet", Unmet)):
            if getattr(self, field) not in get_args(kind):
                raise BadRequest(f"Join({field}={getattr(self, field)!r})", remedy=", ".join(get_args(kind)))


@dataclass(frozen=True)
class Own:
    """`data=Own(...)`: each branch works on its own copy of the data, taken when it begins.

    `back` is what flows back at its end: the fields it changed, all of them, nothing, or the fields named. Raises BadRequest.
    """

    back: Back = "changed"

    def __post_init__(self) -> None:
        if isinstance(self.back, str) and self.back not in ("changed", "all", "nothing"):
            raise BadRequest(f"Own(back={self.back!r})", remedy="changed, all, nothing, or a list of fields")


Data = Literal["shared", "own"] | Own


def own_of(data: Data) -> Own | None:
    """Raises BadRequest."""
    if isinstance(data, Own):
        return data
    if data not in ("shared", "own"):
        raise BadRequest(f"data={data!r}", remedy="shared, own, or Own(back=...)")
    return Own() if data == "own" else None


def join_of(join: Join | Need) -> Join:
    """Raises BadRequest."""
    return join if isinstance(join, Join) else Join(join)


def parallel(
    *,
    join: Join | Need = "all",
    max_concurrency: int | None = None,
    data: Data = "shared",
    into: Callable[[D, Paths[D]], D | Mapping[str, Any] | None] | Mapping[str, Any] | None = None,
    otherwise: Item[D] | Sequence[Item[D]] | None = None,
    name: str | None = None,
    **branches: Item[D] | Sequence[Item[D]] | When[D],
) -> BodyNode[D]:
    """Run bodies at the same time: `parallel(stock=reserve, invoice=[draft, send], join="all")`.

    A branch given as `when(guard, ...)` takes part if its guard holds, `otherwise` if no other does. At most
    `max_concurrency` of them are open at once, waiting ones included; default: all. A branch that waits holds up only
    itself. `data`: the branches work on the same data (shared), or each on its own copy. With copies of their own, `into`
    brings what they have come to (`Paths`, by name) into the data instead of the fields they have changed. Raises BadRequest.
    """
    if into is not None and data == "shared":
        raise BadRequest("parallel(into=) on shared data", remedy='data="own"')
    if not branches:
        raise BadRequest("parallel() of nothing", remedy="parallel(stock=reserve, invoice=[draft, send])")
    named = [_branch(branch, key) for key, branch in branches.items()]
    if otherwise is not None:
        named.append(_branch(otherwise, "otherwise"))
    empty = next((b.name for b in named if not b.body), None)
    if empty is not None:
        raise BadRequest(f"the branch {empty} of a parallel is empty", remedy="give it a node, or leave it out")
    check_bound("parallel", max_concurrency)
    own = own_of(data) if into is None else Own("nothing")
    options = {
        "branches": tuple(named), "join": join_of(join), "max_concurrency": max_concurrency, "own": own, "into": into,
        "detached": False,
    }  # fmt: skip
    return BodyNode("parallel", name or "parallel", options)


def _branch(given: Any, key: str) -> When[Any]:
    if isinstance(given, When):
        written = cast("When[Any]", given)
        return When(written.guard, written.body, key)
    return When(None, tuple(cast("Sequence[Any]", given) if isinstance(given, Sequence) else (given,)), key)


def check_bound(what: str, n: Any) -> None:
    """Raises BadRequest."""
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
        raise BadRequest(f"{what}(max_concurrency={n!r})", remedy="a whole number from 1")


def for_each(
    items: Callable[[D], Iterable[Any]] | str,
    *body: Item[D],
    max_concurrency: int = 100,
    into: Callable[[D, list[Any]], D | Mapping[str, Any] | None] | Mapping[str, Any] | str | None = None,
    join: Join | Need = "all",
    data: Data = "shared",
    detached: bool = False,
    stay_open_until: Callable[[D], bool] | str | None = None,
    name: str | None = None,
) -> BodyNode[D]:
    """Run a body for each item that a function of the data, or the text of an expression, gives; `ctx.input` is the item.

    At most `max_concurrency` items are open at once. `into` takes the list of results in the order of the items: with it,
    what the activities of the body return is the result of their item (the last one's), None for an item that gave none.
    `detached`: the flow goes on at once behind it, and nothing that becomes of an item concerns it; of `join` only `late` and
    `again` are heeded then. `stay_open_until`: it is not joined before this holds of the data, so that items can be added;
    "completed": before somebody completes it. Raises BadRequest.
    """
    if detached and (into is not None or stay_open_until is not None):
        raise BadRequest("for_each(detached=True) with into= or stay_open_until=", remedy="nothing waits for it")
    if stay_open_until is not None and not isinstance(stay_open_until, str) and not callable(stay_open_until):
        raise BadRequest(f"for_each(stay_open_until={stay_open_until!r})", remedy="a function of the data, or completed")
    if not callable(items) and not (isinstance(items, str) and items):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadRequest(f"for_each({items!r})", remedy="for_each(lambda data: data.lines, activity)")
    if not body:
        raise BadRequest("for_each() of nothing", remedy="for_each(lambda data: data.lines, activity, ...)")
    check_bound("for_each", max_concurrency)
    options = {
        "items": items, "body": body, "max_concurrency": max_concurrency, "into": into, "join": join_of(join), "own": own_of(data),
        "detached": detached, "stays": True if stay_open_until == "completed" else stay_open_until,
    }  # fmt: skip
    return BodyNode("for_each", name or "for_each", options)


def spawn(*body: Item[D], late: Late = "drop", data: Data = "shared", name: str | None = None) -> BodyNode[D]:
    """Begin a body and go on at once: `spawn(send_newsletter)`. What becomes of it concerns nobody here.

    What it does to the data counts if `late="merge"`. A completed instance waits until it has ended
    (`State.completed(at_once=True)` does not), every other ending stops it. Raises BadRequest.
    """
    if not body:
        raise BadRequest("spawn() of nothing", remedy="spawn(activity, ...)")
    options: dict[str, Any] = {"branches": (When(None, tuple(body), "body"),), "max_concurrency": None, "into": None}
    return BodyNode("parallel", name or "spawn", options | {"join": Join(late=late), "own": own_of(data), "detached": True})
