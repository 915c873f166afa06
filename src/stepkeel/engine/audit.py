"""The audit log: what becomes an entry of it, and how it is read, checked and taken elsewhere.

| done | an entry |
|---|---|
| an operator's verb, an act on a task, a fork, a repair, a purge, a key, a deployment ... | always |
| a start or a signal, over the API or with an `actor` | yes |
| a start or a signal of code that names nobody | no: its history tells, and it has nobody to tell of |
| anything that changed nothing: a key that was known, a row that had moved on | no |
| what a worker decides | no: that is history |
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepkeel.engine.core import Core
from stepkeel.errors import BadRequest
from stepkeel.model.act import Act, ActQuery, ActRow, Head, entry_of, misfit
from stepkeel.model.input import Control, Requested
from stepkeel.model.instant import from_micros, to_micros

__all__ = ["Audit", "AuditEntry", "Verified", "act_of", "asked_of", "check_key", "check_said"]

PAGE = 1_000
MOST_KEY = 512  # characters
MOST_PROBLEMS = 100
_ANCHOR = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")
_OURS = frozenset({"actor", "reason", "by_parent", *Requested.__struct_fields__})


def act_of(
    core: Core,
    verb: str,
    kind: str,
    subject: str,
    /,
    *,
    actor: str = "",
    reason: str = "",
    instance_id: str = "",
    if_named: bool = False,
    detail: Mapping[str, Any] | None = None,
) -> Act | None:
    """What the commit that does it appends to the audit log. `if_named`: nothing, where nobody says who they are.

    `detail` never holds data. Raises BadRequest for texts that no database takes.
    """
    who = core.who
    if if_named and not actor and who is None:
        return None
    check_said(actor=actor, reason=reason)
    told = {k: v for k, v in (detail or {}).items() if v not in (None, "", False, [], {}, ())}
    return Act(
        tenant=core.tenant, at=core.store.now(), verb=verb, kind=kind, subject=subject, instance_id=instance_id, actor=actor,
        identity=who.identity if who is not None else "", reason=reason, request_id=who.request_id if who is not None else "",
        detail=told,
    )  # fmt: skip


def check_said(**said: str) -> None:
    """Raises BadRequest for what is no text, or one that no database takes."""
    for name, text in said.items():
        if not isinstance(text, str) or "\0" in text or not (text.isascii() or _encodes(text)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequest(f"{name}={text!r}", remedy="a text, without NUL")


def check_key(**keys: str | None) -> None:
    """Raises BadRequest for one that is no text, empty, or too long."""
    for name, key in keys.items():
        if key is not None and (not isinstance(key, str) or not 1 <= len(key) <= MOST_KEY):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequest(f"{name}={key!r}", remedy=f"a text of 1 to {MOST_KEY} characters, or None")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def asked_of(request: Control) -> Mapping[str, Any]:
    """What an operator asked for, without the data that came with it: names of fields, numbers of items."""
    told: dict[str, Any] = {}
    for name in request.__struct_fields__:
        value = getattr(request, name)
        if name == "changes":
            told["fields"] = sorted(value)
        elif name == "items":
            told["items"] = len(value)
        elif name not in _OURS:
            told[name] = value
    return told


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Somebody did something.

    seq       1, 2, 3 ... within the tenant, in the order of commits
    at        when it was asked
    actor     in whose name; identity: who was recognised, and may have acted for them (empty: code, or a command)
    verb      what was done; kind and subject: to what
    detail    what else was asked; no data
    digest    of the entry and of all before it, in hex
    """

    seq: int
    at: datetime
    actor: str
    identity: str
    verb: str
    kind: str
    subject: str
    instance_id: str
    reason: str
    request_id: str
    detail: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at the whole chain has found: nothing, or what is wrong (at most 100).

    head   `seq:digest` of the last entry: kept elsewhere, it proves later that nothing before it was changed or cut off
    """

    entries: int
    head: str
    problems: tuple[str, ...]

    @property
    def intact(self) -> bool:
        return not self.problems


def _entry(row: ActRow) -> AuditEntry:
    told = entry_of(row)
    return AuditEntry(
        row.seq, from_micros(row.at), row.actor, told.get("identity", ""), row.verb, row.kind, row.subject, row.instance_id,
        told.get("reason", ""), told.get("request_id", ""), told.get("detail", {}), row.digest.hex(),
    )  # fmt: skip


def _written(head: Head) -> str:
    return f"{head.seq}:{head.digest.hex()}"


class Audit:
    """The audit log of one tenant."""

    def __init__(self, core: Callable[[], Core]) -> None:
        self._core = core

    async def list(
        self,
        *,
        after: int = 0,
        before: int | None = None,
        newest_first: bool = False,
        limit: int = 100,
        at_from: datetime | None = None,
        at_to: datetime | None = None,
        **equal: str | None,
    ) -> list[AuditEntry]:
        """Entries behind the number `after`, and before the number `before`: the next page begins at the last one of this.

        `equal`: actor, verb, kind, subject, instance_id. `at_from <= at < at_to`. Raises BadRequest.
        """
        core = self._core()
        if strange := sorted(set(equal) - {"actor", "verb", "kind", "subject", "instance_id"}):
            raise BadRequest(f"there is no filter {strange[0]}", remedy="actor, verb, kind, subject, instance_id")
        if not 1 <= limit <= PAGE:
            raise BadRequest(f"limit={limit}", remedy=f"1 to {PAGE}")
        query = ActQuery(
            tenant=core.tenant, after=after, before=before, descending=newest_first, limit=limit,
            at_from=None if at_from is None else to_micros(at_from), at_to=None if at_to is None else to_micros(at_to),
            **equal,
        )  # fmt: skip
        return [_entry(row) for row in await core.store.acts(query)]

    async def head(self) -> str:
        """`seq:digest` of the last entry; of the beginning where there is none."""
        core = self._core()
        return _written(await core.store.audit_head(core.tenant))

    async def verify(self, anchor: str = "") -> Verified:
        """Walk the whole chain. `anchor`: a head as it was once told, which has to be in it. Raises BadRequest."""
        core = self._core()
        known = _read_anchor(anchor)
        first = await core.store.audit_head(core.tenant)  # it may grow meanwhile
        problems: list[str] = []
        before = Head()
        async for row in self._rows(core, 0):
            if why := misfit(row, before):
                problems.append(why)
            before = Head(row.seq, row.digest)
            for what, head in (("the head", first), ("the anchor", known)):
                if head is not None and head.seq == row.seq and head.digest != row.digest:
                    problems.append(f"{what} has another digest of entry {row.seq}: the chain up to there was written anew")
        wanted = max(first, known or first, key=lambda h: h.seq)  # those that came since may be on their way
        if before.seq < wanted.seq:
            problems.append(f"the entries behind {before.seq} are gone, up to {wanted.seq}")
        last = await core.store.audit_head(core.tenant)
        if before.seq > last.seq:
            problems.append(f"the head says {last.seq}, and there are entries up to {before.seq}")
        return Verified(before.seq, _written(before), tuple(problems[:MOST_PROBLEMS]))

    async def export(self, after: int = 0) -> AsyncIterator[bytes]:
        """Lines of JSON: each the entry as it was digested, with `digest` put in at its end."""
        async for row in self._rows(self._core(), after):
            yield row.entry[:-1] + b',"digest":"' + row.digest.hex().encode() + b'"}\n'

    async def _rows(self, core: Core, after: int) -> AsyncIterator[ActRow]:
        while rows := await core.store.acts(ActQuery(tenant=core.tenant, after=after, limit=PAGE)):
            for row in rows:
                yield row
            after = rows[-1].seq


def _read_anchor(text: str) -> Head | None:
    if not text:
        return None
    found = _ANCHOR.fullmatch(text)
    if found is None:
        raise BadRequest(f"{text[:100]!r} is no anchor", remedy="as `stepkeel audit head` tells it: number:digest")
    return Head(int(found[1]), bytes.fromhex(found[2]))
