"""class Client: what an engine offers to those who start, signal and read, over REST."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, TypeVar, cast

import msgspec

from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.view import Authored
from stepkeel.client.handle import RemoteInstance, RemoteTask, plain
from stepkeel.client.many import MOST, Many
from stepkeel.client.record import Items, Told, info_of
from stepkeel.client.wire import Wire
from stepkeel.engine.byid import ById
from stepkeel.engine.people import TaskPage
from stepkeel.engine.query import Page
from stepkeel.engine.result import Entry, InboxEntry, Info, Timer
from stepkeel.engine.start import pairs_of
from stepkeel.errors import BadRequest
from stepkeel.kernel.explain import Explanation
from stepkeel.model.definition import Definition

__all__ = ["Client"]

D = TypeVar("D")
Named = type[Workflow[D]] | Authored[D] | Definition | str
Texts = str | Sequence[str] | None


class Client(Many, ById):
    """The verbs of `Engine`, with its options, results and errors, asked of a server. Use it as `async with Client(url, key=...)`.

    url       of the server: https://stepkeel.example
    key       an API key, or a token of an identity provider
    tenant    one of those that the key reaches; default its first
    patience  seconds for which a server that is away is asked again, where that is safe: reads, and what has a key
    Whoever gives a workflow's class gets its types back; names and mappings do as well. `actor` has to be permitted there.
    Raises what the engine raises, and NotAuthenticated, NotAllowed, TooManyRequests.
    """

    def __init__(
        self, url: str, key: str | None = None, *, tenant: str | None = None, patience: float = 10.0, transport: Any = None
    ) -> None:
        self._wire = Wire(url, key, tenant, patience, transport)
        self.url = self._wire.url

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._wire.__aexit__(kind, error, trace)

    # -- starting

    async def start(
        self,
        workflow: Named[D],
        data: D | Mapping[str, Any],
        *,
        key: str | None = None,
        version: int | None = None,
        correlation_id: str | None = None,
        priority: int = 2,
        attributes: Mapping[str, Any] | None = None,
        actor: str = "",
    ) -> RemoteInstance[D]:
        """Start an instance; durable when this returns. With a `key` it is sent again when an answer is lost; without one it

        raises Unavailable then: nothing is known.
        """
        name, number, definition = _named(workflow, version)
        body = {
            "definition": name, "version": number, "data": _data(definition, data), "key": key,
            "correlation_id": correlation_id, "priority": priority, "attributes": dict(attributes or {}),
        }  # fmt: skip
        answer = await self._wire.send("POST", "/instances", body=body, actor=actor, again=key is not None)
        told = self._wire.read(answer, Told)
        return RemoteInstance(self._wire, told["id"], definition, created=answer.status_code == 201)

    async def start_many(
        self,
        workflow: Named[D],
        data: Iterable[D | Mapping[str, Any]] | Mapping[str, D | Mapping[str, Any]],
        *,
        version: int | None = None,
        priority: int = 2,
        correlation_id: str | None = None,
    ) -> list[RemoteInstance[D]]:
        """Start many, 1,000 a request. A mapping gives each its key. Those of a request are checked before any of it is stored."""
        name, number, definition = _named(workflow, version)
        items = [
            {"data": _data(definition, each), "key": key, "priority": priority, "correlation_id": correlation_id}
            for key, each in pairs_of(data)
        ]
        found: list[RemoteInstance[D]] = []
        for n in range(0, len(items), MOST):
            part = items[n : n + MOST]
            body = {"definition": name, "version": number, "items": part}
            again = all(each["key"] is not None for each in part)
            told: Items = await self._wire.post("/bulk/start", body, Items, again=again, wait=60)
            found += [RemoteInstance(self._wire, t["id"], definition, created=t["created"]) for t in told.items]
        return found

    # -- one instance

    def instance(self, instance_id: str, workflow: Any = None) -> RemoteInstance[Any]:
        """A handle on an instance. With its workflow it is typed; nothing is asked yet."""
        return RemoteInstance(self._wire, instance_id, None if workflow is None else _named(workflow, None)[2])

    async def get(self, instance_id: str) -> Info:
        return await self.instance(instance_id).get()

    async def history(self, instance_id: str) -> list[Entry]:
        return await self.instance(instance_id).history()

    async def signals(self, instance_id: str) -> list[InboxEntry]:
        return await self.instance(instance_id).signals()

    async def timers(self, instance_id: str) -> list[Timer]:
        return await self.instance(instance_id).timers()

    async def data(self, instance_id: str, revision: int | None = None) -> dict[str, Any]:
        return await self.instance(instance_id).data(revision)

    async def explain(self, instance_id: str) -> Explanation:
        return await self.instance(instance_id).explain()

    async def diagram(self, instance_id: str, format: str = "svg") -> str:
        at = self.instance(instance_id)._at  # pyright: ignore[reportPrivateUsage]
        return await self._wire.text(f"{at}/diagram", {"format": format})

    # -- lists

    async def list(
        self,
        *,
        sort: str = "created",
        descending: bool = False,
        limit: int = 100,
        cursor: str | None = None,
        archived: bool = False,
        **filters: Any,
    ) -> Page:
        """A page of instances, with the filters of `Engine.list`. Raises BadRequest."""
        attributes = cast("Mapping[str, Any]", filters.pop("attributes", None) or {})
        params = {
            "sort": sort, "descending": descending, "limit": limit, "cursor": cursor, "archived": archived, **filters,
            "attribute": [f"{name}={msgspec.json.encode(value).decode()}" for name, value in attributes.items()],
        }  # fmt: skip
        found: Items = await self._wire.get("/instances", Items, params)
        return Page(tuple(info_of(each) for each in found.items), found.cursor)

    def task(self, task_id: str) -> RemoteTask:
        """A handle on a task; nothing is asked yet."""
        return RemoteTask(self._wire, task_id)

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
        """A page of tasks, with the filters of `Engine.tasks`. Raises BadRequest."""
        params = {
            "status": ["open", "completed", "withdrawn"] if status is None else status, "person": person, "roles": roles,
            "role": role, "assignee": assignee, "claimed_by": claimed_by, "definition": definition, "instance_id": instance_id,
            "text": text, "due_from": due_from, "due_to": due_to, "sort": sort, "limit": limit, "cursor": cursor,
        }  # fmt: skip
        return await self._wire.get("/tasks", TaskPage, params)


def _named(workflow: Any, version: int | None) -> tuple[str, int | None, Definition | None]:
    """Name, version, and the definition where it is at hand."""
    if isinstance(workflow, str):
        return workflow, version, None
    definition = workflow if isinstance(workflow, Definition) else getattr(workflow, "definition", None)
    if not isinstance(definition, Definition):
        raise BadRequest(f"{workflow!r} is no workflow", remedy="its class, or its name")
    return definition.name, definition.version if version is None else version, definition


def _data(definition: Definition | None, data: Any) -> Any:
    """Checked here already where the type is known. Raises DataInvalid."""
    return plain(data) if definition is None else msgspec.json.decode(definition.data.from_input(data))
