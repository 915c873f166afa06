"""Which input does what in which status: the first rule of every decision.

ok    applied                             E  refused: instance_ended
keep  recorded or left pending            I  refused: invalid_transition
drop  silently nothing

`active` is running or waiting; `ending` is that with an ending under way; `ended` is completed, cancelled or terminated.
"""

from __future__ import annotations

from typing import Any, Literal

from stepkeel.model import input as inputs
from stepkeel.model.snapshot import Snapshot

__all__ = ["COLUMNS", "GATE", "Verdict", "column", "verdict"]

Verdict = Literal["ok", "keep", "drop", "E", "I"]
ENDING, PAUSED = 2, 3
COLUMNS = ("created", "active", "ending", "paused", "failed", "ended")

# fmt: off
GATE: dict[type[Any], tuple[Verdict, ...]] = {
    #                        created  active  ending  paused  failed  ended
    inputs.Claimed:         ("ok",    "ok",   "ok",   "keep", "drop", "drop"),
    inputs.AttemptEnded:    ("drop",  "ok",   "ok",   "ok",   "drop", "drop"),
    inputs.AttemptDeferred: ("drop",  "ok",   "ok",   "keep", "drop", "drop"),
    inputs.HandedBack:      ("drop",  "ok",   "ok",   "keep", "drop", "drop"),
    inputs.StepRecorded:    ("drop",  "ok",   "ok",   "ok",   "drop", "drop"),
    inputs.Heartbeat:       ("drop",  "ok",   "ok",   "ok",   "drop", "drop"),
    inputs.SignalArrived:   ("keep",  "ok",   "keep", "keep", "E",    "E"),
    inputs.HoldGranted:     ("ok",    "ok",   "ok",   "ok",   "drop", "drop"),
    inputs.ChildReported:   ("drop",  "ok",   "ok",   "ok",   "drop", "drop"),
    inputs.TaskActed:       ("drop",  "ok",   "I",    "ok",   "E",    "E"),
    inputs.Tick:            ("drop",  "ok",   "ok",   "drop", "drop", "drop"),
    inputs.Pause:           ("ok",    "ok",   "ok",   "I",    "E",    "E"),
    inputs.Resume:          ("I",     "I",    "I",    "ok",   "E",    "E"),
    inputs.Cancel:          ("ok",    "ok",   "I",    "ok",   "E",    "E"),
    inputs.Terminate:       ("ok",    "ok",   "ok",   "ok",   "E",    "E"),
    inputs.Redrive:         ("I",     "I",    "I",    "I",    "ok",   "E"),
    inputs.FireTimer:       ("I",     "ok",   "ok",   "ok",   "E",    "E"),
    inputs.CancelNode:      ("I",     "ok",   "I",    "ok",   "E",    "E"),
    inputs.CompleteNode:    ("I",     "ok",   "I",    "ok",   "E",    "E"),
    inputs.AddItems:        ("I",     "ok",   "I",    "ok",   "E",    "E"),
    inputs.SetData:         ("ok",    "ok",   "I",    "ok",   "ok",   "E"),
    inputs.SetState:        ("ok",    "ok",   "I",    "ok",   "ok",   "E"),
    inputs.Release:         ("drop",  "ok",   "ok",   "ok",   "drop", "drop"),
    inputs.Archive:         ("I",     "I",    "I",    "I",    "ok",   "ok"),
}
# fmt: on


_COLUMN = {"created": 0, "running": 1, "waiting": 1, "paused": 3, "failed": 4}


def column(snapshot: Snapshot) -> int:
    """Which column of the table the instance stands in."""
    at = _COLUMN.get(snapshot.status, 5)
    return 2 if at == 1 and snapshot.ending is not None else at


def verdict(snapshot: Snapshot, kind: type[Any]) -> Verdict:
    """What the table says; a paused instance whose ending was under way is refused what an ending is, but may be resumed."""
    at = column(snapshot)
    if at == PAUSED and snapshot.ending is not None and kind is not inputs.Resume and GATE[kind][ENDING] == "I":
        return "I"
    return GATE[kind][at]
