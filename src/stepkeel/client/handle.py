"""Handles on an instance and on a task over REST: the verbs of `Instance` and `Task`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec

from stepkeel.authoring.signal import signal_given
from stepkeel.authoring.state import State
from stepkeel.client.record import Items, Told, data_as, entry_of, failure_of, info_of
from stepkeel.client.wire import MOST_WAIT, Wire, quoted
from stepkeel.engine.audit import check_key
from stepkeel.engine.instance import CONTROL_WAIT
from stepkeel.engine.people import TaskInfo
from stepkeel.engine.result import Entry, InboxEntry, Info, Receipt, Result, Timer
from stepkeel.engine.task import WAIT
from stepkeel.errors import BadRequest
from stepkeel.ids import secret
from stepkeel.kernel.explain import Explanation
from stepkeel.model.codec import to_json
from stepkeel.model.definition import Definition

__all__ = ["RemoteInstance", "RemoteTask"]

D = TypeVar("D")


def plain(value: Any) -> Any:
    """A value of any type that can be stored, as JSON has it."""
    return None if value is None else json.loads(to_json(value))


class RemoteInstance(Generic[D]):
    """What `Client.start` and `Client.instance` return: the verbs of `Instance`, with their options and errors."""

    def __init__(
        self, wire: Wire, instance_id: str, definition: Definition | None = None, *, created: bool = False, since: int = 0,
        if_revision: int | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(instance_id, str) or not instance_id:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequest(f"{instance_id!r} is no instance id", remedy="a text as `start` returned it")
        self.id = instance_id
        self.created = created
        self._wire = wire
        self._definition = definition
        self._since = since
        self._if_revision = if_revision
        self._at = f"/instances/{quoted(instance_id)}"

    def __repr__(self) -> str:
        return f"<RemoteInstance {self.id} at {self._wire.url}>"

    def at(self, revision: int) -> RemoteInstance[D]:
        if type(revision) is not int or revision < 1:
            raise BadRequest(f"at({revision!r})", remedy="a revision, as `get` tells it: 1 or more")
        return RemoteInstance(self._wire, self.id, self._definition, created=self.created, since=self._since, if_revision=revision)

    async def signal(
        self, what: Any, payload: Any = None, *, key: str | None = None, actor: str = "", wait: float | None = None
    ) -> Receipt:
        """Without a `key` it is given one here, so that it can be sent again when its answer is lost."""
        name, payload = signal_given(what, payload)
        check_key(key=key)
        body = {"name": name, "payload": plain(payload), "key": key or secret()[:32]}
        return await self._wire.post(f"{self._at}/signals", body, Receipt, actor=actor, wait=wait, again=True)

    async def wait(
        self, timeout: float | None = None, *, state: State[Any] | str | None = None, outcome: str | None = None
    ) -> Result[D]:
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        named = None if state is None else str(state)
        while True:
            left = MOST_WAIT / 2 if end is None else min(MOST_WAIT / 2, max(0.0, end - loop.time()))
            params = {"state": named, "outcome": outcome, "since": self._since, "seconds": round(left, 3)}
            told: Told = await self._wire.get(f"{self._at}/wait", Told, params, wait=left)
            if not told["timed_out"] or (end is not None and loop.time() >= end):
                return Result(
                    told["id"], told["status"], told["state"], data_as(self._definition, told["data"]), told["reason"],
                    failure_of(told["failure"]), told["timed_out"],
                )  # fmt: skip

    # -- reading

    async def get(self) -> Info:
        return info_of(await self._wire.get(self._at, Told), self._definition)

    async def children(self) -> list[Info]:
        return [info_of(each) for each in (await self._wire.get(f"{self._at}/children", Items)).items]

    async def history(self) -> list[Entry]:
        return [entry_of(each) for each in (await self._wire.get(f"{self._at}/history", Items)).items]

    async def signals(self) -> list[InboxEntry]:
        found: Items = await self._wire.get(f"{self._at}/signals", Items)
        return msgspec.convert(found.items, list[InboxEntry])

    async def timers(self) -> list[Timer]:
        found: Items = await self._wire.get(f"{self._at}/timers", Items)
        return msgspec.convert(found.items, list[Timer])

    async def data(self, revision: int | None = None) -> dict[str, Any]:
        return await self._wire.get(f"{self._at}/data", Told, {"revision": revision})

    async def explain(self) -> Explanation:
        return await self._wire.get(f"{self._at}/explain", Explanation)

    # -- what operators ask

    async def pause(self, *, actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None) -> Receipt:
        return await self._ask("pause", actor, wait, key, reason=reason)

    async def resume(self, *, actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None) -> Receipt:
        return await self._ask("resume", actor, wait, key, reason=reason)

    async def cancel(
        self, *, compensate: bool = False, actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None
    ) -> Receipt:
        return await self._ask("cancel", actor, wait, key, reason=reason, compensate=compensate)

    async def terminate(
        self, *, compensate: bool = False, actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None
    ) -> Receipt:
        return await self._ask("terminate", actor, wait, key, reason=reason, compensate=compensate)

    async def redrive(
        self, *, from_state: State[Any] | str = "", failed_parts: bool = False, actor: str = "", reason: str = "",
        wait: float = CONTROL_WAIT,
        key: str | None = None,
    ) -> Receipt:  # fmt: skip
        asked = {"from_state": str(from_state) if from_state else "", "failed_parts": failed_parts}
        return await self._ask("redrive", actor, wait, key, reason=reason, **asked)

    async def fire_timer(
        self, path: str, *, purpose: str = "", actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None
    ) -> Receipt:
        return await self._ask("fire-timer", actor, wait, key, reason=reason, path=path, purpose=purpose)

    async def cancel_node(
        self,
        path: str,
        *,
        then: Literal["end", "skip"] = "end",
        actor: str = "",
        reason: str = "",
        wait: float = CONTROL_WAIT,
        key: str | None = None,
    ) -> Receipt:
        return await self._ask("cancel-node", actor, wait, key, reason=reason, path=path, then=then)

    async def complete_node(
        self, path: str, *, actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None
    ) -> Receipt:
        return await self._ask("complete-node", actor, wait, key, reason=reason, path=path)

    async def add_items(
        self,
        path: str,
        items: Sequence[Any],
        *,
        actor: str = "",
        reason: str = "",
        wait: float = CONTROL_WAIT,
        key: str | None = None,
    ) -> Receipt:
        return await self._ask("add-items", actor, wait, key, reason=reason, path=path, items=plain([*items]))

    async def set_data(
        self, changes: Mapping[str, Any], *, actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None
    ) -> Receipt:
        return await self._ask("set-data", actor, wait, key, reason=reason, changes=plain(dict(changes)))

    async def set_state(
        self, state: State[Any] | str, *, body: bool = True, stop: bool = False, actor: str = "", reason: str = "",
        wait: float = CONTROL_WAIT,
        key: str | None = None,
    ) -> Receipt:  # fmt: skip
        return await self._ask("set-state", actor, wait, key, reason=reason, state=str(state), body=body, stop=stop)

    async def release(self, *, actor: str = "", reason: str = "", key: str | None = None) -> Receipt:
        return await self._ask("release", actor, CONTROL_WAIT, key, reason=reason)

    async def archive(self, *, actor: str = "", reason: str = "", key: str | None = None) -> Receipt:
        return await self._ask("archive", actor, CONTROL_WAIT, key, reason=reason)

    async def fork(
        self, data: Mapping[str, Any] | None = None, *, from_state: State[Any] | str = "", revision: int | None = None,
        key: str | None = None, actor: str = "", reason: str = "",
    ) -> RemoteInstance[D]:  # fmt: skip
        body = {
            "data": plain(data), "from_state": str(from_state) if from_state else "", "revision": revision, "key": key,
            "reason": reason,
        }  # fmt: skip
        answer = await self._wire.send("POST", f"{self._at}/fork", body=body, actor=actor, again=key is not None)
        told = self._wire.read(answer, Told)
        return RemoteInstance(self._wire, told["id"], self._definition, created=answer.status_code == 201)

    async def _ask(self, verb: str, actor: str, wait: float, key: str | None, **body: Any) -> Receipt:
        """Without a `key` it is given one here, so that it can be sent again when its answer is lost."""
        return await self._wire.post(
            f"{self._at}/{verb}", body, Receipt, actor=actor, wait=wait, revision=self._if_revision, key=key or secret()[:32],
            again=True,
        )  # fmt: skip


class RemoteTask:
    """What `Client.task` returns: the verbs of `Task`.

    `roles` are those of who asks, as the server knows them: it is told nothing else.
    """

    def __init__(self, wire: Wire, task_id: str) -> None:
        self._wire = wire
        self.id = task_id
        self._at = f"/tasks/{quoted(task_id)}"

    def __repr__(self) -> str:
        return f"<RemoteTask {self.id} at {self._wire.url}>"

    async def get(self) -> TaskInfo:
        return await self._wire.get(self._at, TaskInfo)

    async def claim(
        self, *, actor: str, roles: Collection[str] | None = None, key: str | None = None, wait: float = WAIT
    ) -> Receipt:
        return await self._act("claim", actor, roles, key, wait)

    async def release(
        self, *, actor: str = "", roles: Collection[str] | None = None, key: str | None = None, wait: float = WAIT
    ) -> Receipt:
        return await self._act("release", actor, roles, key, wait)

    async def complete(
        self,
        payload: Any = None,
        *,
        actor: str = "",
        roles: Collection[str] | None = None,
        key: str | None = None,
        wait: float = WAIT,
    ) -> Receipt:
        return await self._act("complete", actor, roles, key, wait, payload=plain(payload))

    async def approve(
        self,
        comment: str = "",
        *,
        actor: str = "",
        roles: Collection[str] | None = None,
        key: str | None = None,
        wait: float = WAIT,
    ) -> Receipt:
        return await self.complete({"approved": True, "comment": comment}, actor=actor, roles=roles, key=key, wait=wait)

    async def reject(
        self,
        comment: str = "",
        *,
        actor: str = "",
        roles: Collection[str] | None = None,
        key: str | None = None,
        wait: float = WAIT,
    ) -> Receipt:
        return await self.complete({"approved": False, "comment": comment}, actor=actor, roles=roles, key=key, wait=wait)

    async def reassign(
        self, to: str, *, actor: str = "", roles: Collection[str] | None = None, key: str | None = None, wait: float = WAIT
    ) -> Receipt:
        return await self._act("reassign", actor, roles, key, wait, to=to)

    async def comment(
        self, text: str, *, actor: str = "", roles: Collection[str] | None = None, key: str | None = None, wait: float = WAIT
    ) -> Receipt:
        return await self._act("comment", actor, roles, key, wait, text=text)

    async def _act(self, act: str, actor: str, roles: Collection[str] | None, key: str | None, wait: float, **body: Any) -> Receipt:
        if roles is not None:
            raise BadRequest("a server knows the roles of who asks", remedy="without roles=")
        asked = {"actor": actor, "wait": wait, "key": key or secret()[:32], "again": True}  # it can be sent again
        return await self._wire.post(f"{self._at}/{act}", body, Receipt, **asked)
