"""Tenants as they are: what each may use, and how many instances of which status it has."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from stepkeel.engine.core import Core

__all__ = ["Tenant", "tenants"]

_log = logging.getLogger("stepkeel.api")


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant, by its instances that are not archived, or its keys.

    tier       what it may use, seconds where it is a time; what is not limited is not there. None: nobody can say just now
    instances  how many, by status
    """

    name: str
    tier: Mapping[str, float] | None
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
        found.append(Tenant(name, _limits(core, name), dict(counts)))
    return found


def _limits(core: Core, tenant: str) -> dict[str, float] | None:
    """Who says which tier a tenant has may be a function of the author's: where it fails, the others are told all the same."""
    try:
        tier = core.tiers.of(tenant)
    except Exception:
        _log.exception("the tier of tenant %s is not known", tenant)
        return None
    return {} if tier is None else tier.limits()
