"""Boxes within boxes, measured before anything is placed."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["GAP", "LINE", "PAD", "TITLE", "WAY", "Box", "text_width"]

LINE, PAD, GAP, TITLE, WAY = 22.0, 8.0, 8.0, 16.0, 15.0
_NARROW, _WIDE = frozenset("iljtfr.,:;'|!()[]/ "), frozenset("mwMW@%&")


def text_width(text: str, size: float = 12.0) -> float:
    """About how wide a text is in the widest of the fonts that stand in for each other."""
    units = sum(0.36 if c in _NARROW else 0.98 if c in _WIDE else 0.74 if c.isupper() else 0.63 for c in text)
    return units * size


@dataclass
class Box:
    """`kind` is leaf, frame or group; `at` is its place within the box around it. `address` is what paths call it.

    `lines` go behind the boxes in it.
    """

    kind: str
    width: float
    height: float
    text: str = ""
    address: str = ""
    style: str = ""
    at: tuple[float, float] = (0.0, 0.0)
    inner: list[Box] = field(default_factory=list["Box"])
    lines: list[list[tuple[float, float]]] = field(default_factory=list[list[tuple[float, float]]])
