"""Paths: where a node stands, and what it is called for ever.

    State~visit/key        a node of a state's body          State!name#firing/key   a node of a reaction's `do`
    State!name             a reaction (and its timer)        undo/n                  a compensation

Visit and firing are left out when 1. The address of a path is the path without them: what the definition knows it by.
"""

from __future__ import annotations

import re

__all__ = ["address", "container", "is_reaction", "reaction_of", "state_path"]

_COUNTERS = re.compile(r"[~#]\d+")


def address(path: str) -> str:
    """`Pay~2/poll` -> `Pay/poll`."""
    return _COUNTERS.sub("", path) if "~" in path or "#" in path else path


def container(path: str) -> str:
    """`Pay/poll` -> `Pay`; `Pay!failure/tell` -> `Pay!failure`."""
    return path.rpartition("/")[0]


def state_path(state: str, visit: int) -> str:
    return state if visit <= 1 else f"{state}~{visit}"


def is_reaction(path: str) -> bool:
    """True for the path of a reaction itself, not of a node in its body."""
    return "!" in path and "/" not in path.rpartition("!")[2]


def reaction_of(path: str) -> str:
    """The reaction in whose body a node stands, or nothing."""
    return container(path) if "!" in path and not is_reaction(path) else ""
