"""The OpenAPI document, where the framework finds less than there is to say, or says it wrongly; and what is read out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from litestar import Litestar, Request
from litestar.openapi.plugins import JsonRenderPlugin

from stepkeel.api.example import EXAMPLES

__all__ = ["Document", "Tables", "document_of", "tables_of"]

Node = dict[str, Any]


class Document(JsonRenderPlugin):
    """Serves it as it is to be read."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: Node) -> bytes:
        return self.render_json(request, _amended(openapi_schema))  # pyright: ignore[reportUnknownMemberType]


def document_of(app: Litestar) -> Node:
    return _amended(app.openapi_schema.to_schema())


@dataclass(frozen=True, slots=True)
class Tables:
    """Query parameters of each operation, by path and method; and the ids of those under /api/v1: what roles permit."""

    parameters: Mapping[tuple[str, str], frozenset[str]]
    operations: tuple[str, ...]


_tables: list[Tables] = []


def tables_of(app: Litestar) -> Tables:
    """The routes of every app are the same, and to make the document takes half a second: it is made once for this."""
    if not _tables:
        _tables.append(_read(app.openapi_schema.to_schema()["paths"]))
    return _tables[0]


def _read(paths: Mapping[str, Any]) -> Tables:
    parameters: dict[tuple[str, str], frozenset[str]] = {}
    ids: set[str] = set()
    for path, item in paths.items():
        for method, operation in item.items():
            said: list[Node] = operation.get("parameters", [])
            parameters[path, method.upper()] = frozenset(p["name"] for p in said if p["in"] == "query")
            if path.startswith("/api/v1/"):
                ids.add(operation["operationId"])
    return Tables(parameters, tuple(sorted(ids)))


def _amended(document: Node) -> Node:
    """The same, changed in place; again it changes nothing."""
    for item in document["paths"].values():
        _also_text(item)
    schemas = document["components"]["schemas"]
    _exclusive(schemas)
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    return document


def _also_text(item: Node) -> None:
    """Pictures are drawn as SVG, or told as text for others to draw: one answer of two kinds, of which a route names one."""
    content = item.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
    if "image/svg+xml" in content:
        content["text/plain"] = content["image/svg+xml"]


def _exclusive(node: Any) -> None:
    """A whole number is a number: of `oneOf` both it would be none."""
    if isinstance(node, list):
        for each in cast("list[Any]", node):
            _exclusive(each)
    elif isinstance(node, dict):
        found = cast("Node", node)
        if {"type": "number"} in (kinds := found.get("oneOf", ())):
            found["oneOf"] = [k for k in kinds if k != {"type": "integer"}]
        for each in found.values():
            _exclusive(each)
