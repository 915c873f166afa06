"""What a parent is told of a child where it wants to know of every end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["ChildResult"]

C = TypeVar("C")


@dataclass(frozen=True)
class ChildResult(Generic[C]):
    """How a child has ended, or come to what was waited for: given to `into` where `failures="record"`.

    `status` is that of the instance (completed, failed, cancelled, terminated; another where it goes on), `state` the
    label or name of where it stands, `code` and `message` those of its failure, `reason` the one its ending gave.
    """

    id: str
    status: str
    state: str
    data: C
    code: str = ""
    message: str = ""
    reason: str = ""
