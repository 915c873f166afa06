"""API keys and the audit log over REST: the verbs of `Keys` and `Audit`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec

from stepkeel.access.key import Key, NewKey
from stepkeel.client.record import Items, Told
from stepkeel.client.wire import Wire, quoted
from stepkeel.engine.audit import AuditEntry, Verified
from stepkeel.errors import BadRequest, NotFound
from stepkeel.model.instant import to_span

__all__ = ["RemoteAudit", "RemoteKeys"]


def span(given: timedelta) -> str:
    """As the API reads it: whole milliseconds."""
    return f"{to_span(given) // 1_000}ms"


class RemoteKeys:
    """The keys that are in sight of who asks."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def create(
        self, name: str, *, roles: Collection[str], scopes: Collection[str] = (), ends_in: timedelta | None = None,
        any_tenant: bool = False, actor: str = "", key: str | None = None,
    ) -> NewKey:  # fmt: skip
        if isinstance(roles, str) or isinstance(scopes, str):
            raise BadRequest(f"roles={roles!r}, scopes={scopes!r}", remedy="a list of names, at least one role")
        body = {
            "name": name, "roles": [*roles], "scopes": [*scopes], "ends_in": None if ends_in is None else span(ends_in),
            "any_tenant": any_tenant,
        }  # fmt: skip
        return await self._wire.post("/keys", body, NewKey, actor=actor, key=key)

    async def list(self) -> list[Key]:
        found: Items = await self._wire.get("/keys", Items)
        return msgspec.convert(found.items, list[Key])

    async def get(self, id: str) -> Key:
        found = next((each for each in await self.list() if each.id == id), None)
        if found is None:
            raise NotFound(f"there is no key {id}", remedy="an id as the list of keys gives it")
        return found

    async def rotate(self, id: str, *, overlap: timedelta = timedelta(hours=24), actor: str = "", key: str | None = None) -> NewKey:
        body = {"overlap": span(overlap)}
        return await self._wire.post(f"/keys/{quoted(id)}/rotate", body, NewKey, actor=actor, key=key)

    async def revoke(self, id: str, *, actor: str = "", reason: str = "") -> Key:
        return await self._wire.post(f"/keys/{quoted(id)}/revoke", {"reason": reason}, Key, actor=actor, again=True)


class RemoteAudit:
    """The audit log of the tenant."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def list(
        self, *, after: int = 0, before: int | None = None, newest_first: bool = False, limit: int = 100,
        at_from: datetime | None = None, at_to: datetime | None = None, **equal: str | None,
    ) -> list[AuditEntry]:  # fmt: skip
        params: dict[str, Any] = {
            "after": after, "before": before, "newest_first": newest_first, "limit": limit, "at_from": at_from, "at_to": at_to,
            **equal,
        }  # fmt: skip
        found: Items = await self._wire.get("/audit", Items, params)
        return msgspec.convert(found.items, list[AuditEntry])

    async def head(self) -> str:
        return (await self.verify()).head

    async def verify(self, anchor: str = "") -> Verified:
        told: Told = await self._wire.get("/audit/verification", Told, {"anchor": anchor}, wait=600)
        return Verified(told["entries"], told["head"], tuple(told["problems"]))

    async def export(self, after: int = 0) -> AsyncIterator[bytes]:
        async for line in self._wire.lines("/audit/export", {"after": after}):
            yield line
