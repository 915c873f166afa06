"""The text of a document, YAML 1.2 or JSON, as plain data with the place of every value. Hostile ones are refused before they grow.

| refused | because |
|---|---|
| more than MAX_SIZE characters, MAX_DEPTH levels, MAX_VALUES values (aliases as what they stand for) | it would take too long |
| tags (`!!python/...`), several documents in one text | they mean something that is no data |
| a key twice in one mapping, a key that is no text | one of them would be lost |

Scalars are read as YAML 1.2 does (core schema): `on`, `yes` and `2020-01-01` are texts. libyaml finds the tokens; composing them
here keeps every line and column, and takes a twentieth of the time that a round-trip loader takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from stepkeel.errors import BadRequest
from stepkeel.extra import needing
from stepkeel.model.definition import Problem

__all__ = ["MAX_DEPTH", "MAX_SIZE", "MAX_VALUES", "Source", "SourceInvalid", "Way", "read_source", "to_yaml"]

MAX_SIZE = 2_000_000
MAX_DEPTH = 64
MAX_VALUES = 200_000

Way = tuple[str | int, ...]  # the way to a value: keys and positions
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class SourceInvalid(Exception):
    """`problem` says what, where and what to do."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True)
class Source:
    """What was read. `marks`: line and column (from 1) of each value, by its path; of a field, those of its key.

    `texts`: of each text, where it begins.
    """

    name: str
    data: Any
    marks: Mapping[Way, tuple[int, int]] = field(default_factory=dict[Way, tuple[int, int]])
    texts: Mapping[Way, tuple[int, int]] = field(default_factory=dict[Way, tuple[int, int]])

    def mark(self, path: Way, within: int | None = None) -> tuple[int, int]:
        """Line and column of it, or of the nearest value around it."""
        if within is not None and path in self.texts:
            return self.texts[path][0], self.texts[path][1] + within
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, (1, 1))

    def place(self, path: Way, within: int | None = None) -> str:
        """`payment.yaml:12:5 steps[3].needs`, of the nearest value around it that has a place; `within`: so far into a text."""
        line, column = self.mark(path, within)
        return _at(self.name, line, column, path)


def read_source(given: str | Path | Mapping[str, Any]) -> Source:
    """Read a file (a Path), a text, or what was read before. Raises SourceInvalid; BadRequest where there is no such file."""
    if isinstance(given, Mapping):
        return Source("document", given)
    name, text = "document", given
    if isinstance(given, Path):
        try:
            name, size = given.name, given.stat().st_size
            text = "" if size > MAX_SIZE * 4 else given.read_text(encoding="utf-8")
        except OSError as error:
            raise BadRequest(f"{given} cannot be read: {error.strerror}", remedy="the path of a YAML or JSON file") from None
        except UnicodeDecodeError as error:
            raise SourceInvalid(Problem("not_text", f"{name}:1:1", f"it is no UTF-8: {error.reason}", "save it as UTF-8")) from None
        if size > MAX_SIZE * 4:
            raise _too_large(name, size)
    assert isinstance(text, str)
    if len(text) > MAX_SIZE:
        raise _too_large(name, len(text))
    return _Reader(name, text).read()


def _too_large(name: str, size: int) -> SourceInvalid:
    text = f"it has {size:,} characters, {MAX_SIZE:,} are allowed"
    return SourceInvalid(Problem("too_large", f"{name}:1:1", text, "split it into several workflows"))


