"""Retention by hand: retire moves what has ended into the archive, purge deletes it for good. In batches. And kept results."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stepkeel.engine.audit import act_of
from stepkeel.engine.bulk import some_filter
from stepkeel.engine.core import Core
from stepkeel.engine.query import make_query
from stepkeel.errors import BadRequest
from stepkeel.model.snapshot import TERMINAL

__all__ = ["forget_cached", "purge", "retire"]

PAGE = 500


async def retire(
    core: Core,
    older_than: int,
    filters: Mapping[str, Any],
    *,
    delete: bool,
    archived: bool,
    actor: str,
    reason: str,
) -> int:
    """Archive, or delete for good, what ended more than so many microseconds ago; in batches. How many.

    Failed instances wait to be redriven: they stay unless `status` names them (or they lie in the archive). Raises BadRequest.
    """
    if archived and not delete:
        raise BadRequest("what is archived is archived", remedy="delete it for good")
    query = make_query(core, filters)
    live = [s for s in query.status if s not in TERMINAL]
    if live:
        raise BadRequest(f"retiring {', '.join(live)} instances", remedy=f"only ended ones: {', '.join(sorted(TERMINAL))}")
    status = query.status or tuple(sorted(TERMINAL if archived else TERMINAL - {"failed"}))
    query = replace(query, status=status, completed_to=core.store.now() - older_than, archived=archived, limit=PAGE)
    move, verb = (core.store.purge, "purge") if delete else (core.store.archive, "archive")
    told = {"filters": _told(filters), "older_than_seconds": older_than / 1e6}
    act = act_of(core, verb, "instances", "", actor=actor, reason=reason, detail=told)
    gone = 0
    while moved := await move(query, act):
        gone += moved
        await asyncio.sleep(0)  # others come first
    return gone


def _told(filters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Filters, for the audit log: of attributes their names alone, for what is searched by may be secret."""
    told: dict[str, Any] = {}
    for name, value in filters.items():
        if value is not None:
            plain = isinstance(value, str | int | list | tuple)
            told[name] = sorted(value) if name == "attributes" else value if plain else str(value)
    return told


async def purge(core: Core, filters: Mapping[str, Any], *, archived: bool, actor: str, reason: str) -> int:
    """Raises BadRequest without a filter, or with a status that is no ended one."""
    query = make_query(core, some_filter(filters))
    live = [s for s in query.status if s not in TERMINAL]
    if live:
        raise BadRequest(f"purge of {', '.join(live)} instances", remedy=f"only ended ones: {', '.join(sorted(TERMINAL))}")
    query = replace(query, status=query.status or tuple(sorted(TERMINAL)), archived=archived, limit=PAGE)
    told = {"filters": _told(filters), "archived": archived}
    act = act_of(core, "purge", "instances", "", actor=actor, reason=reason, detail=told)
    gone = 0
    while deleted := await core.store.purge(query, act):
        gone += deleted
    return gone


async def forget_cached(core: Core, activity: str, *, actor: str, reason: str) -> int:
    """How many results were kept of an activity; of all, where it is empty."""
    act = act_of(core, "forget", "results", activity, actor=actor, reason=reason)
    return await core.store.forget_cached(core.tenant, activity, act)
