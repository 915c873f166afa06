"""How many instances end, and how long they take, over a time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from stepkeel.engine.core import Core
from stepkeel.errors import BadRequest
from stepkeel.model.instant import from_micros, to_micros
from stepkeel.store.fact import SIZES

__all__ = ["Ended", "Throughput", "throughput"]

HOUR = timedelta(hours=1)
MOST = 500  # spans
LEAST = 1_000  # microseconds of a span


@dataclass(frozen=True, slots=True)
class Ended:
    """What ended in a span of time that begins `at`.

    count        how many, by status
    median, p95  seconds from their start to their end: half, and 95 % of them, took no longer. Within a fifth
    """

    at: datetime
    count: Mapping[str, int]
    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """From `since` on and before `until`, in spans of `width` seconds; those in which nothing ended are left out."""

    since: datetime
    until: datetime
    width: float
    items: tuple[Ended, ...]


async def throughput(core: Core, since: datetime | None, until: datetime | None, spans: int) -> Throughput:
    """`until`: now, unless said; `since`: an hour before it. Raises BadRequest."""
    if not 1 <= spans <= MOST:
        raise BadRequest(f"spans={spans}", remedy=f"1 to {MOST}")
    end = core.store.now() if until is None else to_micros(until)
    begin = to_micros(from_micros(end) - HOUR) if since is None else to_micros(since)
    if begin >= end:
        raise BadRequest("since is not before until", remedy="a time in between")
    width = max(LEAST, math.ceil((end - begin) / spans))
    rows: dict[int, list[tuple[str, int, int]]] = {}
    for row in await core.store.ended(core.tenant, begin, end, width):
        rows.setdefault(row.span, []).append((row.status, row.size, row.count))
    items = tuple(_ended(from_micros(begin + n * width), found) for n, found in sorted(rows.items()))
    return Throughput(from_micros(begin), from_micros(end), width / 1e6, items)


def _ended(at: datetime, found: list[tuple[str, int, int]]) -> Ended:
    counts, sizes = Counter[str](), Counter[int]()
    for status, size, count in found:
        counts[status] += count
        sizes[size] += count
    return Ended(at, dict(counts), _reached(sizes, 0.5), _reached(sizes, 0.95))


def _reached(sizes: Mapping[int, int], part: float) -> float:
    """The middle of the bounds between which that part of them lies, in seconds."""
    wanted = math.ceil(sum(sizes.values()) * part)
    ordered = sorted(sizes)
    upto = accumulate(sizes[size] for size in ordered)
    size = next(size for size, count in zip(ordered, upto, strict=True) if count >= wanted)
    low = SIZES[size - 1] if size else SIZES[0] / 2
    high = SIZES[size] if size < len(SIZES) else SIZES[-1] * 2
    return math.sqrt(low * high) / 1e6
