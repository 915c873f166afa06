"""Definitions that the database knows, as documents and as pictures. They rarely change: who has one is told so.

An answer is kept under its ETag, which is a digest of all that it is made of: what has changed is found under another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from litestar import MediaType, Response
from litestar.params import FromPath, FromQuery

from stepkeel.api.asked import once
from stepkeel.api.caller import Asking, TheCore
from stepkeel.api.route import get
from stepkeel.api.schema import Definition, Definitions
from stepkeel.authoring.view import AuthoredDefinition
from stepkeel.document.diagram import mermaid
from stepkeel.document.source import to_yaml
from stepkeel.document.svg import svg
from stepkeel.engine.core import Core
from stepkeel.errors import DefinitionError, NotFound
from stepkeel.store.port import DefinitionRow

__all__ = ["ROUTES"]

MOST_KEPT = 200
AT = "/definitions/{name:str}/versions/{version:int}"


async def _row(core: Core, name: str, version: int) -> DefinitionRow:
    found = next((r for r in await core.store.definitions() if (r.name, r.version) == (name, version)), None)
    if found is None:
        raise NotFound(f"there is no definition {name} version {version}", remedy="GET /api/v1/definitions lists them")
    return found


def _of(core: Core, row: DefinitionRow) -> Definition:
    return Definition.of(row, served=(row.name, row.version) in core.definitions)


def _tag(core: Core, rows: Iterable[DefinitionRow], kind: str) -> str:
    """What changes when one of them does, or this process comes to know its code."""
    digest = hashlib.sha256(kind.encode())
    for r in rows:
        told = (r.tenant, r.name, r.version, r.shape, r.code, r.status, len(r.document), (r.name, r.version) in core.definitions)
        digest.update(repr(told).encode())
        digest.update(r.document)
    return f'"{digest.hexdigest()[:24]}"'


def _kept(request: Asking, tag: str, make: Callable[[], Any], **options: Any) -> Response[Any]:
    """A browser may keep it, too, and asks each time whether it still holds."""
    kept: dict[str, Any] = request.app.state.kept

    def made() -> Any:
        found = kept.pop(tag, None)
        found = make() if found is None else found
        kept[tag] = found  # the last one asked for goes last
        if len(kept) > MOST_KEPT:
            del kept[next(iter(kept))]
        return found

    answer = once(request, tag, made, **options)
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["Vary"] = "Authorization, X-Tenant"
    return answer


@get(
    "/definitions",
    "All definitions and versions",
    "With If-None-Match (its ETag) 304 where none has changed",
    heeds=("If-None-Match",),
)
async def list_definitions(request: Asking, core: TheCore) -> Response[Definitions]:
    rows = sorted(await core.store.definitions(), key=lambda r: (r.name, r.version))
    return _kept(request, _tag(core, rows, "list"), lambda: Definitions([_of(core, row) for row in rows]))


@get(AT, "One version of a definition", "With If-None-Match (its ETag) 304 where it has not changed", heeds=("If-None-Match",))
async def get_definition(request: Asking, core: TheCore, name: FromPath[str], version: FromPath[int]) -> Response[Definition]:
    row = await _row(core, name, version)
    return _kept(request, _tag(core, [row], "one"), lambda: _of(core, row))


@get(
    f"{AT}/document",
    summary="It as a document, which `load` makes the same definition of",
    description="404 where this process has not its code, or something in it is only Python",
    media_type=MediaType.JSON,
)
async def get_definition_document(
    request: Asking, core: TheCore, name: FromPath[str], version: FromPath[int], format: FromQuery[Literal["json", "yaml"]] = "json"
) -> Response[Any]:
    row = await _row(core, name, version)
    definition = core.definitions.get((name, version))
    if not isinstance(definition, AuthoredDefinition):
        raise NotFound(f"this process has no code of {name} version {version}", remedy="ask one that serves it")
    try:
        document = definition.document()
    except DefinitionError as error:
        raise NotFound(f"{name} version {version} has no document: {error.message}", remedy="write it as text, or in CEL") from None
    tag = _tag(core, [row], format)
    if format == "json":
        return _kept(request, tag, lambda: document)
    return _kept(request, tag, lambda: to_yaml(document), media_type="application/yaml")


@get(
    f"{AT}/diagram",
    summary="A picture of it",
    description="With If-None-Match (its ETag) 304 where it has not changed",
    media_type="image/svg+xml",
    heeds=("If-None-Match",),
)
async def get_definition_diagram(
    request: Asking,
    core: TheCore,
    name: FromPath[str],
    version: FromPath[int],
    format: FromQuery[Literal["svg", "mermaid"]] = "svg",
) -> Response[str]:
    row = await _row(core, name, version)
    draw, kind = (svg, "image/svg+xml") if format == "svg" else (mermaid, MediaType.TEXT)
    return _kept(request, _tag(core, [row], format), lambda: draw(msgspec.json.decode(row.document)), media_type=kind)


ROUTES = [list_definitions, get_definition, get_definition_document, get_definition_diagram]
