"""A handle on a task, and the lists of them, as methods of the engine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Literal

from stepkeel.engine import people
from stepkeel.engine.core import Core
from stepkeel.engine.people import Asked, TaskInfo, TaskPage
from stepkeel.engine.result import Receipt
from stepkeel.model.instant import to_micros
from stepkeel.store.port import TaskQuery

__all__ = ["Task", "Tasks"]

WAIT = 10.0
Texts = str | Sequence[str] | None


class Task:
    """A task by its id; nothing is asked yet.

    Each verb takes `actor` (who acts), `roles` (those they have; left out, whoever calls is trusted about them), `wait`
    (seconds for the receipt) and `key` (the same again is the same act: its receipt is told again, also when the task is
    closed by then). Raises NotFound, TaskClosed (it tells by whom and when), NotAllowed, InvalidTransition.
    """

    def __init__(self, core: Callable[[], Core], task_id: str) -> None:
        self._core = core
        self.id = task_id

    async def get(self) -> TaskInfo:
        return await people.get(self._core(), self.id)

    async def claim(
        self, *, actor: str, roles: Collection[str] | None = None, key: str | None = None, wait: float = WAIT
    ) -> Receipt:
        """It is the actor's alone until they release it."""
        return await self._act(Asked("claim", actor, roles, key=key), wait)

    async def release(
        self, *, actor: str = "", roles: Collection[str] | None = None, key: str | None = None, wait: float = WAIT
    ) -> Receipt:
        return await self._act(Asked("release", actor, roles, key=key), wait)

    async def complete(
        self, payload: Any = None, *, actor: str = "", roles: Collection[str] | None = None, key: str | None = None,
        wait: float = WAIT,
    ) -> Receipt:  # fmt: skip
        """It is done. `payload` is a value of the form's type, or a mapping of its fields.

        Raises DataInvalid too: nothing is stored then.
        """
        return await self._act(Asked("complete", actor, roles, payload, key=key), wait)

    async def approve(
        self, comment: str = "", *, actor: str = "", roles: Collection[str] | None = None, key: str | None = None,
        wait: float = WAIT,
    ) -> Receipt:  # fmt: skip
        """Complete an approval with yes."""
        return await self.complete({"approved": True, "comment": comment}, actor=actor, roles=roles, key=key, wait=wait)

    async def reject(
        self, comment: str = "", *, actor: str = "", roles: Collection[str] | None = None, key: str | None = None,
        wait: float = WAIT,
    ) -> Receipt:  # fmt: skip
        """Complete an approval with no."""
        return await self.complete({"approved": False, "comment": comment}, actor=actor, roles=roles, key=key, wait=wait)

    async def reassign(
        self, to: str, *, actor: str = "", roles: Collection[str] | None = None, key: str | None = None, wait: float = WAIT
    ) -> Receipt:
        """It is somebody else's from now on: what a person does to delegate it, or who looks after others' work."""
        return await self._act(Asked("reassign", actor, roles, to=to, key=key), wait)

    async def comment(
        self, text: str, *, actor: str = "", roles: Collection[str] | None = None, key: str | None = None, wait: float = WAIT
    ) -> Receipt:
        """Said in the history of its instance."""
        return await self._act(Asked("comment", actor, roles, text=text, key=key), wait)

    async def _act(self, asked: Asked, wait: float) -> Receipt:
        return await people.act(self._core(), self.id, asked, wait)

    def __repr__(self) -> str:
        return f"<Task {self.id}>"


class Tasks:
    """What an engine knows of tasks."""

    def core(self) -> Core:
        raise NotImplementedError

    def task(self, task_id: str) -> Task:
        """A handle on a task; nothing is asked yet."""
        return Task(self.core, task_id)

    async def tasks(
        self,
        *,
        status: Texts = "open",
        person: str | None = None,
        roles: Texts = None,
        role: str | None = None,
        assignee: str | None = None,
        claimed_by: str | None = None,
        definition: str | None = None,
        instance_id: str | None = None,
        text: str | None = None,
        due_from: datetime | None = None,
        due_to: datetime | None = None,
        sort: Literal["opened", "due"] = "opened",
        limit: int = 100,
        cursor: str | None = None,
    ) -> TaskPage:
        """A page of tasks, those that are open unless `status` says otherwise (open, completed, withdrawn; None: all).

        person  theirs: assigned to them, or claimed by them, or they are a candidate; `roles` adds those for these roles
        text    in the title; `sort` by opened or due. Times are half-open. Raises BadRequest.
        """
        query = TaskQuery(
            status=_texts(status), person=person, roles=_texts(roles), role=role, assignee=assignee, claimed_by=claimed_by,
            definition=definition, instance_id=instance_id, text=text, due_from=_micros(due_from), due_to=_micros(due_to),
            sort=sort, limit=limit,
        )  # fmt: skip
        return await people.list_tasks(self.core(), query, cursor)


def _micros(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)


def _texts(value: Texts) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)
