"""What is looked at across instances: numbers, dead letters, workers, breakers, messages, and what is wrong."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from stepkeel.api.asked import Moment, moments_of
from stepkeel.api.caller import Asking, TheCore, actor_of
from stepkeel.api.many import (
    Breaker,
    Breakers,
    Checked,
    Count,
    Counted,
    Dead,
    Doctor,
    Due,
    Forget,
    Limits,
    Messages,
    Metrics,
    Worker,
    Workers,
)
from stepkeel.api.route import get, post
from stepkeel.api.schema import Said
from stepkeel.engine import breaker, bulk, pool, query, repair
from stepkeel.engine.doctor import doctor
from stepkeel.engine.throughput import Throughput, throughput
from stepkeel.errors import NotFound
from stepkeel.model.message import message_of

__all__ = ["ROUTES"]


@get("/metrics", "How many instances there are, and how many wait for a worker", "Facts of the database")
async def get_metrics(core: TheCore) -> Metrics:
    due = await core.store.due(core.tenant)
    return Metrics([Count.of(m) for m in await query.metrics(core)], [Due.of(d) for d in due])


@get("/metrics/throughput", "How many instances ended, and how long they took, in spans of a time", "Those archived are left out")
async def get_throughput(
    core: TheCore,
    since: Annotated[Moment, QueryParameter(description="an hour before until, unless said")] = None,
    until: Annotated[Moment, QueryParameter(description="now, unless said")] = None,
    spans: Annotated[int, QueryParameter(ge=1, le=500)] = 60,
) -> Throughput:
    return await throughput(core, spans=spans, **moments_of(since=since, until=until))


@get("/dead-letters", "Those that failed, in groups of one definition, state, failure code and fingerprint")
async def list_dead_letters(
    core: TheCore,
    definition: FromQuery[str | None] = None,
    version: FromQuery[int | None] = None,
    in_state: Annotated[str | None, QueryParameter(name="state", description="a state's name or label")] = None,
    code: FromQuery[str | None] = None,
    fingerprint: FromQuery[str | None] = None,
) -> Dead:
    filters = {"definition": definition, "version": version, "state": in_state}
    return Dead(await bulk.dead_letters(core, filters, bulk.Like(code, fingerprint)))


@get("/workers", "Workers of the fleet, and what they serve")
async def list_workers(core: TheCore) -> Workers:
    now = core.store.now()
    return Workers([Worker.of(w, now) for w in await core.store.workers()])


@get("/limits", "Limits that somebody holds slots of or waits for, in order of their names, and who of the tenant does")
async def list_limits(
    core: TheCore,
    name: Annotated[str | None, QueryParameter(description="that one alone")] = None,
    after: Annotated[str, QueryParameter(description="the last name of the page before")] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=1_000)] = 100,
    tickets: Annotated[int, QueryParameter(ge=0, le=1_000, description="of each: the first of those that hold and wait")] = 20,
) -> Limits:
    return Limits([*await pool.limits(core, name, after, limit, tickets)])


@get("/breakers", "Circuit breakers: of which something failed lately, or that ever opened")
async def list_breakers(core: TheCore) -> Breakers:
    return Breakers([Breaker.of(b) for b in await core.store.breakers()])


@post("/breakers/{name:str}/close", "Let attempts through again, before its time is over", heeds=(), status_code=200)
async def close_breaker(request: Asking, core: TheCore, name: FromPath[str], data: JSONBody[Said]) -> Breaker:
    found = await breaker.close(core, name, actor_of(request), data.reason)
    if found is None:
        raise NotFound(f"there is no breaker {name}", remedy="a name as the list of breakers gives it")
    return Breaker.of(found)


@get("/messages", "Messages that no sink has taken yet, oldest first")
async def list_messages(core: TheCore, limit: Annotated[int, QueryParameter(ge=1, le=1_000)] = 100) -> Messages:
    return Messages([message_of(row) for row in await core.store.outbox(limit, core.tenant)])


@post("/doctor", "Ask every invariant of every instance of the tenant", heeds=(), status_code=200)
async def run_doctor(core: TheCore, data: JSONBody[Doctor]) -> Checked:
    report = await doctor(core, histories=data.histories, fix=data.fix, overdue=data.overdue, tenant=core.tenant)
    return msgspec.convert(report, Checked, from_attributes=True)


@post("/cached/forget", "Have activities with a cache run again, whatever is kept of their results", heeds=(), status_code=200)
async def forget_cached(request: Asking, core: TheCore, data: JSONBody[Forget]) -> Counted:
    return Counted(await repair.forget_cached(core, data.activity, actor=actor_of(request), reason=data.reason))


ROUTES = [
    get_metrics, get_throughput, list_dead_letters, list_workers, list_limits, list_breakers, close_breaker, list_messages,
    run_doctor, forget_cached,
]  # fmt: skip
