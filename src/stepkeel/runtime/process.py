"""Worker, committer, executor and services of one process, started and stopped together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from stepkeel.clock import Clock
from stepkeel.connectors.alerts import Alerts
from stepkeel.engine.core import Core, Watcher
from stepkeel.engine.tiers import Tiers
from stepkeel.errors import BadRequest, EngineError
from stepkeel.ids import IdMaker
from stepkeel.model.definition import Definition
from stepkeel.runtime.behaviour import Behaviour
from stepkeel.runtime.binding import Binding, bind
from stepkeel.runtime.breakers import Breakers
from stepkeel.runtime.committer import Committer
from stepkeel.runtime.executor import Executor
from stepkeel.runtime.secret import Secrets
from stepkeel.runtime.services.alerter import CAPABILITY, Alerter
from stepkeel.runtime.services.auditor import Auditor
from stepkeel.runtime.services.deliverer import Deliverer, Sink
from stepkeel.runtime.services.granter import Granter
from stepkeel.runtime.services.heartbeat import Heartbeat
from stepkeel.runtime.services.retention import Retention
from stepkeel.runtime.services.takeover import Takeover
from stepkeel.runtime.settings import Settings
from stepkeel.runtime.worker import Worker
from stepkeel.store.port import Store

__all__ = ["Process", "bind_all"]

T = TypeVar("T")
_log = logging.getLogger("stepkeel.worker")


def bind_all(definitions: Mapping[tuple[str, int], Definition], services: Mapping[Any, Any]) -> dict[tuple[str, int, str], Binding]:
    """Every activity of every definition with its services. Raises ServiceMissing for the first that lacks one."""
    return {
        (name, version, activity.name): bind(activity, services)
        for (name, version), definition in definitions.items()
        for activity in definition.activities.values()
    }


def _service(services: Mapping[Any, Any], kind: type[T], example: str) -> T | None:
    found = services.get(kind)
    if found is None or isinstance(found, kind):
        return found
    name = kind.__name__
    raise BadRequest(f"services={{{name}: {type(found).__name__}}}", remedy=f"{name}: {example}, the same for all attempts")


class Process:
    """Until `register` it is a client; until `poll` it claims nothing by itself (a harness looks when it is told to)."""

    def __init__(
        self,
        store: Store,
        definitions: Mapping[tuple[str, int], Definition],
        bindings: Mapping[tuple[str, int, str], Binding],
        behaviours: tuple[Behaviour, ...],
        settings: Settings,
        clock: Clock,
        ids: IdMaker,
        watch: Watcher,
        *,
        name: str = "",
        heartbeat: Callable[[Worker], Heartbeat] = Heartbeat,
        core: Core | None = None,
        sinks: Mapping[str, Sink] | None = None,
    ) -> None:
        self.settings = settings
        self._make_heartbeat = heartbeat
        self.executor = Executor(bindings, behaviours, settings.grace)
        self.committer = Committer(store, settings.patience, self._trusted, self._reached)
        tiers = core.tiers if core is not None else Tiers()
        self.worker = Worker(store, definitions, self.executor, self.committer, settings, clock, ids, watch, name, tiers)
        self.granter = Granter(self.worker)
        self.executor.breakers = self.breakers = Breakers(self.worker)
        self.deliverer = Deliverer(self.worker, sinks or {})
        self.retention = Retention(self.worker)
        self.alerter = Alerter(self.worker)
        self.auditor = Auditor(self.worker, core) if core is not None else None
        self._heartbeat: Heartbeat | None = None
        self._takeover: Takeover | None = None
        self._registered = False

    def use(self, services: Mapping[Any, Any]) -> None:
        """Those services that are not activities' alone. Raises BadRequest for what is none of them."""
        self.executor.secrets = _service(services, Secrets, "Secrets(env=[...])")
        self.alerter.receivers = _service(services, Alerts, "Alerts(webhook=...)")
        self.worker.beyond = (CAPABILITY,) if self.alerter.receivers is not None else ()

    def _trusted(self) -> bool:
        return not self._registered or self.worker.trusted()

    def _reached(self, instance_id: str, owner: str | None) -> None:
        """Something was put into another instance's inbox."""
        if self._registered:
            self.worker.hint(instance_id, owner)

    @property
    def registered(self) -> bool:
        return self._registered

    async def register(self) -> None:
        """Announce the worker and keep its lease alive; it claims nothing yet."""
        await self.worker.register()
        self._registered = True
        if self.settings.heartbeat:
            self._heartbeat = self._make_heartbeat(self.worker)
            self._heartbeat.start()

    def poll(self) -> None:
        """Begin to claim, and to take over what dead workers left."""
        self.worker.start()
        self._takeover = Takeover(self.worker)
        self._takeover.start()
        self.granter.start()
        self.breakers.start()
        if self.deliverer.sinks:
            self.deliverer.start()
        self.retention.start()
        self.alerter.start()
        if self.auditor is not None:
            self.auditor.start()

    async def stop(self) -> None:
        await self.granter.stop()
        await self.breakers.stop()
        await self.deliverer.stop()
        await self.retention.stop()
        await self.alerter.stop()
        if self.auditor is not None:
            await self.auditor.stop()
        if self._takeover is not None:
            await self._takeover.stop()
        if self._registered:
            try:
                await self.worker.stop()
            except EngineError as error:
                _log.warning("shutdown without the database: %s; others take over when the lease is over", error)
        if self._heartbeat is not None:
            await self._heartbeat.stop()
        await self.committer.drain()
        self.executor.close()
