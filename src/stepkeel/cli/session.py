"""An engine for the length of a command: a client without workflows, so every command works without their code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter

from stepkeel.config import database_url, parse_url
from stepkeel.errors import BadRequest, Unavailable
from stepkeel.facade import Engine

__all__ = [
    "Actor",
    "DatabaseOption",
    "JsonOption",
    "ReasonOption",
    "TenantOption",
    "attributes_of",
    "on_engine",
    "read_json",
    "time_of",
]

T = TypeVar("T")
DatabaseOption = Annotated[str | None, Parameter(name=["--database", "-d"], help="database URL; default: STEPKEEL_DATABASE")]
JsonOption = Annotated[bool, Parameter(name="--json", negative=(), help="one JSON document instead of text")]
TenantOption = Annotated[str, Parameter(name="--tenant", help="whose instances")]
Actor = Annotated[str, Parameter(name="--actor", help="who asks; kept in history")]
ReasonOption = Annotated[str, Parameter(name="--reason", help="why; kept in history")]


def on_engine(url: str | None, work: Callable[[Engine], Awaitable[T]], tenant: str = "default") -> T:
    """Open a client, do the work, close it. A database that does not exist is not made. Raises Unavailable."""
    database = parse_url(database_url(url))
    if database.kind == "sqlite" and not Path(database.place).exists():
        raise Unavailable(
            f"{database.url}: there is no such file", remedy="is the path right? the engine makes it, this command does not"
        )

    async def main() -> T:
        async with Engine(database.url, worker=False, tenant=tenant) as engine:
            return await work(engine)

    return asyncio.run(main())


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


def attributes_of(pairs: list[str] | None) -> dict[str, Any]:
    """`name=value` pairs; a value that JSON knows is what JSON says (7, true), else a text. Raises BadRequest."""
    found: dict[str, Any] = {}
    for pair in pairs or ():
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise BadRequest(f"--attribute {pair!r}", remedy="name=value")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found
