"""Which data a node sees: the instance's, or the copy of the innermost branch around it that has its own.

Where several branches have set one plain field, each sees the value that it has set itself; a step of a graph, if it has not, that
of the last one that it needs; a firing of a flow that of the last one from which its tokens come.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from stepkeel.kernel.path import address, around
from stepkeel.model.codec import split_fields
from stepkeel.model.definition import Place
from stepkeel.model.flow import FlowNode
from stepkeel.model.graph import GraphNode
from stepkeel.model.snapshot import Frame, Round

__all__ = ["GONE", "UNCHANGED", "Home", "copy_at", "home_of", "item_at", "kept_at", "seen_at", "with_fields"]

UNCHANGED = Raw(b"null")
GONE = Raw(b'{"stepkeel":"gone"}')  # in the place of a value: the field is not there, which not every type says by null
Home = tuple[str, str]  # the path of a parallel or for_each, and the branch or item


def home_of(open: Mapping[str, Frame], path: str) -> Home | None:
    """Where the data of a node are kept; None: they are the instance's."""
    for holder, part in around(path):
        if copy_at(open, (holder, part)) is not None:
            return holder, part
    return None


def copy_at(open: Mapping[str, Frame], home: Home) -> Raw | None:
    frame = open.get(home[0])
    copy = frame.round.own.get(home[1]) if frame is not None and frame.round is not None else None
    if copy is None or frame is None or frame.round is None:
        return None
    return frame.round.entry if copy == UNCHANGED else copy


def kept_at(open: Mapping[str, Frame], data: Raw, path: str) -> Raw:
    """The data that a node works on, as all branches that share them have made them so far."""
    home = home_of(open, path)
    copy = copy_at(open, home) if home is not None else None
    return data if copy is None else copy


def item_at(open: Mapping[str, Frame], path: str) -> tuple[str, int, int] | None:
    """Where the item stands that a node is given: the innermost for_each around it, the revision that lists it, its place there."""
    for holder, part in around(path):
        frame = open.get(holder)
        if frame is not None and frame.round is not None and frame.round.listed:
            first, revision = max(each for each in frame.round.lists if each[0] <= int(part))
            return holder, revision, int(part) - first
    return None


def seen_at(places: Mapping[str, Place], open: Mapping[str, Frame], data: Raw, path: str) -> Raw:
    """The same as the node itself sees them."""
    if ":" not in path and "[" not in path:
        return data
    mine: dict[str, Raw] = {}
    for holder, part in around(path):
        frame = open.get(holder)
        if frame is None or frame.round is None:
            continue
        if part in frame.round.own:
            break
        for field, wrote in frame.round.wrote.items():
            if isinstance(wrote, str) or field in mine:
                continue
            whose = part if part in wrote else _needed(places, holder, part, frame.round, wrote)
            if whose:
                mine[field] = wrote[whose]
    kept = kept_at(open, data, path)
    if not mine:
        return kept
    fields = split_fields(kept)
    if all(fields.get(f, GONE) == v for f, v in mine.items()):
        return kept
    return with_fields(fields, mine)


def with_fields(fields: Mapping[str, Raw], others: Mapping[str, Raw]) -> Raw:
    """The record of these fields, in which others stand instead, or are gone."""
    return Raw(msgspec.json.encode({f: v for f, v in {**fields, **others}.items() if v != GONE}))


def _needed(places: Mapping[str, Place], holder: str, part: str, round: Round, wrote: Mapping[str, Raw]) -> str:
    """The last of those that have set a field, and that this step or firing comes behind; nothing if there is none."""
    node = places[address(holder)].node
    if isinstance(node, GraphNode):
        found = node.needed(part, wrote)
    elif isinstance(node, FlowNode) and round.tokens is not None and part in round.tokens.going:
        found = sorted((p for p in round.tokens.going[part].past if p in wrote), key=node.order)
    else:
        return ""
    return found[-1] if found else ""
