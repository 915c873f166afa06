"""Registering definitions: the same version must keep its shape while instances live on it.

| stored under this name and version | then |
|---|---|
| nothing | inserted |
| same shape, same code | nothing to do |
| same shape, other code | replaced, with a warning; `strict` refuses |
| same shape, schemas differ compatibly (a field gone, a new one with a default) | replaced |
| other shape, or schemas that break | refused while instances live on it, unless on_change="replace"; else replaced |
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

import msgspec

from stepkeel.authoring.check import misfits
from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.view import Authored
from stepkeel.engine.audit import act_of
from stepkeel.engine.core import Core
from stepkeel.errors import BadRequest, DefinitionChanged
from stepkeel.model.definition import Definition
from stepkeel.model.node import ChildNode
from stepkeel.model.snapshot import TERMINAL
from stepkeel.store.port import DefinitionRow, Store

__all__ = ["OnChange", "check_transactions", "deploy", "registry", "schema_breaks"]

_log = logging.getLogger("stepkeel.definition")
OnChange = Literal["refuse", "replace"]


def registry(workflows: Iterable[type[Workflow[Any]] | Authored[Any] | Definition]) -> dict[tuple[str, int], Definition]:
    """Definitions by name and version, with those of the children that they begin.

    Raises BadRequest for two that are the same, and for a child that does not fit.
    """
    found: dict[tuple[str, int], Definition] = {}
    todo = [w if isinstance(w, Definition) else w.definition for w in workflows]
    while todo:
        definition = todo.pop(0)
        if found.get((definition.name, definition.version)) is not definition:
            todo += _children(definition)
        place = (definition.name, definition.version)
        if found.get(place, definition) is not definition:
            raise BadRequest(
                f"two workflows are {definition.name} version {definition.version}", remedy="give one of them version="
            )
        found[place] = definition
    return found


def _children(definition: Definition) -> list[Definition]:
    nodes = {place: p.node for place, p in definition.places.items() if isinstance(p.node, ChildNode)}
    for place, node in nodes.items():
        for problem, remedy in misfits(node, definition.data):
            raise BadRequest(f"{definition.name} {place}: {problem}", remedy=remedy)
    return [node.of.definition for node in nodes.values()]


def check_transactions(definitions: Iterable[Definition], store: Store) -> None:
    """Raises BadRequest for a transactional activity on a store that has no transactions."""
    for definition in definitions:
        for each in definition.activities.values():
            if each.transactional and not store.transactional:
                text = f"{definition.name}: {each.name} is transactional, and {store.url} has no transactions"
                raise BadRequest(text, remedy="sqlite:/// or postgresql://")


async def deploy(core: Core, definitions: list[Definition], on_change: OnChange, *, strict: bool) -> None:
    """Raises DefinitionChanged naming definition, version and what differs; nothing is stored then."""
    stored = {(r.name, r.version): r for r in await core.store.definitions()}
    live: set[tuple[str, int]] | None = None
    rows: list[DefinitionRow] = []
    for definition in definitions:
        row = _row(definition)
        old = stored.get((row.name, row.version))
        if old is not None and (old.shape, old.code, old.document) == (row.shape, row.code, row.document):
            continue
        if old is not None and on_change == "refuse":
            live = await _live(core) if live is None else live
            if (row.name, row.version) in live:
                _judge(old, row, strict=strict)
        rows.append(row)
    for row in rows:
        told = {"shape": row.shape, "code": row.code}
        await core.store.put_definition(row, act_of(core, "deploy", "definition", f"{row.name}/{row.version}", detail=told))


async def _live(core: Core) -> set[tuple[str, int]]:
    """Definitions and versions that instances live on. Counts them all: asked for only when something has changed."""
    return {(m.definition, m.version) for m in await core.store.metrics(None) if m.status not in TERMINAL}


def _row(definition: Definition) -> DefinitionRow:
    document = msgspec.json.encode(getattr(definition, "outline", {}), order="deterministic")
    return DefinitionRow(
        "*", definition.name, definition.version, definition.fingerprint.shape, definition.fingerprint.code, document
    )


def _judge(old: DefinitionRow, new: DefinitionRow, *, strict: bool) -> None:
    was: dict[str, Any] = msgspec.json.decode(old.document)
    now: dict[str, Any] = msgspec.json.decode(new.document)
    remedy = "give the new one version=, keep the old class beside it, and list both in workflows="
    if old.shape != new.shape:
        where = ", ".join(sorted(_differences(was, now))) or "policies"
        raise DefinitionChanged(
            f"{new.name} version {new.version} has changed its shape ({where}) while instances live on it",
            remedy=remedy,
        )
    breaks = schema_breaks(was.get("data", {}), now.get("data", {}))
    for name, schema in cast("dict[str, Any]", now.get("signals", {})).items():
        breaks += [f"{name}: {b}" for b in schema_breaks(was.get("signals", {}).get(name, schema), schema)]
    if breaks:
        raise DefinitionChanged(
            f"{new.name} version {new.version}: stored data would not fit any more: {'; '.join(breaks)}", remedy=remedy
        )
    if old.code != new.code:
        text = f"{new.name} version {new.version}: guards or mappings have changed while instances live on it"
        if strict:
            raise DefinitionChanged(text, remedy=remedy)
        _log.warning("%s; they go on with the new ones", text)


def _differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> set[str]:
    """Names of states that differ."""
    old = {s["name"]: s for s in was.get("states", ())}
    new = {s["name"]: s for s in now.get("states", ())}
    return {f"state {n}" for n in old.keys() | new.keys() if old.get(n) != new.get(n)}


def schema_breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What stored data of the old JSON Schema lacks or has otherwise under the new one."""
    was, now = _fields(old), _fields(new)
    breaks = [f"{n} is new and has no default" for n in _required(new) if n not in was]
    if _object(new).get("additionalProperties") is False:
        breaks += [f"{n} is gone, and no others are allowed" for n in was if n not in now]
    for name in was.keys() & now.keys():
        if _type(was[name], old) != _type(now[name], new):
            breaks.append(f"{name} has another type")
    return sorted(breaks)


def _object(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    ref = schema.get("$ref")
    return schema.get("$defs", {}).get(ref.rpartition("/")[2], {}) if isinstance(ref, str) else schema


def _fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    return dict(_object(schema).get("properties", {}))


def _required(schema: Mapping[str, Any]) -> list[str]:
    return list(_object(schema).get("required", ()))


def _type(field: Any, root: Mapping[str, Any], depth: int = 0) -> str:
    """A field's type as text: without defaults and titles, references resolved."""
    if depth > 20:
        return "..."
    if isinstance(field, Mapping):
        inner = cast("Mapping[str, Any]", field)
        if "$ref" in inner:
            return _type(_object({**inner, "$defs": root.get("$defs", {})}), root, depth + 1)
        skip = ("default", "title", "description")
        return repr({k: _type(v, root, depth + 1) for k, v in sorted(inner.items()) if k not in skip})
    if isinstance(field, list):
        return repr([_type(v, root, depth + 1) for v in cast("list[Any]", field)])
    return repr(field)
