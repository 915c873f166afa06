"""How many instances a worker holds, and who of those that start here may have the rest of the room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from stepkeel.runtime.resident import Resident

__all__ = ["Room"]


class Room:
    """
    residents   what the worker holds, by id
    starting    starts under way that have room: id -> tenant
    left        tenants of whom more was due, at the last look, than there was room for
    claiming    False: nothing more is taken
    """

    def __init__(self, concurrency: int) -> None:
        self.residents: dict[str, Resident] = {}
        self.starting: dict[str, str] = {}
        self.left: frozenset[str] = frozenset()
        self.claiming = True
        self._concurrency = concurrency

    @property
    def free(self) -> int:
        return max(self._left_of(self._concurrency), 0)

    @property
    def spare(self) -> int:
        """Beyond the concurrency, an eighth of it, one each: a tenant that holds none does not wait until others are done."""
        return max(self._left_of(self._concurrency + self._concurrency // 8) - self.free, 0)

    def held(self) -> Mapping[str, int]:
        """How many of each tenant."""
        return Counter([r.snapshot.tenant for r in self.residents.values()] + list(self.starting.values()))

    def open_to(self, tenant: str) -> bool:
        """There is room, and no other tenant waits for it: a start that goes to the queue instead has its turn there."""
        if self.free > 0 and not self.left - {tenant}:
            return True
        return self.spare > 0 and not self._holds_any(tenant)

    def _holds_any(self, tenant: str) -> bool:
        return tenant in self.starting.values() or any(r.snapshot.tenant == tenant for r in self.residents.values())

    def _left_of(self, slots: int) -> int:
        return slots - len(self.residents) - len(self.starting) if self.claiming else 0
