"""The audit log: read, checked, taken elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream

from stepkeel.api.asked import Moment, moments_of
from stepkeel.api.caller import TheCore
from stepkeel.api.many import Audited, Verification
from stepkeel.api.route import get
from stepkeel.engine.audit import Audit

__all__ = ["ROUTES"]

Number = Annotated[int, QueryParameter(ge=0, le=10**18, description="a number of an entry")]
LINES = "application/jsonl"


@get("/audit", "Who did what", "The next page begins behind the number of the last entry of this one")
async def read_audit(
    core: TheCore,
    after: Number = 0,
    before: Annotated[int | None, QueryParameter(ge=1, le=10**18, description="a number of an entry")] = None,
    newest_first: FromQuery[bool] = False,
    who: Annotated[str | None, QueryParameter(name="actor")] = None,  # a header of every route is called actor
    verb: FromQuery[str | None] = None,
    kind: FromQuery[str | None] = None,
    subject: FromQuery[str | None] = None,
    instance_id: FromQuery[str | None] = None,
    at_from: Moment = None,
    at_to: Moment = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1_000)] = 100,
) -> Audited:
    times = moments_of(at_from=at_from, at_to=at_to)
    entries = await Audit(lambda: core).list(
        after=after, before=before, newest_first=newest_first, limit=limit, actor=who, verb=verb, kind=kind, subject=subject,
        instance_id=instance_id, at_from=times["at_from"], at_to=times["at_to"],
    )  # fmt: skip
    return Audited(entries)


@get(
    "/audit/verification", "Walk the whole chain of the audit log", "`anchor`: a head as it was told earlier, which has to be in it"
)
async def verify_audit(
    core: TheCore, anchor: Annotated[str, QueryParameter(pattern="^([0-9]{1,18}:[0-9a-f]{64})?$")] = ""
) -> Verification:
    found = await Audit(lambda: core).verify(anchor)
    return Verification(found.intact, found.entries, found.head, [*found.problems])


@get("/audit/export", "The audit log as lines of JSON, each as it was digested", media_type=LINES)
async def export_audit(core: TheCore, after: Number = 0) -> Stream:
    return Stream(_lines(Audit(lambda: core), after), media_type=LINES)


async def _lines(audit: Audit, after: int) -> AsyncIterator[bytes]:
    async for line in audit.export(after):
        yield line


ROUTES: list[Any] = [read_audit, verify_audit, export_audit]
