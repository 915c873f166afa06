"""How long instances lived that ended at a worker: a count and a sum by definition and status, as Prometheus has a summary."""

from __future__ import annotations

from stepkeel.model.snapshot import TERMINAL, Snapshot

__all__ = ["OTHERS", "Ends"]

MOST = 500  # definitions: what comes beyond is told together
OTHERS = "*"


class Ends:
    """`seen`: definition and status -> how many, and their seconds from start to end, together."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], tuple[int, float]] = {}

    def add(self, snapshot: Snapshot, created_at: int) -> None:
        """Durable by now. One that is redriven and ends again counts again, from its start."""
        if snapshot.status not in TERMINAL:
            return
        place = snapshot.definition, snapshot.status
        if place not in self.seen and len(self.seen) >= MOST:
            place = OTHERS, snapshot.status
        count, seconds = self.seen.get(place, (0, 0.0))
        self.seen[place] = count + 1, seconds + max(0, snapshot.at - created_at) / 1e6
