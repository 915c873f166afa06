"""Messages: what a workflow tells the world, kept in its own commit until a sink has taken it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from stepkeel.model.instant import from_micros
from stepkeel.model.trace import traceparent_of

__all__ = ["Message", "MessageRow", "message_of"]


class MessageRow(msgspec.Struct, frozen=True, gc=False):
    """A row of the outbox. `id` is the instance's and the node's path: the same message again is the same row.

    seq      the order of their commits, given by the store
    due_at   when it is to be delivered: later than now while somebody is at it, or after it failed
    tries    how often it was taken to be delivered; `error` why the last one failed
    """

    id: str
    instance_id: str
    tenant: str
    definition: str
    version: int
    path: str
    topic: str
    payload: bytes
    at: int
    due_at: int
    tries: int = 0
    error: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """What a sink is given. It may come twice, after a crash or a lost answer: `id` is the same then.

    topic       what `emit(to=)` said; payload: what it gave, as JSON tells it
    at          when it was emitted (the commit that emitted it has the same time)
    tries       1 the first time
    """

    id: str
    topic: str
    payload: Any
    instance_id: str
    definition: str
    version: int
    tenant: str
    at: datetime
    tries: int = 1
    error: str = ""

    @property
    def traceparent(self) -> str:
        """The trace of its instance, for whoever goes on with it (W3C Trace Context)."""
        return traceparent_of(self.instance_id)


def message_of(row: MessageRow) -> Message:
    """As a sink is given it."""
    return Message(
        row.id, row.topic, msgspec.json.decode(row.payload), row.instance_id, row.definition, row.version, row.tenant,
        from_micros(row.at), row.tries, row.error,
    )  # fmt: skip
