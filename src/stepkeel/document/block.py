"""Bodies as boxes within boxes: what a state shows of its nodes, measured before anything is placed.

| node | is drawn as |
|---|---|
| activity, wait, task, child, log, transform, stop | a line |
| loop, for_each, during | a frame around its body |
| parallel, choice | a frame around columns, one for each branch or arm |
| graph | a frame around its steps, each below those it needs |
| flow | a frame around its steps, each with its join, its split and its arcs |
| machine, scope, pick | a frame around its states, each with its body and its ways out |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepkeel.document.box import GAP, LINE, PAD, TITLE, WAY, Box, text_width
from stepkeel.document.dag import graph_box
from stepkeel.document.words import arcs_of, flow_step, line_of, shown, span, states_in

__all__ = ["body_box"]


def body_box(body: Sequence[Mapping[str, Any]], container: str) -> Box:
    """The nodes of a body, one below the other."""
    return _column([_node(node, f"{container}/{node['key']}") for node in body])


def _leaf(text: str, address: str = "", style: str = "") -> Box:
    shown = text if len(text) <= 48 else text[:47] + "…"
    return Box("leaf", max(40.0, text_width(shown) + 2 * PAD), LINE, shown, address, style)


def _way(text: str) -> Box:
    shown = text if len(text) <= 56 else text[:55] + "…"
    return Box("leaf", text_width(shown, 11) + 4, WAY, shown, style="way")


def _column(boxes: list[Box]) -> Box:
    width, y = max((b.width for b in boxes), default=0.0), 0.0
    for box in boxes:
        y += GAP if y and box.style != "way" else 2 if y else 0
        box.at = ((width - box.width) / 2, y)
        y += box.height
    return Box("group", width, y, style="column", inner=boxes)


def _row(boxes: list[Box]) -> Box:
    x = 0.0
    for box in boxes:
        box.at = (x, 0.0)
        x += box.width + GAP * 1.5
    return Box("group", max(0.0, x - GAP * 1.5), max((b.height for b in boxes), default=0.0), style="row", inner=boxes)


def _frame(title: str, inner: Box, address: str, style: str = "frame") -> Box:
    width = max(inner.width + 2 * PAD, text_width(title, 11) + 2 * PAD)
    inner.at = ((width - inner.width) / 2, TITLE + PAD)
    height = TITLE + PAD + inner.height + (PAD if inner.height else 0)
    return Box("frame", width, height, title, address, style, inner=[inner])


def _node(node: Mapping[str, Any], address: str) -> Box:
    kind, key = node["kind"], str(node["key"])
    if kind in ("loop", "for_each", "during", "hold"):
        return _frame(_title(node), body_box(node["body"], address), address)
    if kind in ("parallel", "choice"):
        parts = node["branches" if kind == "parallel" else "arms"]
        places = [(part, f"{address}:{part['key']}") for part in parts]
        columns = [_frame(_part(part), body_box(part["body"], place), place, "part") for part, place in places]
        return _frame(_title(node), _row(columns), address)
    if kind == "graph":
        return _frame(_title(node), _steps(node["steps"], address), address)
    if kind == "flow":
        return _frame(_title(node), _flow_steps(node["steps"], address), address)
    if kind == "machine":
        return _frame(key, _column([_state(state, address) for state in states_in(node)]), address)
    return _leaf(_line(node), address, kind)


def _steps(steps: Sequence[Mapping[str, Any]], address: str) -> Box:
    """A step that is one node of its name is drawn as that; another one as a frame."""
    boxes: dict[str, Box] = {}
    for step in steps:
        name, place = str(step["key"]), f"{address}:{step['key']}"
        if "when" not in step and [node["key"] for node in step["body"]] == [name]:
            boxes[name] = _node(step["body"][0], f"{place}/{name}")
        else:
            boxes[name] = _frame(_part(step), body_box(step["body"], place), place, "part")
    return graph_box([(str(n), str(step["key"])) for step in steps for n in step.get("needs", ())], boxes)


def _flow_steps(steps: Sequence[Mapping[str, Any]], address: str) -> Box:
    """Each with what it waits for and how it goes on, where that is not the plain thing."""
    boxes: dict[str, Box] = {}
    for step in steps:
        place = f"{address}:{step['key']}"
        body = [_node(node, f"{place}/{node['key']}") for node in step.get("body", ())]
        arcs = step.get("to", ())
        ways = [
            _way(f"→ {a['step']}" + (f" [{w}]" if w else ""))
            for a in arcs
            if (w := shown(a.get("when"))) or a["step"] == step["key"]
        ]
        boxes[str(step["key"])] = _frame(flow_step(step), _column([*body, *ways]), place, "part")
    return graph_box([(a, b) for a, b in arcs_of(steps) if a != b], boxes)


def _state(state: Mapping[str, Any], address: str) -> Box:
    """A state of a machine within a body: what it does, and where it leads to."""
    place = f"{address}:{state['name']}"
    ways = [f"→ {t['to']}" + (f" [{w}]" if (w := shown(t.get("when"))) else "") for t in state.get("transitions", ())]
    ways += [_reaction(r) for r in state.get("reactions", ())]
    body = [_node(node, f"{place}/{node['key']}") for node in state.get("body", ())]
    title = str(state.get("label") or state["name"]) + (f" ({state['ending']['status']})" if "ending" in state else "")
    return _frame(title, _column([*body, *(_way(way) for way in ways)]), place, "state")


def _reaction(reaction: Mapping[str, Any]) -> str:
    return line_of(reaction) + (f" → {reaction['to']}" if reaction.get("to") else "")


def _title(node: Mapping[str, Any]) -> str:
    kind, key = node["kind"], str(node["key"])
    if kind == "loop":
        ends = [f"{word} {shown(node[word])}" for word in ("while", "until") if shown(node.get(word))]
        return f"{key} ↻ {' '.join(ends)}".rstrip()
    if kind == "for_each":
        more = " +" if node.get("stays") else " ⇢" if node.get("detached") else ""
        return f"{key} × {shown(node['items'])}".rstrip() + more
    if kind == "hold":
        return f"{key} of {', '.join(p['name'] for p in node['pools'])}"
    if kind == "during":
        return f"{key} while {shown(node['guard'])}"
    if kind == "choice":
        return f"{key} ?"
    if kind == "flow":
        return key
    if kind == "graph":
        return f"{key} 1·2·3" if node.get("sequential") else key
    if node.get("detached"):
        return f"{key} ⇢"
    need = node.get("join", {}).get("need", "all")
    return f"{key} ∥" + (f" {need}" if need != "all" and "/" not in str(need) else "")


def _part(part: Mapping[str, Any]) -> str:
    """Its name, and its guard: an expression, or a function that has a name."""
    when = shown(part.get("when"))
    return f"{part['key']} [{when}]" if when else str(part["key"])


def _line(node: Mapping[str, Any]) -> str:
    kind, key = node["kind"], str(node["key"])
    if kind == "wait":
        what = [str(node["signal"])] if node.get("signal") else []
        what += [span(node["delay"])] if "delay" in node else []
        what += [f"until {shown(node['condition'])}"] if shown(node.get("condition")) else []
        return f"{key}: {' or '.join(what)}" if what else key
    if kind == "task":
        people = node.get("people", ())
        who = shown(node.get("role") or node.get("assignee") or ("" if isinstance(people, str) else ", ".join(people)))
        return f"{key} ☑ {who}" if who else f"{key} ☑"
    if kind == "child":
        return f"{key} ▸ {node['of']}" if node.get("of") else f"{key} ▸"
    return key
