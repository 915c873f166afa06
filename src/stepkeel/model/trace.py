"""The trace of an instance: made out of its id, so that it need not be stored, and is the same for whoever knows the id."""

from __future__ import annotations

import hashlib

__all__ = ["trace_of", "traceparent_of"]


def trace_of(instance_id: str) -> tuple[int, int]:
    """Ids of the trace (128 bits), and of the span that all attempts hang from (64 bits); neither is zero."""
    digest = hashlib.sha256(instance_id.encode()).digest()
    return int.from_bytes(digest[:16], "big") or 1, int.from_bytes(digest[16:24], "big") or 1


def traceparent_of(instance_id: str) -> str:
    """As the W3C's header has it (https://www.w3.org/TR/trace-context), sampled."""
    trace, span = trace_of(instance_id)
    return f"00-{trace:032x}-{span:016x}-01"
