"""What somebody did, as the audit log keeps it: per tenant one chain of entries, each with the digest of the one before.

An entry is the JSON that its digest is of (SHA-256), byte for byte: whoever checks it needs no rules about how to write
JSON. Taking one out, changing one or putting one in breaks every digest behind it; what is cut off at the end shows in the
head, which is kept beside the chain and may be kept elsewhere, too (RFC 6962 argues the same of its logs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

__all__ = ["BEGINNING", "Act", "ActQuery", "ActRow", "Head", "entry_of", "misfit", "sealed", "told_of"]

BEGINNING = bytes(32)  # what stands for the digest before the first


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody did something.

    at           microseconds, when it was asked; entries are in the order of their commits, which may be another one
    actor        in whose name; identity: who was recognised, and may have acted for them
    verb, kind   `pause` an `instance`; subject: which one
    instance_id  the instance that it is about, also where that is a task's
    detail       what else tells what was asked; never data, which may be secret
    """

    tenant: str
    at: int
    verb: str
    kind: str
    subject: str
    instance_id: str = ""
    actor: str = ""
    identity: str = ""
    reason: str = ""
    request_id: str = ""
    detail: Mapping[str, Any] = {}


class ActRow(msgspec.Struct, frozen=True, gc=False):
    """An entry, and what of it is searched by."""

    tenant: str
    seq: int
    at: int
    actor: str
    verb: str
    kind: str
    subject: str
    instance_id: str
    entry: bytes
    digest: bytes


class Head(msgspec.Struct, frozen=True, gc=False):
    """The last entry of a chain."""

    seq: int = 0
    digest: bytes = BEGINNING


class ActQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries. Every field narrows. `after` and `before` are exclusive; times are half-open: from <= at < to."""

    tenant: str
    after: int = 0
    before: int | None = None
    at_from: int | None = None
    at_to: int | None = None
    actor: str | None = None
    verb: str | None = None
    kind: str | None = None
    subject: str | None = None
    instance_id: str | None = None
    descending: bool = False
    limit: int = 100


def told_of(act: Act | None, changes: int, *, counting: bool = False) -> list[Act]:
    """What is told of so many changes: of none nothing; with their number, where they are counted."""
    if act is None or not changes:
        return []
    return [msgspec.structs.replace(act, detail={**act.detail, "count": changes}) if counting else act]


def sealed(acts: Iterable[Act], head: Head) -> tuple[list[ActRow], Head]:
    """Acts of one tenant, appended to its chain."""
    rows: list[ActRow] = []
    for act in acts:
        seq = head.seq + 1
        told = {"seq": seq, "previous": head.digest.hex(), **{k: v for k in _TOLD if (v := getattr(act, k)) or k in _ALWAYS}}
        entry = msgspec.json.encode(told)
        head = Head(seq, hashlib.sha256(entry).digest())
        rows.append(
            ActRow(act.tenant, seq, act.at, act.actor, act.verb, act.kind, act.subject, act.instance_id, entry, head.digest)
        )
    return rows, head


_TOLD = ("tenant", "at", "actor", "identity", "verb", "kind", "subject", "instance_id", "reason", "request_id", "detail")
_ALWAYS = ("tenant", "at", "actor", "verb", "kind", "subject")
_SEARCHED = ("tenant", "seq", "at", "actor", "verb", "kind", "subject", "instance_id")


def entry_of(row: ActRow) -> Mapping[str, Any]:
    """What an entry says; nothing, where it was spoiled."""
    try:
        told = msgspec.json.decode(row.entry)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return {"instance_id": "", **told} if isinstance(told, dict) else {}


def misfit(row: ActRow, before: Head) -> str | None:
    """Why this cannot be the entry behind `before`; None: it is."""
    if row.seq != before.seq + 1:
        return f"entry {row.seq} stands behind entry {before.seq}: what was between is gone"
    if hashlib.sha256(row.entry).digest() != row.digest:
        return f"entry {row.seq} was changed: its digest is another one"
    told = entry_of(row)
    if not told:
        return f"entry {row.seq} is no JSON object"
    if told.get("previous") != before.digest.hex():
        return f"entry {row.seq} names another one before it: that one was changed or exchanged, or this one put in"
    for name in _SEARCHED:
        if told.get(name) != getattr(row, name):
            return f"entry {row.seq}: the column {name} was changed"
    return None
