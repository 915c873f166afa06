"""What stands in a body, as tables: a text is the name of an activity, a mapping is the kind of node that it has a field of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args

from stepkeel.document.form import Anything, Either, Flag, Form, Kinds, ListOf, MapOf, Report, Shape, Span, Text, Whole
from stepkeel.document.source import Way
from stepkeel.document.step import COMPENSATE, CONDITION, FALLBACK, NAME, RETRY, STEP, TOLD
from stepkeel.model.flow import Leftover, PartialRest
from stepkeel.model.node import AtMax

__all__ = ["BODY", "CALENDAR", "INTO", "LIMIT", "NODE", "REACTIONS", "STEPS"]

NODE = Kinds("node", NAME)
BODY = Either((list,), ListOf(NODE, "list of nodes"), NODE)
EXPRESSION = Text(called="expression (CEL)")
TEMPLATE = Text(called="text, {{ ... }} in it are expressions")
NAMES = Either((list,), ListOf(Text(), "list of names"), TEMPLATE)
INTO = Either((dict,), MapOf(Anything(), "mapping of fields"), NAME)
_COMMON: dict[str, Shape] = {"name": NAME, "tags": ListOf(NAME, "list of tags"), "description": Text()}
_COMMON_TOLD = {
    "name": "its key in paths and diagrams; default: the activity's name, else its kind",
    "tags": "names for stop, add_items and operators",
}
_HOURS = ListOf(Anything(), "list of spans")
CALENDAR = Either(
    (str,),
    NAME,
    Form(
        "calendar",
        {"zone": Text(), "hours": _HOURS, "days": Anything(), "holidays": ListOf(Text(), "list of dates"), "name": Text()},
        told={
            "zone": "Europe/Berlin; default UTC",
            "hours": '["09:00", "17:00"], or several such pairs',
            "days": "list of mon, tue ...; or a mapping of them to their own hours",
            "holidays": "dates that do not count",
        },
    ),
)
_WHEN_DUE = Either((str,), TEMPLATE, Span())
_SPAN = Either((str,), TEMPLATE, Span())
_JOIN = Either(
    (dict,),
    Form(
        "join",
        {
            "need": Anything(), "failures": Text(("against", "collect")), "rest": Text(("cancel", "undo", "finish")),
            "late": Text(("drop", "merge")), "again": Text(("overlap", "wait")), "unmet": Text(("fail", "go_on")),
        },
        told={
            "need": "all, any, a number, or an expression over outcomes, results, open, size",
            "failures": "against: a failed one will not arrive; collect: it does, as a failed one",
            "rest": "what becomes of those still open",
            "late": "whether what they do to the data then counts",
            "again": "a new visit while some are left to finish",
            "unmet": "all have ended, and it is not enough",
        },
    ),
    Anything(),
)  # fmt: skip
_DATA = Either((dict,), Form("data of branches", {"own": Anything()}, ("own",)), Text(("shared", "own")))
ARM = Form("arm", {"when": CONDITION, "body": BODY, "name": NAME}, ("when", "body"))


class _Branch(Shape):
    """A body, or one with a guard."""

    called = "branch"
    guarded = Form("branch", {"when": CONDITION, "body": BODY}, ("body",))

    def check(self, value: Any, way: Way, report: Report) -> None:
        arm = isinstance(value, Mapping) and "body" in value and not NODE.of(cast("Mapping[str, Any]", value))
        (self.guarded if arm else BODY).check(value, way, report)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.guarded.schema(), BODY.schema()]}


BRANCHES = MapOf(_Branch(), "mapping of branches")

# Ways out: of a state, a scope, a pick.
_MOVES: dict[str, Shape] = {
    "to": NAME, "when": CONDITION, "into": INTO, "do": BODY, "cancel": Text(), "complete": Text(),
    "end": Either((dict,), Form("ending", {"status": Text(), "reason": Text(), "code": Text()}, ("status",)), Text()),
    "undo": Text(("none", "state", "all")), "name": NAME, "description": Text(),
}  # fmt: skip
_MOVES_TOLD = {
    "to": "the state it leads to; none: it stays",
    "when": "a condition over data, and signal or failure",
    "into": "brings the signal, or the failure, into the data: a field, or fields with templates",
    "do": "activities and nodes that run before the move",
    "cancel": "cancels a node: its key, path or tag",
    "complete": "completes one",
    "end": "ends the instance: completed, cancelled, terminated, failed",
    "undo": "takes back first what was done in this visit of the state, or at all",
}
_INTERRUPT: dict[str, Shape] = {"interrupt": Flag(), "go_on": Flag()}
_INTERRUPT_TOLD = {"interrupt": "does not wait for rest: stops what is in flight", "go_on": "closes what is open in the body"}
REACTIONS: dict[str, Form] = {
    "on": Form(
        "reaction to a signal",
        {"signal": NAME, **_MOVES, **_INTERRUPT, "otherwise": Flag()},
        ("signal",),
        {**_MOVES_TOLD, **_INTERRUPT_TOLD, "signal": "its name", "otherwise": "tried after all others"},
    ),
    "after": Form(
        "timeout",
        {"span": _SPAN, **_MOVES, **_INTERRUPT, "calendar": CALENDAR},
        ("span",),
        {**_MOVES_TOLD, **_INTERRUPT_TOLD, "span": "counted from entering the state: 3d", "calendar": "in working time"},
    ),
    "on_failure": Form(
        "reaction to a failure",
        {"errors": ListOf(Text(), "list of failure codes"), **_MOVES, "otherwise": Flag()},
        (),
        {**_MOVES_TOLD, "errors": "codes and names of exceptions; none: any", "otherwise": "tried after all others"},
    ),
}
_ENDS = {"do": BODY, "description": Text()}
_SCOPE_ON = Form("way out by a signal", {"signal": NAME, **_ENDS}, ("signal",))
_SCOPE_AFTER = Form("way out after a time", {"span": Span(), **_ENDS}, ("span",))
_SCOPE_FAILURE = Form("way out by a failure", {"error": Text(), **_ENDS}, ("error",))
_PICK = Form("choice of a pick", {"signal": NAME, "after": Span(), **_ENDS})

STEPS = ListOf(
    Form("step", {**STEP.fields, "body": BODY}, ("name",), {**STEP.told, "body": "instead of `uses`: activities and nodes"}),
    "list of steps",
    1,
)
_TASK: dict[str, Shape] = {
    "role": TEMPLATE, "assignee": TEMPLATE, "candidates": NAMES, "people": NAMES, "not_by": NAMES,
    "need": Either((str,), Text(("all",)), Whole(most=1_000)), "due": _WHEN_DUE, "calendar": CALENDAR, "remind": Span(),
    "escalate_to": Either((list,), ListOf(Text(), "list of roles"), Text()), "priority": Whole(0, 4), "into": INTO, **_COMMON,
}  # fmt: skip
_TASK_TOLD = {
    **_COMMON_TOLD,
    "role": "who may do it: whoever has the role",
    "assignee": "this person",
    "candidates": "one of these",
    "people": "each gets a task of their own",
    "not_by": "who may not (four eyes)",
    "need": "how many of them have to: a number, or all",
    "due": "a span (of working time, with a calendar), or a moment",
    "remind": "again and again after so long",
    "escalate_to": "roles that it passes on to when due",
    "priority": "0 (first) to 4 (last); default 2",
    "into": "brings what they say into the data, as `result`",
}


def _form(kind: str, fields: dict[str, Shape], told: dict[str, str], *needed: str) -> None:
    NODE.forms[kind] = Form(kind, {**fields, **_COMMON}, needed or (kind,), {**_COMMON_TOLD, **told})


_form(
    "uses",
    {
        "uses": NAME, "with": Anything(), "into": INTO, "retry": RETRY, "timeout": Span(), "deadline": Span(), "optional": Flag(),
        "fallback": FALLBACK, "compensate": COMPENSATE,
    },
    {**TOLD, "into": "the field of the data that takes what it returns (as `result`, fields with templates); else a mapping "
     "that it returns sets fields", "optional": "when it finally fails the flow goes on", "fallback": "runs in its stead when it "
     "finally fails", "compensate": "undoes it when the instance fails, is cancelled or terminated"},
)  # fmt: skip
_form(
    "task",
    {"task": TEMPLATE, "form": Anything(), **_TASK},
    {**_TASK_TOLD, "task": "its title", "form": "JSON Schema of what they say"},
)
_form(
    "approval",
    {"approval": TEMPLATE, "on_reject": Text(("fail", "go_on")), **_TASK},
    {**_TASK_TOLD, "approval": "its title", "on_reject": "fail (default, with the code rejected), go_on"},
)
_form(
    "child",
    {
        "child": NAME, "data": Anything(), "into": INTO, "state": Text(), "outcome": Text(), "wait": Flag(),
        "failures": Text(("fail", "record")), "detached": Flag(), "bound_to": ListOf(NAME, "list of states"),
    },
    {
        "child": "the name of a workflow", "data": "its data, made of ours; default: the same", "into": "brings its data into ours",
        "state": "wait until it is in this state", "outcome": "wait for an attempt of it with this outcome",
        "wait": "false: wait for nothing", "failures": "fail, or record: told to `into`", "detached": "its own business",
        "bound_to": "states in which it may live",
    },
)  # fmt: skip
_CONCURRENT: dict[str, Shape] = {"join": _JOIN, "max_concurrency": Whole(), "data": _DATA, "into": INTO}
_CONCURRENT_TOLD = {
    "join": "all (default), any, a number, or a mapping", "max_concurrency": "so many open at a time",
    "data": "shared (default), own, or {own: [fields that flow back]}", "into": "what they have come to, as `result`",
}  # fmt: skip
_form(
    "parallel",
    {"parallel": BRANCHES, "otherwise": BODY, **_CONCURRENT},
    {**_CONCURRENT_TOLD, "parallel": "branches by name: a body, or {when, body}", "otherwise": "where no branch takes part"},
)
_form(
    "for_each",
    {"for_each": EXPRESSION, "body": BODY, "detached": Flag(), "stay_open_until": CONDITION, **_CONCURRENT},
    {**_CONCURRENT_TOLD, "for_each": "an expression that gives a list", "body": "runs for each `item`",
     "detached": "the flow goes on at once", "stay_open_until": "a condition, or completed: items may be added until then"},
    "for_each", "body",
)  # fmt: skip
_form(
    "loop",
    {"loop": BODY, "while": CONDITION, "until": CONDITION, "max_iterations": Whole(), "at_max": Text(get_args(AtMax))},
    {"loop": "the body", "while": "asked before each iteration", "until": "asked behind each", "max_iterations": "default 1000"},
)
_form(
    "choice",
    {"choice": ListOf(ARM, "list of arms", 1), "otherwise": BODY},
    {"choice": "- {when: ..., body: ...}: the first that holds"},
)
_form(
    "graph",
    {"graph": STEPS, "mode": Text(("dependency", "sequential", "parallel")), "max_concurrency": Whole(), "output": Anything()},
    {"graph": "steps, as of a saga", "output": "fields of the data that are set at the end"},
)
_NUMBER = Either((int,), Whole(0), EXPRESSION)
_ARC = Either((dict,), Form("flow arc", {"step": NAME, "when": CONDITION}, ("step",), {"when": "a condition"}), NAME)
FLOW_STEP = Form(
    "step of a flow",
    {
        **{n: shape for n, shape in STEP.fields.items() if n not in ("needs", "when")}, "body": BODY,
        "to": Either((list,), ListOf(_ARC, "list of arcs"), _ARC),
        "split": Either((dict,), Form("split", {"times": _NUMBER}, ("times",)), Text(("all", "first"))),
        "join": Either(
            (dict,),
            Form(
                "join of a flow",
                {"n": _NUMBER, "count": _NUMBER, "rest": Text(get_args(PartialRest)), "region": ListOf(NAME, "list of steps")},
                told={
                    "n": "for tokens of so many arcs: a number, or an expression", "count": "for so many tokens of one arc",
                    "rest": "what becomes of those that come later in the round: swallow (default), block, cancel",
                    "region": "the steps that are cancelled then",
                },
            ),
            Text(("each", "all", "live")),
        ),
    },
    ("name",),
    {
        **STEP.told, "body": "instead of `uses`: activities and nodes; neither: it only routes",
        "to": "the steps to which its arcs lead: a name, or {step: ship, when: data.paid}",
        "split": "all arcs whose guard holds (default), the first of them, or {times: 3} tokens on each",
        "join": "for which tokens it fires: each (default), all, live, {n: 2}, {count: 3}",
    },
)  # fmt: skip
_form(
    "flow",
    {
        "flow": ListOf(FLOW_STEP, "list of steps", 1), "start": Either((list,), ListOf(NAME, "list of steps"), NAME),
        "max_tokens": Whole(), "leftover": Text(get_args(Leftover)),
    },
    {
        "flow": "steps that fire for tokens on arcs", "start": "the steps that fire first; default: those to which no arc leads",
        "max_tokens": "default 1000", "leftover": "tokens that nobody can use in the end: fail (default), drop",
    },
)  # fmt: skip
LIMIT = Form(
    "limit",
    {"n": Whole(), "per": Span(), "key": EXPRESSION, "name": Text()},
    ("n",),
    {"n": "so many at a time", "per": "or in any span of this length", "key": "counted for each of its values"},
)
_AMOUNT = Either((int,), Whole(), EXPRESSION)
_form(
    "hold",
    {
        "hold": Either((dict,), LIMIT, ListOf(LIMIT, "list of limits", 1)), "body": BODY,
        "amount": Either((dict,), MapOf(_AMOUNT, "mapping of limits"), _AMOUNT),
        "scope": Text(("fleet", "tenant", "definition", "instance")), "timeout": Span(),
    },
    {
        "hold": "{n: 1, name: printer}, or several: the pools of which slots are held", "body": "runs while they are",
        "amount": "how many together: a number, an expression, or a mapping of them by the limits' names",
        "scope": "whose pool it is; default fleet", "timeout": "how long it waits for them",
    },
    "hold", "body",
)  # fmt: skip
_form("scope", {"scope": BODY, "on": ListOf(_SCOPE_ON), "after": ListOf(_SCOPE_AFTER), "on_failure": ListOf(_SCOPE_FAILURE)},
      {"scope": "a body that may be ended: by a signal, a time, a failure; their `do` runs then"})  # fmt: skip
_form(
    "pick",
    {"pick": ListOf(_PICK, "list of choices", 1)},
    {"pick": "- {signal: Paid, do: ship} or {after: 3d, do: remind}: the first to come"},
)
_form("during", {"during": CONDITION, "body": BODY, "otherwise": Text(("wait", "skip", "fail"))},
      {"during": "the body is offered only while this holds"}, "during", "body")  # fmt: skip
_form("spawn", {"spawn": BODY, "late": Text(("drop", "merge")), "data": _DATA}, {"spawn": "begins, and the flow goes on at once"})
_form("stop", {"stop": Text(), "how": Text(("cancel", "complete")), "then": Text(("end", "skip"))},
      {"stop": "what is open there: a key, a path, a tag", "then": "its branch ends, or goes on behind it"})  # fmt: skip
_form("add_items", {"add_items": Text(), "items": EXPRESSION}, {"add_items": "to the for_each of this key"}, "add_items", "items")
_form("emit", {"emit": Text(), "what": Anything()}, {"emit": "the topic", "what": "what is told; default: the data"})
_form(
    "log",
    {"log": TEMPLATE, "level": Text(("debug", "info", "warning", "error"))},
    {"log": "a line; {order_id} is a field of the data"},
)
_form("set", {"set": MapOf(Anything(), "mapping of fields")}, {"set": "fields of the data, with templates"})
_form("transform", {"transform": EXPRESSION}, {"transform": "an expression that gives a mapping of fields"})
_WAIT: dict[str, Shape] = {"when": CONDITION, "into": INTO, "condition": CONDITION, "delay": _SPAN, "until": TEMPLATE}
_WAIT_TOLD = {
    "when": "which signal, over data and signal", "into": "brings it into the data",
    "condition": "or until this holds of the data", "delay": "or for so long", "until": "or until this moment",
}  # fmt: skip
_form("wait", {"wait": NAME, **_WAIT}, {**_WAIT_TOLD, "wait": "the name of a signal"})
_form(
    "condition", {n: _WAIT[n] for n in ("condition", "delay", "until")}, {**_WAIT_TOLD, "condition": "until this holds of the data"}
)
_form("delay", {"delay": _SPAN, "calendar": CALENDAR}, {"delay": "5m, or {{ ... }}", "calendar": "of working time"})
_form("until", {"until": TEMPLATE}, {"until": "a moment: 2026-12-24T18:00:00Z, or {{ ... }}"})
