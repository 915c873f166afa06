"""Many at once, by filter: what operators ask of one, a signal; and those that failed, the dead letters, in groups.

| asked | of those that are, unless `status` says which |
|---|---|
| pause | created, running, waiting |
| resume | paused |
| cancel, terminate, signal | created, running, waiting, paused |
| redrive | failed |
| archive | completed, cancelled, terminated; failed ones only if they are named |
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stepkeel.engine.audit import check_key
from stepkeel.engine.control import control
from stepkeel.engine.core import Core
from stepkeel.engine.fingerprint import fingerprint
from stepkeel.engine.query import make_query
from stepkeel.engine.result import Receipt, failure_of
from stepkeel.engine.signal import signal
from stepkeel.errors import BadRequest, ConflictError, DataInvalid, NotFound, UnknownSignal
from stepkeel.model.commit import Row
from stepkeel.model.input import Control, control_name
from stepkeel.model.snapshot import Failure
from stepkeel.store.port import Query

__all__ = ["ANY", "Bulk", "DeadLetters", "Like", "Wanted", "ask_all", "dead_letters", "signal_all", "some_filter"]

PAGE = 200


LIVE = ("created", "running", "waiting")
ASKED: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # of whom; and of whom else, if they are named
    "pause": (LIVE, ()),
    "resume": (("paused",), ()),
    "cancel": ((*LIVE, "paused"), ()),
    "terminate": ((*LIVE, "paused"), ()),
    "signal": ((*LIVE, "paused"), ()),
    "redrive": (("failed",), ()),
    "archive": (("completed", "cancelled", "terminated"), ("failed",)),
}
AT_ONCE = 50  # asked beside each other
NEWEST = 20  # of a group of dead letters
PENDING = "pending"
NONE = Failure("")


@dataclass(frozen=True, slots=True)
class Like:
    """Of which failures; None: of any."""

    code: str | None = None
    fingerprint: str | None = None


ANY = Like()


@dataclass(frozen=True, slots=True)
class Bulk:
    """What became of each, oldest first.

    done      it is done (in a dry run: it would be asked for); pending: it is asked for, and will be
    refused   the others, and why not
    more      the limit was reached, there may be others
    """

    done: tuple[str, ...]
    refused: Mapping[str, str]
    pending: tuple[str, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Failed instances that have one definition, state, failure code and fingerprint in common.

    fingerprint  alike where code, node and message are, but for the ids, names and numbers in it
    example      the message of the one that was made last, `latest`
    newest       the last that were made, at most 20, that one first
    """

    definition: str
    state: str
    code: str
    count: int
    example: str
    latest: str
    fingerprint: str
    newest: tuple[str, ...]


async def _matching(core: Core, query: Query, like: Like) -> AsyncIterator[tuple[Row, Failure]]:
    """Rows that match, oldest first, each with its failure; one without any has a failure that says nothing."""
    query = replace(query, limit=PAGE)
    while True:
        rows = await core.store.list(query)
        for row in rows:
            failure = failure_of(row) or NONE
            if like.code in (None, failure.code) and (like.fingerprint is None or like.fingerprint == fingerprint(failure)):
                yield row, failure
        if len(rows) < PAGE:
            return
        query = replace(query, after=(rows[-1].created_at, rows[-1].id))


def _query(core: Core, verb: str, filters: Mapping[str, Any], like: Like) -> Query:
    """Raises BadRequest: of those in another status it cannot be asked; and failures are of those that failed."""
    query = make_query(core, filters)
    usual, named = ASKED[verb]
    if strange := sorted(set(query.status) - {*usual, *named}):
        raise BadRequest(f"{verb} of {', '.join(strange)} instances", remedy=f"those that are {', '.join((*usual, *named))}")
    query = replace(query, status=query.status or usual)
    if like != ANY and query.status != ("failed",):
        raise BadRequest("code or fingerprint of others than failed ones", remedy='status="failed"')
    return query


