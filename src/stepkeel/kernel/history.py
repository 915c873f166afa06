"""A decision as history and row keep it."""

from __future__ import annotations

import msgspec

from stepkeel.model.commit import HistoryRow
from stepkeel.model.decision import Decision

__all__ = ["encode", "history_row"]

encode = msgspec.json.Encoder().encode


def history_row(decision: Decision, actor: str, worker: str) -> HistoryRow:
    s = decision.snapshot
    return HistoryRow(s.revision, s.at, actor, worker, encode(decision.events), encode(decision.changes))
