"""Pure user functions, and where what they give goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stepkeel.model.fact import Fact

__all__ = ["Function", "Mapper"]


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A pure user function the kernel calls: guard, mapping, condition, transform.

    `name` is the function's own, or its place for a lambda; `code` a hash of its source, empty if unknown. `fact`: the
    guard speaks of positions, and is asked that way. `item`: it is given the item of the for_each around it, too. `text`: how
    it was written, where that was no Python.
    """

    call: Callable[..., Any]
    name: str
    code: str = ""
    fact: Fact | None = None
    item: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Mapper:
    """Where a value goes in the data: a field, or a function of data and value."""

    field: str = ""
    function: Function | None = None
