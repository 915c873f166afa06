"""Cursors of lists: where a page ended, opaque to whoever gives it back."""

from __future__ import annotations

import base64

import msgspec

from stepkeel.errors import BadRequest

__all__ = ["read_cursor", "write_cursor"]


def write_cursor(sort: str, at: int, last: str) -> str:
    """The sort, its value of the last row of a page, and that row's id."""
    return base64.urlsafe_b64encode(msgspec.json.encode([sort, at, last])).decode()


def read_cursor(cursor: str | None, sort: str) -> tuple[int, str] | None:
    """The value and the id, of a page with the same sort; None without a cursor. Raises BadRequest."""
    if not cursor:
        return None
    try:
        kind, at, last = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[str, int, str])
    except ValueError:
        raise BadRequest("the cursor is none of ours", remedy="give back the one of the page before") from None
    if kind != sort:
        raise BadRequest(f"the cursor belongs to sort={kind}", remedy="keep the sort while paging")
    return at, last
