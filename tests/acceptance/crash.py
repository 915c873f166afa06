"""What `kill -9` leaves behind, within one process."""

from __future__ import annotations

from typing import Any

from stepkeel import Engine
from stepkeel.runtime.worker import Worker
from tests.flows import FAST, World


def disconnect(store: Any) -> None:
    """A process that is gone has no connections."""
    for name in ("_commits", "_work", "_people"):
        lane = getattr(store, name, None)
        if lane is not None:
            lane.abandon()
    transactions = getattr(store, "_transactions", None)
    if transactions is not None:
        transactions.close()
    for name in ("_listener", "_teller"):
        part = getattr(store, name, None)
        if part is not None and part._task is not None:
            part._task.cancel()


def crash(engine: Engine) -> None:
    """What `kill -9` leaves behind, within this process: nothing runs on, nothing is given back."""
    process = engine.process
    worker: Worker = process.worker
    for part in (worker._task, process._takeover and process._takeover._task, process.committer._task):
        if part:
            part.cancel()
    for resident in list(worker.residents.values()):
        resident.drop()
    worker.residents.clear()
    if process._heartbeat:
        process._heartbeat._stop.set()
        if process._heartbeat._ticker:
            process._heartbeat._ticker.cancel()
    process.executor.close()
    process.granter._task and process.granter._task.cancel()
    disconnect(engine.store)
    engine._process = None


async def crashed_engine(url: str, flows: Any, world: World, services: Any = None, **more: Any) -> Engine:
    engine = Engine(url, flows, {World: world, **(services or {})}, settings=FAST, **more)
    return await engine.open()
