"""Facts about where an instance stands, for guards: `at("shipping/pick") & (visits("Pay") < 3)`.

A fact is asked of the snapshot, not of the data. Facts and functions of the data are joined by `&`, `|` and `~`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Ask", "Count", "Fact", "quoted"]

Kind = Literal["at", "done", "started", "visits", "size", "children", "branches_open"]
Ask = Callable[[Kind, str], Any]
_SIGNS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "is": "=="}


def quoted(path: str) -> str:
    """A path as a text within an expression."""
    return f"'{path}'" if path else ""


@dataclass(frozen=True, slots=True, eq=False)
class Fact:
    """`name` is how it reads. `holds(ask, args)` asks for positions by `ask`, and functions of the data with `args`.

    `text` says the same as an expression; empty where a function of Python's is part of it.
    """

    name: str
    holds: Callable[[Ask, tuple[Any, ...]], bool]
    text: str = ""

    def __call__(self, *args: Any) -> bool:
        raise TypeError(f"{self.name} is asked by the engine: it speaks of where an instance stands, not of its data")

    def __and__(self, other: Fact | Callable[..., Any]) -> Fact:
        right = _fact(other)
        text = f"{_within(self.text)} && {_within(right.text)}" if self.text and right.text else ""
        return Fact(f"{self.name} and {right.name}", lambda ask, a: self.holds(ask, a) and right.holds(ask, a), text)

    def __or__(self, other: Fact | Callable[..., Any]) -> Fact:
        right = _fact(other)
        text = f"({self.text} || {right.text})" if self.text and right.text else ""
        return Fact(f"({self.name} or {right.name})", lambda ask, a: self.holds(ask, a) or right.holds(ask, a), text)

    def __rand__(self, other: Callable[..., Any]) -> Fact:
        return _fact(other) & self

    def __ror__(self, other: Callable[..., Any]) -> Fact:
        return _fact(other) | self

    def __invert__(self) -> Fact:
        return Fact(f"not {self.name}", lambda ask, a: not self.holds(ask, a), f"!({self.text})" if self.text else "")


def _within(text: str) -> str:
    """As a part of a conjunction."""
    return f"({text})" if ("||" in text or "?" in text) and not text.startswith("(") else text


def _fact(given: Fact | Callable[..., Any]) -> Fact:
    if isinstance(given, Fact):
        return given
    name = getattr(given, "__name__", "<lambda>")
    text = getattr(given, "__stepkeel_source__", "")
    return Fact("function" if name == "<lambda>" else name, lambda _, args: bool(given(*args)), text)


@dataclass(frozen=True, slots=True, eq=False)
class Count:
    """A number of something, to be compared with another: `visits("Pay") >= 3`."""

    kind: Kind
    path: str

    def _compared(self, sign: str, compare: Callable[[int], bool], n: int) -> Fact:
        kind, path = self.kind, self.path
        text = f"{kind}({quoted(path)}) {_SIGNS[sign]} {n}"
        return Fact(f"{kind}({path}) {_SIGNS[sign]} {n}", lambda ask, _: compare(ask(kind, path)), text)

    def __lt__(self, n: int) -> Fact:
        return self._compared("lt", lambda found: found < n, n)

    def __le__(self, n: int) -> Fact:
        return self._compared("le", lambda found: found <= n, n)

    def __gt__(self, n: int) -> Fact:
        return self._compared("gt", lambda found: found > n, n)

    def __ge__(self, n: int) -> Fact:
        return self._compared("ge", lambda found: found >= n, n)

    def equals(self, n: int) -> Fact:
        return self._compared("is", lambda found: found == n, n)
