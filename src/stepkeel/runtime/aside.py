"""Setting an instance aside: paused with its fault named, the snapshot's bytes as they are. Nobody else is harmed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stepkeel.kernel.history import encode
from stepkeel.model.commit import Commit, HistoryRow, Step
from stepkeel.model.event import Event

if TYPE_CHECKING:
    from stepkeel.runtime.worker import Worker

__all__ = ["set_aside"]


def set_aside(
    worker: Worker, instance_id: str, tenant: str, epoch: int, revision: int, fault: str, seen: int, told: Callable[[Any], None]
) -> None:
    """Commit the fault; `told` hears what became of it."""
    now = worker.now()
    event = encode((Event("set_aside", "", {"fault": fault}),))
    entry = HistoryRow(revision + 1, now, "", worker.id, event, b"{}")
    step = Step("paused", "", "", revision + 1, None, now, seen, (entry,), (), True, None, False, fault)
    worker.committer.commit(Commit(instance_id, tenant, worker.id, epoch, revision, step), told)
