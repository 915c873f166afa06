"""Texts of documents: what they say, where each value stands, and what is refused before it can grow."""

from __future__ import annotations

import pytest

from stepkeel.document.source import MAX_DEPTH, MAX_SIZE, SourceInvalid, read_source


def refused(text: str) -> str:
    with pytest.raises(SourceInvalid) as found:
        read_source(text)
    return str(found.value.problem)


def test_scalars_are_read_as_yaml_1_2_does() -> None:
    text = "on: yes\nday: 2026-01-31\nwhole: 0x1f\npart: 1e3\nnothing: ~\nquoted: '5'\ntruth: true\n"
    wanted = {"on": "yes", "day": "2026-01-31", "whole": 31, "part": 1000.0, "nothing": None, "quoted": "5", "truth": True}
    assert read_source(text).data == wanted


def test_json_is_read_the_same() -> None:
    assert read_source('{"a": [1, {"b": null}], "c": "x\\n"}').data == {"a": [1, {"b": None}], "c": "x\n"}


def test_every_value_has_its_place() -> None:
    source = read_source("steps:\n  - name: a\n    with: {x: 'abc'}\n")
    assert source.place(("steps", 0, "with")) == "document:3:5 steps[0].with"
    assert source.place(("steps", 0, "with", "x"), 2) == "document:3:18 steps[0].with.x"
    assert source.place(("steps", 0, "gone", "deep")) == "document:2:5 steps[0].gone.deep"


def test_an_anchor_may_be_used_again() -> None:
    assert read_source("a: &r {attempts: 3}\nb: *r\n").data == {"a": {"attempts": 3}, "b": {"attempts": 3}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2\n", "document:2:1 a: a stands here a second time [key_twice]"),
        ("a: !!python/object/apply:os.system [ls]\n", "the tag tag:yaml.org,2002:python/object/apply:os.system [tag]"),
        ("a: [1\n", "[not_yaml]"),
        ("a: *b\n", "there is no &b before [no_anchor]"),
        ("a: &a [*a]\n", "there is no &a before [no_anchor]"),
        ("? [1]\n: 2\n", "a key that is no text [bad_key]"),
        ("1: 2\n", "the key 1 is no text [bad_key]"),
        ("a: 1\n---\nb: 2\n", "a second document behind --- [two_documents]"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"more than {MAX_DEPTH} levels [too_deep]"),
        ("x" * (MAX_SIZE + 1), "2,000,000 are allowed [too_large]"),
        ("a: \x00\n", "[not_yaml]"),
    ],
)
def test_what_would_be_lost_or_harm_is_refused_with_its_place(text: str, told: str) -> None:
    assert told in refused(text)


def test_aliases_count_as_what_they_stand_for() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    assert "aliases counted as what they stand for [too_large]" in refused(bomb)
