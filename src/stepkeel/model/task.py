"""Tasks: work for people. A row for each of them, written by the commits of the instance that asks for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec

__all__ = ["ACTS", "Act", "TaskChange", "TaskRow", "Verdict", "Vote"]

Act = Literal["claim", "release", "complete", "reassign", "comment"]
ACTS: tuple[Act, ...] = ("claim", "release", "complete", "reassign", "comment")


class TaskRow(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A task as it is opened, and as it is read back.

    status      open, completed, withdrawn (its node was closed otherwise)
    role, assignee, candidates   who may do it: whoever has the role, this person, one of these
    excluded    who may not: who asked for it, say
    claimed_by  who works on it
    form        the name of the type that a completion is checked against; empty: nothing is asked
    closed_by, result   who has completed it, and with what (encoded)
    """

    id: str
    instance_id: str
    tenant: str
    definition: str
    version: int
    path: str
    title: str
    status: str = "open"
    role: str = ""
    assignee: str = ""
    candidates: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    claimed_by: str = ""
    form: str = ""
    priority: int = 2
    due_at: int | None = None
    opened_at: int = 0
    updated_at: int = 0
    closed_at: int | None = None
    closed_by: str = ""
    result: bytes = b""
    reminded: int = 0
    escalated: int = 0


class TaskChange(msgspec.Struct, frozen=True, gc=False):
    """What may change of a row; all of it is said each time."""

    id: str
    at: int
    status: str
    role: str
    assignee: str
    claimed_by: str
    closed_by: str = ""
    result: bytes = b""
    reminded: int = 0
    escalated: int = 0


@dataclass
class Vote:
    """What one person says of an approval: what its form asks for."""

    approved: bool
    comment: str = ""


@dataclass
class Verdict:
    """What an approval has come to. `by` is whoever decided it last, `votes` who has said what, in order."""

    approved: bool
    by: str = ""
    comment: str = ""
    at: datetime | None = None
    votes: list[tuple[str, bool, str]] = field(default_factory=list[tuple[str, bool, str]])
