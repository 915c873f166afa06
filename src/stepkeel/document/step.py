"""Activities and steps in documents, as tables: what they are given, their policies, what undoes them."""

from __future__ import annotations

from stepkeel.document.form import Anything, Flag, Form, ListOf, Number, Span, Text, Whole

__all__ = ["COMPENSATE", "CONDITION", "FALLBACK", "NAME", "RETRY", "STEP", "TOLD"]

NAME = Text(pattern=r"[A-Za-z0-9_][A-Za-z0-9_.\-]*", called="name")
_CODES = ListOf(Text(), "list of failure codes")
CONDITION = Text(called="condition (CEL)")

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

_CALL = {"uses": NAME, "with": Anything()}
_POLICIES = {"retry": RETRY, "timeout": Span(), "deadline": Span()}
TOLD = {
    "uses": "the name of an activity",
    "with": "what it is given; {{ ... }} are expressions over input and steps",
    "retry": "when and how often a failed attempt is tried again",
    "timeout": "of one attempt",
    "deadline": "over all attempts",
}

FALLBACK = Form("fallback", _CALL, ("uses",), TOLD)
COMPENSATE = Form(
    "compensation",
    {**_CALL, **_POLICIES, "when": Text(("done", "started"))},
    ("uses",),
    {
        **TOLD,
        "with": "what it is given; default: the output of the step",
        "when": "started: also if the step has failed",
    },
)

STEP = Form(
    "step",
    {
        "name": NAME, **_CALL, "needs": ListOf(NAME, "list of steps"), "when": CONDITION, "into": NAME, **_POLICIES,
        "optional": Flag(), "fallback": FALLBACK, "compensate": COMPENSATE, "tags": ListOf(NAME, "list of tags"),
        "description": Text(),
    },
    ("name", "uses"),
    {
        **TOLD,
        "name": "unique among the steps",
        "needs": "steps that must be over before, besides those whose output it asks for",
        "when": "where it does not hold the step is skipped",
        "into": "the field of the data that takes the output",
        "optional": "when it finally fails the saga goes on",
        "fallback": "runs in its stead when it finally fails",
        "compensate": "undoes it when the saga fails",
    },
)  # fmt: skip
