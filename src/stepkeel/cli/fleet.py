"""Commands that run and keep a fleet: worker, db upgrade, db check."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Annotated

from cyclopts import App, Parameter

from stepkeel.cli.log import LogLevel, set_up
from stepkeel.cli.output import plain, print_json, print_table, say
from stepkeel.cli.session import DatabaseOption, JsonOption, configured, engine_of, load_object, run_loop
from stepkeel.clock import SystemClock
from stepkeel.config.read import read_config
from stepkeel.errors import BadRequest
from stepkeel.facade import Engine, open_store
from stepkeel.runtime.health import Health
from stepkeel.store.port import Remark

__all__ = ["add_to"]

_EXAMPLE = "module:engine, for example shop.app:engine, where engine = Engine(...)"


def add_to(app: App) -> None:
    app.command(worker)
    database = App(name="db", help="Make, upgrade and look at the database itself.", result_action="return_value")
    database.command(upgrade)
    database.command(check)
    app.command(database)


def worker(
    target: Annotated[str, Parameter(help="module:engine, an Engine or a function that makes one")],
    /,
    *,
    database: DatabaseOption = None,
    concurrency: Annotated[int | None, Parameter(help="instances held at a time")] = None,
    name: Annotated[str | None, Parameter(help="shown in lists of workers; default host:pid")] = None,
    health: Annotated[str | None, Parameter(help="HOST:PORT for GET /livez and /readyz; off unless said")] = None,
    log_level: LogLevel = None,
) -> int:
    """Run workflows until SIGTERM or SIGINT; then finish or hand back what is held, and leave.

    A second signal leaves at once: what was held is taken over by others when the lease is over.
    """
    config = read_config()
    set_up(config, log_level)
    engine = engine_of(load_object(target, "engine", _EXAMPLE), target)
    if not engine.definitions:
        raise BadRequest(f"{target} has no workflows", remedy="Engine(url, workflows=[...])")
    place = config.get("worker.health", health)
    made = configured(engine, config, database, concurrency=concurrency, name=config.get("worker.name", name), worker=True)
    return run_loop(_serve(made, Health.place(place) if place else None))


async def _serve(engine: Engine, place: tuple[str, int] | None) -> int:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    signals = 0

    def stop() -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            os._exit(130)  # somebody is in a hurry
        told.set()

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(engine)
        running = engine.process.worker
        if place is not None:
            auditor = engine.process.auditor
            await stack.enter_async_context(Health(running, *place, auditor.facts if auditor else None))
        served = ", ".join(f"{d.name} version {d.version}" for d in engine.definitions)
        say(f"worker {running.name} ({running.id}) serves {served} from {engine.store.url}")
        await told.wait()
        say(f"worker {running.name} stops: {len(running.residents)} instances to finish or hand back")
    say("worker stopped")
    return 0


def upgrade(*, database: DatabaseOption = None, json: JsonOption = False) -> None:
    """Make the tables, or bring them to this release's version; on PostgreSQL also the archive's parts of the months ahead.

    Workers of the release before go on meanwhile: upgrade the database first, then them.
    """
    done = asyncio.run(open_store(read_config().database(database), SystemClock()).upgrade())
    if json:
        print_json({"before": done.before, "now": done.now, "made": list(done.made)})
        return
    say(f"schema {done.now}" + (f", was {done.before}" if done.before != done.now else ", nothing to do"))
    if done.made:
        say(f"made {len(done.made)} parts of the archive")


def check(*, database: DatabaseOption = None, json: JsonOption = False) -> int:
    """Look at the database: version, settings, size. Exit code 1 where something should be otherwise."""

    async def work() -> list[Remark]:
        store = open_store(read_config().database(database), SystemClock())
        await store.open(make=False)
        try:
            return list(await store.check())
        finally:
            await store.close()

    found = asyncio.run(work())
    if json:
        print_json({"remarks": [plain(r) for r in found]})
    else:
        print_table(("what", "is", "advice"), [(r.name, r.value, r.advice) for r in found])
    return 1 if any(r.advice for r in found) else 0
