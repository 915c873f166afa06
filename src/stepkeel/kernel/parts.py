"""The parts of what runs bodies at the same time: their names, which have begun, which have ended, what they have given."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from stepkeel.kernel.draft import Draft
from stepkeel.kernel.ranges import holds_number
from stepkeel.model.flow import FlowNode
from stepkeel.model.graph import GraphNode, Step
from stepkeel.model.node import Branch, ForEachNode, ParallelNode
from stepkeel.model.snapshot import Round, Tokens

__all__ = [
    "Concurrent",
    "body_of",
    "branches_of",
    "concurrent_at",
    "holder_at",
    "names_of",
    "open_count",
    "outcome_of",
    "outcomes_of",
    "parts_open",
    "put_round",
    "results_of",
    "round_of",
    "to_begin",
    "tokens_of",
]

Concurrent = ParallelNode | ForEachNode | GraphNode


def concurrent_at(draft: Draft, path: str) -> Concurrent:
    node = draft.node_at(path)
    assert isinstance(node, ParallelNode | ForEachNode | GraphNode)
    return node


def holder_at(draft: Draft, path: str) -> Concurrent | FlowNode:
    """The same, and a flow: what has parts."""
    node = draft.node_at(path)
    return node if isinstance(node, FlowNode) else concurrent_at(draft, path)


def branches_of(node: ParallelNode | GraphNode) -> tuple[Branch, ...] | tuple[Step, ...]:
    """The parts that have a name."""
    return node.steps if isinstance(node, GraphNode) else node.branches


def body_of(node: Concurrent | FlowNode, path: str, part: str) -> str:
    """The path of the body of a branch, step, item or firing."""
    return f"{path}[{part}]" if isinstance(node, ForEachNode) else f"{path}:{part}"


def round_of(draft: Draft, path: str) -> Round:
    found = draft.open[path].round
    assert found is not None
    return found


def tokens_of(draft: Draft, path: str) -> Tokens:
    """Of a flow."""
    found = round_of(draft, path).tokens
    assert found is not None
    return found


def put_round(draft: Draft, path: str, round: Round) -> None:
    draft.put(path, replace(draft.open[path], round=round))


def outcome_of(round: Round, part: str) -> str:
    """How a part has ended; nothing while it has not."""
    return round.ended.get(part) or ("done" if round.done and holds_number(round.done, int(part)) else "")


def to_begin(node: Concurrent, round: Round) -> Iterator[str]:
    """The parts that have not begun, in order; of a graph those that may."""
    if isinstance(node, ForEachNode):
        return (str(n) for n in range(round.next, round.size))
    return iter(round.ready) if isinstance(node, GraphNode) else (b.key for b in node.branches[round.next :])


def names_of(node: Concurrent, round: Round) -> list[str]:
    return [str(n) for n in range(round.size)] if isinstance(node, ForEachNode) else [b.key for b in branches_of(node)]


def open_count(node: Concurrent | FlowNode, round: Round) -> int:
    if isinstance(node, FlowNode):
        return 0 if round.tokens is None else len(round.tokens.going)
    begun = round.next
    if isinstance(node, ParallelNode):
        begun -= sum(round.ended.get(b.key) == "skipped" for b in node.branches[:begun])
    return begun - round.arrived - round.missed


def parts_open(node: Concurrent | FlowNode, round: Round) -> list[str]:
    """The parts that have begun and not ended, in order."""
    if isinstance(node, FlowNode):
        return [] if round.tokens is None else [*round.tokens.going]
    if isinstance(node, GraphNode):
        begun = (s for s in node.steps if s.key not in round.ended and s.key not in round.ready)
        return [s.key for s in begun if all(n in round.ended for n in s.needs)]
    if isinstance(node, ParallelNode):
        return [b.key for b in node.branches[: round.next] if b.key not in round.ended]
    return [str(n) for n in range(round.next) if not outcome_of(round, str(n))] if open_count(node, round) else []


def results_of(draft: Draft, path: str, node: Concurrent, round: Round) -> list[tuple[str, msgspec.Raw | None]]:
    """What each part has given that is done, in order."""
    names = names_of(node, round)
    return [(name, draft.results.get(body_of(node, path, name)) if outcome_of(round, name) == "done" else None) for name in names]


def outcomes_of(node: Concurrent, round: Round) -> dict[str, str]:
    names = [str(n) for n in range(round.next)] if isinstance(node, ForEachNode) else [b.key for b in branches_of(node)]
    return {name: outcome for name in names if (outcome := outcome_of(round, name))}
