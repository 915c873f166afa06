"""The OpenAPI document, where the framework finds less than there is to say, or says it wrongly."""

from __future__ import annotations

from litestar.openapi.spec import OpenAPI, OpenAPIType, PathItem, Reference, Schema

__all__ = ["amend"]


def amend(document: OpenAPI) -> None:
    for item in (document.paths or {}).values():
        _also_text(item)
    for schema in (document.components.schemas or {}).values():
        _exclusive(schema)


def _also_text(item: PathItem) -> None:
    """Pictures are drawn as SVG, or told as text for others to draw: one answer of two kinds, of which a route names one."""
    answers = (item.get.responses or {}) if item.get is not None else {}
    content = getattr(answers.get("200"), "content", None)
    if content and "image/svg+xml" in content:
        content["text/plain"] = content["image/svg+xml"]


def _exclusive(schema: Schema | Reference | bool | None) -> None:
    """A whole number is a number: of `oneOf` both it would be none."""
    if not isinstance(schema, Schema):
        return
    kinds = {s.type for s in schema.one_of or () if isinstance(s, Schema)}
    if OpenAPIType.NUMBER in kinds:
        schema.one_of = [s for s in schema.one_of or () if not (isinstance(s, Schema) and s.type == OpenAPIType.INTEGER)]
    inner = [*(schema.properties or {}).values(), *(schema.one_of or ()), schema.items, schema.additional_properties]
    for each in inner:
        _exclusive(each)
