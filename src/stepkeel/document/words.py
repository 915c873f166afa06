"""What diagrams say of ways and times: the same words in Mermaid and SVG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["label_of", "span"]

_UNITS = ((86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms"))


def span(micros: int) -> str:
    for size, unit in _UNITS:
        if micros >= size:
            return f"{micros / size:g} {unit}"
    return f"{micros} us"


def label_of(reaction: Mapping[str, Any]) -> str:
    """What has to come for a reaction, and in which case."""
    if reaction["trigger"] == "signal":
        label = str(reaction["signal"])
    elif reaction["trigger"] == "timeout":
        label = f"after {span(reaction['delay'])}" if "delay" in reaction else "after a time"
    else:
        label = "on " + (", ".join(reaction.get("errors", ())) or "any failure")
    if "/" not in reaction.get("when", "/") and "!" not in reaction.get("when", "!"):
        label += f" [{reaction['when']}]"
    return label
