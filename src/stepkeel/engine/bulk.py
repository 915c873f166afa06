"""Many at once: those that failed, the dead letters, by filter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stepkeel.engine.control import control
from stepkeel.engine.core import Core
from stepkeel.engine.query import make_query
from stepkeel.engine.result import readable_snapshot
from stepkeel.errors import BadRequest, ConflictError, NotFound
from stepkeel.model.input import Redrive

__all__ = ["Bulk", "DeadLetters", "dead_letters", "redrive_all"]

PAGE = 200


@dataclass(frozen=True, slots=True)
class Bulk:
    """What became of each: `done` were redriven (would be, in a dry run), `refused` tells the others why not."""

    done: tuple[str, ...]
    refused: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Failed instances that have one definition, state and failure code in common; `example` is the latest one's message."""

    definition: str
    state: str
    code: str
    count: int
    example: str
    latest: str


async def _failed(core: Core, filters: Mapping[str, Any], code: str | None) -> AsyncIterator[tuple[str, str, str, str, str]]:
    """Id, definition, state, failure code and message of those that failed and match, oldest first. Raises BadRequest."""
    if "status" in filters:
        raise BadRequest("status= of those that failed", remedy="leave it out")
    query = replace(make_query(core, {**filters, "status": "failed"}), limit=PAGE)
    while True:
        rows = await core.store.list(query)
        for row in rows:
            snapshot = readable_snapshot(row)
            failure = snapshot.failure if snapshot is not None else None
            its = failure.code if failure is not None else ""
            if code is None or its == code:
                yield row.id, row.definition, row.state, its, failure.message if failure is not None else ""
        if len(rows) < PAGE:
            return
        query = replace(query, after=(rows[-1].created_at, rows[-1].id))


async def dead_letters(core: Core, filters: Mapping[str, Any], code: str | None) -> list[DeadLetters]:
    groups: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    async for instance_id, definition, state, its, message in _failed(core, filters, code):
        groups.setdefault((definition, state, its), []).append((instance_id, message))
    return [DeadLetters(*group, len(them), them[-1][1], them[-1][0]) for group, them in sorted(groups.items())]


async def redrive_all(
    core: Core, filters: Mapping[str, Any], code: str | None, request: Redrive, *, dry_run: bool, limit: int | None
) -> Bulk:
    """One commit each; what cannot be redriven is told, and keeps nobody else from it."""
    done: list[str] = []
    refused: dict[str, str] = {}
    async for instance_id, *_ in _failed(core, filters, code):
        if limit is not None and len(done) >= limit:
            break
        try:
            if not dry_run:
                await control(core, instance_id, request, 10.0)
            done.append(instance_id)
        except (ConflictError, NotFound) as error:
            refused[instance_id] = error.message
    return Bulk(tuple(done), refused)
