"""Many instances at once: started, and whatever is asked of those that a filter matches. Each is told what became of it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from litestar.params import JSONBody

from stepkeel.api.asked import RECEIPT_WAIT, correlation_of, key_of
from stepkeel.api.caller import Asking, TheCore, actor_of
from stepkeel.api.many import (
    Begun,
    Counted,
    Fates,
    Many,
    ManyRedrive,
    ManySignal,
    ManyStop,
    Purge,
    Retire,
    StartedMany,
    StartMany,
)
from stepkeel.api.route import post
from stepkeel.engine import bulk, repair
from stepkeel.engine.bulk import ANY, Bulk, Like, Wanted, some_filter
from stepkeel.engine.core import Core
from stepkeel.engine.start import Options, start_all
from stepkeel.model import input as inputs
from stepkeel.model.instant import span_of, to_span

__all__ = ["ROUTES"]


def _wanted(data: Many, like: Like = ANY) -> Wanted:
    return Wanted(some_filter(data.filter.read()), like, data.dry_run, data.limit)


async def _fates(asked: Awaitable[Bulk]) -> Fates:
    return Fates.of(await asked)


def _ask(request: Asking, core: Core, asked: inputs.Control, data: Many, like: Like = ANY) -> Awaitable[Fates]:
    return _fates(bulk.ask_all(core, asked, _wanted(data, like), RECEIPT_WAIT, key_of(request, None)))


def _verb(path: str, summary: str) -> Any:
    text = "The same Idempotency-Key again is not done again to those to whom it was done; to others that match by then it is"
    return post(f"/bulk/{path}", summary, text, status_code=200)


def _for_good(path: str, summary: str) -> Any:
    """Those it was done to are not there any more: no key is needed."""
    return post(f"/bulk/{path}", summary, "Asked again, it is done to those that match by then", heeds=(), status_code=200)


@post(
    "/bulk/start",
    "Start many; all their data are checked before anything is stored",
    "With an Idempotency-Key each that has no key of its own is given one by its place: the same request again starts nothing",
    heeds=("Idempotency-Key", "X-Correlation-ID"),
    status_code=200,
)
async def start_instances(request: Asking, core: TheCore, data: JSONBody[StartMany]) -> StartedMany:
    actor, key = actor_of(request), key_of(request, None)
    each = [
        (i.data, Options(_key(i.key, key, n), correlation_of(request, i.correlation_id), i.priority, i.attributes or None, actor))
        for n, i in enumerate(data.items)
    ]
    answers = await start_all(core, core.definition_of(data.definition, data.version), each)
    return StartedMany([Begun(a.id, a.created) for a in answers])


def _key(own: str | None, of_all: str | None, place: int) -> str | None:
    return own if own is not None or of_all is None else f"{of_all}#{place}"


@_verb("signal", "Send them a signal")
async def signal_instances(request: Asking, core: TheCore, data: JSONBody[ManySignal]) -> Fates:
    key = key_of(request, data.key)
    return await _fates(bulk.signal_all(core, data.name, data.payload, key, actor_of(request), _wanted(data), None))


@_verb("pause", "Nothing of them begins any more, until they are resumed")
async def pause_instances(request: Asking, core: TheCore, data: JSONBody[Many]) -> Fates:
    return await _ask(request, core, inputs.Pause(actor_of(request), data.reason), data)


@_verb("resume", "Let those go on that are paused")
async def resume_instances(request: Asking, core: TheCore, data: JSONBody[Many]) -> Fates:
    return await _ask(request, core, inputs.Resume(actor_of(request), data.reason), data)


@_verb("cancel", "End them as cancelled")
async def cancel_instances(request: Asking, core: TheCore, data: JSONBody[ManyStop]) -> Fates:
    return await _ask(request, core, inputs.Cancel(actor_of(request), data.reason, data.compensate), data)


@_verb("terminate", "End them as terminated")
async def terminate_instances(request: Asking, core: TheCore, data: JSONBody[ManyStop]) -> Fates:
    return await _ask(request, core, inputs.Terminate(actor_of(request), data.reason, data.compensate), data)


@_verb("redrive", "Continue failed ones")
async def redrive_instances(request: Asking, core: TheCore, data: JSONBody[ManyRedrive]) -> Fates:
    asked = inputs.Redrive(actor_of(request), data.reason, data.from_state, data.failed_parts)
    return await _ask(request, core, asked, data, Like(data.code, data.fingerprint))


@_verb("archive", "Take ended ones out of the lists")
async def archive_instances(request: Asking, core: TheCore, data: JSONBody[Many]) -> Fates:
    return await _ask(request, core, inputs.Archive(actor_of(request), data.reason), data)


@_for_good("purge", "Delete ended ones for good, with their history")
async def purge_instances(request: Asking, core: TheCore, data: JSONBody[Purge]) -> Counted:
    told = {"actor": actor_of(request), "reason": data.reason}
    return Counted(await repair.purge(core, data.filter.read(), archived=data.archived, **told))


@_for_good("retire", "Move what ended long ago into the archive, or delete it for good")
async def retire_instances(request: Asking, core: TheCore, data: JSONBody[Retire]) -> Counted:
    span = to_span(span_of(data.older_than, "older_than"))
    filters = {} if data.filter is None else data.filter.read()
    told = {"actor": actor_of(request), "reason": data.reason}
    return Counted(await repair.retire(core, span, filters, delete=data.delete, archived=data.archived, **told))


ROUTES = [
    start_instances, signal_instances, pause_instances, resume_instances, cancel_instances, terminate_instances,
    redrive_instances, archive_instances, purge_instances, retire_instances,
]  # fmt: skip
