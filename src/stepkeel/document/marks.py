"""What is known of one instance, as a diagram shows it: where it stands, the way it took, what has failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stepkeel.model.event import Event
from stepkeel.model.snapshot import Snapshot

__all__ = ["Marks", "marks_of"]

_ENDED = frozenset({"activity_completed", "wait_ended", "task_completed", "child_reported", "join_resolved", "loop_ended"})


@dataclass(frozen=True)
class Marks:
    """`open` tells what each open address does (its run), `done` those that have ended well at least once, `taken` how often each

    way between two states was, `visits` how often each state was entered.
    """

    status: str = ""
    state: str = ""
    open: Mapping[str, str] = field(default_factory=dict[str, str])
    done: frozenset[str] = frozenset()
    taken: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    visits: Mapping[str, int] = field(default_factory=dict[str, int])
    failed: str = ""

    def of(self, address: str) -> str:
        """failed, open, done, or nothing."""
        if self.failed and self.failed == address:
            return "failed"
        return "open" if address in self.open else "done" if address in self.done else ""


def marks_of(snapshot: Snapshot, events: Iterable[Event], plain: Mapping[str, str]) -> Marks:
    """`plain` gives the address of each path."""
    taken: dict[tuple[str, str], int] = {}
    done: set[str] = set()
    for event in events:
        if event.type == "transitioned" and not event.path:
            way = (event.detail["from"], event.detail["to"])
            taken[way] = taken.get(way, 0) + 1
        elif event.type in _ENDED:
            done.add(plain[event.path])
    failed = plain.get(snapshot.failure.path, "") if snapshot.failure is not None else ""
    open_ = {plain[path]: frame.run for path, frame in snapshot.open.items() if path in plain}
    return Marks(snapshot.status, snapshot.state, open_, frozenset(done), taken, snapshot.visits, failed)
