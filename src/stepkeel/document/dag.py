"""A graph as boxes in layers, each step below those it needs, with lines from these to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepkeel.document.box import GAP, PAD, Box
from stepkeel.document.layers import layers

__all__ = ["graph_box"]

RISE = 26.0  # between two layers: room for the lines
MOST = 4_000  # places that lines which pass layers would take up; beyond them those lines are left out


def graph_box(steps: Sequence[Mapping[str, Any]], boxes: Mapping[str, Box]) -> Box:
    """`steps` stand so that each comes behind those it needs; `boxes` are their bodies, measured."""
    names = [str(s["key"]) for s in steps]
    ranks: dict[str, int] = {}
    for step in steps:
        ranks[str(step["key"])] = max((ranks[n] for n in step.get("needs", ())), default=-1) + 1
    ways = [(str(n), str(step["key"])) for step in steps for n in step.get("needs", ())]
    if sum(ranks[b] - ranks[a] - 1 for a, b in ways) > MOST:
        ways = [(a, b) for a, b in ways if ranks[b] - ranks[a] == 1]
    layout = layers(names, ways, {n: boxes[n].width + GAP for n in names})
    rows = [[p for p in row if p in boxes] for row in layout.rows]
    tops, y = list[float](), 0.0
    for row in rows:
        tops.append(y)
        y += max((boxes[n].height for n in row), default=0.0) + RISE
    passing = [layout.x[p] for way in ways for p in layout.chains[way][1:-1]]
    left = min([x - PAD for x in passing] + [layout.x[n] - boxes[n].width / 2 for n in names])
    right = max([x + PAD for x in passing] + [layout.x[n] + boxes[n].width / 2 for n in names])
    for name in names:
        boxes[name].at = (layout.x[name] - boxes[name].width / 2 - left, tops[layout.layer[name]])
    lines = [_line(layout.chains[way], layout.x, layout.layer, tops, boxes, left) for way in ways]
    return Box("group", right - left, y - RISE, style="graph", inner=[boxes[n] for n in names], lines=lines)


def _line(
    chain: Sequence[str],
    x: Mapping[str, float],
    layer: Mapping[str, int],
    tops: Sequence[float],
    boxes: Mapping[str, Box],
    left: float,
) -> list[tuple[float, float]]:
    """From the lower side of the first to the upper side of the last, past what stands between."""
    first, last = boxes[chain[0]], boxes[chain[-1]]
    points = [(x[chain[0]] - left, tops[layer[chain[0]]] + first.height)]
    for place in chain[1:-1]:
        top = tops[layer[place]]
        bottom = tops[layer[place] + 1] - RISE
        points += [(x[place] - left, top - PAD / 2), (x[place] - left, bottom)]
    return [*points, (x[chain[-1]] - left, last.at[1])]