class _Reader:
    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.marks: dict[Way, tuple[int, int]] = {}
        self.texts: dict[Way, tuple[int, int]] = {}
        self.anchors: dict[str, tuple[Any, int]] = {}  # with how many values each stands for
        self.values = 0
        self.events: Any = None
        self.yaml = _yaml()

    def read(self) -> Source:
        yaml = self.yaml
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            self.events = events = cast("Iterator[Any]", yaml.parse(self.text, Loader=loader))
            next(events)  # the stream begins
            if isinstance(next(events), yaml.StreamEndEvent):
                return Source(self.name, None)
            data = self.value(next(events), (), 1)
            next(events)
            more = next(events)
            if not isinstance(more, yaml.StreamEndEvent):
                raise self.problem("two_documents", more, (), "there is a second document behind ---", "one file, one document")
        except yaml.MarkedYAMLError as error:
            mark: Any = error.problem_mark or error.context_mark
            at = f"{self.name}:{mark.line + 1}:{mark.column + 1}" if mark else self.name
            problem = Problem("not_yaml", at, f"{error.problem or error.context}", "check quotes, indentation and brackets")
            raise SourceInvalid(problem) from None
        except yaml.YAMLError as error:
            raise SourceInvalid(Problem("not_yaml", self.name, str(error), "YAML or JSON, as UTF-8")) from None
        return Source(self.name, data, self.marks, self.texts)

    def problem(self, code: str, event: Any, path: Way, text: str, remedy: str) -> SourceInvalid:
        return SourceInvalid(Problem(code, _at(self.name, *_mark(event), path), text, remedy))

    def count(self, event: Any, path: Way, n: int, depth: int) -> None:
        self.values += n
        if self.values > MAX_VALUES:
            text = f"more than {MAX_VALUES:,} values, aliases counted as what they stand for"
            raise self.problem("too_large", event, path, text, "write less, or use fewer aliases")
        if depth > MAX_DEPTH:
            raise self.problem(
                "too_deep", event, path, f"more than {MAX_DEPTH} levels", "give the inner part a workflow of its own"
            )

    def value(self, event: Any, path: Way, depth: int) -> Any:
        kind = cast("Any", type(event))
        before = self.values
        if kind is self.yaml.AliasEvent:
            if event.anchor not in self.anchors:
                raise self.problem("no_anchor", event, path, f"there is no &{event.anchor} before", "define the anchor first")
            found, size = self.anchors[event.anchor]
            self.count(event, path, size, depth)
            self.marks.setdefault(path, _mark(event))
            return found
        self.count(event, path, 1, depth)
        self.marks.setdefault(path, _mark(event))
        if event.tag is not None and event.tag != "!":
            raise self.problem("tag", event, path, f"the tag {event.tag}", "plain values: texts, numbers, lists, mappings")
        anchor = event.anchor
        if kind is self.yaml.ScalarEvent:
            found = _scalar(event.value) if event.implicit[0] else event.value
            if isinstance(found, str) and event.style not in ("|", ">"):
                line, column = _mark(event)
                self.texts[path] = line, column + (event.style in ("'", '"'))
        elif kind is self.yaml.SequenceStartEvent:
            found = self.sequence(path, depth)
        else:
            found = self.mapping(path, depth)
        if anchor is not None:
            self.anchors[anchor] = (found, self.values - before)
        return found

    def sequence(self, path: Way, depth: int) -> list[Any]:
        found: list[Any] = []
        for event in self.events:
            if type(event) is self.yaml.SequenceEndEvent:
                break
            found.append(self.value(event, (*path, len(found)), depth + 1))
        return found

    def mapping(self, path: Way, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in self.events:
            if type(event) is self.yaml.MappingEndEvent:
                break
            if type(event) is not self.yaml.ScalarEvent:
                raise self.problem("bad_key", event, path, "a key that is no text", "keys are texts")
            key = event.value
            if event.implicit[0] and not isinstance(_scalar(key), str) and key:
                raise self.problem("bad_key", event, path, f"the key {key} is no text", f'write it as a text: "{key}"')
            if key in found:
                raise self.problem("key_twice", event, (*path, key), f"{key} stands here a second time", "leave one of them out")
            self.marks[*path, key] = _mark(event)
            found[key] = self.value(next(self.events), (*path, key), depth + 1)
        return found


def to_yaml(data: Any) -> str:
    """YAML text of plain data, in the order in which it stands."""
    yaml = _yaml()

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return str(yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False))


def _yaml() -> Any:
    with needing("yaml", "a document", "documents"):
        import yaml
    return yaml


def _at(name: str, line: int, column: int, path: Way) -> str:
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")
    return f"{name}:{line}:{column} {where}".rstrip()


def _mark(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _scalar(text: str) -> Any:
    """A plain scalar, by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if not text[:1].isalpha():
        if _INT.fullmatch(text) and len(text) < 1_000:
            return int(text, 0 if text[:2] in ("0o", "0x") else 10)
        if _FLOAT.fullmatch(text) and len(text) < 1_000:
            return float(text)
    return text
