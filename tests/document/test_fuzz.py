"""Whatever is in a document, it is loaded or refused with its problems; nothing else comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepkeel import load
from stepkeel.document.nodes import NODE
from stepkeel.document.source import SourceInvalid, read_source
from stepkeel.document.step import RETRY, STEP
from stepkeel.document.workflow import MACHINE, SAGA, STATE
from stepkeel.errors import DefinitionError
from tests.document import test_machines
from tests.document.test_loading import ALL, PAYMENT

GOOD: Any = read_source(PAYMENT).data
ORDER: Any = read_source(test_machines.DOCUMENT).data
_FIELDS = {f for form in (SAGA, STEP, RETRY, MACHINE, STATE, *NODE.forms.values()) for f in form.fields}
KEYS = st.sampled_from(sorted({*_FIELDS, "properties", "type", "$ref", "x-reduce", "x-keep", "x-type", "a"}))
TEXTS = st.one_of(
    st.sampled_from(
        ["a", "a/b", "reserve", "charge", "stock.reserve", "quiet", "10m", "parallel", "sequential", "done", "started"]
    ),
    st.sampled_from(["object", "integer", "#/nope", "{{ input.amount }}", "{{ steps.reserve.output }}", "{{ steps }}", "{{"]),
    st.sampled_from(["input.amount > 1", "1 +", "", "\u0000"]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 2_000_000), st.floats(), TEXTS, st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(KEYS, st.text(max_size=4)), inner, max_size=4)),
    max_leaves=8,
)


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(p for k, v in inner for p in places(v, (*way, k)))]


def changed(value: Any, way: tuple[Any, ...], to: Any, key: str | None) -> Any:
    if not way:
        return {**value, key: to} if key is not None and isinstance(value, dict) else to
    if isinstance(value, dict):
        return {**value, way[0]: changed(value[way[0]], way[1:], to, key)}
    return [changed(v, way[1:], to, key) if n == way[0] else v for n, v in enumerate(value)]


def spoilt(data: st.DataObject, document: Any) -> Any:
    """A document in which something is otherwise, or there besides."""
    for _ in range(data.draw(st.integers(1, 3))):
        way = data.draw(st.sampled_from(places(document)))
        document = changed(document, way, data.draw(VALUES), data.draw(st.one_of(st.none(), KEYS)))
        if not isinstance(document, dict):
            return {}
    return document


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_changed_machine_is_refused_or_dumps_what_loads_to_the_same(data: st.DataObject) -> None:
    document = spoilt(data, ORDER)
    known: Any = {"types": test_machines.TYPES, "workflows": [test_machines.Parcel]}
    try:
        made = load(document, test_machines.ALL, **known)
    except DefinitionError as error:
        assert error.problems
        assert all(p.remedy and p.message for p in error.problems), error
        return
    again = load(made.document(), test_machines.ALL, **known)
    assert again.fingerprint == made.fingerprint
    assert again.document() == made.document()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_changed_document_is_loaded_or_refused(data: st.DataObject) -> None:
    document = spoilt(data, GOOD)
    try:
        load(document, ALL)
    except DefinitionError as error:
        assert error.problems
        assert all(p.remedy and p.message for p in error.problems), error


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="a: -[]{}&*!?|>'\"#\n\t,1\u00e4\u2028", max_size=60))
def test_a_text_is_read_or_refused(text: str) -> None:
    try:
        read_source(text)
    except SourceInvalid as error:
        assert error.problem.place.startswith("document")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, len(PAYMENT)), junk=st.text(alphabet="{}[]:\"' \n&*!%@`", max_size=4))
def test_a_document_that_is_half_written_is_refused_with_lines(cut: int, junk: str, tmp_path: Path) -> None:
    file = tmp_path / "half.yaml"
    file.write_text(PAYMENT[:cut] + junk, encoding="utf-8")
    try:
        load(file, ALL)
    except DefinitionError as error:
        assert all(p.place.startswith("half.yaml") for p in error.problems), error
