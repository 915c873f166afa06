"""hold: a body that runs while slots of pools are held: critical sections, concurrency keys, resources, rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from stepkeel.authoring.activity import pools_of
from stepkeel.authoring.node import BodyNode, Item
from stepkeel.errors import BadRequest
from stepkeel.model.instant import to_span
from stepkeel.model.node import HoldNode, Pool, Scope
from stepkeel.model.policy import Limit

if TYPE_CHECKING:
    from stepkeel.authoring.body import Bodies

__all__ = ["hold", "hold_node"]

D = TypeVar("D")
Amount = int | Callable[[D], int] | str


def hold(
    limits: Limit | Sequence[Limit],
    *body: Item[D],
    amount: Amount[D] | Mapping[str, Amount[D]] = 1,
    scope: Scope = "fleet",
    timeout: timedelta | float | None = None,
    name: str | None = None,
) -> BodyNode[D]:
    """Run a body while slots are held: `hold(Limit(1, name="printer"), print_it)` lets one at a time print.

    limits   the pools: how many slots each has, at once or in a span, and for which values of a key; those of one name are one
             pool, wherever it is named. Several are taken in the order of their names, so that no two holders wait for each other
    amount   how many slots it takes, together: a number, a function of the data, or the text of an expression; of several
             limits a mapping by their names (1 of those it leaves out)
    scope    whose pool it is: the fleet's, each tenant's, each definition's, each instance's
    timeout  how long it waits for them; then it fails with the code hold_timeout
    Those that wait are served in the order of asking, more urgent priorities first, and none is passed over for one that takes
    fewer. The slots are given back in the commit in which the body is done, or is closed otherwise. A worker that crashes
    keeps them for its instance. Raises BadRequest.
    """
    each = (limits,) if isinstance(limits, Limit) else tuple(limits)
    if any(isinstance(limit, Limit) and not limit.name for limit in each):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadRequest("hold() of a limit without a name", remedy='those of one name are one pool: Limit(1, name="printer")')
    pools = pools_of(each, "hold")
    if not body or not pools:
        raise BadRequest("hold() of nothing", remedy='hold(Limit(1, name="printer"), activity, ...)')
    if scope not in get_args(Scope):
        raise BadRequest(f"hold(scope={scope!r})", remedy=", ".join(get_args(Scope)))
    if timeout is not None and to_span(timeout) <= 0:
        raise BadRequest(f"hold(timeout={timeout!r})", remedy="longer than nothing")
    given: Any = amount
    amounts: dict[str, Any] = {**given} if isinstance(given, Mapping) else dict.fromkeys((p.name for p in pools), given)
    for pool in pools:
        many = amounts.setdefault(pool.name, 1)
        if not (isinstance(many, str) or callable(many) or (type(many) is int and 1 <= many <= pool.size)):
            raise BadRequest(f"{many!r} of the {pool.size} slots of {pool.name}", remedy="a number of them, from 1")
    strange = sorted(amounts.keys() - {p.name for p in pools})
    if strange:
        raise BadRequest(f"amount= of {strange[0]}", remedy=f"there are: {', '.join(p.name for p in pools)}")
    options = {
        "limits": each, "body": body, "amounts": amounts, "scope": scope,
        "timeout": None if timeout is None else to_span(timeout),
    }  # fmt: skip
    return BodyNode("hold", name or "hold", options)


def hold_node(bodies: Bodies, o: Mapping[str, Any], key: str, place: str, given: Any) -> HoldNode:
    """The node; what is wrong with its functions goes to the problems."""
    pools: list[Pool] = []
    for pool in pools_of(o["limits"], key):
        many: Any = o["amounts"][pool.name]
        where = f"{place} {pool.name}"
        amount = many if isinstance(many, int) else bodies.reading(many, where, "expression", {"item": None})
        pools.append(replace(pool, scope=o["scope"], amount=amount))
    outer = bodies.held
    bodies.holds(place, [p.name for p in pools])
    node = HoldNode(key, tuple(pools), bodies.body(o["body"], place, given), o["timeout"])
    bodies.held = outer
    return node
