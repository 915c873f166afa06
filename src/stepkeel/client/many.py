"""Many at once, and the fleet, over REST: the verbs of an engine that are not of one instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from stepkeel.authoring.signal import signal_given
from stepkeel.client.handle import plain
from stepkeel.client.keep import RemoteAudit, RemoteKeys, span
from stepkeel.client.record import Items, Told, breaker_of, bulk_of, plain_filters
from stepkeel.client.wire import Wire, quoted
from stepkeel.engine.bulk import Bulk, DeadLetters
from stepkeel.engine.doctor import OVERDUE, Finding, Report
from stepkeel.engine.pool import LimitInfo
from stepkeel.engine.throughput import Throughput
from stepkeel.errors import NotFound
from stepkeel.ids import secret
from stepkeel.model.breaker import BreakerRow
from stepkeel.model.message import Message
from stepkeel.store.port import MetricRow

__all__ = ["Many"]

MOST = 1_000  # of one request
LONG = 600.0  # seconds for what walks over all of a tenant


class Many:
    """A part of the client."""

    _wire: Wire

    @property
    def keys(self) -> RemoteKeys:
        return RemoteKeys(self._wire)

    @property
    def audit(self) -> RemoteAudit:
        return RemoteAudit(self._wire)

    # -- by filter

    async def pause_all(self, **options: Any) -> Bulk:
        """As the engine's; without a `limit` it is 1,000, and `more` says whether there are others. So are the others of them."""
        return await self._all("pause", options)

    async def resume_all(self, **options: Any) -> Bulk:
        return await self._all("resume", options)

    async def cancel_all(self, *, compensate: bool = False, **options: Any) -> Bulk:
        return await self._all("cancel", options, compensate=compensate)

    async def terminate_all(self, *, compensate: bool = False, **options: Any) -> Bulk:
        return await self._all("terminate", options, compensate=compensate)

    async def archive_all(self, **options: Any) -> Bulk:
        return await self._all("archive", options)

    async def redrive_all(
        self, *, code: str | None = None, fingerprint: str | None = None, from_state: Any = "", failed_parts: bool = False,
        **options: Any,
    ) -> Bulk:  # fmt: skip
        asked: dict[str, Any] = {
            "code": code,
            "fingerprint": fingerprint,
            "from_state": str(from_state) if from_state else "",
            "failed_parts": failed_parts,
        }
        filters = {"status": "failed", **options}
        return await self._all("redrive", filters, **asked)

    async def signal_all(self, what: Any, payload: Any = None, *, key: str | None = None, **options: Any) -> Bulk:
        name, payload = signal_given(what, payload)
        options.pop("reason", None)
        return await self._all("signal", options, again=key, name=name, payload=plain(payload) or {})

    async def _all(self, verb: str, options: dict[str, Any], again: str | None = None, **asked: Any) -> Bulk:
        """Without a key (`again`) it is given one here: it can be sent again, and is done to none of them twice."""
        said = {n: options.pop(n) for n in ("dry_run", "limit", "actor", "reason") if n in options}
        actor, limit = said.pop("actor", ""), said.pop("limit", None)
        body = {"filter": plain_filters(options), "limit": MOST if limit is None else limit, **said, **asked}
        told: dict[str, Any] = {"actor": actor, "wait": LONG, "key": again or secret()[:32], "again": True}
        return bulk_of(await self._wire.post(f"/bulk/{verb}", body, Items, **told))

    async def dead_letters(
        self, *, definition: str | None = None, version: int | None = None, state: str | None = None, code: str | None = None,
        fingerprint: str | None = None,
    ) -> list[DeadLetters]:  # fmt: skip
        params = {"definition": definition, "version": version, "state": state, "code": code, "fingerprint": fingerprint}
        found: Items = await self._wire.get("/dead-letters", Items, params, wait=LONG)
        return msgspec.convert(found.items, list[DeadLetters])

    async def purge(self, *, archived: bool = False, actor: str = "", reason: str = "", **filters: Any) -> int:
        body = {"filter": plain_filters(filters), "archived": archived, "reason": reason}
        return (await self._wire.post("/bulk/purge", body, Told, actor=actor, wait=LONG))["count"]

    async def retire(
        self, *, older_than: timedelta, delete: bool = False, archived: bool = False, actor: str = "", reason: str = "",
        **filters: Any,
    ) -> int:  # fmt: skip
        body: Mapping[str, Any] = {
            "older_than": span(older_than), "filter": plain_filters(filters) or None, "delete": delete, "archived": archived,
            "reason": reason,
        }  # fmt: skip
        return (await self._wire.post("/bulk/retire", body, Told, actor=actor, wait=LONG))["count"]

    # -- the fleet

    async def metrics(self) -> Sequence[MetricRow]:
        found: Items = await self._wire.get("/metrics", Items, wait=LONG)
        return msgspec.convert(found.items, list[MetricRow])

    async def throughput(self, since: datetime | None = None, until: datetime | None = None, *, spans: int = 60) -> Throughput:
        params = {"since": since and since.isoformat(), "until": until and until.isoformat(), "spans": spans}
        return msgspec.convert(await self._wire.get("/metrics/throughput", Told, params, wait=LONG), Throughput)

    async def doctor(self, *, histories: bool = True, fix: bool = False, overdue: float = OVERDUE) -> Report:
        body = {"histories": histories, "fix": fix, "overdue": overdue}
        told: Told = await self._wire.post("/doctor", body, Told, wait=LONG)
        return Report(told["checked"], msgspec.convert(told["findings"], tuple[Finding, ...]))

    async def outbox(self, limit: int = 100) -> Sequence[Message]:
        found: Items = await self._wire.get("/messages", Items, {"limit": limit})
        return msgspec.convert(found.items, list[Message])

    async def forget_cached(self, activity: str = "", *, actor: str = "", reason: str = "") -> int:
        return (await self._wire.post("/cached/forget", {"activity": activity, "reason": reason}, Told, actor=actor))["count"]

    async def limits(self, name: str | None = None, *, after: str = "", limit: int = 100, tickets: int = 20) -> Sequence[LimitInfo]:
        params = {"name": name, "after": after, "limit": limit, "tickets": tickets}
        found: Items = await self._wire.get("/limits", Items, params)
        return msgspec.convert(found.items, list[LimitInfo])

    async def breakers(self) -> Sequence[BreakerRow]:
        found: Items = await self._wire.get("/breakers", Items)
        return [breaker_of(each) for each in found.items]

    async def close_breaker(self, name: str, *, actor: str = "", reason: str = "") -> bool:
        was = next((b for b in await self.breakers() if b.name == name), None)
        if was is None or was.state == "closed":
            return False
        try:
            await self._wire.post(f"/breakers/{quoted(name)}/close", {"reason": reason}, Told, actor=actor)
        except NotFound:
            return False
        return True
