"""loop: a body again and again. It has no frame while an iteration is open: the iteration is in the path of what is.

| asked when an iteration is to begin | answer | then |
|---|---|---|
| until (from the second on) | true | closes |
| is it one more than max_iterations | yes | at_max: fail (`max_iterations`), go_on (closes), cancel, terminate |
| while | false | closes |
| - | - | the first node of its body is ready |
| `Break` in the body, however deep | - | the innermost loop closes |
"""

from __future__ import annotations

from stepkeel.kernel import ending, region
from stepkeel.kernel.data import PureFailed, holds, pure_failure
from stepkeel.kernel.draft import READY, Draft
from stepkeel.kernel.machine import open_body
from stepkeel.kernel.path import in_iteration, inside, iteration
from stepkeel.model.node import LoopNode
from stepkeel.model.snapshot import Failure, Frame

__all__ = ["around", "behind", "broken", "open"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    """Judge whether this iteration begins. All is asked here, so that a redrive after a guard that raised asks it again."""
    node = _node(draft, path)
    assert node is not None
    n = iteration(path)
    try:
        if n > 1 and node.until is not None and holds(draft, node.until, at=path):
            _close(draft, path, n - 1, "until")
        elif n > node.max_iterations:
            _too_many(draft, path, node, frame)
        elif not holds(draft, node.while_, at=path):
            _close(draft, path, n - 1, "while")
        else:
            draft.drop(path)
            open_body(draft, path, node.body)
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))


def behind(draft: Draft, path: str, body: str) -> None:
    """The body of an iteration is done: the next one is judged."""
    n = iteration(path)
    draft.say("iteration_ended", path)
    draft.put(in_iteration(path, n + 1), READY)


def around(draft: Draft, path: str) -> str:
    """The innermost loop around a node, in its iteration; nothing if there is none, or if it has gone on without this branch."""
    outer = inside(path)
    while outer and _node(draft, outer) is None:
        frame = draft.open.get(outer)
        if frame is not None and frame.run == "loose":
            return ""
        outer = inside(outer)
    return outer


def broken(draft: Draft, path: str) -> None:
    """What else is open in the iteration (branches beside the one that broke it) is cancelled."""
    region.cancel(draft, path)
    _close(draft, path, iteration(path), "Break")


def _close(draft: Draft, path: str, iterations: int, by: str) -> None:
    draft.say("loop_ended", in_iteration(path, 1), iterations=iterations, by=by)
    draft.closing.append(path)


def _too_many(draft: Draft, path: str, node: LoopNode, frame: Frame) -> None:
    most = node.max_iterations
    text = f"{in_iteration(path, 1)}: {most} iterations, and nothing has ended it"
    if node.at_max == "fail":
        draft.fail(path, Failure("max_iterations", text, path, kind="permanent"))
        return
    _close(draft, path, most, "max_iterations")
    if node.at_max != "go_on":
        ending.begin(draft, "cancelled" if node.at_max == "cancel" else "terminated", text)


def _node(draft: Draft, path: str) -> LoopNode | None:
    node = draft.node_at(path)
    return node if isinstance(node, LoopNode) else None
