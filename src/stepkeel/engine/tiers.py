"""Which tier each tenant has, and the definitions as they hold for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

from stepkeel.errors import BadRequest
from stepkeel.model.definition import Definition
from stepkeel.model.tier import TIERS, Tier, limited

__all__ = ["ALL", "Tenants", "Tiers"]

ALL = "*"  # in a mapping: whoever is not named
KEPT = 10_000  # definitions of tiers that are remembered

Tenants = Mapping[str, Tier | str] | Callable[[str], Tier | str | None]

_log = logging.getLogger("stepkeel.worker")


class Tiers:
    """`tenants`: a mapping of tiers or their names, or a function that is asked before each decision and must be quick."""

    def __init__(self, tenants: Tenants | None = None) -> None:
        self._ask: Callable[[str], Any] | None
        if isinstance(tenants, Mapping):
            known = {name: _tier(name, said) for name, said in cast("Mapping[str, Any]", tenants).items()}
            self._ask = lambda tenant: known.get(tenant, known.get(ALL))
        else:
            self._ask = tenants
        self._made: dict[tuple[int, Tier], tuple[Definition, Definition]] = {}

    def of(self, tenant: str) -> Tier | None:
        """Raises BadRequest on a name that no tier has, and whatever the function raises."""
        said = None if self._ask is None else self._ask(tenant)
        return None if said is None else _tier(tenant, said)

    def apply(self, tenant: str, definition: Definition) -> Definition:
        """The definition as it holds for a tenant. Raises as `of` does."""
        tier = self.of(tenant)
        if tier is None:
            return definition
        known = self._made.get((id(definition), tier))
        if known is None or known[0] is not definition:
            if len(self._made) >= KEPT:
                self._made.clear()
            known = self._made[id(definition), tier] = (definition, limited(definition, tier))
        return known[1]

    def apply_or_log(self, tenant: str, definition: Definition) -> Definition:
        """For what has begun: it goes on, unlimited, where nobody can say which tier its tenant has."""
        try:
            return self.apply(tenant, definition)
        except Exception:
            _log.exception("the tier of tenant %s is not known: its instances go on without limits", tenant)
            return definition


def _tier(tenant: str, said: Any) -> Tier:
    found = TIERS.get(said) if isinstance(said, str) else said
    if not isinstance(found, Tier):
        raise BadRequest(f"tenant {tenant}: there is no tier {said!r}", remedy=f"a Tier(...), or one of {', '.join(TIERS)}")
    return found
