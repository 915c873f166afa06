"""Definitions that the database knows, and pictures of them."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import MediaType, Response
from litestar.params import FromPath, FromQuery

from stepkeel.api.caller import TheCore
from stepkeel.api.route import get
from stepkeel.api.schema import Definition, Definitions
from stepkeel.document.diagram import mermaid
from stepkeel.document.svg import svg
from stepkeel.engine.core import Core
from stepkeel.errors import NotFound
from stepkeel.store.port import DefinitionRow

__all__ = ["ROUTES"]

AT = "/definitions/{name:str}/versions/{version:int}"


async def _row(core: Core, name: str, version: int) -> DefinitionRow:
    found = next((r for r in await core.store.definitions() if (r.name, r.version) == (name, version)), None)
    if found is None:
        raise NotFound(f"there is no definition {name} version {version}", remedy="GET /api/v1/definitions lists them")
    return found


def _of(core: Core, row: DefinitionRow) -> Definition:
    return Definition.of(row, served=(row.name, row.version) in core.definitions)


@get("/definitions", summary="All definitions and versions")
async def list_definitions(core: TheCore) -> Definitions:
    rows = sorted(await core.store.definitions(), key=lambda r: (r.name, r.version))
    return Definitions([_of(core, row) for row in rows])


@get(AT, summary="One version of a definition")
async def get_definition(core: TheCore, name: FromPath[str], version: FromPath[int]) -> Definition:
    return _of(core, await _row(core, name, version))


@get(f"{AT}/diagram", summary="A picture of it", media_type="image/svg+xml")
async def get_definition_diagram(
    core: TheCore, name: FromPath[str], version: FromPath[int], format: FromQuery[Literal["svg", "mermaid"]] = "svg"
) -> Response[str]:
    outline = msgspec.json.decode((await _row(core, name, version)).document)
    if format == "svg":
        return Response(svg(outline), media_type="image/svg+xml")
    return Response(mermaid(outline), media_type=MediaType.TEXT)


ROUTES = [list_definitions, get_definition, get_definition_diagram]
