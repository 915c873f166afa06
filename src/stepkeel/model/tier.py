"""What a tenant may use: tiers, and a definition as it holds for a tenant of one."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import TypeVar

from stepkeel.errors import BadRequest
from stepkeel.model.definition import Definition
from stepkeel.model.node import Pool
from stepkeel.model.policy import to_span

__all__ = ["TIERS", "Tier", "limited"]

MINUTE = 60_000_000
MOST = 1_000_000

D = TypeVar("D", bound=Definition)


@dataclass(frozen=True)
class Tier:
    """What a tenant may use, in the whole fleet. None: as much as it likes, which is the default of each.

    instances          at once, from their first state to their end; those beyond wait in order. Children count with their parent
    starts_per_minute  that begin in any minute; those beyond wait in order
    parallel_steps     attempts of activities at once, but those within a `hold` and what undoes; those beyond wait in order
    step_timeout       a timedelta or seconds: no attempt takes longer, whatever its activity says
    workflow_timeout   the same of a whole instance, from its first state on (or since it was redriven): else it fails
    Raises BadRequest on values out of range.
    """

    instances: int | None = None
    starts_per_minute: int | None = None
    parallel_steps: int | None = None
    step_timeout: timedelta | float | None = None
    workflow_timeout: timedelta | float | None = None

    def __post_init__(self) -> None:
        for each in fields(self)[:3]:
            n = getattr(self, each.name)
            if n is not None and (type(n) is not int or not 1 <= n <= MOST):
                raise BadRequest(f"Tier({each.name}={n!r})", remedy=f"a whole number from 1 to {MOST:,}, or None")
        for name in ("step_timeout", "workflow_timeout"):
            span = getattr(self, name)
            if span is not None and to_span(span) <= 0:
                raise BadRequest(f"Tier({name}={span!r})", remedy="a positive timedelta or number of seconds")

    def limits(self) -> dict[str, float]:
        """What is limited; times in seconds."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        return {k: v.total_seconds() if isinstance(v, timedelta) else v for k, v in told.items() if v is not None}


TIERS = {
    "basic": Tier(
        instances=100, starts_per_minute=60, parallel_steps=10, step_timeout=timedelta(minutes=5),
        workflow_timeout=timedelta(days=90),
    ),
    "professional": Tier(
        instances=10_000, starts_per_minute=600, parallel_steps=100, step_timeout=timedelta(hours=1),
        workflow_timeout=timedelta(days=1_000),
    ),
    "enterprise": Tier(),
}  # fmt: skip


def limited(definition: D, tier: Tier) -> D:
    """The definition as it holds for a tenant of this tier. It is never stored: the tier may change between two steps."""
    begun: list[Pool] = []
    if tier.instances is not None:
        begun.append(Pool("instances", tier.instances, scope="tier"))
    if tier.starts_per_minute is not None:
        begun.append(Pool("starts", tier.starts_per_minute, MINUTE, scope="tier"))
    steps = () if tier.parallel_steps is None else (Pool("steps", tier.parallel_steps, scope="tier"),)
    step, whole = (None if span is None else to_span(span) for span in (tier.step_timeout, tier.workflow_timeout))
    if not (begun or steps or step or whole):
        return definition
    return replace(definition, begin_pools=tuple(begun), step_pools=steps, step_timeout=step, workflow_timeout=whole)
