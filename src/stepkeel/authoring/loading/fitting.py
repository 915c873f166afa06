"""Whether what a document gives an activity is what that expects. Only what is surely wrong is told."""

from __future__ import annotations

from typing import Any, cast, get_type_hints

import msgspec

from stepkeel.authoring.activity import order_of
from stepkeel.document.constant import Constant
from stepkeel.document.form import Report, near
from stepkeel.document.source import Way
from stepkeel.document.template import Template

__all__ = ["fits", "named"]

_SCALARS: dict[Any, tuple[str, ...]] = {str: ("STRING",), int: ("INT",), bool: ("BOOL",), float: ("INT", "DOUBLE")}


def named(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


def fits(report: Report, template: Template, wanted: Any, way: Way) -> None:
    """Tell what of a template is not the type that is wanted: fields, literals, and expressions of which it is known."""
    given, found = template.entries, _fields_of(wanted)
    if template.constant and (given is None or found is None):
        _converts(report, template.source, wanted, way)
        return
    kinds = _SCALARS.get(wanted)
    if kinds is not None and (given is not None or template.kind not in ("", "DYN", *kinds)):
        gives = "a mapping" if given is not None else template.kind.lower()
        report.add("wrong_type", way, f"it gives {gives}, {named(wanted)} is expected", f"of type {named(wanted)}")
    if found is None or given is None:
        return
    required, types = found
    for name in given:
        if name not in types:
            report.add("unknown_field", (*way, name), f"{named(wanted)} has no {name}", near(name, [*types]))
    for name in sorted(required - given.keys()):
        report.add("missing_field", way, f"{named(wanted)} needs {name}", f"{name}: ...")
    for name, value in given.items():
        if name in types and Constant in getattr(types[name], "__metadata__", ()) and "{{" in str(value):
            report.add("not_constant", (*way, name), f"{name} cannot have expressions in it", "write it out; values are parameters")
        elif name in types:
            fits(report, Template(value, template.names, template.fields), types[name], (*way, name))


def _converts(report: Report, value: Any, wanted: Any, way: Way) -> None:
    if isinstance(value, dict) and order_of(wanted):
        said = cast("dict[str, Any]", value)
        value = [said.get(n) for n in order_of(wanted)]
    try:
        msgspec.convert(value, wanted, strict=True)
    except msgspec.ValidationError as error:
        report.add("wrong_type", way, str(error), f"of type {named(wanted)}")
    except TypeError:
        return  # a type that is not msgspec's: known when it is run


def _fields_of(kind: Any) -> tuple[set[str], dict[str, Any]] | None:
    """Of a record: the fields that must be given, and the types of all of them."""
    try:
        info: Any = msgspec.inspect.type_info(kind)
    except TypeError:
        return None
    if not hasattr(info, "fields"):
        return None
    return {str(f.name) for f in info.fields if f.required}, get_type_hints(kind, include_extras=True)
