"""What a document of a saga may say: the tables that it is checked by, and that its JSON Schema is made of."""

from __future__ import annotations

from typing import Any

from stepkeel.document.form import Anything, Flag, Form, ListOf, Number, Span, Text, Whole

__all__ = ["NAMES", "RETRY", "SAGA", "STEP", "saga_schema"]

# What expressions in a step may ask: the input (also called data), the outputs of steps, the item of a for_each around it.
NAMES = ("input", "data", "steps", "item")

_NAME = Text(pattern=r"[A-Za-z0-9_][A-Za-z0-9_.\-]*", called="name")
_CODES = ListOf(Text(), "list of failure codes")
_CONDITION = Text(called="condition (CEL)")

RETRY = Form(
    "retry policy",
    {
        "attempts": Whole(), "delay": Span(), "backoff": Text(("fixed", "exponential", "none")), "factor": Number(0.001),
        "max_delay": Span(), "jitter": Number(0, 1), "retry_on": _CODES, "give_up_on": _CODES,
    },
    told={
        "attempts": "tries in all, the first counts; default 3",
        "delay": "before the next try",
        "backoff": "how the delay grows; default fixed",
        "retry_on": "failure codes or exception names that are tried again; default: all",
        "give_up_on": "those that are final; asked first",
    },
)  # fmt: skip

_CALL = {"uses": _NAME, "with": Anything()}
_POLICIES = {"retry": RETRY, "timeout": Span(), "deadline": Span()}
_TOLD = {
    "uses": "the name of an activity",
    "with": "what it is given; {{ ... }} are expressions over input and steps",
    "retry": "when and how often a failed attempt is tried again",
    "timeout": "of one attempt",
    "deadline": "over all attempts",
}

FALLBACK = Form("fallback", _CALL, ("uses",), _TOLD)
COMPENSATE = Form(
    "compensation",
    {**_CALL, **_POLICIES, "when": Text(("done", "started"))},
    ("uses",),
    {
        **_TOLD,
        "with": "what it is given; default: the output of the step",
        "when": "started: also if the step has failed",
    },
)

STEP = Form(
    "step",
    {
        "name": _NAME, **_CALL, "needs": ListOf(_NAME, "list of steps"), "when": _CONDITION, "into": _NAME, **_POLICIES,
        "optional": Flag(), "fallback": FALLBACK, "compensate": COMPENSATE, "tags": ListOf(_NAME, "list of tags"),
        "description": Text(),
    },
    ("name", "uses"),
    {
        **_TOLD,
        "name": "unique among the steps",
        "needs": "steps that must be over before, besides those whose output it asks for",
        "when": "where it does not hold the step is skipped",
        "into": "the field of the data that takes the output",
        "optional": "when it finally fails the saga goes on",
        "fallback": "runs in its stead when it finally fails",
        "compensate": "undoes it when the saga fails",
    },
)  # fmt: skip

SAGA = Form(
    "saga",
    {
        "name": _NAME, "version": Whole(), "description": Text(), "mode": Text(("dependency", "sequential", "parallel")),
        "input": Anything(), "steps": ListOf(STEP, "list of steps", 1), "output": Anything(), "timeout": Span(),
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


def saga_schema() -> dict[str, Any]:
    """JSON Schema of such documents, for editors and other programs."""
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Stepkeel saga"}
    found: dict[str, Any] = title | SAGA.schema()
    found["properties"]["input"] = {"type": "object", "description": SAGA.told["input"]}
    found["properties"]["output"] = {"type": "object", "description": SAGA.told["output"]}
    return found
