"""The history of an instance as it happens: server-sent events, each told once, also to who comes back.

An event's id is the revision of the entry it tells. Revisions of an instance have no gaps and never change, so `Last-Event-ID`
is all that has to be known of a client: what comes after it is what it has not been told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Annotated

import msgspec
from litestar import Response
from litestar.params import FromPath, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from stepkeel.api.caller import Asking, TheCore
from stepkeel.api.route import get
from stepkeel.api.schema import HistoryEntry
from stepkeel.engine.core import Core
from stepkeel.engine.result import Entry, entry_of, reading_history
from stepkeel.errors import BadRequest, StepkeelError
from stepkeel.model.snapshot import TERMINAL

__all__ = ["ROUTES"]

PAGE = 200
PAUSE_MIN, PAUSE_MAX = 0.02, 0.5  # seconds between looks at what does not move here
QUIET = 15.0  # after so long without an event a comment says that the line is alive
LONGEST = 600.0  # then the client comes back, with a credential that holds by then
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
    # What stands between may not keep it until there is more of it.
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return ServerSentEvent(_events(request, core, instance_id, told), retry_duration=RETRY, headers=headers)


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
                yield ServerSentEventMessage(comment="it waits")
            held = core.host is not None and core.host.holds(instance_id)
            await core.hub.moved(instance_id, PAUSE_MAX if held else pause, any_step=True)
            pause = min(pause * 1.5, PAUSE_MAX)


async def _entries(core: Core, instance_id: str, told: int) -> list[Entry]:
    with reading_history(instance_id):
        return [entry_of(row) for row in await core.store.history(instance_id, told, PAGE)]


ROUTES = [stream_history]
