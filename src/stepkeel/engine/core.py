"""What every verb works with: the store, the registered definitions, the group commit, and a local worker if there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.view import Authored
from stepkeel.clock import Clock
from stepkeel.engine.tiers import Tiers
from stepkeel.errors import BadRequest, NotFound, UnknownWorkflow
from stepkeel.ids import IdMaker
from stepkeel.model.commit import Delivery, Receipt, Row, Start
from stepkeel.model.decision import Decision
from stepkeel.model.definition import Definition
from stepkeel.model.snapshot import UNREADABLE
from stepkeel.store.port import Store

__all__ = ["Committing", "Core", "Host", "Hub", "Watcher"]


class Committing(Protocol):
    """The group commit, as far as verbs need it."""

    async def start(self, start: Start) -> str: ...
    async def deliver(self, delivery: Delivery) -> Receipt: ...


class Host(Protocol):
    """The local worker, as far as verbs need it."""

    id: str

    def reserve(self, instance_id: str, tenant: str, *, inline: bool = False) -> bool: ...
    def launched(self, definition: Definition, row: Row, decision: Decision | None) -> None: ...
    def hint(self, instance_id: str, owner: str | None) -> None: ...
    def holds(self, instance_id: str) -> bool: ...


class Watcher(Protocol):
    """Told of every durable step of a worker; `at_rest`: the instance was given back (parked or ended)."""

    def __call__(self, instance_id: str, *, at_rest: bool) -> None: ...


class Hub:
    """Tells those who wait in this process that an instance has moved. A hint: they read the store then."""

    def __init__(self) -> None:
        self._steps: dict[str, list[asyncio.Future[None]]] = {}
        self._rests: dict[str, list[asyncio.Future[None]]] = {}

    def __call__(self, instance_id: str, *, at_rest: bool) -> None:
        if at_rest and self._rests:
            _tell(self._rests.pop(instance_id, ()))
        if self._steps:
            _tell(self._steps.pop(instance_id, ()))

    def rest(self, instance_id: str) -> asyncio.Future[None]:
        """Done when this process next gives the instance back (parked or ended)."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rests.setdefault(instance_id, []).append(future)
        return future

    async def moved(self, instance_id: str, seconds: float, *, any_step: bool) -> None:
        """Until the instance moves here (any step, or only when it is given back), or the time is over."""
        loop = asyncio.get_running_loop()
        waiting = self._steps if any_step else self._rests
        future: asyncio.Future[None] = loop.create_future()
        waiting.setdefault(instance_id, []).append(future)
        timer = loop.call_later(seconds, _tell, (future,))
        try:
            await future
        finally:
            timer.cancel()
            others = waiting.get(instance_id)
            if others and future in others:
                others.remove(future)
                if not others:
                    del waiting[instance_id]


def _tell(futures: Iterable[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


@dataclass(frozen=True, slots=True)
class Who:
    """Who was recognised by a credential, and the id that their request is found by."""

    identity: str
    request_id: str = ""


@dataclass(slots=True)
class Core:
    store: Store
    committer: Committing
    clock: Clock
    ids: IdMaker
    tenant: str
    patience: float
    inbox_limit: int
    definitions: dict[tuple[str, int], Definition]
    hub: Hub = field(default_factory=Hub)
    host: Host | None = None
    outlines: dict[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict[tuple[str, int], Mapping[str, Any]])
    traits: dict[tuple[str, int], Any] = field(default_factory=dict[tuple[str, int], Any])  # what was made out of them (doctor.py)
    who: Who | None = None  # for the audit log
    tiers: Tiers = field(default_factory=Tiers)  # of tenants

    def hint(self, instance_id: str, owner: str | None) -> None:
        """Something was put into this instance's inbox, or it is due: tell whoever holds it, or may take it."""
        if self.host is not None:
            self.host.hint(instance_id, owner)
        else:
            self.store.tell(owner)

    def definition_of(
        self, workflow: type[Workflow[Any]] | Authored[Any] | Definition | str, version: int | None = None
    ) -> Definition:
        """The registered definition that is meant: the highest version unless said. Raises UnknownWorkflow."""
        if isinstance(workflow, str):
            name = workflow
            versions = [v for n, v in self.definitions if n == name]
            wanted = version if version is not None else max(versions, default=0)
        else:
            definition = workflow if isinstance(workflow, Definition) else workflow.definition
            name = definition.name
            versions = [v for n, v in self.definitions if n == name]
            wanted = version if version is not None else definition.version
        found = self.definitions.get((name, wanted))
        if found is None:
            known = ", ".join(sorted(f"{n} version {v}" for n, v in self.definitions)) or "none"
            text = f"{name} version {wanted}" if wanted else name
            raise UnknownWorkflow(f"{text} was not given to this engine", remedy=f"Engine(..., workflows=[...]); given: {known}")
        return found

    async def row(self, instance_id: str) -> Row:
        """The instance's row. Raises NotFound."""
        if not isinstance(instance_id, str) or not instance_id:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequest(f"{instance_id!r} is no instance id", remedy="a text as `start` returned it")
        row = (await self.store.load([instance_id])).get(instance_id)
        if row is None or row.tenant != self.tenant:
            raise NotFound(f"there is no instance {instance_id}", remedy="was it purged, or is it in another database?")
        return row

    async def outline(self, definition: str, version: int) -> Mapping[str, Any] | None:
        """The stored outline of a definition, for what has to be known of it without its code."""
        if (definition, version) not in self.outlines:
            for row in await self.store.definitions():
                with suppress(*UNREADABLE):  # one that does not decode is one we do not know
                    self.outlines[row.name, row.version] = msgspec.json.decode(row.document)
        return self.outlines.get((definition, version))
