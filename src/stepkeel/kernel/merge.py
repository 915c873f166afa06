"""What concurrent branches do to the data, so that the outcome never depends on which of them is faster.

| field | at a branch's commit | at the join |
|---|---|---|
| plain | set; noted who has set it, from the second on the last value of each | those that arrived agree, or `data_conflict` |
| reduced | what came before all, and every contribution, in the order of the branches | - |

Of the steps of a graph only those count at the join that no other one, which needs them, has overwritten; of the firings of a flow
those that no other one has, to which their tokens have led. Their contributions count in the order of these ways.

Outside of branches a reduced field is set like a plain one, unless branches that are still open have contributed to it. Where
nothing is concurrent, the data that a node was given are replaced by those it has made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from stepkeel.errors import DataInvalid
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.parts import tokens_of
from stepkeel.kernel.path import around
from stepkeel.kernel.record import GONE, home_of, kept_at, with_fields
from stepkeel.model.codec import split_fields, to_json
from stepkeel.model.flow import FlowNode
from stepkeel.model.graph import GraphNode
from stepkeel.model.node import ParallelNode
from stepkeel.model.reducer import Conflict, Reducer
from stepkeel.model.snapshot import Round

__all__ = ["MergeFailed", "order_of", "reconcile", "settle_parts", "write"]


class MergeFailed(Exception):
    """Data that do not go together: `code` is data_conflict or bad_result."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Level:
    """A concurrent node around the one that writes, and the part of it that this one stands in."""

    __slots__ = ("holder", "part", "round")

    def __init__(self, holder: str, part: str, round: Round) -> None:
        self.holder = holder
        self.part = part
        self.round = round


def order_of(draft: Draft, holder: str) -> Callable[[str], Any]:
    """The place of a branch, item or firing among the others."""
    node = draft.node_at(holder)
    if isinstance(node, FlowNode):
        tokens = tokens_of(draft, holder)
        return lambda part: (tokens.going[part].depth if part in tokens.going else tokens.depths.get(part, 0), node.order(part))
    if isinstance(node, GraphNode):
        return node.place.__getitem__
    return [b.key for b in node.branches].index if isinstance(node, ParallelNode) else int


def write(draft: Draft, path: str, data: bytes | Raw, base: Raw | None = None) -> None:
    """Bring what a node has made of the data it was given (`base`; None: those there are now) into them. Raises MergeFailed."""
    raw = data if isinstance(data, Raw) else Raw(data)
    if not draft.definition.concurrent and (base is None or base is draft.data or base == draft.data):
        draft.data = raw
        return
    levels = _levels(draft, path) if ":" in path or "[" in path else []
    current = kept_at(draft.open, draft.data, path)
    if not levels and (base is None or base == current) and not draft.definition.reducers:
        draft.set_record(path, raw)
        return
    old, new = split_fields(draft.record(path) if base is None else base), split_fields(raw)
    changed = {f: v for f, v in new.items() if old.get(f) != v} | dict.fromkeys(old.keys() - new.keys(), GONE)
    if not changed:
        return
    merged = split_fields(current)
    for field in sorted(changed) if len(changed) > 1 else changed:
        reducer = draft.definition.reducers.get(field)
        try:
            if reducer is None:
                _note_writer(levels, field, merged.get(field, GONE), changed[field])
                value = changed[field]
            elif changed[field] == GONE:
                value = _reduced(draft, path, levels, field, reducer, old.get(field), _unsaid(draft, raw, field), merged.get(field))
            elif not levels and old.get(field) == merged.get(field) and not _awaited(draft, field):
                value = changed[field]  # nobody else is at it: whatever was made of it stands
            else:
                value = _reduced(draft, path, levels, field, reducer, old.get(field), changed[field], merged.get(field))
        except Conflict as error:
            raise MergeFailed("data_conflict", f"the field {field}: {error}") from error
        except Exception as error:
            raise MergeFailed("data_conflict", f"the field {field} cannot be reduced: {type(error).__name__}: {error}") from error
        merged[field] = value
    result = with_fields(merged, {})
    try:
        draft.definition.data.decode(result)
    except DataInvalid as error:
        raise MergeFailed("bad_result", f"what several branches made of the data does not fit: {error.message}") from error
    for level in levels:
        draft.put(level.holder, replace(draft.open[level.holder], round=level.round))
    draft.set_record(path, result)


def _unsaid(draft: Draft, raw: Raw, field: str) -> Raw:
    """The value of a field that a record does not tell, because it is the default of its type."""
    data: Any = draft.definition.data.decode(raw)
    return Raw(to_json(data.get(field) if isinstance(data, Mapping) else getattr(data, field)))  # pyright: ignore[reportUnknownMemberType]


