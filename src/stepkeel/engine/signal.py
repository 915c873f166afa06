"""Signals: checked against their type, then durable when the call returns, also while a worker holds the instance."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping
from typing import Any

import msgspec

from stepkeel import telemetry
from stepkeel.authoring.signal import signal_given
from stepkeel.engine.audit import act_of, check_key
from stepkeel.engine.core import Core
from stepkeel.engine.result import Receipt, receipt_of
from stepkeel.errors import DataInvalid, InboxFull, InstanceEnded, NotFound, UnknownSignal
from stepkeel.model.codec import to_json
from stepkeel.model.commit import Delivery, Row
from stepkeel.model.commit import Receipt as StoredReceipt
from stepkeel.model.definition import Definition

__all__ = ["check_schema", "raise_refused", "signal", "wait_for_receipt"]


async def signal(
    core: Core,
    instance_id: str,
    definition: Definition | None,
    what: Any,
    payload: Any,
    *,
    key: str | None,
    actor: str,
    wait: float | None,
) -> Receipt:
    """Raises UnknownSignal, DataInvalid, NotFound, InstanceEnded, InboxFull; nothing is stored then.

    Unavailable: nothing is known; with a key the call can be repeated.
    """
    check_key(key=key)
    if definition is None:
        row = await core.row(instance_id)
        definition = core.definitions.get((row.definition, row.version))
        name, raw = await _read(core, row, definition, what, payload)
    else:
        name, raw = _typed(definition, what, payload)
    now = core.store.now()
    told = {"signal": name, "key": key}
    act = act_of(core, "signal", "instance", instance_id, instance_id=instance_id, actor=actor, if_named=True, detail=told)
    delivery = Delivery(instance_id, core.tenant, "signal", name, raw, key or core.ids.id(now), actor, now, core.inbox_limit, act)
    stored = await core.committer.deliver(delivery)
    telemetry.link(instance_id)
    raise_refused(instance_id, stored, name)
    core.hint(instance_id, stored.owner)
    if wait is not None and stored.status == "pending":
        stored = await wait_for_receipt(core, instance_id, stored, wait)
    return receipt_of(instance_id, name, stored)


def raise_refused(instance_id: str, stored: StoredReceipt, name: str) -> None:
    if stored.refused == "not_found":
        raise NotFound(f"there is no instance {instance_id}", remedy="was it purged, or is it in another database?")
    if stored.refused == "instance_ended":
        raise InstanceEnded(f"{instance_id} has ended ({stored.reason}), {name} does not reach it", remedy="start another one")
    if stored.refused == "inbox_full":
        raise InboxFull(f"{instance_id} has too many unread signals", remedy="why does it not read them? see explain")


async def wait_for_receipt(core: Core, instance_id: str, stored: StoredReceipt, seconds: float) -> StoredReceipt:
    """Until the fate of an inbox row is known, at most so long."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    pause = 0.01
    while True:
        for row in await core.store.signals(instance_id):
            if row.seq == stored.seq and row.status != "pending":
                return msgspec.structs.replace(stored, status=row.status, reason=row.reason)
        left = end - loop.time()
        if left <= 0:
            return stored
        await core.hub.moved(instance_id, min(left, pause), any_step=True)
        pause = min(pause * 2, 0.25)


def _typed(definition: Definition, what: Any, payload: Any) -> tuple[str, bytes]:
    """Name and payload of a signal given as a value, as a type, or by name with a mapping."""
    name, payload = signal_given(what, payload)
    known = definition.signals.get(name)
    if known is None:
        raise _unknown(definition.name, name, list(definition.signals))
    return name, known.codec.from_input({} if payload is None else payload)


def _unknown(definition: str, name: str, known: list[str]) -> UnknownSignal:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
    return UnknownSignal(f"{definition} has no signal {name}", remedy=hint)


async def _read(core: Core, row: Row, definition: Definition | None, what: Any, payload: Any) -> tuple[str, bytes]:
    """Without the definition's code the stored outline has to do."""
    if definition is not None:
        return _typed(definition, what, payload)
    outline = await core.outline(row.definition, row.version)
    name, payload = signal_given(what, payload)
    schemas: Mapping[str, Any] = (outline or {}).get("signals", {})
    if name not in schemas:
        raise _unknown(row.definition, name, list(schemas))
    raw = to_json({} if payload is None else payload)
    check_schema(name, schemas[name], msgspec.json.decode(raw))
    return name, raw


_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "array": (list,), "object": (dict,),
    "null": (type(None),),
}  # fmt: skip


def check_schema(name: str, schema: Mapping[str, Any], payload: Any) -> None:
    """Fields, their presence and their plain types; the worker's own type has the last word."""
    ref = schema.get("$ref", "")
    record: Mapping[str, Any] = schema.get("$defs", {}).get(ref.rpartition("/")[2], schema) if ref else schema
    fields: Mapping[str, Any] = record.get("properties", {})
    if not isinstance(payload, dict):
        raise DataInvalid(f"{name} expects an object, got {type(payload).__name__}")
    given: dict[str, Any] = payload  # pyright: ignore[reportUnknownVariableType]
    unknown = sorted(set(given) - set(fields))
    missing = sorted(set(record.get("required", ())) - set(given))
    if unknown or missing:
        parts = [f"no field {', '.join(unknown)}"] * bool(unknown) + [f"{', '.join(missing)} is missing"] * bool(missing)
        raise DataInvalid(f"{name}: {'; '.join(parts)}", remedy=f"known: {', '.join(fields)}")
    for field, value in given.items():
        kind = fields[field].get("type")
        wrong_bool = isinstance(value, bool) and kind in ("integer", "number")
        if isinstance(kind, str) and kind in _KINDS and (wrong_bool or not isinstance(value, _KINDS[kind])):
            raise DataInvalid(f"{name}.{field} expects {kind}, got {type(value).__name__}")
