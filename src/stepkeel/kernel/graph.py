"""Which step of a graph may begin, and what its functions are told.

| the steps that one needs | and | then |
|---|---|---|
| have not all ended | - | it waits |
| have all ended, none of them done | there are some | it has ended `dead` |
| have all ended | its guard does not hold | it has ended `skipped` |
| | it holds, or there is none | it may begin, in the order of the steps, as max_concurrency allows |
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any

from msgspec import Raw, json
from msgspec.structs import replace

from stepkeel.errors import DataInvalid
from stepkeel.kernel.data import PureFailed, ask, holds
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.parts import put_round, round_of
from stepkeel.kernel.path import around
from stepkeel.model.codec import to_json
from stepkeel.model.function import Function
from stepkeel.model.graph import GraphNode, Step
from stepkeel.model.node import ActivityNode
from stepkeel.model.run import Run
from stepkeel.model.snapshot import NOTHING, Frame

__all__ = ["given", "remembering", "unlock"]

_OVER = ("skipped", "dead")


def unlock(draft: Draft, path: str, node: GraphNode, steps: Iterable[str]) -> None:
    """Judge steps of which a need has ended, or that have none; and those behind them, where they will not run.

    Raises PureFailed.
    """
    round = round_of(draft, path)
    ended, ready, judged = dict(round.ended), list(round.ready), set[str]()
    todo = deque(steps)
    while todo:
        name = todo.popleft()
        step = node.steps[node.place[name]]
        if name in judged or any(n not in ended for n in reversed(step.needs)):
            continue
        judged.add(name)
        if step.needs and all(ended[n] in _OVER for n in step.needs):
            outcome = "dead"
        elif step.when is not None and not holds(draft, step.when, of=_run_of(draft, path, node, step)):
            outcome = "skipped"
        else:
            bisect.insort(ready, name, key=node.place.__getitem__)
            continue
        ended[name] = outcome
        draft.say("step_ended", f"{path}:{name}", outcome=outcome)
        todo.extend(node.behind[name])
    over = len(ended) - len(round.ended)
    put_round(draft, path, replace(round, ended=ended, ready=tuple(ready), next=round.next + over, arrived=round.arrived + over))


def _run_of(draft: Draft, path: str, node: GraphNode, step: Step) -> Run[Any]:
    within = f"{path}:{step.key}/"
    return Run(draft.view(within), partial(_read, draft, path, node, step, within))


def _run_at(draft: Draft, path: str, function: Function, output: Raw = NOTHING) -> Run[Any]:
    """What a function of a node is asked about: of the innermost graph around it, if there is one."""
    item = draft.item(path) if function.item else None
    found = _around(draft, path)
    if found is None:
        return Run(draft.view(path), item=item, output=None if output is NOTHING else json.decode(output))
    holder, node, step = found
    read = partial(_read, draft, holder, node, step, path)
    return Run(draft.view(path), read, item, None if output is NOTHING else step.read(output))


def given(draft: Draft, path: str, function: Function, output: Raw = NOTHING) -> Raw:
    """What a node's attempts, or its undo, are given. Raises PureFailed."""
    try:
        return Raw(to_json(ask(function, _run_at(draft, path, function, output))))
    except DataInvalid as error:
        raise PureFailed(f"{function.name}: {error.message}") from error


def remembering(draft: Draft, path: str, frame: Frame) -> Frame:
    """The frame of an activity that is told to stop: its undo may ask for outputs that are about to go."""
    node = draft.node_at(path)
    found = _around(draft, path) if isinstance(node, ActivityNode) and node.undo_given is not None else None
    if found is None:
        return frame
    holder, graph, step = found
    names = (s.key for s in graph.steps if f"{holder}:{s.key}" in draft.results)
    return replace(frame, outputs={n: draft.results[f"{holder}:{n}"] for n in graph.needed(step.key, names)})


def _around(draft: Draft, path: str) -> tuple[str, GraphNode, Step] | None:
    """The innermost graph around a node, and the step of it in which that stands."""
    for holder, part in around(path):
        node = draft.node_at(holder)
        if isinstance(node, GraphNode):
            return holder, node, node.steps[node.place[part]]
    return None


def _read(draft: Draft, holder: str, node: GraphNode, step: Step, path: str, name: str) -> Any:
    if name not in node.place:
        raise LookupError(f"{step.key} asks for the output of {name}, and there is no such step")
    if not node.above[step.key] >> node.place[name] & 1:
        raise LookupError(f"{step.key} asks for the output of {name}, which it does not need: say needs=[{name!r}]")
    frame = draft.open.get(path)
    raw = frame.outputs.get(name) if frame is not None and frame.outputs else draft.results.get(f"{holder}:{name}")
    return None if raw is None else node.steps[node.place[name]].read(raw)
