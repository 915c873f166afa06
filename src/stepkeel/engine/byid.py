"""What is asked of one instance, by its id: each is the verb of the same name of its handle, with its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepkeel.engine.result import Receipt, Result

__all__ = ["ById"]


class ById:
    """For whoever has handles: an engine, a client."""

    def instance(self, instance_id: str, workflow: Any = None) -> Any:
        raise NotImplementedError

    async def signal(self, instance_id: str, what: Any, payload: Any = None, **options: Any) -> Receipt:
        return await self.instance(instance_id).signal(what, payload, **options)

    async def wait(self, instance_id: str, timeout: float | None = None, **options: Any) -> Result[Any]:
        return await self.instance(instance_id).wait(timeout, **options)

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

    async def fork(self, instance_id: str, data: Mapping[str, Any] | None = None, **options: Any) -> Any:
        return await self.instance(instance_id).fork(data, **options)

    async def archive(self, instance_id: str, **options: Any) -> Receipt:
        return await self.instance(instance_id).archive(**options)
