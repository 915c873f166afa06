"""Joins: when branches, steps or items that ran at the same time are one again. The same rules for parallel, graph, for_each.

| comes | and | then |
|---|---|---|
| a part has ended | the need is met | data conflicts judged, results brought in; the rest cancelled, undone or loose; closes |
| | it cannot be met any more | failed (`join_unmet`); with unmet=go_on closes, once all have ended |
| | neither | a further part opens, as max_concurrency allows |
| a part fails | | absorb.py |
| more items may be added (stays) | | open, whatever has arrived |
| it is detached | | loose from the beginning: the flow goes on behind it, further parts open as others end |
| the last loose part has ended | - | the frame goes |
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec.structs import replace

from stepkeel.kernel import region
from stepkeel.kernel.data import PureFailed, apply_into, ask, holds, pure_failure
from stepkeel.kernel.draft import READY, Draft
from stepkeel.kernel.graph import unlock
from stepkeel.kernel.machine import open_body
from stepkeel.kernel.merge import MergeFailed, reconcile, settle_parts, write
from stepkeel.kernel.parts import (
    Concurrent,
    body_of,
    branches_of,
    concurrent_at,
    open_count,
    outcome_of,
    outcomes_of,
    parts_open,
    put_round,
    results_of,
    round_of,
    to_begin,
)
from stepkeel.kernel.path import address, around
from stepkeel.kernel.ranges import with_number
from stepkeel.kernel.record import UNCHANGED
from stepkeel.model.codec import split_fields
from stepkeel.model.function import Function
from stepkeel.model.graph import GraphNode
from stepkeel.model.join import Arrivals, Paths
from stepkeel.model.node import FlowNode, ForEachNode, ParallelNode
from stepkeel.model.snapshot import NOTHING, Failure, Frame, Round

__all__ = [
    "begin",
    "begin_steps",
    "closed",
    "complete",
    "ended",
    "grow",
    "judge",
    "keep_result",
    "loose_above",
    "need_of",
    "nothing_loose",
    "reopen",
    "resumed",
]


def resumed(draft: Draft, path: str, frame: Frame) -> bool:
    """Not a new round: one that was redriven goes on where it stood, or an earlier one is still loose and is waited for."""
    if frame.round is not None:
        # What was in conflict when it failed is what an operator has let stand; what had failed is tried again.
        draft.put(path, Frame(run="open", round=replace(frame.round, wrote={})))
        reopen(draft, path)
        judge(draft, path)
        return True
    if concurrent_at(draft, path).join.again == "overlap":
        return False
    earlier = any(f.run == "loose" and address(p) == address(path) for p, f in draft.open.items())
    if earlier:
        draft.put(path, Frame(run="held", reason="branches of an earlier visit"))
    return earlier


def begin(draft: Draft, path: str, round: Round) -> None:
    """The parts are known: as many as may be are opened."""
    node = concurrent_at(draft, path)
    if node.own is not None:
        round = replace(round, entry=draft.record(path))
    draft.put(path, Frame(run="loose" if node.detached else "open", round=round))
    if not node.detached:
        judge(draft, path)
        return
    _open_more(draft, path, node)
    draft.closing.append(path)


# -- opening


def _open_more(draft: Draft, path: str, node: Concurrent) -> None:
    round = round_of(draft, path)
    room = None if node.max_concurrency is None else node.max_concurrency - open_count(node, round)
    begun, taken = 0, list[str]()
    for name in to_begin(node, round):
        if room is not None and len(taken) >= room:
            break
        begun += 1
        if name not in round.ended:
            taken.append(name)
    if not begun:
        return
    own = round.own
    if node.own is not None:
        own = {**own, **dict.fromkeys(taken, UNCHANGED)}
    put_round(draft, path, replace(round, next=round.next + begun, ready=round.ready[begun:], own=own))
    if isinstance(node, ForEachNode):
        bodies = dict.fromkeys(taken, node.body)
    elif isinstance(node, GraphNode):
        bodies = {name: node.steps[node.place[name]].body for name in taken}
    else:
        bodies = {b.key: b.body for b in node.branches}
    for name in taken:
        open_body(draft, body_of(node, path, name), bodies[name])


def reopen(draft: Draft, path: str) -> None:
    """Failed parts stand again where they failed."""
    round = round_of(draft, path)
    again = [part for part in round.stood if round.ended.get(part) == "failed"]
    if not again:
        return
    collected = concurrent_at(draft, path).join.failures == "collect"
    for part in again:
        for inner, frame in round.stood[part].items():
            draft.put(inner, frame)
    round = replace(
        round,
        ended={k: v for k, v in round.ended.items() if k not in again},
        stood={k: v for k, v in round.stood.items() if k not in again},
        arrived=round.arrived - (len(again) if collected else 0),
        missed=round.missed - (0 if collected else len(again)),
    )
    put_round(draft, path, round)


# -- ending


def ended(draft: Draft, path: str, part: str, outcome: str, **detail: object) -> None:
    """A branch or item is over: noted, and the join judged."""
    node, round = concurrent_at(draft, path), round_of(draft, path)
    arrives = _arrives(node, outcome)
    item = isinstance(node, ForEachNode)
    _say_ended(draft, node, body_of(node, path, part), outcome, **detail)
    if item and outcome == "done":
        round = replace(round, done=with_number(round.done, int(part)))
    else:
        round = replace(round, ended={**round.ended, part: outcome})
    round = replace(round, arrived=round.arrived + arrives, missed=round.missed + (not arrives))
    copy = round.own.get(part)
    if copy is not None:
        round = replace(round, own={k: v for k, v in round.own.items() if k != part})
    put_round(draft, path, round)
    if isinstance(node, ParallelNode) and node.into is not None and outcome == "done" and draft.open[path].run == "open":
        draft.put_result(body_of(node, path, part), round.entry if copy is None or copy == UNCHANGED else copy)
    if (
        copy is not None
        and copy != UNCHANGED
        and outcome == "done"
        and not _flow_back(draft, path, body_of(node, path, part), node, copy)
    ):
        return
    _settle(draft, path, node)
    run = draft.open[path].run
    if run == "open":
        if isinstance(node, GraphNode) and not begin_steps(draft, path, node, node.behind[part]):
            return
        judge(draft, path)
    elif run == "loose":
        if node.detached:
            _open_more(draft, path, node)
        if not open_count(node, round_of(draft, path)):
            nothing_loose(draft, path)


def begin_steps(draft: Draft, path: str, node: GraphNode, steps: Iterable[str]) -> bool:
    """Judge which of them may begin; False where a guard raises, and the graph has failed."""
    try:
        unlock(draft, path, node, steps)
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))
        return False
    return True


def _arrives(node: Concurrent, outcome: str) -> bool:
    return outcome == "done" or (outcome == "failed" and node.join.failures == "collect")


def _say_ended(draft: Draft, node: Concurrent, body: str, outcome: str, **detail: object) -> None:
    if isinstance(node, ForEachNode):
        draft.say("item_ended", body, outcome=outcome, **detail)
    elif isinstance(node, GraphNode):
        draft.say("step_ended", body, outcome=outcome, **detail)
    else:
        draft.say("branch_ended", body, outcome=outcome, **detail)


def _flow_back(draft: Draft, path: str, body: str, node: Concurrent, now: msgspec.Raw) -> bool:
    """What a branch did to its own data comes to those around it. False if they do not go together."""
    assert node.own is not None
    back = node.own.back
    if back == "nothing" or (draft.open[path].run == "loose" and node.join.late == "drop"):
        return True
    base = round_of(draft, path).entry
    if back != "changed":
        new, old = split_fields(now), split_fields(base)
        wanted = new.keys() if back == "all" else back
        base = msgspec.Raw(msgspec.json.encode({k: v for k, v in old.items() if k not in wanted or k in draft.definition.reducers}))
        now = msgspec.Raw(msgspec.json.encode({**split_fields(base), **{k: new[k] for k in wanted if k in new}}))
    try:
        write(draft, f"{body}/", now, base)
    except MergeFailed as error:
        draft.fail(path, pure_failure(path, error))
        return False
    return True


def _settle(draft: Draft, path: str, node: Concurrent) -> None:
    """Contributions to reduced fields count for good once all earlier parts have ended."""
    round = round_of(draft, path)
    if not round.parts:
        return
    names = map(str, range(round.settled, round.size))
    if not isinstance(node, ForEachNode):
        names = (b.key for b in branches_of(node)[round.settled :])
    over = [*itertools.takewhile(lambda name: outcome_of(round, name), names)]
    if over:
        put_round(draft, path, settle_parts(draft, replace(round, settled=round.settled + len(over)), over))


def nothing_loose(draft: Draft, path: str) -> None:
    """Its last loose part is over. Who waited for that (again=wait) may begin."""
    draft.drop(path)
    for other, frame in list(draft.open.items()):
        if frame.run == "held" and address(other) == address(path):
            draft.put(other, READY)


# -- judging


def judge(draft: Draft, path: str) -> None:
    """Resolve the join if its need is met, fail it if it cannot be met any more, else open what may be opened."""
    node, round = concurrent_at(draft, path), round_of(draft, path)
    try:
        verdict = _verdict(draft, path, node, round)
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))
        return
    if verdict == "open":
        _open_more(draft, path, node)
    elif verdict == "unmet" and node.join.unmet == "fail":
        text = f"{round.arrived} of {round.size} have arrived, {round.missed} never will: that is not enough"
        draft.fail(path, Failure("join_unmet", text, path, kind="permanent"))
    else:
        _resolve(draft, path, node, verdict)


def complete(draft: Draft, path: str) -> None:
    """Resolve the join with what has arrived; parts that have not begun never do."""
    node, round = concurrent_at(draft, path), round_of(draft, path)
    left = round.size - round.next if isinstance(node, GraphNode) else len([*to_begin(node, round)])
    put_round(draft, path, replace(round, size=round.size - left))
    _resolve(draft, path, node, "met")


def grow(draft: Draft, path: str, count: int) -> None:
    """So many items more, which this decision's entry of history tells."""
    round = round_of(draft, path)
    put_round(draft, path, replace(round, size=round.size + count, added=(*round.added, (round.size, draft.revision))))
    judge(draft, path)


