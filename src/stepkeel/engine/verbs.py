"""What operators ask: of one instance, by its id, of many, and of the fleet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from stepkeel.engine import breaker, bulk, pool, repair
from stepkeel.engine.bulk import Bulk, DeadLetters, Like, Wanted, some_filter
from stepkeel.engine.byid import ById
from stepkeel.engine.core import Core
from stepkeel.engine.pool import LimitInfo
from stepkeel.engine.throughput import Throughput, throughput
from stepkeel.model.breaker import BreakerRow
from stepkeel.model.input import Archive, Cancel, Control, Pause, Redrive, Resume, Terminate
from stepkeel.model.instant import to_span
from stepkeel.model.message import Message, message_of

__all__ = ["Verbs"]

BULK_WAIT = 10.0  # seconds for the receipt of each


class Verbs(ById):
    def core(self) -> Core:
        raise NotImplementedError

    # -- many

    async def dead_letters(self, *, code: str | None = None, fingerprint: str | None = None, **filters: Any) -> list[DeadLetters]:
        """Those that failed, in groups of one definition, state, code and fingerprint of their failure. Filters as for `list`.

        Failures have one fingerprint whose code, node and message are the same, but for the ids, names and numbers in the
        message. Raises BadRequest.
        """
        return await bulk.dead_letters(self.core(), filters, Like(code, fingerprint))

    async def redrive_all(
        self,
        *,
        code: str | None = None,
        fingerprint: str | None = None,
        from_state: Any = "",
        failed_parts: bool = False,
        dry_run: bool = False,
        limit: int | None = None,
        actor: str = "",
        reason: str = "",
        **filters: Any,
    ) -> Bulk:
        """Redrive those that failed and match, oldest first; at most `limit`. `dry_run` only says which.

        Filters as for `list`, and `code` and `fingerprint` of their failure, as `dead_letters` tells them. Those that cannot be
        are told, with the reason. Raises BadRequest.
        """
        request = Redrive(actor, reason, str(from_state), failed_parts)
        return await bulk.ask_all(self.core(), request, Wanted(filters, Like(code, fingerprint), dry_run, limit), BULK_WAIT)

    async def pause_all(self, **options: Any) -> Bulk:
        """Pause those that match, as `redrive_all`: dry_run, limit, actor, reason, and filters as for `list`.

        So do the others of them. Raises BadRequest without a filter.
        """
        return await self._all(Pause, **options)

    async def resume_all(self, **options: Any) -> Bulk:
        return await self._all(Resume, **options)

    async def cancel_all(self, *, compensate: bool = False, **options: Any) -> Bulk:
        return await self._all(partial(Cancel, compensate=compensate), **options)

    async def terminate_all(self, *, compensate: bool = False, **options: Any) -> Bulk:
        return await self._all(partial(Terminate, compensate=compensate), **options)

    async def archive_all(self, **options: Any) -> Bulk:
        return await self._all(Archive, **options)

    async def signal_all(
        self,
        what: Any,
        payload: Any = None,
        *,
        key: str | None = None,
        dry_run: bool = False,
        limit: int | None = None,
        actor: str = "",
        **filters: Any,
    ) -> Bulk:
        """Send a signal to those that match and have not ended. With a `key` each is given it once, however often this is said.

        `limit` with a `key`: those that have it count again. Raises BadRequest without a filter.
        """
        wanted = Wanted(some_filter(filters), dry_run=dry_run, limit=limit)
        return await bulk.signal_all(self.core(), what, payload, key, actor, wanted, None)

    async def _all(
        self,
        request: Callable[[str, str], Control],
        *,
        dry_run: bool = False,
        limit: int | None = None,
        actor: str = "",
        reason: str = "",
        **filters: Any,
    ) -> Bulk:
        wanted = Wanted(some_filter(filters), dry_run=dry_run, limit=limit)
        return await bulk.ask_all(self.core(), request(actor, reason), wanted, BULK_WAIT)

    async def purge(self, *, archived: bool = False, actor: str = "", reason: str = "", **filters: Any) -> int:
        """Delete ended instances for good, with history, inbox and start key; how many. Never a live one.

        Raises BadRequest without a filter (the same as for `list`), or for a status that is not an ended one.
        """
        return await repair.purge(self.core(), filters, archived=archived, actor=actor, reason=reason)

    async def retire(
        self,
        *,
        older_than: timedelta,
        delete: bool = False,
        archived: bool = False,
        actor: str = "",
        reason: str = "",
        **filters: Any,
    ) -> int:
        """Move what ended longer ago than this into the archive, or delete it for good; how many.

        In batches, each a short transaction. Failed instances stay unless `status=` names them. `archived` with `delete`:
        what lies in the archive. Filters as for `list`. Archived instances can still be read and listed. Raises BadRequest.
        """
        span = to_span(older_than)
        return await repair.retire(self.core(), span, filters, delete=delete, archived=archived, actor=actor, reason=reason)

    # -- messages

    async def outbox(self, limit: int = 100) -> Sequence[Message]:
        """Messages that no sink has taken yet, oldest first: how often each was tried, and why that failed."""
        core = self.core()
        return [message_of(row) for row in await core.store.outbox(limit, core.tenant)]

    # -- results that are kept

    async def forget_cached(self, activity: str = "", *, actor: str = "", reason: str = "") -> int:
        """Have an activity with `cache` run again, whatever is kept of it; without a name, all. How many results were kept."""
        return await repair.forget_cached(self.core(), activity, actor=actor, reason=reason)

    # -- figures

    async def throughput(self, since: datetime | None = None, until: datetime | None = None, *, spans: int = 60) -> Throughput:
        """How many instances ended, and how long they took, in so many spans of a time: the last hour, unless it is said.

        Those that were archived are not counted. Raises BadRequest.
        """
        return await throughput(self.core(), since, until, spans)

    # -- limits

    async def limits(self, name: str | None = None, *, after: str = "", limit: int = 100, tickets: int = 20) -> Sequence[LimitInfo]:
        """Limits that somebody holds slots of or waits for, in order of their names: so many behind `after`, or that one alone.

        Of each the first `tickets` of those that hold and wait. Raises BadRequest.
        """
        return await pool.limits(self.core(), name, after, limit, tickets)

    # -- circuit breakers

    async def breakers(self) -> Sequence[BreakerRow]:
        """Those of which something failed lately, or ever opened."""
        return await self.core().store.breakers()

    async def close_breaker(self, name: str, *, actor: str = "", reason: str = "") -> bool:
        """Let attempts through again, before its time is over. False where it is closed, or somebody else was faster."""
        was = await self.core().store.breakers([name])
        return bool(was) and was[0].state != "closed" and await breaker.close(self.core(), name, actor, reason) is not None
