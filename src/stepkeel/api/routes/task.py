"""Tasks: which there are, and what people do about them. Who acts is the identity of the request."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Response
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from stepkeel.api.asked import Moment, etag, key_of, moments_of, once, patience_of
from stepkeel.api.caller import Asking, TheCore, actor_of, roles_of
from stepkeel.api.route import get, post
from stepkeel.api.routes.action import receipt
from stepkeel.api.schema import Asked, Comment, Complete, Reassign
from stepkeel.engine import people
from stepkeel.engine.core import Core
from stepkeel.engine.people import Asked as Act
from stepkeel.engine.people import TaskInfo, TaskPage
from stepkeel.engine.result import Receipt
from stepkeel.engine.task import Tasks as Desk
from stepkeel.model.instant import to_micros
from stepkeel.model.task import Act as What

__all__ = ["ROUTES"]

AT = "/tasks/{task_id:str}"


class _Desk(Desk):
    """The tasks of one engine."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def core(self) -> Core:
        return self._core


@get("/tasks", summary="List tasks", description="Open ones, unless status says otherwise; `cursor` leads to the next page")
async def list_tasks(
    core: TheCore,
    status: FromQuery[list[Literal["open", "completed", "withdrawn"]] | None] = None,
    person: Annotated[
        str | None, QueryParameter(description="theirs: assigned to them, claimed by them, or they are a candidate")
    ] = None,
    roles: Annotated[list[str] | None, QueryParameter(description="and those for these roles")] = None,
    role: FromQuery[str | None] = None,
    assignee: FromQuery[str | None] = None,
    claimed_by: FromQuery[str | None] = None,
    definition: FromQuery[str | None] = None,
    instance_id: FromQuery[str | None] = None,
    text: Annotated[str | None, QueryParameter(description="in the title")] = None,
    due_from: Moment = None,
    due_to: Moment = None,
    sort: FromQuery[Literal["opened", "due"]] = "opened",
    limit: Annotated[int, QueryParameter(ge=1, le=1_000)] = 100,
    cursor: FromQuery[str | None] = None,
) -> TaskPage:
    return await _Desk(core).tasks(
        status=status or "open", person=person, roles=roles, role=role, assignee=assignee, claimed_by=claimed_by,
        definition=definition, instance_id=instance_id, text=text, sort=sort, limit=limit, cursor=cursor,
        **moments_of(due_from=due_from, due_to=due_to),
    )  # fmt: skip


@get(AT, "A task", heeds=("If-None-Match",))
async def get_task(request: Asking, core: TheCore, task_id: FromPath[str]) -> Response[TaskInfo]:
    found = await people.get(core, task_id)
    return once(request, etag(to_micros(found.updated_at)), lambda: found)


async def _act(request: Asking, core: Core, task_id: str, name: What, key: str | None = None, **said: Any) -> Response[Receipt]:
    asked = Act(name, actor_of(request), roles_of(request), key=key_of(request, key), **said)
    return await receipt(people.act(core, task_id, asked, patience_of(request)))


def _verb(path: str, summary: str) -> Any:
    text = "The same Idempotency-Key again is the same act: its receipt is told again"
    return post(f"{AT}/{path}", summary, text, status_code=200, heeds=("Idempotency-Key", "Prefer"))


@_verb("claim", "It is mine alone, until I release it")
async def claim_task(request: Asking, core: TheCore, task_id: FromPath[str], data: JSONBody[Asked]) -> Response[Receipt]:
    return await _act(request, core, task_id, "claim")


@_verb("release", "It is not mine any more")
async def release_task(request: Asking, core: TheCore, task_id: FromPath[str], data: JSONBody[Asked]) -> Response[Receipt]:
    return await _act(request, core, task_id, "release")


@_verb("complete", "It is done")
async def complete_task(request: Asking, core: TheCore, task_id: FromPath[str], data: JSONBody[Complete]) -> Response[Receipt]:
    return await _act(request, core, task_id, "complete", data.key, payload=data.payload)


@_verb("reassign", "It is somebody else's")
async def reassign_task(request: Asking, core: TheCore, task_id: FromPath[str], data: JSONBody[Reassign]) -> Response[Receipt]:
    return await _act(request, core, task_id, "reassign", to=data.to)


@_verb("comment", "Say something about it")
async def comment_task(request: Asking, core: TheCore, task_id: FromPath[str], data: JSONBody[Comment]) -> Response[Receipt]:
    return await _act(request, core, task_id, "comment", text=data.text)


ROUTES = [list_tasks, get_task, claim_task, release_task, complete_task, reassign_task, comment_task]
