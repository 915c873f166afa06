"""What diagrams say of ways and times: the same words in Mermaid and SVG."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ANY", "arcs_of", "flow_step", "label_of", "line_of", "shown", "span", "states_in", "then_of"]

ANY = "any state"
_UNITS = ((86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms"))


def span(micros: int) -> str:
    for size, unit in _UNITS:
        if micros >= size:
            return f"{micros / size:g} {unit}"
    return f"{micros} us"


def shown(name: Any, otherwise: str = "") -> str:
    """The name of a function, or an expression as it is written; a lambda has nothing but its place."""
    text = str(name or "")
    if text.startswith("= "):
        text = text.removeprefix("= ")
        return text if len(text) <= 60 else f"{text[:59]}…"
    return otherwise if re.search(r"[/:!]|->", text) else text


def label_of(reaction: Mapping[str, Any]) -> str:
    """What has to come for a reaction, and in which case."""
    if reaction["trigger"] == "signal":
        label = str(reaction["signal"])
    elif reaction["trigger"] == "timeout":
        label = f"after {span(reaction['delay'])}" if "delay" in reaction else "after a time"
    else:
        label = "on " + (", ".join(reaction.get("errors", ())) or "any failure")
    if guard := shown(reaction.get("when")):
        label += f" [{guard}]"
    return label + then_of(reaction)


def line_of(reaction: Mapping[str, Any]) -> str:
    """The same, and what is done then."""
    do = ", ".join(str(node["key"]) for node in reaction.get("do", ()))
    return f"{label_of(reaction)} / {do}" if do else label_of(reaction)


def then_of(reaction: Mapping[str, Any]) -> str:
    """What it does besides leading to another state."""
    move, undo = reaction["move"], f", undo {reaction['undo']}" if "undo" in reaction else ""
    if move == "end":
        return f" → {reaction['end']['status']}{undo}"
    if move in ("cancel", "complete"):
        return f" → {move} {reaction['target']}"
    return f" → go on{undo}" if move == "go_on" and reaction["trigger"] != "failure" else undo


def states_in(outline: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The states, and last one that stands for all of them where something holds in every state."""
    anywhere = outline.get("anywhere", ())
    return [*outline["states"], *([{"name": ANY, "reactions": anywhere}] if anywhere else ())]


def arcs_of(steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Of the steps of a flow: from which to which."""
    return [(str(step["key"]), str(arc["step"])) for step in steps for arc in step.get("to", ())]


def flow_step(step: Mapping[str, Any]) -> str:
    """A step of a flow with what it waits for and how it splits: `ship · all`, `pay · first 2, cancel → one`."""
    join, need = step.get("join", ""), step.get("need", "")
    if join == "n":
        join = f"first {shown(need, 'n')}" + (f", {step['rest']}" if step.get("rest", "swallow") != "swallow" else "")
    elif join == "count":
        join = f"{shown(need, 'n')} of one arc"
    split = "one" if step.get("first") else f"×{shown(step['times'], 'n')}" if "times" in step else ""
    return str(step["key"]) + (f" · {join}" if join else "") + (f" → {split}" if split else "")
