"""State diagrams in Mermaid, from the outline of a definition. Deterministic: the same outline, the same text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stepkeel.document.marks import Marks
from stepkeel.document.words import flow_step, shown, span, states_in, then_of

__all__ = ["mermaid"]


def mermaid(outline: Mapping[str, Any], marks: Marks | None = None) -> str:
    """Mermaid text (stateDiagram-v2): states with their bodies, ways labelled with signal, timeout, failure or guard.

    With `marks` the states an instance has been in are marked, and the one in which it stands or has failed.
    """
    lines = ["stateDiagram-v2", f"    [*] --> {_id(outline['initial'])}"]
    for state in states_in(outline):
        name = _id(state["name"])
        title = state.get("label") or state["name"]
        body = [_node(node) for node in state.get("body", ()) if node["kind"] not in ("graph", "flow")]
        text = title if not body else f"{title}<br/>{'<br/>'.join(body)}"
        lines.append(f"    {name}: {_text(text)}")
        lines += _graphs(name, state.get("body", ()))
    for state in states_in(outline):
        lines += _ways(state)
    return "\n".join([*lines, *_marked(outline, marks)])


def _graphs(state: str, body: Sequence[Mapping[str, Any]]) -> list[str]:
    """The steps of the graphs and flows in a state's body, within the state."""
    lines: list[str] = []
    for node in body:
        if node["kind"] == "flow":
            lines += _flow(f"{state}__{node['key']}", node["steps"])
        if node["kind"] != "graph":
            continue
        for step in node["steps"]:
            name = _id(f"{state}__{node['key']}__{step['key']}")
            lines.append(f"        {name}: {_text(_step(step))}")
            for need in step.get("needs", ()):
                before = _id(f"{state}__{node['key']}__{need}")
                lines.append(f"        {before} --> {name}")
    return [f"    state {state} {{", *lines, "    }"] if lines else []


def _flow(place: str, steps: Sequence[Mapping[str, Any]]) -> list[str]:
    lines: list[str] = []
    for step in steps:
        row, name = _row(step.get("body", ())), _id(f"{place}__{step['key']}")
        title = flow_step(step)
        lines.append(f"        {name}: {_text(title if row in ('', step['key']) else f'{title}<br/>{row}')}")
        for arc in step.get("to", ()):
            guard, target = shown(arc.get("when")), _id(f"{place}__{arc['step']}")
            says = f": [{_text(guard)}]" if guard else ""
            lines.append(f"        {name} --> {target}{says}")
    return lines


def _step(step: Mapping[str, Any]) -> str:
    row = _row(step["body"])
    return str(step["key"]) if row == step["key"] else f"{step['key']}<br/>{row}"


def _marked(outline: Mapping[str, Any], marks: Marks | None) -> list[str]:
    if marks is None:
        return []
    now = "broken" if marks.status == "failed" else "now"
    been = [s["name"] for s in outline["states"] if marks.visits.get(s["name"]) and s["name"] != marks.state]
    lines = [
        "    classDef visited fill:#e8f5e9,stroke:#57a55a",
        "    classDef now fill:#fff3cd,stroke:#d98e04,stroke-width:3px",
        "    classDef broken fill:#fdecea,stroke:#c62828,stroke-width:3px",
    ]
    lines += [f"    class {_id(name)} visited" for name in been]
    return [*lines, f"    class {_id(marks.state)} {now}"] if marks.state else lines


def _ways(state: Mapping[str, Any]) -> list[str]:
    name = _id(state["name"])
    lines: list[str] = []
    for transition in state.get("transitions", ()):
        guard = f": [{_text(shown(transition['when'], transition['when']))}]" if "when" in transition else ""
        lines.append(f"    {name} --> {_id(transition['to'])}{guard}")
    for reaction in state.get("reactions", ()):
        target = "[*]" if reaction["move"] == "end" else _id(reaction.get("to") or state["name"])
        lines.append(f"    {name} --> {target}: {_text(_label(reaction))}")
    if "ending" in state:
        lines.append(f"    {name} --> [*]: {state['ending']['status']}")
    return lines


def _node(node: Mapping[str, Any]) -> str:
    """A node by its key; what holds bodies with what is in them."""
    if node["kind"] == "loop":
        ends = [f"{word} {shown(node[word])}" for word in ("while", "until") if shown(node.get(word))]
        return " ".join([f"{node['key']} ({_row(node['body'])})", *ends])
    if node["kind"] == "choice":
        arms = " | ".join(f"{arm['key']}: {_row(arm['body'])}" for arm in node["arms"])
        return f"{node['key']} ({arms})"
    if node["kind"] == "parallel":
        branches = [f"{branch['key']}: {_row(branch['body'])}" for branch in node["branches"]]
        return f"{node['key']} ({' || '.join(branches)})"
    if node["kind"] in ("graph", "flow"):
        return f"{node['key']} ({', '.join(str(step['key']) for step in node['steps'])})"
    if node["kind"] == "hold":
        return f"{node['key']} of {', '.join(p['name'] for p in node['pools'])} ({_row(node['body'])})"
    if node["kind"] == "during":
        return f"{node['key']} {shown(node['guard'])} ({_row(node['body'])})"
    if node["kind"] == "task":
        who = shown(node.get("role") or node.get("assignee"))
        return f"{node['key']} ({who})" if who else str(node["key"])
    if node["kind"] == "child":
        return f"{node['key']} ({node['of']})" if node.get("of") else str(node["key"])
    if node["kind"] == "machine":
        return f"{node['key']} ({' | '.join(str(state['name']) for state in node['states'])})"
    if node["kind"] == "for_each":
        items = f" of {shown(node['items'])}" if shown(node["items"]) else ""
        return f"{node['key']}{items} ({_row(node['body'])})"
    return str(node["key"])


def _row(body: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(_node(node) for node in body)


def _label(reaction: Mapping[str, Any]) -> str:
    if reaction["trigger"] == "signal":
        label = str(reaction["signal"])
    elif reaction["trigger"] == "timeout":
        label = (
            f"after {span(reaction['delay'])}"
            if "delay" in reaction
            else f"after {shown(reaction['delay_of'], reaction['delay_of'])}"
        )
    else:
        label = "on " + (", ".join(reaction.get("errors", ())) or "any failure")
    if "when" in reaction:
        label += f" [{shown(reaction['when'], reaction['when'])}]"
    label += then_of(reaction)
    do = [_node(node) for node in reaction.get("do", ())]
    return f"{label} / {', '.join(do)}" if do else label


def _id(name: str) -> str:
    """Mermaid takes `end` and the like for words of its own, and only plain characters for names."""
    plain = re.sub(r"\W", "_", name)
    return f"{plain}_" if plain in {"end", "state", "note", "default", "direction"} else plain


def _text(text: str) -> str:
    return text.replace(":", "#colon;").replace(";", "#semi;").replace("#colon#semi;", "#colon;").replace("\n", " ")
