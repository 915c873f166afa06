"""Tasks: which there are, and what people do about them. Who acts is the identity of the request."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import Response
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from stepkeel.api.asked import Moment, key_of, moments_of, patience_of
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


@get(AT, summary="A task")
async def get_task(core: TheCore, task_id: FromPath[str]) -> TaskInfo:
    return await people.get(core, task_id)


async def _act(request: Asking, core: Core, task_id: str, asked: Act) -> Response[Receipt]:
    return await receipt(people.act(core, task_id, asked, patience_of(request)))


@post(f"{AT}/claim", status_code=200, summary="It is mine alone, until I release it")
async def claim_task(request: Asking, core: TheCore, task_id: FromPath[str], data: JSONBody[Asked]) -> Response[Receipt]:
    return await _act(request, core, task_id, Act("claim", actor_of(request), roles_of(request)))


@post(f"{AT}/release", status_code=200, summary="It is not mine any more")
async def release_task(request: Asking, core: TheCore, task_id: FromPath[str], data: JSONBody[Asked]) -> Response[Receipt]:
    return await _act(request, core, task_id, Act("release", actor_of(request), roles_of(request)))


@post(
    f"{AT}/complete", status_code=200, summary="It is done", description="The same key (or Idempotency-Key) again is the same act"
)
async def complete_task(request: Asking, core: TheCore, task_id: FromPath[str], data: JSONBody[Complete]) -> Response[Receipt]:
    asked = Act("complete", actor_of(request), roles_of(request), payload=data.payload, key=key_of(request, data.key))
    return await _act(request, core, task_id, asked)


@post(f"{AT}/reassign", status_code=200, summary="It is somebody else's")
async def reassign_task(request: Asking, core: TheCore, task_id: FromPath[str], data: JSONBody[Reassign]) -> Response[Receipt]:
    return await _act(request, core, task_id, Act("reassign", actor_of(request), roles_of(request), to=data.to))


@post(f"{AT}/comment", status_code=200, summary="Say something about it")
async def comment_task(request: Asking, core: TheCore, task_id: FromPath[str], data: JSONBody[Comment]) -> Response[Receipt]:
    return await _act(request, core, task_id, Act("comment", actor_of(request), roles_of(request), text=data.text))


ROUTES = [list_tasks, get_task, claim_task, release_task, complete_task, reassign_task, comment_task]
