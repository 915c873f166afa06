"""Tenants as they are: what each may use, and how many instances of which status it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from stepkeel.engine.core import Core
from stepkeel.model.tier import Tier

__all__ = ["Tenant", "tenants"]


@dataclass(frozen=True, slots=True)
class Tenant:
    """`tier`: what it may use, seconds where it is a time; what is not limited is not there. `instances`: how many by status."""

    name: str
    tier: Mapping[str, float]
    instances: Mapping[str, int]


async def tenants(core: Core, of: Collection[str] | None, after: str, limit: int) -> list[Tenant]:
    """Those of these names; None: whoever has an instance or a key, so many behind `after`, in order."""
    store = core.store.within(None)
    names = await store.tenants(after, limit) if of is None else sorted(n for n in of if n > after)[:limit]
    found: list[Tenant] = []
    for name in names:
        counts = Counter[str]()
        for each in await store.metrics(name):
            counts[each.status] += each.count
        found.append(Tenant(name, _limits(core.tiers.of(name)), dict(counts)))
    return found


def _limits(tier: Tier | None) -> dict[str, float]:
    return {} if tier is None else tier.limits()
