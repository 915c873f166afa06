"""Forking: a new instance from an old one, where that failed or from a state, with its data or other data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from stepkeel.engine.audit import act_of
from stepkeel.engine.control import places_known
from stepkeel.engine.core import Core
from stepkeel.engine.family import start_of
from stepkeel.engine.result import reading_history, snapshot_of
from stepkeel.engine.signal import check_schema
from stepkeel.engine.start import Options
from stepkeel.errors import BadRequest, InvalidTransition
from stepkeel.kernel.fork import fork as decide_fork
from stepkeel.kernel.fork import lists
from stepkeel.kernel.replay import fold, read_events
from stepkeel.model.codec import to_json
from stepkeel.model.commit import Row, StartRow
from stepkeel.model.input import Forked
from stepkeel.model.snapshot import Snapshot

__all__ = ["fork"]


async def fork(
    core: Core,
    instance_id: str,
    changes: Mapping[str, Any] | None,
    *,
    from_state: str,
    revision: int | None,
    key: str | None,
    actor: str,
    reason: str,
) -> tuple[str, bool]:
    """The fork's id, and whether this call made it. Raises NotFound, BadRequest, DataInvalid, InvalidTransition, Unavailable."""
    row = await core.row(instance_id)
    options = Options(key, row.correlation_id, row.priority, None, actor)
    source = snapshot_of(row)
    data, state = msgspec.json.decode(source.data), source.state
    if revision is not None:
        data, state = await _as_it_was(core, row, revision)
    if not from_state and (revision is not None or source.status != "failed"):
        from_state = state
    raw = await _changed(core, row, data, changes or {})
    now = core.store.now()
    forked = Forked(core.ids.id(now), raw, revision or row.revision, from_state, actor, reason)
    items = {} if from_state else await _items(core, source)
    decision = decide_fork(source, forked, await places_known(core, row), lambda p, n: items[p, n], now, core.ids.seed())
    if decision.refused:
        raise InvalidTransition(decision.message, remedy="history says what became of it")
    place = StartRow(core.tenant, row.definition, row.version, key, options.correlation_id, options.priority, row.attributes)
    told = {"from_state": from_state, "revision": revision, "fields": sorted(changes or ()), "key": key}
    act = act_of(core, "fork", "instance", forked.id, instance_id=row.id, actor=actor, reason=reason, detail=told)
    held = await core.committer.start(msgspec.structs.replace(start_of(decision, place, now, actor), act=act))
    if held == forked.id:
        core.hint(held, None)
    return held, held == forked.id


async def _as_it_was(core: Core, row: Row, revision: int) -> tuple[dict[str, Any], str]:
    if type(revision) is not int or not 1 <= revision <= row.revision:
        raise BadRequest(f"revision={revision!r}", remedy=f"1 to {row.revision}")
    with reading_history(row.id):
        flat = fold(await core.store.history(row.id), revision)
    if not flat.get("state"):
        raise BadRequest(f"revision={revision}: it had not begun then", remedy="start another one")
    return {k[5:]: v for k, v in flat.items() if k.startswith("data.")}, flat["state"]


async def _changed(core: Core, row: Row, data: dict[str, Any], changes: Mapping[str, Any]) -> bytes:
    """The data with these fields changed, checked against their type. Raises DataInvalid."""
    if not isinstance(changes, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadRequest(f"data={changes!r}", remedy="a mapping of fields")
    merged = {**data, **json.loads(to_json(dict(changes)))}
    definition = core.definitions.get((row.definition, row.version))
    if definition is None:
        outline = await core.outline(row.definition, row.version)
        check_schema(row.definition, (outline or {}).get("data", {}), merged)
        return msgspec.json.encode(merged)
    definition.data.check_fields(changes)
    return definition.data.encode(definition.data.decode(msgspec.json.encode(merged)))


async def _items(core: Core, source: Snapshot) -> dict[tuple[str, int], list[Any]]:
    """What for_eaches that were open had listed, as the history tells."""
    found: dict[tuple[str, int], list[Any]] = {}
    with reading_history(source.id):
        for revision in {n for _, n in lists(source.failure.open if source.failure is not None else {})}:
            for entry in await core.store.history(source.id, revision - 1, 1):
                found |= {(e.path, revision): e.detail["items"] for e in read_events(entry.events) if "items" in e.detail}
    return found
