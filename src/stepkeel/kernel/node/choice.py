"""choice: the first arm whose guard holds. It has no frame while an arm is open: the arm is in the path of what is.

| guards | then |
|---|---|
| one holds | the first node of that arm is ready; the choice closes behind its last |
| none holds, there is an otherwise | the same for it |
| none holds | node_skipped, closes |
| one raises | failed |
"""

from __future__ import annotations

from stepkeel.kernel.data import PureFailed, holds, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.machine import open_body
from stepkeel.model.node import ChoiceNode
from stepkeel.model.snapshot import Frame

__all__ = ["behind", "open"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    node = draft.node_at(path)
    assert isinstance(node, ChoiceNode)
    try:
        taken = next((arm for arm in node.arms if holds(draft, arm.when, at=path)), None)
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))
        return
    if taken is None:
        draft.say("node_skipped", path, reason="no guard holds")
        draft.closing.append(path)
        return
    draft.drop(path)
    open_body(draft, f"{path}:{taken.key}", taken.body)


def behind(draft: Draft, path: str, body: str) -> None:
    """The body of the taken arm is done."""
    draft.closing.append(path)
