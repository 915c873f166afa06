"""Paths: where a node stands, and what it is called for ever.

    State~visit/key        a node of a state's body          State!name#firing/key   a node of a reaction's `do`
    State!name             a reaction (and its timer)        undo/n                  a compensation
    !on_failure#firing/key   a node of a body that an ending runs
    .../loop@n/key         a node in an iteration            .../choice:arm/key      a node in an arm or a branch
    .../for_each[k]/key    a node in the body of an item
    .../machine:State~visit/key, .../machine:State!name#firing/key      the same in a machine within a body

Visit, firing and iteration are left out when 1. The address of a path is the path without them and without items: what
the definition knows it by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = [
    "address",
    "around",
    "below",
    "container",
    "in_iteration",
    "inside",
    "is_reaction",
    "iteration",
    "machine_of",
    "means",
    "part_of",
    "reaction_of",
    "state_path",
]

_COUNTERS = re.compile(r"[~#@]\d+|\[\d+\]")
_PART = re.compile(r"[:\[]")
_ITERATION = re.compile(r"@(\d+)$")


def address(path: str) -> str:
    """`Pay~2/poll` -> `Pay/poll`."""
    return _COUNTERS.sub("", path) if "~" in path or "#" in path or "@" in path or "[" in path else path


def container(path: str) -> str:
    """`Pay/poll` -> `Pay`; `Pay!failure/tell` -> `Pay!failure`."""
    return path.rpartition("/")[0]


def state_path(state: str, visit: int) -> str:
    return state if visit <= 1 else f"{state}~{visit}"


def is_reaction(path: str) -> bool:
    """True for the path of a reaction itself, not of a node in its body."""
    return "!" in path and "/" not in path.rpartition("!")[2]


def reaction_of(path: str) -> str:
    """The innermost reaction in whose body a node stands, however deep, or nothing."""
    if "!" not in path:
        return ""
    head, _, rest = path.rpartition("!")
    name, slash, _ = rest.partition("/")
    return f"{head}!{name}" if slash else reaction_of(container(path))


def machine_of(path: str) -> str:
    """Of a state or a reaction: the machine it belongs to; nothing for the instance's own."""
    outer, slash, last = path.rpartition("/")
    return f"{outer}/{last.partition(':')[0]}" if slash else ""


def inside(path: str) -> str:
    """The node in whose body another stands (a loop in its iteration, a choice), or nothing: a state, a reaction."""
    outer, slash, last = container(path).rpartition("/")
    return f"{outer}/{_PART.split(last, 1)[0]}" if slash else ""


def part_of(body: str) -> str:
    """Of the path of a body: which branch, arm or item it is. `work/both:left` -> `left`; `work/lines[17]` -> `17`."""
    pieces = _PART.split(body.rpartition("/")[2], 1)
    return pieces[1].removesuffix("]") if len(pieces) > 1 else ""


def around(path: str) -> Iterator[tuple[str, str]]:
    """The nodes around another, innermost first, each with the branch, arm or item of it that the other stands in."""
    holder = inside(path)
    while holder:
        yield holder, part_of(container(path))
        path, holder = holder, inside(holder)


def below(path: str, outer: str) -> bool:
    """True for what stands in a body, in a node, in a state or in a reaction of it: `outer` is the path of that."""
    return path.startswith(outer) and (len(path) == len(outer) or path[len(outer)] in "/!:[@")


def means(path: str, target: str) -> bool:
    """True if what is asked for, a path or the end of one without counters, is this one."""
    known = address(path)
    return known == target or known.endswith((f"/{target}", f":{target}"))


def iteration(path: str) -> int:
    found = _ITERATION.search(path)
    return int(found[1]) if found else 1


def in_iteration(path: str, n: int) -> str:
    """The path of a loop in its n-th iteration."""
    base = _ITERATION.sub("", path)
    return base if n <= 1 else f"{base}@{n}"
