"""What an operator, or a `stop` node, does to one node. A text refuses it.

| verb | of | does |
|---|---|---|
| cancel, then=end | a branch, item or firing, or a node in one | closes what is open in it; ended `cancelled`, its join is judged |
| cancel, then=skip | a node | closes what is open in it; the flow goes on behind it |
| complete | a parallel, for_each | its join resolves with what has arrived, the rest as it says |
| complete | a flow | what fires is cancelled, its tokens are dropped; the flow goes on behind it |
| complete | a loop, choice, machine | closes what is open in it; the flow goes on behind it |
| complete | a wait, or an activity with no attempt in flight | its node is done |
| add items | a for_each that is open | further items, behind those it has |
| set data | an instance without attempts in flight | fields are set, and checked against the type |
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from stepkeel.errors import DataInvalid
from stepkeel.kernel import flow, join, region
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.merge import MergeFailed, write
from stepkeel.kernel.parts import body_of, holder_at, parts_open
from stepkeel.kernel.path import address, around, below, inside, is_reaction, means, part_of
from stepkeel.model.node import ActivityNode, FlowNode, ForEachNode, WaitNode

__all__ = ["add_items", "cancel", "complete", "open_nodes", "set_data", "stop", "targets"]

Then = Literal["end", "skip"]


def open_nodes(draft: Draft) -> list[str]:
    """The paths of everything open: nodes with a frame, and those around them that need none.

    Not what was told to stop: that is closed already, and what it stood in may be gone.
    """
    found: dict[str, None] = {}
    for path, frame in draft.open.items():
        if frame.run == "stopping" or path.startswith("undo/") or is_reaction(path):
            continue
        for outer in reversed([holder for holder, _ in around(path)]):
            found.setdefault(outer)
        found.setdefault(path)
    return [path for path in found if address(path) in draft.definition.places]


def _unknown(draft: Draft, path: str) -> str:
    return f"{path} is not open; there are: {', '.join(open_nodes(draft)) or 'none'}"


def _part(draft: Draft, path: str) -> tuple[str, str] | None:
    """The parallel or for_each, and its part, if the path is that of an open branch or item."""
    holder = inside(f"{path}/")
    frame = draft.open.get(holder)
    if frame is None or frame.round is None or frame.run not in ("open", "loose"):
        return None
    part = part_of(path)
    return (holder, part) if part in parts_open(holder_at(draft, holder), frame.round) else None


def cancel(draft: Draft, path: str, then: Then, **detail: Any) -> str | None:
    part = _part(draft, path)
    if part is None and path not in open_nodes(draft):
        return _unknown(draft, path)
    if part is None and then == "end":
        around_it = ((h, p) for h, p in around(path) if _holds(draft, h))
        part = next((_part(draft, body_of(holder_at(draft, h), h, p)) for h, p in around_it), None)
        if part is None:
            return f"{path} stands in no branch that could end: then='skip' goes on behind it"
    if part is not None and then == "skip" and path not in open_nodes(draft):
        return f"{path} is a branch or item, there is nothing behind it: then='end'"
    draft.say("node_cancelled", path, then=then, **detail)
    frame = draft.open.get(path)
    if frame is not None and frame.run == "loose":  # the flow is behind it already
        region.cancel(draft, path)
        if frame.round is not None:
            join.nothing_loose(draft, path)
    elif part is not None and then == "end":
        holder, name = part
        region.cancel(draft, body_of(holder_at(draft, holder), holder, name))
        (flow if _flows(draft, holder) else join).ended(draft, holder, name, "cancelled")
    else:
        region.cancel(draft, path)
        draft.closing.append(path)
    return None


def _holds(draft: Draft, path: str) -> bool:
    frame = draft.open.get(path)
    return frame is not None and frame.round is not None


def _flows(draft: Draft, path: str) -> bool:
    return isinstance(draft.node_at(path), FlowNode)


def complete(draft: Draft, path: str, **detail: Any) -> str | None:
    if path not in open_nodes(draft):
        return _unknown(draft, path)
    frame = draft.open.get(path)
    node = draft.node_at(path)
    if isinstance(node, ActivityNode | WaitNode):
        if frame is None or frame.run in ("flying", "stopping"):
            return f"an attempt of {path} is in flight: cancel_node stops it, or pause and ask again"
    elif frame is not None and frame.run in ("loose", "undoing"):
        return f"{path} has been joined already"
    draft.say("node_completed", path, **detail)
    if frame is not None and frame.round is not None:
        (flow if _flows(draft, path) else join).complete(draft, path)
        return None
    region.cancel(draft, path)
    draft.closing.append(path)
    return None


def add_items(draft: Draft, path: str, items: list[Any], **detail: Any) -> str | None:
    frame = draft.open.get(path)
    if not isinstance(draft.node_at(path), ForEachNode) or frame is None or frame.round is None or frame.run != "open":
        several = [p for p, f in draft.open.items() if f.round is not None and f.round.listed]
        return f"{path} is no for_each that is open; there are: {', '.join(several) or 'none'}"
    draft.say("items_added", path, items=items, **detail)
    join.grow(draft, path, len(items))
    return None


def set_data(draft: Draft, changes: dict[str, Any], **detail: Any) -> str | None:
    if draft.in_flight():
        flying = [p for p, f in draft.open.items() if f.run in ("flying", "stopping")]
        return f"attempts are in flight ({', '.join(flying)}), and would not see it: pause, and ask again"
    codec = draft.definition.data
    try:
        merged = {**msgspec.json.decode(draft.data), **changes}
        unknown = sorted(set(changes) - set(codec.fields or changes))
        if unknown:
            return f"{codec.name} has no field {', '.join(unknown)}; known: {', '.join(codec.fields or ())}"
        write(draft, "", codec.encode(codec.decode(msgspec.json.encode(merged))))
    except (DataInvalid, MergeFailed) as error:
        return str(error)
    draft.say("data_set", fields=sorted(changes), **detail)
    return None


def targets(draft: Draft, target: str) -> list[str]:
    """The open nodes that are meant: by their path or the end of one, without counters, or by a tag."""
    tags = draft.definition.tags
    return [p for p in open_nodes(draft) if means(p, target) or target in tags.get(address(p), ())]


def stop(draft: Draft, path: str, target: str, how: Literal["cancel", "complete"], then: Then, within: str = "") -> int:
    """What a stop node does: to every open node that the target means. How many there were.

    `within`: only what stands below that.
    """
    found = [p for p in targets(draft, target) if p != path and (not within or below(p, within))]
    done = 0
    for each in found:
        if any(below(each, other) and each != other for other in found) or each not in open_nodes(draft):
            continue  # gone with what is around it
        refused = cancel(draft, each, _then(draft, each, then)) if how == "cancel" else complete(draft, each)
        done += refused is None
    return done


def _then(draft: Draft, path: str, then: Then) -> Then:
    return then if then == "skip" or any(_holds(draft, holder) for holder, _ in around(path)) else "skip"
