"""What is different between two definitions, by the places of what they are made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

__all__ = ["Difference", "differences"]


@dataclass(frozen=True)
class Difference:
    """`place`: `states/saga/body/steps/steps/charge/timeout`. `code`: only what an expression says, no shape."""

    what: Literal["added", "removed", "changed", "moved"]
    place: str
    before: Any = None
    after: Any = None
    code: bool = False

    def __str__(self) -> str:
        if self.what in ("added", "removed"):
            value = self.after if self.what == "added" else self.before
            shown = "" if isinstance(value, Mapping | list) else f": {_said(value)}"
            return f"{'+' if self.what == 'added' else '-'} {self.place}{shown}"
        return f"~ {self.place}: {_said(self.before)} -> {_said(self.after)}"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Of two outlines, in their order."""
    return [*_of(before, after, "")]


def _of(before: Any, after: Any, place: str) -> Iterator[Difference]:
    a, b = _parts(before), _parts(after)
    if a is None or b is None:
        if before != after:
            code = all(isinstance(v, str) and v.startswith("= ") for v in (before, after))
            yield Difference("changed", place, before, after, code)
        return
    for name in {**a, **b}:
        inner = f"{place}/{name}" if place else name
        if name not in b:
            yield Difference("removed", inner, before=a[name])
        elif name not in a:
            yield Difference("added", inner, after=b[name])
        else:
            yield from _of(a[name], b[name], inner)
    common = [n for n in a if n in b]
    if isinstance(before, list) and common != [n for n in b if n in a]:
        yield Difference("moved", place, common, [n for n in b if n in a])


def _parts(value: Any) -> dict[str, Any] | None:
    """A mapping, or a list of what has names, by these; None of anything else."""
    if isinstance(value, Mapping):
        return {str(k): v for k, v in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list) and value:
        items = cast("list[Any]", value)
        names = [_name(item) for item in items]
        if all(names) and len(set(names)) == len(names):
            return dict(zip(names, items, strict=True))
    return None


def _name(item: Any) -> str:
    """What tells it from the others of its list; nothing of what has no name."""
    said = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
    return next((str(said[n]) for n in ("key", "name", "to") if said.get(n)), "")


def _said(value: Any) -> str:
    text = value.removeprefix("= ") if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:99]}…"
