"""child: an instance of another workflow, begun by this one in the very commit that decides it.

| run | comes | then |
|---|---|---|
| ready | - | begun; waiting for its report |
| ready | nothing is waited for | begun; loose, and the node closes; a completed state waits for it |
| ready | detached | begun; the node closes, nothing of it is remembered |
| waiting | it has completed | data mapped, closes |
| waiting | it is in the state, or has had the outcome, that is waited for | data mapped, closes; loose until it ends |
| waiting | it has ended otherwise | told to `into`, where failures are recorded; else failed, with the code of its failure |
| loose, leaving | it has ended | gone |
| any of them | closed for another reason | the child is told to end (draft.py, family.py) |
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stepkeel.errors import StepkeelError
from stepkeel.ids import id_of
from stepkeel.kernel.data import PureFailed, apply_into, ask_at, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.model.child import ChildResult
from stepkeel.model.effect import StartChild
from stepkeel.model.input import ChildReported
from stepkeel.model.node import ChildNode
from stepkeel.model.snapshot import NOTHING, TERMINAL, Child, Failure, Frame, Parent

__all__ = ["MAX_DEPTH", "open", "reported"]

MAX_DEPTH = 100


def open(draft: Draft, path: str, frame: Frame) -> None:
    node = _node(draft, path)
    depth = 1 if draft.parent is None else draft.parent.depth + 1
    if depth > MAX_DEPTH:
        text = f"children of children, {MAX_DEPTH} deep: does it begin itself without end?"
        draft.fail(path, Failure("too_deep", text, path, kind="permanent"))
        return
    try:
        data = _data_for(draft, path, node)
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))
        return
    definition = node.of.definition
    child = id_of(draft.now, draft.seed, len(draft.effects))
    until = "end" if node.until == "nothing" else node.until
    parent = None if node.detached else Parent(draft.before.id, path, depth, until, node.mark)
    draft.effects.append(StartChild(path, child, definition.name, definition.version, data, parent))
    draft.say("child_started", path, child=child, definition=definition.name, version=definition.version)
    begun_before = frame.child is not None
    if node.detached:
        draft.closing.append(path)
    elif node.until == "nothing" or begun_before:
        draft.put(path, Frame(run="loose", child=Child(child)))
        if not begun_before:
            draft.closing.append(path)
    else:
        draft.put(path, Frame(run="waiting", child=Child(child)))


def _data_for(draft: Draft, path: str, node: ChildNode) -> bytes:
    """What the child begins with. Raises PureFailed."""
    if node.data is None:
        return bytes(draft.record(path))
    value = ask_at(draft, path, node.data)
    codec = node.of.definition.data
    try:
        return codec.from_input(value)
    except StepkeelError as error:
        raise PureFailed(f"{node.data.name}: {error}") from error


def reported(draft: Draft, input: ChildReported) -> None:
    """Stale reports (of a child begun before a redrive, say) are dropped."""
    frame = draft.open.get(input.path)
    if frame is None or frame.child is None or frame.child.id != input.child or frame.child.over:
        return
    ended = input.status in TERMINAL
    draft.say("child_reported", input.path, child=input.child, status=input.status, state=input.state)
    if ended:
        frame = replace(frame, child=replace(frame.child, over=True))
        draft.put(input.path, frame)
    if frame.run != "waiting":
        if ended:
            draft.drop(input.path)
        return
    _come(draft, input, frame, ended)


def _come(draft: Draft, input: ChildReported, frame: Frame, ended: bool) -> None:
    """What the node waits for, or an end before that."""
    node, path = _node(draft, input.path), input.path
    well = input.status == "completed" if node.until == "end" else not ended
    if not well and node.failures == "fail":
        draft.fail(path, _failure(node, input))
        return
    try:
        if node.into is not None:
            data: Any = None if input.data is NOTHING else node.of.definition.data.decode(input.data)
            apply_into(draft, path, node.into, _result(input, data) if node.failures == "record" else data)
    except (PureFailed, StepkeelError) as error:
        failed = error if isinstance(error, PureFailed) else PureFailed(f"the data of its child: {error}")
        draft.fail(path, pure_failure(path, failed))
        return
    if not ended:
        draft.put(path, replace(frame, run="loose"))
    draft.closing.append(path)


def _result(input: ChildReported, data: Any) -> ChildResult[Any]:
    failure = input.failure or Failure("")
    return ChildResult(input.child, input.status, input.state, data, failure.code, failure.message, input.reason)


def _failure(node: ChildNode, input: ChildReported) -> Failure:
    """The child's own, as one of this node; where it has none, a code that says how it ended."""
    what = f"{node.of.definition.name} {input.child}"
    if input.failure is None or input.status == "completed":
        text = f"{what} ended {input.status}" + (f": {input.reason}" if input.reason else "")
        return Failure(f"child_{input.status}", text, input.path, kind="business", details={"child": input.child})
    inner = input.failure
    cause = f"{what}: {inner.code}: {inner.message} (at {inner.path})"
    details: Any = inner.details if inner.details is not None else {"child": input.child}
    return replace(inner, path=input.path, attempt=0, details=details, causes=(cause, *inner.causes))


def _node(draft: Draft, path: str) -> ChildNode:
    node = draft.node_at(path)
    assert isinstance(node, ChildNode)
    return node
