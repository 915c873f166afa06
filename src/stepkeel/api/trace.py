"""By what a request is found again: in logs, in the audit log, by whoever sent it; and what its headers say."""

from __future__ import annotations

import re
from typing import Any

from stepkeel.ids import secret

__all__ = ["request_id", "text_of"]

_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def request_id(scope: Any) -> str:
    """The caller's own, where it is one, else made here."""
    state: dict[str, Any] = scope.setdefault("state", {})
    if "request_id" not in state:
        given = next((v.decode("latin-1") for k, v in scope.get("headers", ()) if k == b"x-request-id"), "")
        state["request_id"] = given if _ID.fullmatch(given) else secret()[:32]
    return state["request_id"]


def text_of(header: str) -> str:
    """A header's bytes are read as Latin-1; those that are UTF-8 are meant as that."""
    if header.isascii():
        return header
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header
