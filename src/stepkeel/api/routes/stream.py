"""History as it happens, of an instance or of a tenant: server-sent events, each told once, also to who comes back.

| of | an event's id is |
|---|---|
| an instance | the revision of the entry it tells: revisions have no gaps and never change |
| a tenant | the entry's place in the order of commits (store/feed.py): `commit.instance.revision` |

So `Last-Event-ID` is all that has to be known of a client: what comes after it is what it has not been told.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Response
from litestar.params import FromPath, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from stepkeel.api.caller import Asking, TheCore
from stepkeel.api.route import get
from stepkeel.api.schema import HistoryEntry, TenantEntry
from stepkeel.engine.core import Core
from stepkeel.engine.result import Entry, entry_of, reading_history
from stepkeel.errors import BadRequest, StepkeelError
from stepkeel.model.snapshot import TERMINAL, UNREADABLE
from stepkeel.store.feed import FeedRow, Place

__all__ = ["ROUTES"]

T = TypeVar("T")
PAGE = 200
PAUSE_MIN, PAUSE_MAX = 0.02, 0.5  # seconds between looks at what does not move here
QUIET = 15.0  # after so long without an event a comment says that the line is alive
LONGEST = 600.0  # then the client comes back, with a credential that holds by then
HEADERS = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}  # what stands between may not keep it until there is more
_PLACE = re.compile(r"([0-9]{1,18})\.([!-~]{1,200})\.([0-9]{1,18})", re.ASCII)
RETRY = 1_000  # milliseconds until a client comes back by itself


@get(
    "/instances/{instance_id:str}/events",
    "Its history as it happens",
    "Server-sent events, their ids are revisions. `Last-Event-ID` (or `after`) tells only what comes after it. 204, which tells a "
    "browser not to come back, once it has ended and all is told",
    media_type="text/event-stream",
)
async def stream_history(
    request: Asking,
    core: TheCore,
    instance_id: FromPath[str],
    after: Annotated[int, QueryParameter(ge=0, description="a revision, where there is no Last-Event-ID")] = 0,
) -> Response[None] | ServerSentEvent:
    row = await core.row(instance_id)
    told = _last(request, after)
    if row.status in TERMINAL and row.revision <= told:
        return Response(None, status_code=204)
    return ServerSentEvent(_events(request, core, instance_id, told), retry_duration=RETRY, headers=HEADERS)


def _last(request: Asking, after: int) -> int:
    said = request.headers.get("Last-Event-ID", "")
    if not said:
        return after
    if not (said.isascii() and said.isdigit() and len(said) <= 18):
        raise BadRequest("Last-Event-ID is no revision", remedy="the id of the event that came last")
    return int(said)


async def _events(request: Asking, core: Core, instance_id: str, told: int) -> AsyncGenerator[ServerSentEventMessage]:
    """What goes wrong once it has begun ends it: who comes back is told."""
    now = asyncio.get_running_loop().time
    end, quiet, pause = now() + LONGEST, now() + QUIET, PAUSE_MIN
    with suppress(StepkeelError):
        while now() < end and not request.app.state.closing:
            row = await core.row(instance_id)
            entries = await _entries(core, instance_id, told) if row.revision > told else []
            for entry in entries:
                body = msgspec.json.encode(HistoryEntry.of(entry)).decode()
                yield ServerSentEventMessage(data=body, id=entry.revision, event="history")
                told = entry.revision
            if entries:
                quiet, pause = now() + QUIET, PAUSE_MIN
                continue
            if row.status in TERMINAL:
                return
            if now() > quiet:
                quiet = now() + QUIET
                yield ServerSentEventMessage(data=None, comment="it waits")
            held = core.host is not None and core.host.holds(instance_id)
            await core.hub.moved(instance_id, PAUSE_MAX if held else pause, any_step=True)
            pause = min(pause * 1.5, PAUSE_MAX)


async def _entries(core: Core, instance_id: str, told: int) -> list[Entry]:
    with reading_history(instance_id):
        return [entry_of(row) for row in await _whole(core.store.history(instance_id, told, PAGE))]


async def _whole(asked: Coroutine[Any, Any, T]) -> T:
    """A client that goes away breaks off no question: the connection on which it is asked, others' too, would be lost with it."""
    task = asyncio.ensure_future(asked)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody is left to be told
        raise


@get(
    "/events",
    "The history of all instances as it happens",
    "Server-sent events in the order of commits. `Last-Event-ID` (or `after`) tells only what comes after it, archived or not; "
    "without, what happens from now on is told. It ends after `seconds`: 0 tells what there is",
    media_type="text/event-stream",
)
async def stream_events(
    request: Asking,
    core: TheCore,
    after: Annotated[str, QueryParameter(description="an event's id, where there is no Last-Event-ID")] = "",
    seconds: Annotated[float, QueryParameter(ge=0, le=LONGEST)] = LONGEST,
) -> ServerSentEvent:
    newest = (await core.store.feed(core.tenant, None, 0)).end
    place = _place(request.headers.get("Last-Event-ID") or after)
    if place is not None and place.commit > newest.commit:
        raise BadRequest("that event is not of this database", remedy="without Last-Event-ID: from now on")
    return ServerSentEvent(_all_events(request, core, place or newest, seconds), retry_duration=RETRY, headers=HEADERS)


def _place(said: str) -> Place | None:
    found = _PLACE.fullmatch(said)
    if said and not found:
        raise BadRequest("Last-Event-ID is no event's", remedy="the id of the event that came last")
    return Place(int(found[1]), found[2], int(found[3])) if found else None


async def _all_events(request: Asking, core: Core, after: Place, seconds: float) -> AsyncGenerator[ServerSentEventMessage]:
    """What goes wrong once it has begun ends it: who comes back is told."""
    now = asyncio.get_running_loop().time
    end, quiet, pause = now() + seconds, now(), PAUSE_MIN  # the first thing that is told is where it begins
    with suppress(StepkeelError):
        while not request.app.state.closing:
            page = await _whole(core.store.feed(core.tenant, after, PAGE))
            for row in page.rows:
                yield _told(row)
            after = page.end
            if page.rows:
                quiet, pause = now() + QUIET, PAUSE_MIN
            if now() >= quiet:
                quiet = now() + QUIET
                yield ServerSentEventMessage(data=None, id=_id_of(after), comment="up to here")
            if now() >= end and len(page.rows) < PAGE:
                return
            if not page.rows:
                await asyncio.sleep(min(pause, max(end - now(), 0.0)))
                pause = min(pause * 1.5, PAUSE_MAX)


def _told(row: FeedRow) -> ServerSentEventMessage:
    """One that does not decode holds up none behind it: its id alone is told."""
    try:
        body = msgspec.json.encode(TenantEntry(row.instance_id, HistoryEntry.of(entry_of(row.entry)))).decode()
    except UNREADABLE:
        return ServerSentEventMessage(data=None, id=_id_of(row.place), comment="an entry that does not decode")
    return ServerSentEventMessage(data=body, id=_id_of(row.place), event="history")


def _id_of(place: Place) -> str:
    return f"{place.commit}.{place.instance_id}.{place.revision}"


ROUTES = [stream_history, stream_events]
