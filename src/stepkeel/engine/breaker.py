"""Circuit breakers by hand."""

from __future__ import annotations

from stepkeel.engine.audit import act_of
from stepkeel.engine.core import Core
from stepkeel.kernel.breaker import closed
from stepkeel.model.breaker import BreakerRow

__all__ = ["close"]

TRIES = 10


async def close(core: Core, name: str, actor: str = "", reason: str = "") -> BreakerRow | None:
    """Closed, as it is then; None where there is no such breaker. Who is faster is read again."""
    found: BreakerRow | None = None
    for _ in range(TRIES):
        found = next(iter(await core.store.breakers([name])), None)
        if found is None or found.state == "closed":
            break
        row = closed(found, core.store.now())
        if await core.store.put_breaker(row, act_of(core, "close", "breaker", name, actor=actor, reason=reason)):
            return row
    return found
