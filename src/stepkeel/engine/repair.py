"""Retention by hand: retire moves what has ended into the archive, purge deletes it for good. In batches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stepkeel.engine.bulk import some_filter
from stepkeel.engine.core import Core
from stepkeel.engine.query import make_query
from stepkeel.errors import BadRequest
from stepkeel.model.snapshot import TERMINAL

__all__ = ["purge", "retire"]

PAGE = 500


async def retire(core: Core, older_than: int, filters: Mapping[str, Any], *, delete: bool, archived: bool = False) -> int:
    """Archive, or delete for good, what ended more than so many microseconds ago; in batches. How many.

    Failed instances wait to be redriven: they stay unless `status` names them (or they lie in the archive). Raises BadRequest.
    """
    query = make_query(core, filters)
    live = [s for s in query.status if s not in TERMINAL]
    if live:
        raise BadRequest(f"retiring {', '.join(live)} instances", remedy=f"only ended ones: {', '.join(sorted(TERMINAL))}")
    status = query.status or tuple(sorted(TERMINAL if archived else TERMINAL - {"failed"}))
    query = replace(query, status=status, completed_to=core.store.now() - older_than, archived=archived, limit=PAGE)
    move = core.store.purge if delete else core.store.archive
    gone = 0
    while moved := await move(query):
        gone += moved
        await asyncio.sleep(0)  # others come first
    return gone


async def purge(core: Core, filters: Mapping[str, Any], *, archived: bool) -> int:
    """Raises BadRequest without a filter, or with a status that is no ended one."""
    query = make_query(core, some_filter(filters))
    live = [s for s in query.status if s not in TERMINAL]
    if live:
        raise BadRequest(f"purge of {', '.join(live)} instances", remedy=f"only ended ones: {', '.join(sorted(TERMINAL))}")
    query = replace(query, status=query.status or tuple(sorted(TERMINAL)), archived=archived, limit=PAGE)
    gone = 0
    while deleted := await core.store.purge(query):
        gone += deleted
    return gone
