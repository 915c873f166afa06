"""Circuit breakers: what they let through, and what changes them. Pure; where they are kept is the store's business.

| state | comes | then |
|---|---|---|
| closed | an attempt begins | it passes |
| closed | one ends | remembered; open, if so many of the last ones failed |
| open | an attempt begins before its time is over | it waits until then |
| open | one begins later | it passes, as a trial: half open |
| half open | an attempt begins | it waits a moment; when nothing was heard of the trial in time, it is the next one |
| half open | the trial ended well | closed, and what was before is forgotten |
| half open | the trial failed | open again |
| open, half open | an attempt that began before ends | nothing |
"""

from __future__ import annotations

from msgspec.structs import replace

from stepkeel.model.breaker import BreakerRow
from stepkeel.model.policy import Breaker

__all__ = ["MOMENT", "after", "closed", "tried", "waits"]

MOMENT = 1_000_000


def waits(row: BreakerRow, now: int) -> int | None:
    """How long an attempt that would begin now has to wait, in microseconds; 0: it passes; None: it would be the trial."""
    if row.state == "closed":
        return 0
    if now >= row.until:
        return None
    return row.until - now if row.state == "open" else min(MOMENT, row.until - now)


def tried(row: BreakerRow, policy: Breaker, now: int) -> BreakerRow:
    """Somebody tries."""
    return replace(row, version=row.version + 1, state="half_open", until=now + policy.open_micros, changed_at=now)


def after(row: BreakerRow, policy: Breaker, now: int, *, failed: bool, trial: bool, reason: str = "") -> BreakerRow:
    """An attempt has ended. The same row where that changes nothing."""
    if trial and row.state == "half_open":
        if failed:
            return _opened(row, policy, now, reason)
        return closed(row, now)
    if row.state != "closed" or (not failed and "1" not in row.recent):
        return row
    recent = (row.recent + ("1" if failed else "0"))[-policy.sample :]
    if failed and recent.count("1") >= policy.threshold:
        return _opened(replace(row, recent=recent), policy, now, reason)
    return replace(row, version=row.version + 1, recent=recent if "1" in recent else "", changed_at=now)


def closed(row: BreakerRow, now: int) -> BreakerRow:
    """All pass, and what was before is forgotten."""
    return BreakerRow(row.name, row.version + 1, opened_at=row.opened_at, changed_at=now)


def _opened(row: BreakerRow, policy: Breaker, now: int, reason: str) -> BreakerRow:
    until, text = now + policy.open_micros, reason[:500]
    return replace(row, version=row.version + 1, state="open", until=until, opened_at=now, changed_at=now, reason=text)
