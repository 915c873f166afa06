"""What an activity has returned for an input, kept for others that are given the same."""

from __future__ import annotations

import msgspec

__all__ = ["CachedRow"]


class CachedRow(msgspec.Struct, frozen=True, gc=False):
    """A row of `cached`. `key` is the digest of the input and of the activity's code, `result` JSON."""

    tenant: str
    activity: str
    key: str
    result: bytes
    expires_at: int
