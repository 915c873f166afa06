"""What failures of one cause have in common, though each tells of another order, amount or time.

| of a failure | in the fingerprint |
|---|---|
| code | as it is |
| path | without the counters of loops, items and branches: those of one node are alike |
| message, its first line | with a mark in place of ids, addresses, quoted names, and numbers |
| data, stack, attempt | not at all |
"""

from __future__ import annotations

import hashlib
import re

from stepkeel.kernel.path import address
from stepkeel.model.snapshot import Failure

__all__ = ["alike", "fingerprint"]

MOST = 300  # characters of a message that count
_VARYING = re.compile(
    r"""
    "[^"]{0,200}" | '[^']{0,200}' | `[^`]{0,200}`                # what is quoted
    | \b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b   # UUIDs
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                               # addresses of people
    | https?://\S+
    | \b(?=[A-Za-z_-]*\d)[\w-]{6,}\b                             # ids: letters and digits together
    | [-+]?\d+(?:[.,:]\d+)*                                      # numbers, times
    """,
    re.VERBOSE,
)


def alike(message: str) -> str:
    """A message without what varies: `no card 4711 for "ann"` -> `no card … for …`."""
    return _VARYING.sub("…", message.partition("\n")[0][:MOST]).strip()


def fingerprint(failure: Failure) -> str:
    """16 hexadecimal digits; the same for failures that have the same cause, as far as they tell it."""
    told = "\n".join((failure.code, address(failure.path), alike(failure.message)))
    return hashlib.sha256(told.encode()).hexdigest()[:16]