def _verdict(draft: Draft, path: str, node: Concurrent, round: Round) -> Literal["open", "met", "unmet"]:
    if _stays_open(draft, path, node):
        return "open"
    left = round.size - round.arrived - round.missed
    need = need_of(draft, path, node, round)
    if isinstance(need, bool):
        return "met" if need else "open" if left else "unmet"
    if round.arrived >= need:
        return "met"
    if left and (round.arrived + left >= need or node.join.unmet == "go_on"):
        return "open"
    return "unmet"


def _stays_open(draft: Draft, path: str, node: Concurrent) -> bool:
    """More items may be added. Raises PureFailed."""
    if not isinstance(node, ForEachNode) or node.stays is None:
        return False
    return node.stays is True or not holds(draft, node.stays, at=path)


def closed(draft: Draft) -> bool:
    """Join the first for_each to which, it turns out, no more items will be added."""
    for path, frame in draft.open.items():
        node = draft.node_at(path) if frame.round is not None and frame.run == "open" else None
        if not isinstance(node, ForEachNode) or frame.round is None or not isinstance(node.stays, Function):
            continue
        try:
            over = _verdict(draft, path, node, frame.round) != "open"
        except PureFailed as error:
            draft.fail(path, pure_failure(path, error))
            return True
        if over:
            judge(draft, path)
            return True
    return False


