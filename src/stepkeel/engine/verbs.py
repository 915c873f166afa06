"""What operators ask of an instance, by its id: each is the verb of the same name of `Instance`, with its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from stepkeel.engine import breaker, bulk
from stepkeel.engine.bulk import Bulk, DeadLetters, Wanted, some_filter
from stepkeel.engine.core import Core
from stepkeel.engine.instance import Instance
from stepkeel.engine.result import Receipt
from stepkeel.model.breaker import BreakerRow
from stepkeel.model.input import Archive, Cancel, Control, Pause, Redrive, Resume, Terminate
from stepkeel.model.message import Message, message_of

__all__ = ["Verbs"]

BULK_WAIT = 10.0  # seconds for the receipt of each


class Verbs:
    def instance(self, instance_id: str, workflow: Any = None) -> Instance[Any]:
        raise NotImplementedError

    def core(self) -> Core:
        raise NotImplementedError

    async def pause(self, instance_id: str, **options: Any) -> Receipt:
        return await self.instance(instance_id).pause(**options)

    async def resume(self, instance_id: str, **options: Any) -> Receipt:
        return await self.instance(instance_id).resume(**options)

    async def cancel(self, instance_id: str, **options: Any) -> Receipt:
        return await self.instance(instance_id).cancel(**options)

    async def terminate(self, instance_id: str, **options: Any) -> Receipt:
        return await self.instance(instance_id).terminate(**options)

    async def redrive(self, instance_id: str, **options: Any) -> Receipt:
        return await self.instance(instance_id).redrive(**options)

    async def fire_timer(self, instance_id: str, path: str, **options: Any) -> Receipt:
        return await self.instance(instance_id).fire_timer(path, **options)

    async def cancel_node(self, instance_id: str, path: str, **options: Any) -> Receipt:
        return await self.instance(instance_id).cancel_node(path, **options)

    async def complete_node(self, instance_id: str, path: str, **options: Any) -> Receipt:
        return await self.instance(instance_id).complete_node(path, **options)

    async def add_items(self, instance_id: str, path: str, items: Sequence[Any], **options: Any) -> Receipt:
        return await self.instance(instance_id).add_items(path, items, **options)

    async def set_data(self, instance_id: str, changes: Mapping[str, Any], **options: Any) -> Receipt:
        return await self.instance(instance_id).set_data(changes, **options)

    async def set_state(self, instance_id: str, state: Any, **options: Any) -> Receipt:
        return await self.instance(instance_id).set_state(state, **options)

    async def release(self, instance_id: str, **options: Any) -> Receipt:
        return await self.instance(instance_id).release(**options)

    async def fork(self, instance_id: str, data: Mapping[str, Any] | None = None, **options: Any) -> Instance[Any]:
        return await self.instance(instance_id).fork(data, **options)

    async def archive(self, instance_id: str, **options: Any) -> Receipt:
        return await self.instance(instance_id).archive(**options)

    # -- many

    async def dead_letters(self, *, code: str | None = None, **filters: Any) -> list[DeadLetters]:
        """Those that failed, in groups of one definition, state and failure code. Filters as for `list`. Raises BadRequest."""
        return await bulk.dead_letters(self.core(), filters, code)

    async def redrive_all(
        self,
        *,
        code: str | None = None,
        from_state: Any = "",
        failed_parts: bool = False,
        dry_run: bool = False,
        limit: int | None = None,
        actor: str = "",
        reason: str = "",
        **filters: Any,
    ) -> Bulk:
        """Redrive those that failed and match (filters as for `list`, `code` of their failure), oldest first; at most `limit`.

        `dry_run` only says which. Those that cannot be are told, with the reason. Raises BadRequest.
        """
        request = Redrive(actor, reason, str(from_state), failed_parts)
        return await bulk.ask_all(self.core(), request, Wanted(filters, code, dry_run, limit), BULK_WAIT)

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
        wanted = Wanted(some_filter(filters), None, dry_run, limit)
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
        wanted = Wanted(some_filter(filters), None, dry_run, limit)
        return await bulk.ask_all(self.core(), request(actor, reason), wanted, BULK_WAIT)

    # -- messages

    async def outbox(self, limit: int = 100) -> Sequence[Message]:
        """Messages that no sink has taken yet, oldest first: how often each was tried, and why that failed."""
        core = self.core()
        return [message_of(row) for row in await core.store.outbox(limit, core.tenant)]

    # -- results that are kept

    async def forget_cached(self, activity: str = "") -> int:
        """Have an activity with `cache` run again, whatever is kept of it; without a name, all. How many results were kept."""
        core = self.core()
        return await core.store.forget_cached(core.tenant, activity)

    # -- circuit breakers

    async def breakers(self) -> Sequence[BreakerRow]:
        """Those of which something failed lately, or ever opened."""
        return await self.core().store.breakers()

    async def close_breaker(self, name: str) -> bool:
        """Let attempts through again, before its time is over. False where it is closed, or somebody else was faster."""
        was = await self.core().store.breakers([name])
        return bool(was) and was[0].state != "closed" and await breaker.close(self.core(), name) is not None
