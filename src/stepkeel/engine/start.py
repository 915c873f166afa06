"""Starting: same definition and key = same instance, whatever became of it, as long as it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from stepkeel import telemetry
from stepkeel.engine.audit import act_of, check_key
from stepkeel.engine.core import Core
from stepkeel.engine.family import children_of, letters_of, messages_of, tasks_of
from stepkeel.errors import BadRequest, DataInvalid
from stepkeel.kernel.decide import start as decide_start
from stepkeel.kernel.history import encode, history_row
from stepkeel.kernel.hold import tickets_of
from stepkeel.model.codec import to_json
from stepkeel.model.commit import Row, Start, StartRow, Step
from stepkeel.model.decision import Decision
from stepkeel.model.definition import Definition
from stepkeel.model.effect import End, Park
from stepkeel.model.input import Started

__all__ = ["Options", "StartAnswer", "pairs_of", "start", "start_all"]

AT_ONCE = 250  # sent beside each other: more are no faster
BETWEEN = 20  # checked, or decided, between two ticks of the loop, which others wait for


class Options(msgspec.Struct, frozen=True):
    """What a start may say besides definition and data; checked when made. Raises BadRequest."""

    key: str | None = None
    correlation_id: str | None = None
    priority: int = 2
    attributes: Mapping[str, Any] | None = None
    actor: str = ""

    def __post_init__(self) -> None:
        check_key(key=self.key, correlation_id=self.correlation_id)
        if type(self.priority) is not int or not 0 <= self.priority <= 4:
            raise BadRequest(f"priority={self.priority!r}", remedy="0 (first) to 4 (last)")
        for name, value in self.attributes.items() if self.attributes else ():
            if not isinstance(name, str) or '"' in name or not isinstance(value, str | int | float | bool | None):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise BadRequest(f"attributes[{name!r}]={value!r}", remedy="texts, numbers and booleans by name")


class StartAnswer(msgspec.Struct, frozen=True):
    """`rest` is done when an inline start is first given back."""

    id: str
    created: bool
    rest: asyncio.Future[None] | None = None


async def start(core: Core, definition: Definition, data: Any, options: Options, *, inline: bool = False) -> StartAnswer:
    """`inline`: it always runs here. Raises DataInvalid (nothing stored), Unavailable (repeating with a key is safe)."""
    return await _begin(core, definition, definition.data.from_input(data), options, inline=inline)


async def _begin(core: Core, definition: Definition, raw: bytes, options: Options, *, inline: bool = False) -> StartAnswer:
    definition = core.tiers.apply(core.tenant, definition)
    now = core.store.now()
    instance_id = core.ids.id(now)
    host = core.host
    rest = core.hub.rest(instance_id) if inline else None
    claimed = host is not None and host.reserve(instance_id, core.tenant, inline=inline)
    row = StartRow(
        core.tenant, definition.name, definition.version, options.key, options.correlation_id, options.priority,
        to_json(options.attributes) if options.attributes else b"{}",
    )  # fmt: skip
    owner = host.id if host is not None and claimed else None
    decision: Decision | None = None
    held = ""
    try:
        decision = decide_start(definition, Started(instance_id, core.tenant, raw, claimed), now, core.ids.seed())
        step = _step(core, decision, options, owner or "", now if not claimed else None)
        told = {"definition": row.definition, "version": row.version, "key": row.key}
        act = act_of(
            core, "start", "instance", instance_id, instance_id=instance_id, actor=options.actor, if_named=True, detail=told
        )
        held = await core.committer.start(Start(instance_id, row, step, owner, act))
    finally:
        if claimed and host is not None:
            won = decision is not None and held == instance_id
            if rest is not None and not won:
                core.hub(instance_id, at_rest=True)
            host.launched(definition, _row(instance_id, row, decision, owner), decision if won else None)
    telemetry.link(held)
    if held == instance_id and not claimed:
        core.hint(instance_id, None)
    return StartAnswer(held, held == instance_id, rest)


def _parked(decision: Decision) -> Park | End | None:
    for effect in decision.effects:
        if isinstance(effect, Park | End):
            return effect
    return None


def _step(core: Core, decision: Decision, options: Options, worker: str, wake_at: int | None) -> Step:
    s = decision.snapshot
    parked = _parked(decision)
    wake = parked.wake_at if isinstance(parked, Park) else wake_at
    entry = history_row(decision, options.actor, worker)
    asked, returned = tickets_of(decision.effects, s.at, options.priority)
    children = children_of(decision.effects, s, core.definitions, options.priority, options.correlation_id, core.store.now())
    opened, changed = tasks_of(decision.effects)
    return Step(
        s.status, s.state, s.label, s.revision, encode(s), s.at, 0, (entry,),
        release=parked is not None or not worker, wake_at=wake, ended=s.ended, asked=asked, returned=returned,
        children=children, sent=letters_of(decision.effects, s), opened=opened, changed=changed,
        emitted=messages_of(decision.effects, s, core.store.now()),
    )  # fmt: skip


def _row(instance_id: str, start: StartRow, decision: Decision | None, owner: str | None) -> Row:
    """The row as the start has made it, for the worker that holds it."""
    s = decision.snapshot if decision else None
    parked = decision is not None and _parked(decision) is not None
    return Row(
        instance_id, start.tenant, start.definition, start.version, start.key, s.status if s else "created",
        s.state if s else "", s.label if s else "", s.revision if s else 0, b"", start.attributes, None,
        None if parked else owner, 1, 0, 0, 0, None, start.priority, start.correlation_id, s.at if s else 0, s.at if s else 0, None,
    )  # fmt: skip


async def start_all(core: Core, definition: Definition, wanted: Sequence[tuple[Any, Options]]) -> list[StartAnswer]:
    """Many at once, in few commits; all data are checked before anything is stored.

    Raises DataInvalid (nothing is stored), Unavailable (some may be: with keys it can be repeated).
    """
    checked: list[tuple[bytes, Options]] = []
    for n, (data, options) in enumerate(wanted):
        try:
            checked.append((definition.data.from_input(data), options))
        except DataInvalid as error:
            raise DataInvalid(f"item {n}: {error.message}", remedy=error.remedy) from None
        if n % BETWEEN == BETWEEN - 1:
            await asyncio.sleep(0)
    found: list[StartAnswer] = []
    for n in range(0, len(checked), AT_ONCE):
        found += await _together(core, definition, checked[n : n + AT_ONCE])
    return found


async def _together(core: Core, definition: Definition, checked: list[tuple[bytes, Options]]) -> list[StartAnswer]:
    under_way: list[asyncio.Task[StartAnswer]] = []
    try:
        for n, (raw, options) in enumerate(checked, 1):
            under_way.append(asyncio.ensure_future(_begin(core, definition, raw, options)))
            if n % BETWEEN == 0:
                await asyncio.sleep(0)
        return await asyncio.gather(*under_way)
    except asyncio.CancelledError:
        for task in under_way:
            task.cancel()
        raise


def pairs_of(data: Any) -> Sequence[tuple[str | None, Any]]:
    """Many to be started, each with its key, if they are a mapping of those."""
    return list(cast("Mapping[Any, Any]", data).items()) if isinstance(data, Mapping) else [(None, each) for each in data]
