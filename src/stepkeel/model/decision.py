"""The answer of the kernel to one input."""

from __future__ import annotations

from typing import Any

import msgspec

from stepkeel.model.effect import Effect
from stepkeel.model.event import Event
from stepkeel.model.snapshot import Snapshot

__all__ = ["Changes", "Decision"]


class Changes(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`set` and `unset` of flat snapshot keys; folded from the start they give the snapshot of any revision."""

    set: dict[str, Any] = {}
    unset: tuple[str, ...] = ()


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Next snapshot, events, changes and effects. `refused` is the code of an error: nothing was decided.

    Without events nothing happened that is worth an entry in history (a stale result, a spurious wake-up).
    """

    snapshot: Snapshot
    events: tuple[Event, ...] = ()
    changes: Changes = Changes()
    effects: tuple[Effect, ...] = ()
    refused: str = ""
    message: str = ""
