"""Numbers kept as ranges: `0-14,16`. As many pieces as there are gaps, however many numbers."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["holds_number", "with_number"]


@lru_cache(maxsize=64)
def _read(text: str) -> tuple[tuple[int, int], ...]:
    pieces = (piece.partition("-") for piece in text.split(",") if piece)
    return tuple((int(a), int(b) if dash else int(a)) for a, dash, b in pieces)


def holds_number(text: str, n: int) -> bool:
    return any(a <= n <= b for a, b in _read(text))


def with_number(text: str, n: int) -> str:
    """The ranges with one number more."""
    if holds_number(text, n):
        return text
    found: list[tuple[int, int]] = []
    at = (n, n)
    for a, b in _read(text):
        if b + 1 == at[0]:
            at = (a, at[1])
        elif at[1] + 1 == a:
            at = (at[0], b)
        else:
            found.append((a, b))
    found.append(at)
    return ",".join(f"{a}-{b}" if a != b else str(a) for a, b in sorted(found))
