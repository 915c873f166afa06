"""What diagrams say of ways and times: the same words in Mermaid and SVG."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ANY", "label_of", "line_of", "shown", "span", "states_in", "then_of"]

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