def _levels(draft: Draft, path: str) -> list[_Level]:
    """What is concurrent with a node, innermost first, as far out as it sees the same data."""
    found: list[_Level] = []
    for holder, part in around(path):
        frame = draft.open.get(holder)
        if frame is None or frame.round is None:
            continue
        if part in frame.round.own:
            break
        found.append(_Level(holder, part, frame.round))
    return found


def _note_writer(levels: Iterable[_Level], field: str, before: Raw, value: Raw) -> None:
    for level in levels:
        wrote = level.round.wrote
        known = wrote.get(field)
        if known is None:
            level.round = replace(level.round, wrote={**wrote, field: level.part})
        elif known != level.part:
            each = {known: before} if isinstance(known, str) else known
            if level.round.tokens is not None:
                each = {part: v for part, v in each.items() if part not in level.round.tokens.going[level.part].past}
            level.round = replace(level.round, wrote={**wrote, field: {**each, level.part: value} if each else level.part})


def _reduced(
    draft: Draft, path: str, levels: list[_Level], field: str, reducer: Reducer, old: Raw | None, new: Raw, current: Raw | None
) -> Raw:
    """The field's value when this contribution is added to it."""
    delta = reducer.delta(old, new)
    if not levels:
        _note_outsider(draft, path, field, reducer, delta)
        return reducer.add(current, delta)
    for n, level in enumerate(levels):
        parts = level.round.parts.get(field)
        if parts is None:  # what comes before: all of the field, or what the branch around has contributed so far
            outer = levels[n + 1] if n + 1 < len(levels) else None
            before = current if outer is None else outer.round.parts.get(field, {}).get(outer.part)
            parts = {} if before is None else {"": before}
        parts = {**parts, level.part: reducer.add(parts.get(level.part), delta) if n == 0 else delta}
        level.round = replace(level.round, parts={**level.round.parts, field: parts})
        delta = _folded(reducer, parts, order_of(draft, level.holder))
    return delta


def _folded(reducer: Reducer, parts: dict[str, Raw], order: Callable[[str], Any]) -> Raw:
    value = parts.get("")
    for part in sorted((p for p in parts if p), key=order):
        value = reducer.add(value, parts[part])
    assert value is not None
    return value


def _awaited(draft: Draft, field: str) -> bool:
    """Branches that are open, or run on loose, have contributed to it."""
    return any(frame.round is not None and field in frame.round.parts for frame in draft.open.values())


def _note_outsider(draft: Draft, path: str, field: str, reducer: Reducer, delta: Raw) -> None:
    """Who stands in no branch adds to what comes before all branches that see the same data."""
    home = home_of(draft.open, path)
    for holder, frame in list(draft.open.items()):
        if frame.round is None or field not in frame.round.parts or _levels(draft, holder):
            continue
        if home_of(draft.open, holder) == home:
            parts = frame.round.parts[field]
            parts = {**parts, "": reducer.add(parts.get(""), delta)}
            draft.put(holder, replace(frame, round=replace(frame.round, parts={**frame.round.parts, field: parts})))


def settle_parts(draft: Draft, round: Round, names: Iterable[str]) -> Round:
    """These parts have ended, and all before them: their contributions are part of what comes before the others."""
    if not round.parts:
        return round
    settled: dict[str, dict[str, Raw]] = {}
    for field, parts in round.parts.items():
        parts = dict(parts)
        reducer = draft.definition.reducers[field]
        for name in names:
            if name in parts:
                parts[""] = reducer.add(parts.get(""), parts.pop(name))
        settled[field] = parts
    return replace(round, parts=settled)


def reconcile(draft: Draft, holder: str, round: Round, arrived: Callable[[str], bool]) -> None:
    """Plain fields that several parts have set: the last values of those that arrived must be one. Raises MergeFailed."""
    fields: dict[str, Raw] = {}
    for field, wrote in round.wrote.items():
        if isinstance(wrote, str):
            continue
        values = {part: value for part, value in wrote.items() if arrived(part)}
        node = draft.node_at(holder)
        if isinstance(node, GraphNode):
            values = {part: values[part] for part in node.last(values)}
        if len({bytes(v) for v in values.values()}) > 1:
            parts = sorted(values, key=order_of(draft, holder))
            raise MergeFailed("data_conflict", f"the field {field}: {', '.join(parts)} have each set it to another value")
        if values:
            fields[field] = next(iter(values.values()))
    if fields:
        seen = draft.record(holder)
        write(draft, holder, with_fields(split_fields(seen), fields), seen)
