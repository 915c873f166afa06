"""The outbox as part of the store port: messages stay in it until a sink has taken them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stepkeel.model.message import MessageRow

__all__ = ["ANY", "COLUMNS", "Outbox", "row_of", "values_of"]

ANY = "*"
COLUMNS = ("id", "instance_id", "tenant", "definition", "version", "path", "topic", "payload", "at", "due_at", "tries", "error")


class Outbox(Protocol):
    async def take_messages(self, topics: Sequence[str], until: int, limit: int) -> Sequence[MessageRow]:
        """At most `limit` of these topics (`*`: of all) that are due, in the order of their commits: theirs until `until`.

        Of an instance and topic none is taken while an earlier one is not due: so they keep their order.
        """
        ...

    async def settle_messages(self, done: Sequence[MessageRow], failed: Sequence[MessageRow]) -> None:
        """Those delivered are removed; those that failed (with `due_at` and `error` anew) stay, unless somebody else has them."""
        ...

    async def outbox(self, limit: int = 100, tenant: str | None = None) -> Sequence[MessageRow]:
        """What is to be delivered, oldest first."""
        ...


def values_of(m: MessageRow) -> tuple[object, ...]:
    return tuple(getattr(m, name) for name in COLUMNS)


def row_of(record: Sequence[object]) -> MessageRow:
    """From COLUMNS and seq."""
    return MessageRow(*record)  # type: ignore[arg-type]