def need_of(draft: Draft, path: str, node: Concurrent, round: Round) -> int | bool:
    """How many have to arrive, or whether it is enough. Raises PureFailed."""
    need = node.join.need
    if need == "all":
        return round.size
    if need == "any":
        return min(1, round.size)
    if isinstance(need, int):
        return need
    assert not isinstance(need, str)
    left = round.size - round.arrived - round.missed
    results = {name: msgspec.json.decode(raw) for name, raw in results_of(draft, path, node, round) if raw is not None}
    answer = ask(need, Arrivals(outcomes_of(node, round), results, left, round.size))
    if not isinstance(answer, bool | int):
        raise PureFailed(f"{need.name} gave {answer!r}: the need of a join is a number, or true or false")
    return answer


def _resolve(draft: Draft, path: str, node: Concurrent, verdict: str) -> None:
    round = round_of(draft, path)
    try:
        reconcile(draft, path, round, lambda part: _arrives(node, outcome_of(round, part)))
        if isinstance(node, ForEachNode) and node.into is not None:
            given = [None if raw is None else msgspec.json.decode(raw) for _, raw in results_of(draft, path, node, round)]
            apply_into(draft, path, node.into, given)
        elif isinstance(node, GraphNode) and node.into is not None:
            given = dict(results_of(draft, path, node, round))
            outputs = {s.key: None if given[s.key] is None else s.read(given[s.key]) for s in node.steps}
            apply_into(draft, path, node.into, outputs)
        elif isinstance(node, ParallelNode) and node.into is not None:
            ends = {name: raw for name, raw in results_of(draft, path, node, round) if raw is not None}
            apply_into(draft, path, node.into, Paths({n: draft.definition.data.decode(raw) for n, raw in ends.items()}))
    except (PureFailed, MergeFailed) as error:
        draft.fail(path, pure_failure(path, error))
        return
    draft.drop_results(path)
    detail = {"unmet": True} if verdict == "unmet" else {}
    draft.say("join_resolved", path, arrived=round.arrived, size=round.size, **detail)
    rest = parts_open(node, round)
    if rest and node.join.rest == "finish":
        draft.put(path, replace(draft.open[path], run="loose"))
    elif rest:
        bodies = [body_of(node, path, part) for part in rest]
        region.cancel(draft, *bodies)
        outcome = "undone" if node.join.rest == "undo" else "cancelled"
        for body in bodies:
            _say_ended(draft, node, body, outcome)
        if outcome == "undone":
            put_round(draft, path, replace(round, ended={**round.ended, **dict.fromkeys(rest, outcome)}))
            draft.put(path, replace(draft.open[path], run="undoing"))
            return
    draft.closing.append(path)


def keep_result(draft: Draft, path: str, result: msgspec.Raw) -> None:
    """What an item has given, for `into` and for the need of the join; or a step, for those that need it."""
    for holder, part in around(path):
        frame = draft.open.get(holder)
        if frame is not None and frame.round is not None and not isinstance(draft.node_at(holder), ParallelNode | FlowNode):
            if result is not NOTHING and frame.run == "open":
                draft.put_result(body_of(concurrent_at(draft, holder), holder, part), result)
            return


def loose_above(draft: Draft, path: str) -> bool:
    """True for a node of a loose branch whose changes of the data come too late to count."""
    for holder, _ in around(path):
        frame = draft.open.get(holder)
        if frame is not None and frame.run == "loose" and concurrent_at(draft, holder).join.late == "drop":
            return True
    return False
