"""Where the states of a diagram stand: in layers, each way leading down, as few of them crossing as a few passes find.

The method is Sugiyama's (1981): ways that close a circle are turned for the time being, each state stands below all that lead
to it, long ways pass the layers between through places of their own, and the order within a layer follows the neighbours.
Everything is decided by the order of declaration, so the same definition is drawn the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["Layout", "layers", "ranks_of"]

SWEEPS = 12
SIDE = 36.0


@dataclass
class Layout:
    """`x` of the middle and `layer` of each place; `chains`: the places that each way passes, from its start to its end."""

    x: dict[str, float] = field(default_factory=dict[str, float])
    layer: dict[str, int] = field(default_factory=dict[str, int])
    chains: dict[tuple[str, str], list[str]] = field(default_factory=dict[tuple[str, str], list[str]])
    rows: list[list[str]] = field(default_factory=list[list[str]])


def layers(names: Sequence[str], ways: Sequence[tuple[str, str]], widths: Mapping[str, float]) -> Layout:
    """`names` in order of declaration, the first one initial; `ways` between different ones."""
    turned = _circles(names, ways)
    down = [(b, a) if (a, b) in turned else (a, b) for a, b in ways]
    layout = Layout(layer=_ranks(names, down))
    wide = dict(widths)
    above: dict[str, list[str]] = {n: [] for n in names}
    below: dict[str, list[str]] = {n: [] for n in names}
    for way, (a, b) in zip(ways, down, strict=True):
        chain = [a]
        for rank in range(layout.layer[a] + 1, layout.layer[b]):
            place = f"{way[0]}\0{way[1]}\0{rank}"
            layout.layer[place], wide[place] = rank, 10.0
            above[place], below[place] = [], []
            chain.append(place)
        chain.append(b)
        for upper, lower in pairwise(chain):
            below[upper].append(lower)
            above[lower].append(upper)
        layout.chains[way] = chain if (a, b) == way else chain[::-1]
    rows: list[list[str]] = [[] for _ in range(max(layout.layer.values(), default=-1) + 1)]
    for place, rank in layout.layer.items():
        rows[rank].append(place)
    layout.rows = _ordered(rows, above, below)
    layout.x = _columns(layout.rows, above, below, wide)
    return layout


def ranks_of(names: Sequence[str], ways: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The layer of each, without a drawing."""
    turned = _circles(names, ways)
    return _ranks(names, [(b, a) if (a, b) in turned else (a, b) for a, b in ways])


def _circles(names: Sequence[str], ways: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """The ways that lead back to a state that is still on the way there."""
    out: dict[str, list[str]] = {n: [] for n in names}
    for a, b in ways:
        out[a].append(b)
    state: dict[str, int] = {}
    found: set[tuple[str, str]] = set()
    for start in names:
        stack = [(start, iter(out[start]))] if start not in state else []
        state.setdefault(start, 1)
        while stack:
            name, rest = stack[-1]
            then = next(rest, None)
            if then is None:
                state[name] = 2
                stack.pop()
            elif state.get(then) == 1:
                found.add((name, then))
            elif then not in state:
                state[then] = 1
                stack.append((then, iter(out[then])))
    return found


def _ranks(names: Sequence[str], down: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Below all that lead to it."""
    rank = dict.fromkeys(names, 0)
    for _ in names:
        moved = False
        for a, b in down:
            if rank[b] <= rank[a]:
                rank[b], moved = rank[a] + 1, True
        if not moved:
            break
    return rank


def _ordered(rows: list[list[str]], above: Mapping[str, list[str]], below: Mapping[str, list[str]]) -> list[list[str]]:
    """Each place near the middle of its neighbours; the best of several sweeps."""
    best, fewest = [list(r) for r in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        for n in range(1, len(rows)) if downwards else range(len(rows) - 2, -1, -1):
            rows[n] = _by_neighbours(rows[n], rows[n - 1 if downwards else n + 1], above if downwards else below)
        count = _crossings(rows, below)
        if count < fewest:
            best, fewest = [list(r) for r in rows], count
    return best


def _by_neighbours(row: list[str], beside: list[str], near: Mapping[str, list[str]]) -> list[str]:
    there = {p: i for i, p in enumerate(beside)}
    middles: dict[str, float] = {}
    for i, place in enumerate(row):
        found = [there[q] for q in near[place] if q in there]
        middles[place] = sum(found) / len(found) if found else float(i)
    return sorted(row, key=middles.__getitem__)


def _crossings(rows: list[list[str]], below: Mapping[str, list[str]]) -> int:
    count = 0
    for upper, lower in pairwise(rows):
        at = {p: i for i, p in enumerate(lower)}
        ways = [(i, at[q]) for i, p in enumerate(upper) for q in below[p] if q in at]
        count += sum(a < c and b > d for a, b in ways for c, d in ways)
    return count


def _columns(
    rows: list[list[str]], above: Mapping[str, list[str]], below: Mapping[str, list[str]], wide: Mapping[str, float]
) -> dict[str, float]:
    x: dict[str, float] = {}
    for row in rows:
        left = -(sum(wide[p] for p in row) + SIDE * (len(row) - 1)) / 2
        for place in row:
            x[place] = left + wide[place] / 2
            left += wide[place] + SIDE
    for sweep in range(SWEEPS * 2):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted: list[float] = []
            for place in row:
                near = [x[q] for q in (*above[place], *below[place])]
                wanted.append(sum(near) / len(near) if near else x[place])
            _settle(row, wanted, wide, x)
    least = min((x[p] - wide[p] / 2 for p in x), default=0.0)
    return {p: at - least for p, at in x.items()}


def _settle(row: list[str], wanted: list[float], wide: Mapping[str, float], x: dict[str, float]) -> None:
    """As near to where they want to be as their order and width allow: pushed apart from both sides, and the middle taken."""
    right: list[float] = []
    for n, place in enumerate(row):
        least = right[-1] + (wide[row[n - 1]] + wide[place]) / 2 + SIDE if n else wanted[0]
        right.append(max(wanted[n], least))
    left = [0.0] * len(row)
    for n in range(len(row) - 1, -1, -1):
        most = left[n + 1] - (wide[row[n + 1]] + wide[row[n]]) / 2 - SIDE if n + 1 < len(row) else wanted[n]
        left[n] = min(wanted[n], most)
    for place, a, b in zip(row, right, left, strict=True):
        x[place] = (a + b) / 2
