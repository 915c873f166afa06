"""The state of a circuit breaker, as the fleet shares it."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["BreakerRow"]


class BreakerRow(msgspec.Struct, frozen=True, gc=False):
    """`recent` tells the last attempts, oldest first: 1 failed, 0 did not. `until` is when an open one lets somebody try, and by

    when a half-open one has to have heard of that. `version` grows with each change: who writes says which one they have read.
    """

    name: str
    version: int = 0
    state: Literal["closed", "open", "half_open"] = "closed"
    recent: str = ""
    until: int = 0
    opened_at: int = 0
    changed_at: int = 0
    reason: str = ""
