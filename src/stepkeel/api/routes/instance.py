"""Instances: started, listed, looked at from every side."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import MediaType, Response
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from stepkeel.api.asked import MOST_WAIT, Moment, correlation_of, etag, key_of, moments_of, once, plainly, wait_of
from stepkeel.api.caller import Asking, TheCore, actor_of
from stepkeel.api.route import get, post
from stepkeel.api.schema import Explanation, History, HistoryEntry, Inbox, Instance, Instances, Start, Timers, Waited
from stepkeel.engine import query
from stepkeel.engine.core import Core
from stepkeel.engine.result import info_of
from stepkeel.engine.start import Options, start
from stepkeel.engine.wait import wait
from stepkeel.model.snapshot import Status

__all__ = ["ROUTES"]

Statuses = list[Status]
Id = FromPath[str]
Picture = FromQuery[Literal["svg", "mermaid"]]
Revision = Annotated[int | None, QueryParameter(ge=1)]
Limit = Annotated[int, QueryParameter(ge=1, le=1_000)]


async def told(core: Core, instance_id: str) -> Instance:
    return Instance.of(info_of(await core.row(instance_id), None))


@post(
    "/instances",
    "Start an instance",
    "200, where the key was known; `Prefer: wait=10` waits for its end",
    status_code=201,
    also={200: Instance},
    heeds=("Idempotency-Key", "Prefer", "X-Correlation-ID"),
)
async def start_instance(request: Asking, core: TheCore, data: JSONBody[Start]) -> Response[Instance]:
    definition = core.definition_of(data.definition, data.version)
    key = key_of(request, data.key)
    options = Options(key, correlation_of(request, data.correlation_id), data.priority, data.attributes or None, actor_of(request))
    answer = await start(core, definition, data.data, options)
    seconds = wait_of(request)
    if seconds:
        await wait(core, answer.id, None, 0, None, None, seconds)
    made = await told(core, answer.id)
    headers = {"Location": f"/api/v1/instances/{answer.id}", "ETag": etag(made.revision)}
    if made.correlation_id and made.correlation_id.isascii() and made.correlation_id.isprintable():
        headers["X-Correlation-ID"] = made.correlation_id
    if seconds is not None:
        headers["Preference-Applied"] = f"wait={seconds:.0f}"
    return Response(made, status_code=201 if answer.created else 200, headers=headers)


@get("/instances", summary="List instances", description="A page of them, oldest first; `cursor` leads to the next")
async def list_instances(
    core: TheCore,
    definition: FromQuery[str | None] = None,
    version: FromQuery[int | None] = None,
    status: FromQuery[Statuses | None] = None,
    in_state: Annotated[str | None, QueryParameter(name="state", description="a state's name or label")] = None,
    key: FromQuery[str | None] = None,
    parent: FromQuery[str | None] = None,
    correlation_id: FromQuery[str | None] = None,
    attribute: Annotated[
        list[str] | None, QueryParameter(description="name=value; a value that is JSON is that, else a text")
    ] = None,
    fault: Annotated[bool | None, QueryParameter(description="set aside, or not")] = None,
    created_from: Moment = None,
    created_to: Moment = None,
    updated_from: Moment = None,
    updated_to: Moment = None,
    completed_from: Moment = None,
    completed_to: Moment = None,
    sort: FromQuery[Literal["created", "updated"]] = "created",
    descending: FromQuery[bool] = False,
    limit: Limit = 100,
    cursor: FromQuery[str | None] = None,
    archived: FromQuery[bool] = False,
) -> Instances:
    filters = {
        "definition": definition, "version": version, "status": status, "state": in_state, "key": key, "parent": parent,
        "correlation_id": correlation_id, "attributes": query.attributes_of(attribute) or None, "fault": fault,
        **moments_of(
            created_from=created_from, created_to=created_to, updated_from=updated_from, updated_to=updated_to,
            completed_from=completed_from, completed_to=completed_to,
        ),
    }  # fmt: skip
    page = await query.list_instances(plainly(core), filters, sort, descending, limit, cursor, archived)
    return Instances([Instance.of(i) for i in page.items], page.cursor)


@get("/instances/{instance_id:str}", "An instance", "Its ETag is its revision; with If-None-Match 304", heeds=("If-None-Match",))
async def get_instance(request: Asking, core: TheCore, instance_id: Id) -> Response[Instance]:
    found = await told(core, instance_id)
    return once(request, etag(found.revision), lambda: found)


@get("/instances/{instance_id:str}/data", summary="Its data, now or as of a revision")
async def get_data(core: TheCore, instance_id: Id, revision: Revision = None) -> dict[str, Any]:
    return await query.data(core, instance_id, revision)


@get("/instances/{instance_id:str}/history", summary="What happened to it, oldest first")
async def get_history(core: TheCore, instance_id: Id) -> History:
    return History([HistoryEntry.of(e) for e in await query.history(core, instance_id)])


@get("/instances/{instance_id:str}/signals", summary="Its inbox: every signal and request with its fate")
async def get_signals(core: TheCore, instance_id: Id) -> Inbox:
    return Inbox(await query.signals(core, instance_id))


@get("/instances/{instance_id:str}/timers", summary="Its timers, the next one first")
async def get_timers(core: TheCore, instance_id: Id) -> Timers:
    return Timers(await query.timers(core, instance_id))


@get("/instances/{instance_id:str}/children", summary="Those it has begun, ended ones too")
async def get_children(core: TheCore, instance_id: Id) -> Instances:
    await core.row(instance_id)
    page = await query.list_instances(plainly(core), {"parent": instance_id}, "created", False, 1_000, None, False)
    return Instances([Instance.of(i) for i in page.items], page.cursor)


@get("/instances/{instance_id:str}/explain", summary="Why it rests, and what would move it")
async def get_explanation(core: TheCore, instance_id: Id) -> Explanation:
    return Explanation.of(await query.explanation(core, instance_id))


@get(
    "/instances/{instance_id:str}/wait",
    "Wait until it has ended, or has come to a state, or an attempt has ended so",
    "What has been since the revision `since` counts too. When the time is over: `timed_out`, and it is as it was then",
)
async def wait_instance(
    core: TheCore,
    instance_id: Id,
    in_state: Annotated[str | None, QueryParameter(name="state", description="a state's name or label")] = None,
    outcome: FromQuery[Literal["completed", "failed", "skipped", "waiting", "retried"] | None] = None,
    since: Annotated[int, QueryParameter(ge=0, le=10**18, description="a revision")] = 0,
    seconds: Annotated[float, QueryParameter(ge=0, le=MOST_WAIT)] = 30.0,
) -> Waited:
    return Waited.of(await wait(core, instance_id, None, since, in_state, outcome, seconds))


@get(
    "/instances/{instance_id:str}/diagram",
    summary="A picture of where it stands, the way it took, and what failed",
    media_type="image/svg+xml",
)
async def get_diagram(core: TheCore, instance_id: Id, format: Picture = "svg") -> Response[str]:
    text = await query.diagram(core, instance_id, format)
    return Response(text, media_type="image/svg+xml" if format == "svg" else MediaType.TEXT)


ROUTES = [
    start_instance, list_instances, get_instance, get_data, get_history, get_signals, get_timers, get_children, get_explanation,
    get_diagram, wait_instance,
]  # fmt: skip
