"""How often each identity may write: so many at once, and as many again in a minute, evenly.

The generic cell rate algorithm (ITU-T I.371): of each identity one instant is kept, at which it would have all of its
allowance again. A write moves it on by what one costs; it is refused if that would lie further ahead than the whole
allowance. Who is refused loses nothing by having asked, so steady traffic below the rate is never kept out.
"""

from __future__ import annotations

__all__ = ["Limiter"]

MINUTE = 60_000_000  # microseconds
KEPT = 10_000  # identities: then those go that have all of their allowance


class Limiter:
    """Of one process. Not for threads: it is asked on the loop, between two awaits."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._cost = MINUTE // per_minute
        self._full: dict[str, int] = {}

    def wait(self, name: str, now: int) -> int:
        """0: it is counted. Else microseconds until it would be, and nothing is. `now` never steps back."""
        full = max(self._full.get(name, 0), now) + self._cost
        ahead = full - now - self._cost * self.per_minute
        if ahead > 0:
            return ahead
        if len(self._full) >= KEPT:
            self._full = {n: at for n, at in self._full.items() if at > now}
        self._full[name] = full
        return 0
