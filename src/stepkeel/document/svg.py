"""Diagrams as SVG: states with all that is in them and the ways between them; of an instance, where it stands and how it came here.

One file that needs nothing else, light on white. Deterministic: the same outline and marks, the same text.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from itertools import pairwise
from typing import Any

from stepkeel.document.block import body_box
from stepkeel.document.box import Box, text_width
from stepkeel.document.layers import Layout, layers
from stepkeel.document.marks import Marks
from stepkeel.document.words import line_of, shown, states_in

__all__ = ["svg"]

EDGE, HEAD, PAD, LINE = 30.0, 24.0, 10.0, 14.0
_STYLE = """
text{font:12px Helvetica,Arial,sans-serif;fill:#1f2933}
.name{font-weight:600}.small{font-size:11px}.way{font-size:11px}.dim{fill:#616e7c}
.state{fill:#f5f7fa;stroke:#9aa5b1;stroke-width:1.2}.end{stroke-width:3}
.leaf{fill:#fff;stroke:#cbd2d9}
.task{fill:#fff8e1;stroke:#d9b44a}.child{fill:#eef4ff;stroke:#7b9be0;stroke-width:2}
.wait{fill:#f3f0ff;stroke:#b3a6e0}
.frame{fill:none;stroke:#cbd2d9;stroke-dasharray:4 3}
.part{fill:#fff;fill-opacity:.55;stroke:#e4e7eb}.inner{fill:#fff;stroke:#9aa5b1}
.edge{fill:none;stroke:#7b8794;stroke-width:1.3}.label{fill:#fff;fill-opacity:.92}.then{stroke:#cbd2d9}.need{fill:none;stroke:#9aa5b1;stroke-width:1.2}
.visited>.box{fill:#e8f5e9;stroke:#57a55a}
.taken{stroke:#2e7d32;stroke-width:2.4}.now>.box{fill:#fff3cd;stroke:#d98e04;stroke-width:2.6}
.broken>.box{fill:#fdecea;stroke:#c62828;stroke-width:2.6}.m-done{fill:#dff2e0;stroke:#57a55a}.m-open{fill:#ffe6a8;stroke:#d98e04;stroke-width:2}
.frame.m-open,.inner.m-open{fill:none}.m-failed{fill:#f8c9c4;stroke:#c62828;stroke-width:2}
""".strip()


def svg(outline: Mapping[str, Any], marks: Marks | None = None) -> str:
    """The picture of a definition; with `marks`, of an instance of it."""
    states = {s["name"]: _State(s) for s in states_in(outline)}
    order = [outline["initial"], *(n for n in states if n != outline["initial"])]
    ways = _ways(outline)
    layout = layers(order, list(ways), {n: states[n].width for n in order})
    return _Drawing(outline, states, ways, layout, marks or Marks()).text()


def _ways(outline: Mapping[str, Any]) -> dict[tuple[str, str], list[str]]:
    """From one state to another, with what is said of each way."""
    found: dict[tuple[str, str], list[str]] = {}
    for state in states_in(outline):
        for transition in state.get("transitions", ()):
            when = transition.get("when", "")
            guard = f"[{shown(when, '…')}]" if when else ""
            found.setdefault((state["name"], transition["to"]), []).append(guard)
        for reaction in state.get("reactions", ()):
            to = reaction.get("to") or state["name"]
            if to != state["name"]:
                found.setdefault((state["name"], to), []).append(line_of(reaction))
    return found


class _State:
    """A state as a box: its name, its body, and what it reacts to without leaving."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.name = str(state["name"])
        self.title = str(state.get("label") or self.name)
        self.ending = state.get("ending")
        self.body = body_box(state.get("body", ()), self.name)
        self.stays = [
            f"{'◉' if r['move'] == 'end' else '↺'} {line_of(r)}"
            for r in state.get("reactions", ())
            if (r.get("to") or self.name) == self.name
        ]
        back = [t for t in state.get("transitions", ()) if t["to"] == self.name]
        self.stays += [f"↺ [{shown(t['when'])}]" for t in back if shown(t.get("when"))]
        inside = [self.body.width, text_width(self.heading, 13.5), *(text_width(s, 11) for s in self.stays)]
        self.width = max(90.0, max(inside) + 2 * PAD)
        self.height = HEAD + (self.body.height + PAD if self.body.inner else 0) + LINE * len(self.stays) + (4 if self.stays else 0)
        self.height += 4

    @property
    def heading(self) -> str:
        return f"{self.title} · {self.ending['status']}" if self.ending else self.title


class _Drawing:
    def __init__(
        self,
        outline: Mapping[str, Any],
        states: Mapping[str, _State],
        ways: Mapping[tuple[str, str], list[str]],
        layout: Layout,
        marks: Marks,
    ) -> None:
        self.outline, self.states, self.ways, self.layout, self.marks = outline, states, ways, layout, marks
        self.parts: list[str] = []
        self.labels: list[tuple[float, float, float, float]] = []
        self.top: list[float] = []
        y = 40.0
        for n, row in enumerate(layout.rows):
            self.top.append(y)
            tallest = max((states[p].height for p in row if p in states), default=0.0)
            y += tallest + EDGE + LINE * self._lines_below(n)
        self.bottom = y - EDGE + 8

    def _lines_below(self, n: int) -> int:
        """Room for what is said of the ways that leave this layer downwards."""
        rank = self.layout.layer
        here = [w for w in self.ways if min(rank[w[0]], rank[w[1]]) == n]
        longest = max((len([t for t in self.ways[w] if t]) for w in here), default=0)
        return max(1, min(8, longest + max(0, len(here) - 2)))

    def text(self) -> str:
        width = 16 + max((self.layout.x[n] + s.width / 2 for n, s in self.states.items()), default=0.0)
        width = max([width, *(x + 16 for x in self.layout.x.values())])
        self._beginning()
        edges = [self._edge(way) for way in self.ways]
        for name, state in self.states.items():
            self._state(name, state)
        labels = [part for way, path in edges for part in self._say(way, path)]
        right = max([width, 24 + text_width(self._title(), 11), *(x + w + 8 for x, _, w, _ in self.labels)])
        left = min([0.0, *(x - 8 for x, _, _, _ in self.labels)])
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left:.0f} 0 {right - left:.0f} {self.bottom:.0f}" '
        head += f'width="{right - left:.0f}" height="{self.bottom:.0f}" role="img" aria-label="{escape(self._title())}">'
        defs = "".join(
            f'<marker id="{i}" viewBox="0 0 8 8" refX="7" refY="4" markerUnits="userSpaceOnUse" '
            f'markerWidth="9" markerHeight="9" orient="auto-start-reverse">'
            f'<path d="M0 0L8 4L0 8z" fill="{c}"/></marker>'
            for i, c in (("a", "#7b8794"), ("t", "#2e7d32"))
        )
        ground = f'<rect x="{left:.0f}" y="0" width="{right - left:.0f}" height="{self.bottom:.0f}" fill="#fff"/>'
        title = f'<title>{escape(self._title())}</title><text class="dim small" x="12" y="18">{escape(self._title())}</text>'
        return (
            "\n".join([head, f"<style>{_STYLE}</style><defs>{defs}</defs>{ground}{title}", *self.parts, *labels, "</svg>"]) + "\n"
        )

    def _title(self) -> str:
        name = f"{self.outline['name']} version {self.outline['version']}"
        return f"{name}: {self.marks.status} in {self.marks.state}" if self.marks.state else name

    # -- states

    def _beginning(self) -> None:
        first = self.outline["initial"]
        x, y = self.layout.x[first] + 12, self.top[self.layout.layer[first]]
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y - 14:.1f}" r="4" fill="#1f2933"/>')
        self.parts.append(f'<path class="edge" d="M{x:.1f} {y - 10:.1f}V{y - 1:.1f}" marker-end="url(#a)"/>')

    def _state(self, name: str, state: _State) -> None:
        m = self.marks
        x, y = self.layout.x[name] + 12 - state.width / 2, self.top[self.layout.layer[name]]
        style = "visited" if m.visits.get(name) else ""
        if name == m.state:
            style = "broken" if m.status == "failed" else "now"
        end = " end" if state.ending else ""
        self.parts.append(f'<g class="{style}">' + _rect(f"box state{end}", x, y, state.width, state.height, 8))
        visits = f" ×{m.visits[name]}" if m.visits.get(name, 0) > 1 else ""
        self._write(state.heading + visits, x + state.width / 2, y + 16, "name", "middle")
        if state.body.inner:
            self._box(state.body, x + (state.width - state.body.width) / 2, y + HEAD)
        below = y + HEAD + (state.body.height + PAD if state.body.inner else 0)
        for n, stay in enumerate(state.stays):
            self._write(stay, x + PAD, below + 11 + LINE * n, "small dim")
        self.parts.append("</g>")

    def _box(self, box: Box, x: float, y: float) -> None:
        if box.kind in ("leaf", "frame") and box.style != "way":
            mark = self.marks.of(box.address) if box.address else ""
            name = {"frame": "frame", "part": "part", "state": "inner"}.get(box.style, "leaf") if box.kind == "frame" else "leaf"
            name = box.style if box.kind == "leaf" and box.style in ("task", "child", "wait") else name
            name += f" m-{mark}" if mark else ""
            self.parts.append(_rect(name, x, y, box.width, box.height, 5))
        if box.kind == "leaf":
            style = "way dim" if box.style == "way" else ""
            self._write(box.text, x + box.width / 2, y + box.height / 2 + 4, style, "middle")
        elif box.kind == "frame":
            self._write(box.text, x + 8, y + 13, "small dim")
        for line in box.lines:
            points = " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in line)
            self.parts.append(f'<polyline class="need" points="{points}" marker-end="url(#a)"/>')
        for n, inner in enumerate(box.inner):
            at_x, at_y = x + inner.at[0], y + inner.at[1]
            if box.style == "column" and n and inner.style != "way":
                middle = x + box.width / 2
                self.parts.append(f'<path class="then" d="M{middle:.1f} {at_y - 8:.1f}V{at_y:.1f}"/>')
            self._box(inner, at_x, at_y)

    def _write(self, text: str, x: float, y: float, style: str = "", anchor: str = "start") -> None:
        css = f' class="{style}"' if style else ""
        self.parts.append(f'<text{css} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>')

    # -- ways

    def _edge(self, way: tuple[str, str]) -> tuple[tuple[str, str], list[tuple[float, float]]]:
        points = self._points(way)
        taken = bool(self.marks.taken.get(way))
        d = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
        for (x1, y1), (x2, y2) in pairwise(points):
            if abs(x1 - x2) < 0.5:
                d += f"V{y2:.1f}"
            else:
                bend = (y2 - y1) / 2
                d += f"C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}"
        style, arrow = ("edge taken", "t") if taken else ("edge", "a")
        self.parts.append(f'<path class="{style}" d="{d}" marker-end="url(#{arrow})"/>')
        return way, points

    def _points(self, way: tuple[str, str]) -> list[tuple[float, float]]:
        """From the edge of one box to that of the other, straight through the layers between."""
        chain, layout = self.layout.chains[way], self.layout
        down = layout.layer[chain[0]] < layout.layer[chain[-1]]
        points = [(self._port(chain[0], chain[1], way), self._side(chain[0], below=down))]
        for place in chain[1:-1]:
            rank, x = layout.layer[place], layout.x[place] + 12
            ends = [self.top[rank], self.top[rank] + self._height(rank)]
            points += [(x, y) for y in (ends if down else ends[::-1])]
        points.append((self._port(chain[-1], chain[-2], way), self._side(chain[-1], below=not down)))
        return points

    def _height(self, rank: int) -> float:
        return max((self.states[p].height for p in self.layout.rows[rank] if p in self.states), default=0.0)

    def _side(self, name: str, *, below: bool) -> float:
        return self.top[self.layout.layer[name]] + (self.states[name].height if below else 0.0)

    def _port(self, name: str, beside: str, way: tuple[str, str]) -> float:
        """Where on the side of a box the way begins or ends: beside the others there, in the order of what they lead to."""
        layout, rank = self.layout, self.layout.layer[beside]
        same: list[tuple[float, tuple[str, str]]] = []
        for other, chain in layout.chains.items():
            for end, near in ((chain[0], chain[1]), (chain[-1], chain[-2])):
                if end == name and (layout.layer[near] > layout.layer[name]) == (rank > layout.layer[name]):
                    same.append((layout.x[near], other))
        same.sort()
        n = next(i for i, (_, other) in enumerate(same) if other == way)
        room = min(self.states[name].width * 0.7, 30.0 * (len(same) - 1))
        step = room / (len(same) - 1) if len(same) > 1 else 0.0
        return layout.x[name] + 12 - room / 2 + step * n

    def _say(self, way: tuple[str, str], points: list[tuple[float, float]]) -> list[str]:
        """The labels of a way, beside its first stretch, where they cover no others."""
        lines = [t for t in self.ways[way] if t]
        count = self.marks.taken.get(way, 0)
        if count > 1:
            lines = [*lines, f"×{count}"]
        if not lines:
            return []
        width, height = max(text_width(t, 11) for t in lines) + 6, LINE * len(lines)
        (x1, y1), (x2, y2) = points[0], points[1]
        x, y = x1 + (x2 - x1) / 2 - width / 2, y1 + (y2 - y1) / 2 - height / 2
        for part in (0.5, 0.35, 0.65, 0.25, 0.75):
            for shift in (0.0, 0.3, -0.3, 0.55, -0.55):
                at_x, at_y = x1 + (x2 - x1) * _eased(part) + (shift - 0.5) * width, y1 + (y2 - y1) * part - height / 2
                if not self._covers(at_x, at_y, width, height):
                    return self._label_at(at_x, at_y, width, height, lines)
        return self._label_at(x, y, width, height, lines)

    def _covers(self, x: float, y: float, width: float, height: float) -> bool:
        return any(x < b + c and b < x + width and y < a + d and a < y + height for b, a, c, d in self.labels)

    def _label_at(self, x: float, y: float, width: float, height: float, lines: list[str]) -> list[str]:
        self.labels.append((x, y, width, height))
        found = [_rect("label", x, y, width, height, 3)]
        for n, line in enumerate(lines):
            middle, at = x + width / 2, y + 11 + LINE * n
            found.append(f'<text class="way" x="{middle:.1f}" y="{at:.1f}" text-anchor="middle">{escape(line)}</text>')
        return found


def _eased(part: float) -> float:
    """How far to the side the bend of a way is at a part of its height."""
    return 3 * part**2 - 2 * part**3


def _rect(style: str, x: float, y: float, width: float, height: float, radius: int) -> str:
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius}"/>'
