"""Definitions as documents: what `load` makes the same definition of. Whatever is only Python is told, all of it at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stepkeel.document.nodewriter import NodeWriter
from stepkeel.document.writer import slim, span
from stepkeel.errors import DefinitionError
from stepkeel.model.definition import Definition
from stepkeel.model.node import Activity

__all__ = ["document_of"]


def document_of(definition: Definition, record_of: Callable[[Activity], Activity]) -> dict[str, Any]:
    """The document of a definition. `record_of` gives an activity as it was declared. Raises DefinitionError."""
    writer = NodeWriter(definition, record_of)
    found = _workflow(writer, definition)
    if writer.problems:
        lines = "\n".join(f"  - {p}" for p in writer.problems)
        many = "1 part" if len(writer.problems) == 1 else f"{len(writer.problems)} parts"
        raise DefinitionError(f"{definition.name} cannot be exported, {many} of it cannot:\n{lines}", tuple(writer.problems))
    return found


def _workflow(w: NodeWriter, d: Definition) -> dict[str, Any]:
    signals: dict[str, Any] = {}
    for name, kind in d.signals.items():
        schema = w.schema(kind.codec) or {}
        keep = {} if kind.keep is None else {"x-keep": kind.keep if isinstance(kind.keep, bool) else span(kind.keep)}
        signals[name] = {**schema, **keep}
    owner = f"definition/{d.name}"
    limits = [w.limit(p, owner if n == 1 else f"{owner}-{n}") for n, p in enumerate(d.pools, 1)]
    return slim(
        name=d.name,
        version=d.version if d.version != 1 else None,
        data=w.schema(d.data),
        signals=signals,
        states=w.states(d.states, d.initial, ""),
        anywhere=w.anywhere(d.states, d.deadlines, ""),
        unhandled_signals=d.unhandled if d.unhandled != "reject" else None,
        compensation=d.compensation if d.compensation != "continue_then_fail" else None,
        compensation_timeout=span(d.compensation_timeout),
        limits=limits,
        on_failure=w.body(d.on_failure, "!on_failure"),
        on_cancel=w.body(d.on_cancel, "!on_cancel"),
        finally_=w.body(d.finally_, "!finally"),
    )
