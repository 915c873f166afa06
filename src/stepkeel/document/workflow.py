"""What a document may say as a whole, a state machine or a saga, as tables; and the JSON Schema of both, for editors."""

from __future__ import annotations

from typing import Any

from stepkeel.document.form import Anything, Either, Flag, Form, ListOf, MapOf, Shape, Span, Text, Whole
from stepkeel.document.nodes import BODY, CALENDAR, LIMIT, NODE, REACTIONS, STEPS
from stepkeel.document.step import CONDITION, NAME

__all__ = ["MACHINE", "SAGA", "STATE", "document_schema"]

_ENDINGS = ("completed", "cancelled", "terminated", "failed")
_WAY = Either((str,), NAME, Form("way to a state", {"state": NAME, "when": CONDITION, "description": Text()}, ("state",)))
_WAYS: dict[str, Shape] = {kind: ListOf(form, f"list of {kind}") for kind, form in REACTIONS.items()}
ANYWHERE = Form("anywhere", _WAYS)
STATE = Form(
    "state",
    {
        "body": BODY, "to": Either((list,), ListOf(_WAY, "list of ways"), _WAY), **_WAYS, "label": Text(), "initial": Flag(),
        "settable": Flag(), "end": Text(_ENDINGS), "reason": Text(), "code": Text(), "at_once": Flag(), "description": Text(),
    },
    (),
    {
        "body": "activities and nodes that run, in order, when it is entered",
        "to": "where it leads by itself: the first whose condition holds",
        "on": "- {signal: OrderApproved, to: payment}",
        "after": "- {span: 3d, to: rejected}",
        "on_failure": "- {errors: [CARD_DECLINED], to: rejected}",
        "label": "its name for people",
        "initial": "default: the first state",
        "settable": "false: operators may not put an instance there",
        "end": "a final state: how it ends",
        "reason": "of the ending",
        "code": "of a failed one",
        "at_once": "of a completed one: stops what is left to finish",
    },
)  # fmt: skip
_PARTS: dict[str, Shape] = {"states": MapOf(STATE, "mapping of states"), "anywhere": ANYWHERE}
MACHINE = Form(
    "workflow",
    {
        "name": NAME, "version": Whole(), "description": Text(), "data": Anything(),
        "signals": MapOf(Anything(), "mapping of signals"),
        "calendars": MapOf(CALENDAR, "mapping of calendars"), **_PARTS, "unhandled_signals": Text(("reject", "keep")),
        "compensation": Text(("continue_then_fail", "stop_and_fail", "continue_then_terminate")), "compensation_timeout": Span(),
        "limits": ListOf(LIMIT, "list of limits"), "on_failure": BODY, "on_cancel": BODY, "finally": BODY,
    },
    ("name", "states"),
    {
        "name": "what it is started by",
        "version": "default 1",
        "data": "JSON Schema of its data, or the name of a type that is given to `load`",
        "signals": "name: JSON Schema of what it carries",
        "calendars": "name: {zone, hours, days, holidays}",
        "states": "name: {body, to, on, after, on_failure}; the first is where it begins",
        "anywhere": "reactions in every state, tried after its own; timeouts of the whole",
        "unhandled_signals": "what becomes of signals that nothing takes; default reject",
        "compensation": "when an undo fails",
        "compensation_timeout": "of all undos together",
        "limits": "how many instances may be between first state and end at a time",
        "on_failure": "runs when it has failed, after compensation",
        "on_cancel": "runs when it was cancelled or terminated",
        "finally": "runs in any case",
    },
)  # fmt: skip
SAGA = Form(
    "saga",
    {
        "name": NAME, "version": Whole(), "description": Text(), "mode": Text(("dependency", "sequential", "parallel")),
        "input": Anything(), "steps": STEPS, "output": Anything(), "timeout": Span(),
        "max_concurrency": Whole(), "compensation": Text(("continue_then_fail", "stop_and_fail", "continue_then_terminate")),
        "compensation_timeout": Span(),
    },
    ("name", "steps"),
    {
        "name": "what it is started by",
        "version": "default 1",
        "mode": "dependency: as the steps need each other; sequential: one after another; parallel: all at once",
        "input": "JSON Schema of what it is started with",
        "steps": "- {name: reserve, uses: inventory.reserve}",
        "output": "fields of the data that are set at the end; {{ ... }} are expressions over input and steps",
        "timeout": "of the whole saga: it fails, and what was done is undone",
        "max_concurrency": "steps open at a time; default 100",
        "compensation": "when an undo fails",
        "compensation_timeout": "of all undos together",
    },
)  # fmt: skip
NODE.forms["machine"] = Form(
    "machine",
    {"machine": Form("machine", _PARTS, ("states",)), "name": NAME, "tags": ListOf(NAME, "list of tags"), "description": Text()},
    ("machine", "name"),
    {"machine": "states within a body", "name": "its key in paths and diagrams"},
)


def document_schema() -> dict[str, Any]:
    """JSON Schema of documents: a state machine, or a saga."""
    data = {"type": "object", "description": "JSON Schema"}
    machine, saga = MACHINE.schema(), SAGA.schema()
    machine["properties"]["data"] = {"anyOf": [{"type": "string"}, data], "description": MACHINE.told["data"]}
    saga["properties"]["input"] = {"anyOf": [{"type": "string"}, data], "description": SAGA.told["input"]}
    saga["properties"]["output"] = {"type": "object", "description": SAGA.told["output"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stepkeel workflow",
        "if": {"required": ["states"]},
        "then": machine,
        "else": saga,
        "$defs": {NODE.name: NODE.definition()},
    }
