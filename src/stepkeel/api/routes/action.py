"""What is done to an instance: signals, and what operators ask. The answer is a receipt: 200 where its fate is known, else 202."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from litestar import Response
from litestar.params import FromPath, JSONBody

from stepkeel.api.asked import key_of, patience_of, revision_of, wait_of
from stepkeel.api.caller import Asking, TheCore, actor_of
from stepkeel.api.route import post
from stepkeel.api.routes.instance import told
from stepkeel.api.schema import (
    AddItems,
    CancelNode,
    FireTimer,
    Fork,
    Instance,
    Node,
    Redrive,
    Said,
    SetData,
    SetState,
    Signal,
    Stop,
)
from stepkeel.engine import instance as engine
from stepkeel.engine.core import Core
from stepkeel.engine.result import Receipt

__all__ = ["ROUTES", "receipt"]

Id = FromPath[str]
AT = "/instances/{instance_id:str}"


async def receipt(asked: Awaitable[Receipt]) -> Response[Receipt]:
    found = await asked
    return Response(found, status_code=202 if found.status == "pending" else 200)


def _options(request: Asking, reason: str) -> dict[str, Any]:
    return {"actor": actor_of(request), "reason": reason, "wait": patience_of(request), "key": key_of(request, None)}


def _at_once(request: Asking, reason: str) -> dict[str, Any]:
    """The same of those that nobody waits for."""
    return {"actor": actor_of(request), "reason": reason, "key": key_of(request, None)}


def _of(request: Asking, core: Core, instance_id: str) -> engine.Instance[Any]:
    return engine.Instance(lambda: core, instance_id, None, if_revision=revision_of(request))


def _verb(path: str, summary: str) -> Any:
    """What operators ask: the answer is a receipt, `If-Match` is heeded."""
    return post(
        f"{AT}/{path}",
        summary,
        "With If-Match (its ETag) only if it has not moved on since; the same Idempotency-Key again gives the first receipt",
        status_code=200,
        heeds=("Idempotency-Key", "If-Match", "Prefer"),
    )


@post(
    f"{AT}/signals",
    status_code=202,
    summary="Send it a signal",
    description="The same key (or Idempotency-Key) again is the same signal",
    heeds=("Idempotency-Key", "Prefer"),
)
async def signal_instance(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[Signal]) -> Response[Receipt]:
    asked = _of(request, core, instance_id).signal(
        data.name, data.payload or {}, key=key_of(request, data.key), actor=actor_of(request), wait=wait_of(request)
    )
    return await receipt(asked)


@_verb("pause", "Nothing of it begins any more, until it is resumed")
async def pause_instance(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[Said]) -> Response[Receipt]:
    return await receipt(_of(request, core, instance_id).pause(**_options(request, data.reason)))


@_verb("resume", "Let it go on")
async def resume_instance(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[Said]) -> Response[Receipt]:
    return await receipt(_of(request, core, instance_id).resume(**_options(request, data.reason)))


@_verb("cancel", "End it as cancelled")
async def cancel_instance(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[Stop]) -> Response[Receipt]:
    return await receipt(_of(request, core, instance_id).cancel(compensate=data.compensate, **_options(request, data.reason)))


@_verb("terminate", "End it as terminated, also in the midst of another ending")
async def terminate_instance(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[Stop]) -> Response[Receipt]:
    return await receipt(_of(request, core, instance_id).terminate(compensate=data.compensate, **_options(request, data.reason)))


@_verb("redrive", "Continue a failed one")
async def redrive_instance(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[Redrive]) -> Response[Receipt]:
    given = {"from_state": data.from_state, "failed_parts": data.failed_parts}
    return await receipt(_of(request, core, instance_id).redrive(**given, **_options(request, data.reason)))


@_verb("fire-timer", "Make a timer due now")
async def fire_timer(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[FireTimer]) -> Response[Receipt]:
    return await receipt(
        _of(request, core, instance_id).fire_timer(data.path, purpose=data.purpose, **_options(request, data.reason))
    )


@_verb("cancel-node", "Close an open node, branch or item")
async def cancel_node(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[CancelNode]) -> Response[Receipt]:
    return await receipt(_of(request, core, instance_id).cancel_node(data.path, then=data.then, **_options(request, data.reason)))


@_verb("complete-node", "End a node with what it has")
async def complete_node(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[Node]) -> Response[Receipt]:
    return await receipt(_of(request, core, instance_id).complete_node(data.path, **_options(request, data.reason)))


@_verb("add-items", "Add items to a for_each that is open")
async def add_items(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[AddItems]) -> Response[Receipt]:
    return await receipt(_of(request, core, instance_id).add_items(data.path, data.items, **_options(request, data.reason)))


@_verb("set-data", "Set fields of its data")
async def set_data(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[SetData]) -> Response[Receipt]:
    return await receipt(_of(request, core, instance_id).set_data(data.changes, **_options(request, data.reason)))


@_verb("set-state", "Put it in a state, or at a node of one")
async def set_state(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[SetState]) -> Response[Receipt]:
    given: dict[str, Any] = {"body": data.body, "stop": data.stop}
    return await receipt(_of(request, core, instance_id).set_state(data.state, **given, **_options(request, data.reason)))


@_verb("release", "Take it from a worker that does not react")
async def release_instance(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[Said]) -> Response[Receipt]:
    return await receipt(_of(request, core, instance_id).release(**_at_once(request, data.reason)))


@_verb("archive", "Take an ended one out of the lists")
async def archive_instance(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[Said]) -> Response[Receipt]:
    return await receipt(_of(request, core, instance_id).archive(**_at_once(request, data.reason)))


@post(
    f"{AT}/fork",
    "Make another from this one, which stays as it is",
    "200, where the key was known",
    status_code=201,
    also={200: Instance},
)
async def fork_instance(request: Asking, core: TheCore, instance_id: Id, data: JSONBody[Fork]) -> Response[Instance]:
    made = await _of(request, core, instance_id).fork(
        data.data, from_state=data.from_state, revision=data.revision, key=key_of(request, data.key), actor=actor_of(request),
        reason=data.reason,
    )  # fmt: skip
    headers = {"Location": f"/api/v1/instances/{made.id}"}
    return Response(await told(core, made.id), status_code=201 if made.created else 200, headers=headers)


ROUTES = [
    signal_instance, pause_instance, resume_instance, cancel_instance, terminate_instance, redrive_instance, fire_timer,
    cancel_node, complete_node, add_items, set_data, set_state, release_instance, archive_instance, fork_instance,
]  # fmt: skip
