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

from stepkeel.config import database_url
from stepkeel.errors import BadRequest
from stepkeel.facade import Engine

__all__ = [
    "Actor",
    "DatabaseOption",
    "JsonOption",
    "ReasonOption",
    "TenantOption",
    "load_module",
    "load_object",
    "on_engine",
    "read_json",
    "run_loop",
    "time_of",
]

T = TypeVar("T")
DatabaseOption = Annotated[str | None, Parameter(name=["--database", "-d"], help="database URL; default: STEPKEEL_DATABASE")]
JsonOption = Annotated[bool, Parameter(name="--json", negative=(), help="one JSON document instead of text")]
TenantOption = Annotated[str, Parameter(name="--tenant", help="whose instances")]
Actor = Annotated[str, Parameter(name="--actor", help="who asks; kept in history")]
ReasonOption = Annotated[str, Parameter(name="--reason", help="why; kept in history")]


def on_engine(url: str | None, work: Callable[[Engine], Awaitable[T]], tenant: str = "default") -> T:
    """Open a client, do the work, close it. A database that does not exist is not made. Raises Unavailable, DatabaseInvalid."""
    place = database_url(url)

    async def main() -> T:
        async with Engine(place, worker=False, tenant=tenant) as engine:
            return await work(engine)

    return asyncio.run(main())


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
