"""Waiting from outside: judged by status, state and history, so that what passes quickly is not missed.

A worker of this process tells of every step (a hint); else the store is asked, with a pause that grows.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from stepkeel.engine.core import Core
from stepkeel.engine.result import Result, data_of, reading_history, snapshot_of
from stepkeel.errors import BadRequest
from stepkeel.kernel.family import OUTCOMES
from stepkeel.kernel.path import address
from stepkeel.kernel.replay import read_events
from stepkeel.model.commit import Row
from stepkeel.model.definition import Definition
from stepkeel.model.snapshot import TERMINAL

__all__ = ["result_of", "wait"]

PAUSE_MIN, PAUSE_MAX = 0.01, 0.5


async def wait(
    core: Core,
    instance_id: str,
    definition: Definition | None,
    since: int,
    state: str | None,
    outcome: str | None,
    seconds: float | None,
) -> Result[Any]:
    """Until it has ended; or is in, or has entered since revision `since`, the state (or label); or an attempt has ended so."""
    if outcome is not None and outcome not in OUTCOMES:
        raise BadRequest(f"outcome={outcome!r}", remedy=", ".join(OUTCOMES))
    if state is not None and definition is None:
        row = await core.row(instance_id)
        definition = core.definitions.get((row.definition, row.version))
    if state is not None and definition is not None:
        _check_state(definition, state)
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    pause = PAUSE_MIN
    if state is None and outcome is None and core.host is not None and core.host.holds(instance_id):
        # It runs here and has not ended: the news of its rest comes before any reading could tell more.
        left = PAUSE_MAX if end is None else min(PAUSE_MAX, end - loop.time())
        await core.hub.moved(instance_id, left, any_step=False)
    while True:
        row = await core.row(instance_id)
        known = definition or core.definitions.get((row.definition, row.version))
        if row.status in TERMINAL or (state is not None and state in (row.state, row.label)):
            return result_of(row, known)
        if (state or outcome) and await _reached(core, row, definition, since, state, outcome):
            # The history was read after the row and may be ahead of it; the answer must not be behind what it reports.
            return result_of(await core.row(instance_id), known)
        left = PAUSE_MAX if end is None else end - loop.time()
        if left <= 0:
            return replace(result_of(row, known), timed_out=True)
        held = core.host is not None and core.host.holds(instance_id)
        await core.hub.moved(instance_id, min(left, PAUSE_MAX if held else pause), any_step=bool(state or outcome))
        pause = min(pause * 1.5, PAUSE_MAX)


def _check_state(definition: Definition, state: str) -> None:
    names = {*definition.states, *(s.label for s in definition.states.values() if s.label)}
    if state not in names:
        raise BadRequest(f"{definition.name} has no state {state!r}", remedy=f"known: {', '.join(definition.states)}")


async def _reached(core: Core, row: Row, definition: Definition | None, since: int, state: str | None, outcome: str | None) -> bool:
    names = {state}
    if state is not None and definition is not None:
        names |= {s.name for s in definition.states.values() if s.label == state}
    event = OUTCOMES.get(outcome or "")
    history = await core.store.history(row.id, since)
    with reading_history(row.id):
        return any(
            (state is not None and e.type == "state_entered" and address(e.path) in names)
            or (event is not None and e.type == event)
            for entry in history
            for e in read_events(entry.events)
        )


def result_of(row: Row, definition: Definition | None) -> Result[Any]:
    snapshot = snapshot_of(row)
    return Result(row.id, row.status, row.state, data_of(row, snapshot, definition), snapshot.reason, snapshot.failure)
