"""Expressions and templates: values keep their types, what is wrong is told with its column, and nothing outside is reached."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from stepkeel.document.expression import Expression, ExpressionInvalid, steps_named
from stepkeel.document.template import Template, TemplateInvalid


@dataclass
class Order:
    amount: Decimal
    tags: list[str]


def test_a_record_is_seen_as_json_has_it_and_decimals_are_numbers() -> None:
    assert Expression("data.amount >= 100 && 'x' in data.tags", ["data"])(Order(Decimal("250.5"), ["x"])) is True


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "text", [1, [2]], {"a": {"b": None}}])
def test_a_template_that_is_one_expression_is_the_value_itself(value: Any) -> None:
    assert Template("{{ input.x }}", ["input"])({"x": value}) == value
    assert Template({"deep": ["{{ input.x }}"]}, ["input"])({"x": value}) == {"deep": [value]}


def test_within_a_text_stands_the_text_of_it() -> None:
    made = Template("{{ input.n }} of {{ input.all }}, {{ input.name }}", ["input"])
    assert made({"n": 1, "all": [1, 2], "name": "ann"}) == "1 of [1,2], ann"


def test_the_steps_that_are_asked_for_are_known_with_their_place() -> None:
    made = Template({"a": ["x {{ steps.pay.output }}"], "b": "{{ steps['take-it'].output }}"}, ["steps"])
    assert made.steps == {"pay": (("a", 0), 5), "take-it": (("b",), 3)}
    assert [*steps_named("'steps.no' + input.steps.no + steps.yes.output")] == [("yes", 30)]
    with pytest.raises(ExpressionInvalid, match="say which step"):
        [*steps_named("size(steps) > 1")]


@pytest.mark.parametrize(
    ("source", "told", "column"),
    [
        ("data.amount >", "Syntax error", 13),
        ("1 + 'a'", "no matching overload", 2),
        ("data.amount > 'x'", r"no matching overload for '_>_' applied to '\(int, string\)'", 12),
        ("data.amont > 3", "data has no field amont", 4),
        ("dta.amount > 3", "undeclared reference", 3),
        ("(" * 400 + "1" + ")" * 400, "recursion limit", None),
        ("x" * 6_000, "5000 are allowed", 0),
    ],
)
def test_what_is_wrong_is_told_with_its_column(source: str, told: str, column: int | None) -> None:
    with pytest.raises(ExpressionInvalid, match=told) as found:
        Expression(source, ["data"], {"data": "dyn", "data.amount": "int"})
    assert column is None or found.value.column == column


def test_a_template_tells_where_in_its_text() -> None:
    with pytest.raises(TemplateInvalid) as found:
        Template({"a": "and {{ input.x + }}"}, ["input"])
    assert (found.value.path, found.value.column >= 7) == (("a",), True)
    with pytest.raises(TemplateInvalid, match="without }}"):
        Template("{{ input.x", ["input"])


def test_what_has_no_value_says_why() -> None:
    with pytest.raises(ValueError, match="Key not found"):
        Expression("data.x.y", ["data"])({"x": {}})


@pytest.mark.parametrize(
    "source",
    [
        "__import__('os')",
        "open('/etc/passwd')",
        "data.__class__",
        "().__class__",
        "eval('1')",
        "lambda: 1",
        "http.get('x')",
        "now()",
        "env.HOME",
    ],
)
def test_nothing_outside_can_be_reached(source: str) -> None:
    try:
        made = Expression(source, ["data"])
    except ExpressionInvalid:
        return
    with pytest.raises(ValueError, match="Key not found"):
        made({"x": 1})


def test_what_would_take_too_long_is_stopped() -> None:
    many = "[" + ",".join("1" * 50) + "]"
    source = "1"
    for n in range(5):
        source = f"{many}.map(x{n}, {source})"
    with pytest.raises(ValueError, match="budget"):
        Expression(f"size({source})", ["data"])({})
    assert Expression("data.matches('(a+)+$')", ["data"])("a" * 50_000 + "b") is False