async def dead_letters(core: Core, filters: Mapping[str, Any], like: Like) -> list[DeadLetters]:
    """Raises BadRequest."""
    groups: dict[tuple[str, str, str, str], deque[str]] = {}
    counts, examples = Counter[tuple[str, str, str, str]](), dict[tuple[str, str, str, str], str]()
    async for row, failure in _matching(core, _query(core, "redrive", filters, like), like):
        group = (row.definition, row.state, failure.code, fingerprint(failure))
        groups.setdefault(group, deque(maxlen=NEWEST)).appendleft(row.id)
        counts[group] += 1
        examples[group] = failure.message
    return [
        DeadLetters(*group[:3], counts[group], examples[group], newest[0], group[3], tuple(newest))
        for group, newest in sorted(groups.items())
    ]


def some_filter(filters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Whoever means all of a tenant says so by their status. Raises BadRequest."""
    if not any(v is not None and v not in ({}, (), [], "") for v in filters.values()):
        raise BadRequest("many instances without a filter", remedy="say which: definition=, status=, completed_to= ...")
    return filters


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of which instances, and how: `like` what they failed; only said, in a `dry_run`; at most `limit`, None: all."""

    filters: Mapping[str, Any]
    like: Like = ANY
    dry_run: bool = False
    limit: int | None = None


async def ask_all(core: Core, request: Control, wanted: Wanted, wait: float, key: str | None = None) -> Bulk:
    """One commit each; what cannot be done is told, and keeps nobody else from it. With a `key` it is done to each of them once,

    however often this is repeated. Raises BadRequest (nothing is done).
    """
    check_key(key=key)
    return await _all(core, control_name(type(request)), wanted, lambda i: control(core, i, request, wait, key))


async def signal_all(core: Core, name: str, payload: Any, key: str | None, actor: str, wanted: Wanted, wait: float | None) -> Bulk:
    """The same with a signal; with a `key` it comes to each of them once, however often this is repeated."""

    async def send(instance_id: str) -> Receipt:
        return await signal(core, instance_id, None, name, payload, key=key, actor=actor, wait=wait)

    return await _all(core, "signal", wanted, send)


async def _all(core: Core, verb: str, wanted: Wanted, ask: Callable[[str], Awaitable[Receipt]]) -> Bulk:
    if wanted.limit is not None and wanted.limit < 1:
        raise BadRequest(f"limit={wanted.limit}", remedy="1 or more, or None")
    query = _query(core, verb, wanted.filters, wanted.like)
    fates: dict[str, str] = {}
    ids: list[str] = []
    left, more = wanted.limit, False  # those that are refused do not count
    async for row, *_ in _matching(core, query, wanted.like):
        if more := left == 0:
            break
        ids.append(row.id)
        if len(ids) == (AT_ONCE if left is None else min(AT_ONCE, left)):
            told = await _some(ids, ask, dry_run=wanted.dry_run)
            fates |= told
            left = None if left is None else left - sum(fate in ("", PENDING) for fate in told.values())
            ids = []
    fates |= await _some(ids, ask, dry_run=wanted.dry_run)
    done, pending = ([id for id, fate in fates.items() if fate == which] for which in ("", PENDING))
    refused = {id: why for id, why in fates.items() if why not in ("", PENDING)}
    return Bulk(tuple(done), refused, tuple(pending), more)


async def _some(ids: Sequence[str], ask: Callable[[str], Awaitable[Receipt]], *, dry_run: bool) -> dict[str, str]:
    """What became of each: nothing to be said, pending, or why not."""

    async def one(id: str) -> str:
        try:
            return PENDING if not dry_run and (await ask(id)).status == PENDING else ""
        except (ConflictError, NotFound, UnknownSignal, DataInvalid) as error:
            return error.message

    return dict(zip(ids, await asyncio.gather(*map(one, ids)), strict=True))
