"""Circuit breakers, kept results, API keys and the audit log in this process."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec

from stepkeel.model.act import Act, ActQuery, ActRow, Head, told_of
from stepkeel.model.breaker import BreakerRow
from stepkeel.model.cached import CachedRow
from stepkeel.model.key import KeyRow
from stepkeel.store.chain import Chains
from stepkeel.store.shared import OVER

__all__ = ["SharedMemory"]


class SharedMemory:
    """A part of the store in memory, under its lock."""

    _lock: threading.RLock
    _chains: Chains

    def __init__(self) -> None:
        self._breakers: dict[str, BreakerRow] = {}
        self._cached: dict[tuple[str, str, str], CachedRow] = {}
        self._api_keys: dict[str, KeyRow] = {}

    def now(self) -> int:
        raise NotImplementedError

    async def acts(self, query: ActQuery) -> Sequence[ActRow]:
        with self._lock:
            return self._chains.list(query)

    async def audit_head(self, tenant: str) -> Head:
        with self._lock:
            return self._chains.head(tenant)

    def _told(self, act: Act | None, changes: int = 1, *, counting: bool = False) -> None:
        self._chains.append(told_of(act, changes, counting=counting))

    async def breakers(self, names: Sequence[str] = ()) -> Sequence[BreakerRow]:
        with self._lock:
            return [row for name, row in sorted(self._breakers.items()) if not names or name in names]

    async def put_breaker(self, row: BreakerRow, act: Act | None = None) -> bool:
        with self._lock:
            known = self._breakers.get(row.name)
            if (0 if known is None else known.version) + 1 != row.version:
                return False
            self._breakers[row.name] = row
            self._told(act)
            return True

    async def cached(self, tenant: str, activity: str, key: str) -> bytes | None:
        with self._lock:
            row = self._cached.get((tenant, activity, key))
            return row.result if row is not None and row.expires_at > self.now() else None

    async def put_cached(self, row: CachedRow) -> None:
        with self._lock:
            now = self.now()
            over = [k for k, r in self._cached.items() if r.expires_at <= now]
            for key in over[:OVER]:
                del self._cached[key]
            self._cached[row.tenant, row.activity, row.key] = row

    async def forget_cached(self, tenant: str, activity: str, act: Act | None = None) -> int:
        with self._lock:
            gone = [k for k in self._cached if k[0] == tenant and activity in ("", k[1])]
            for key in gone:
                del self._cached[key]
            self._told(act, len(gone), counting=True)
            return len(gone)

    async def key(self, id: str) -> KeyRow | None:
        return self._api_keys.get(id)

    async def keys(self, tenant: str) -> Sequence[KeyRow]:
        with self._lock:
            return sorted((r for r in self._api_keys.values() if r.tenant == tenant), key=lambda r: (r.made_at, r.id))

    async def add_key(self, row: KeyRow, act: Act | None = None) -> None:
        with self._lock:
            if row.id not in self._api_keys:
                self._api_keys[row.id] = row
                self._told(act)

    async def end_key(self, tenant: str, id: str, at: int, act: Act | None = None) -> None:
        with self._lock:
            row = self._api_keys.get(id)
            if row is not None and row.tenant == tenant and (row.ends_at is None or row.ends_at > at):
                self._api_keys[id] = msgspec.structs.replace(row, ends_at=at)
                self._told(act)

    async def use_key(self, id: str, at: int) -> None:
        with self._lock:
            row = self._api_keys.get(id)
            if row is not None and (row.used_at is None or row.used_at < at):
                self._api_keys[id] = msgspec.structs.replace(row, used_at=at)
