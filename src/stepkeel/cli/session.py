"""An engine for the length of a command: a client without workflows, so every command works without their code."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter

from stepkeel.client import Client
from stepkeel.config.read import FILE, FILE_VARIABLE, Config, read_config
from stepkeel.errors import BadRequest
from stepkeel.facade import Engine

__all__ = [
    "Actor",
    "DatabaseOption",
    "JsonOption",
    "PlaceOption",
    "ReasonOption",
    "TenantOption",
    "configured",
    "engine_of",
    "load_module",
    "load_object",
    "on_engine",
    "read_json",
    "run_loop",
    "time_of",
]

T = TypeVar("T")
DatabaseOption = Annotated[str | None, Parameter(name=["--database", "-d"], help="database URL; default: STEPKEEL_DATABASE")]
PlaceOption = Annotated[
    str | None,
    Parameter(
        name=["--database", "--server", "-d"],
        help="URL of a database, or of a server; default: STEPKEEL_SERVER, then STEPKEEL_DATABASE",
    ),
]
JsonOption = Annotated[bool, Parameter(name="--json", negative=(), help="one JSON document instead of text")]
TenantOption = Annotated[str | None, Parameter(name="--tenant", help="whose instances; default: default")]
Actor = Annotated[str, Parameter(name="--actor", help="who asks; kept in history and audit log")]
ReasonOption = Annotated[str, Parameter(name="--reason", help="why; kept in history and audit log")]


def on_engine(url: str | None, work: Callable[[Engine], Awaitable[T]], tenant: str | None = None) -> T:
    """Open a client of a database or of a server, do the work, close it. A database that does not exist is not made.

    Raises Unavailable, DatabaseInvalid, and what a server refuses.
    """
    config = read_config()
    place = config.place(url)

    async def main() -> T:
        async with _client(place, config, tenant) as client:
            return await work(client)

    return asyncio.run(main())


def _client(place: str, config: Config, tenant: str | None) -> Any:
    if place.startswith(("http://", "https://")):
        said, server, key = (config.said[name] for name in ("tenant", "server", "key"))
        if key.value and place == server.value and server.origin == FILE != key.origin:
            # Whoever put that file into this folder would be given the key.
            text = f"{FILE} of this folder names the server, and the key comes from {key.origin}"
            raise BadRequest(text, remedy=f"--server, STEPKEEL_SERVER, or {FILE_VARIABLE}={FILE} if you trust the file")
        whose = tenant or (None if said.origin == "default" else said.value)
        return Client(place, key.value, tenant=whose)
    return Engine(place, worker=False, tenant=config.get("tenant", tenant), keyring=config.keyring())


def engine_of(found: Any, target: str) -> Engine:
    """It, or what it makes. Raises BadRequest."""
    made: Any = found() if callable(found) else found
    if not isinstance(made, Engine):
        raise BadRequest(f"{target} is {type(made).__name__}, not an Engine", remedy="engine = Engine(url, [Workflow])")
    return made


def configured(
    engine: Engine,
    config: Config,
    database: str | None = None,
    *,
    concurrency: int | None = None,
    name: str = "",
    worker: bool | None = None,
) -> Engine:
    """The same, but for what flags, environment and file say otherwise than its code. Raises BadRequest."""
    url, settings = config.get("database", database) or engine.url, config.settings(engine.settings, concurrency)
    keyring = config.keyring()
    if (url, settings, name, worker, keyring) == (engine.url, engine.settings, "", None, None):
        return engine
    given = {n: said for n, said in (("name", name), ("keyring", keyring)) if said}
    return engine.elsewhere(url, settings=settings, worker=worker, **given)


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """On uvloop where it is installed, which a worker and a server gain by."""
    try:
        import uvloop  # pyright: ignore[reportMissingImports]
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def load_module(name: str) -> ModuleType:
    """It, looked for in the working directory first. Raises BadRequest."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BadRequest(f"{name} cannot be imported: {error}", remedy="run it where the module lies") from None


def load_object(target: str, what: str, example: str) -> Any:
    """What `module:name` names, looked for in the working directory first. Raises BadRequest."""
    module_name, separator, name = target.partition(":")
    if not separator or not name:
        raise BadRequest(f"{target!r} names no {what}", remedy=example)
    found: Any = load_module(module_name)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise BadRequest(f"{module_name} has no {what} {name}", remedy=example)
    return found


def read_json(text: str | None, what: str) -> Any:
    """JSON from the command line, or from a file as @file. Raises BadRequest."""
    if text is None:
        return None
    try:
        return json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
    except OSError as error:
        raise BadRequest(f"{what}: {error}", remedy="@file names a readable file") from None
    except json.JSONDecodeError as error:
        raise BadRequest(f"{what} is no JSON: {error}", remedy="""quote it: '{"by": "ann"}'""") from None


def time_of(text: str | None, name: str) -> datetime | None:
    """An ISO 8601 time; without a zone it is UTC. Raises BadRequest."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{name} {text!r} is no time", remedy="2026-01-31T12:00, or with a zone: 2026-01-31T12:00+01:00") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
