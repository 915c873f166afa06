"""API keys, as they are stored: what is secret about one is not in it, only its digest."""

from __future__ import annotations

import msgspec

__all__ = ["KeyRow"]


class KeyRow(msgspec.Struct, frozen=True, gc=False):
    """A row of `api_keys`.

    id          the public part of the key, unique in the database
    tenant      whose instances it reaches; `*`: those of any
    digest      SHA-256 of the whole key, in hex
    roles       names of roles; scopes: operations it is narrowed to, as patterns; none: not narrowed. JSON lists
    ends_at     refused from then on: it expires, was rotated, or revoked; None: never
    used_at     when it was last let in, to the minute or so
    """

    id: str
    tenant: str
    name: str
    digest: str
    roles: bytes
    scopes: bytes
    made_by: str
    made_at: int
    ends_at: int | None = None
    used_at: int | None = None
