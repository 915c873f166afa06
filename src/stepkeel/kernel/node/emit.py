"""emit: a message for the world, in the instance's own commit. Closes at once.

| what it tells | then |
|---|---|
| can be stored as JSON | message_emitted; delivered once the commit is durable, at least once |
| its function raises, or gives what cannot be stored | failed |
"""

from __future__ import annotations

from stepkeel.errors import DataInvalid
from stepkeel.kernel.data import PureFailed, ask_at, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.model.codec import to_json
from stepkeel.model.effect import Emit
from stepkeel.model.node import EmitNode
from stepkeel.model.snapshot import Frame

__all__ = ["open"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    node = draft.node_at(path)
    assert isinstance(node, EmitNode)
    try:
        payload = bytes(draft.record(path)) if node.what is None else to_json(ask_at(draft, path, node.what))
    except (PureFailed, DataInvalid) as error:
        draft.fail(path, pure_failure(path, error if isinstance(error, PureFailed) else PureFailed(error.message)))
        return
    draft.effects.append(Emit(path, node.topic, payload))
    draft.say("message_emitted", path, topic=node.topic)
    draft.closing.append(path)
