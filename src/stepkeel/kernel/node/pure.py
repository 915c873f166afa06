"""pure: `transform` changes the data, `log` writes a line once the step is durable. Both close at once."""

from __future__ import annotations

from stepkeel.kernel.data import PureFailed, ask, change, fill, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.model.effect import Log
from stepkeel.model.node import PureNode
from stepkeel.model.snapshot import Frame

__all__ = ["open"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    node = draft.node_at(path)
    assert isinstance(node, PureNode)
    try:
        if node.kind == "transform" and node.function is not None:
            change(draft, path, node.function)
        elif node.kind == "log":
            draft.effects.append(Log(node.level, _text(draft, path, node)))
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))
        return
    draft.closing.append(path)


def _text(draft: Draft, path: str, node: PureNode) -> str:
    """The line: a function of the data, or a template over its fields (plain names only, nothing is evaluated)."""
    if node.function is not None:
        return str(ask(node.function, draft.view(path)))
    return fill(node.template, draft.record(path))
