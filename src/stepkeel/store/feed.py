"""History of a whole tenant in the order of its commits, for whoever follows it from a place in it.

An entry's place is the number of the commit that wrote it, then its instance and revision. Numbers grow with the commits, and what
is told is never followed by something that belongs before it: SQLite has one writer, which counts; PostgreSQL gives the id
of the transaction, and tells only of those below the oldest that still runs.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec

from stepkeel.model.commit import HistoryRow

__all__ = ["Feed", "FeedRow", "Page", "Place", "end_of", "page_of"]


class Place(NamedTuple):
    """Where an entry stands, or the end of a commit."""

    commit: int
    instance_id: str
    revision: int


def end_of(commit: int) -> Place:
    """Behind every entry of it: no id of an instance is greater."""
    return Place(commit, "~", 0)


class FeedRow(msgspec.Struct, frozen=True, gc=False):
    commit: int
    instance_id: str
    entry: HistoryRow

    @property
    def place(self) -> Place:
        return Place(self.commit, self.instance_id, self.entry.revision)


class Page(msgspec.Struct, frozen=True, gc=False):
    """Entries in their order, and the place behind which nothing has been looked at."""

    rows: tuple[FeedRow, ...]
    end: Place


class Feed(Protocol):
    """A part of the port."""

    async def feed(self, tenant: str, after: Place | None, limit: int) -> Page:
        """Entries behind a place, archived ones too; None: from now on, so there are none yet.

        What instances were given before the database could tell commits apart, or was purged, is not among them.
        """
        ...


def page_of(rows: list[FeedRow], limit: int, newest: int, after: Place) -> Page:
    """All that was there up to the newest commit, unless there is more than fits. `newest` is asked before the rows are:

    what was committed between the two is told already, and is not told again.
    """
    last = rows[-1].place if rows else after
    return Page(tuple(rows), last if rows and len(rows) == limit else max(last, end_of(newest)))
