"""A graph or flow as boxes in layers, each step below those that lead to it, with lines from these to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepkeel.document.box import GAP, PAD, Box
from stepkeel.document.layers import layers, ranks_of

__all__ = ["graph_box"]

RISE = 26.0  # between two layers: room for the lines
MOST = 4_000  # places that lines which pass layers would take up; beyond them those lines are left out


def graph_box(ways: Sequence[tuple[str, str]], boxes: Mapping[str, Box]) -> Box:
    """`ways` lead from one step to another; `boxes` are the bodies of all, in order of declaration, measured."""
    names = [*boxes]
    ranks = ranks_of(names, ways)
    if sum(abs(ranks[b] - ranks[a]) - 1 for a, b in ways) > MOST:
        ways = [(a, b) for a, b in ways if abs(ranks[b] - ranks[a]) == 1]
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
    """From the lower side of the first to the upper side of the last, past what stands between; upwards the other way round."""
    first, last = boxes[chain[0]], boxes[chain[-1]]
    down = layer[chain[0]] < layer[chain[-1]]
    points = [(x[chain[0]] - left, tops[layer[chain[0]]] + (first.height if down else 0))]
    for place in chain[1:-1]:
        top, bottom = tops[layer[place]] - PAD / 2, tops[layer[place] + 1] - RISE
        points += [(x[place] - left, y) for y in ((top, bottom) if down else (bottom, top))]
    return [*points, (x[chain[-1]] - left, last.at[1] + (0 if down else last.height))]
