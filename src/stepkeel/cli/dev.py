"""`stepkeel dev`: workflows of a module on a file of their own, served on this machine, again whenever a source changes."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, cast

from cyclopts import App, Parameter

from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.view import Authored
from stepkeel.cli.output import print_error, say
from stepkeel.cli.serve import OWN, addresses, is_loopback
from stepkeel.cli.session import engine_of, load_module, load_object
from stepkeel.errors import BadRequest, StepkeelError
from stepkeel.extra import needing
from stepkeel.facade import Engine
from stepkeel.model.definition import Definition

__all__ = ["add_to", "app"]

TARGET, DATABASE = "STEPKEEL_DEV_TARGET", "STEPKEEL_DEV_DATABASE"  # how the process that serves is told
EXAMPLE = "shop.app, where workflows are, or shop.app:engine"


def add_to(app: App) -> None:
    app.command(dev)


def dev(
    target: Annotated[str, Parameter(help="a module with workflows, or module:name of an Engine")],
    /,
    *,
    host: Annotated[str, Parameter(help="address of this machine to listen on")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="0: any that is free")] = 8080,
    database: Annotated[
        str | None, Parameter(name=["--database", "-d"], help="of a module's workflows; default: sqlite:///MODULE.db")
    ] = None,
) -> int:
    """Serve a module's workflows while you write them: API and worker, on a SQLite file beside it; a changed source restarts it.

    Nobody is asked who they are. A definition that has changed takes the place of the stored one, whatever lives on it.
    """
    if not is_loopback(host):
        raise BadRequest(f"{host} is no address of this machine alone", remedy="stepkeel serve, with --access")
    with needing("uvicorn", "serving", "server"):
        import uvicorn
        from uvicorn.supervisors.statreload import StatReload
    os.environ[TARGET] = target
    os.environ[DATABASE] = database or ""
    folder = str(Path.cwd())
    config = uvicorn.Config(
        f"{__name__}:app", factory=True, host=host, port=port, log_config=None, access_log=False, lifespan="on", reload=True,
        reload_dirs=[folder], timeout_graceful_shutdown=1,
    )  # fmt: skip
    socket = config.bind_socket()

    class Reload(StatReload):
        """What is saved while the process begins counts, too: files are looked at before it, not some time after."""

        def _look(self) -> None:
            self.mtimes = {}
            for file in self.iter_py_files():
                with suppress(OSError):
                    self.mtimes[file] = file.stat().st_mtime

        def startup(self) -> None:
            self._look()
            super().startup()

        def restart(self) -> None:
            self._look()
            super(StatReload, self).restart()

    say(f"{addresses([socket], console=True)[0]}: a changed source in {folder} restarts it")
    Reload(config, target=uvicorn.Server(config).run, sockets=[socket]).run()
    return 0


def app() -> Any:
    """What the process that serves makes of its environment. What is wrong is told; a change is waited for then."""
    try:
        engine = _engine(os.environ[TARGET], os.environ[DATABASE])
        served = ", ".join(f"{d.name} version {d.version}" for d in engine.definitions)
        made = engine.asgi(console=True, hosts=OWN)
    except StepkeelError as error:
        print_error(error, as_json=False)
        sys.exit(1)
    say(f"serves {served} from {engine.store.url}")
    return made


def _engine(target: str, database: str) -> Engine:
    if ":" in target:
        return engine_of(load_object(target, "engine", EXAMPLE), target)
    try:
        module = load_module(target)
    except RuntimeError as error:  # asyncio.run, say, within the loop that serves
        raise BadRequest(f"{target} runs something when it is imported: {error}", remedy='if __name__ == "__main__":') from None
    found = [value for value in vars(module).values() if _is_workflow(value)]
    if not found:
        raise BadRequest(f"{target} has no workflows", remedy=EXAMPLE)
    return Engine(database or f"sqlite:///{target.rpartition('.')[2]}.db", found, on_change="replace")


def _is_workflow(value: Any) -> bool:
    if isinstance(value, type):
        return issubclass(value, Workflow) and cast("Any", value) is not Workflow
    return isinstance(value, Authored | Definition)
