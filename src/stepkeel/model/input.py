"""What the world says to an instance. Each is one row of the kernel's gate (kernel/gate.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from stepkeel.model.snapshot import Failure

__all__ = [
    "Archive",
    "AttemptDeferred",
    "AttemptEnded",
    "Cancel",
    "Claimed",
    "Control",
    "Heartbeat",
    "Input",
    "Pause",
    "Redrive",
    "Resume",
    "Signal",
    "SignalArrived",
    "Started",
    "StepRecorded",
    "Terminate",
    "Tick",
    "read_control",
]


@dataclass(frozen=True, slots=True)
class Started:
    """Makes the snapshot. `claimed`: the starter owns the row at once and enters the initial state in the same commit."""

    id: str
    tenant: str
    data: bytes
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """A worker took the row. Attempts in flight were lost with the last owner."""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt is over. `data` is the whole changed record, None if unchanged; `failure` for errors and TryAgain."""

    path: str
    attempt: int
    outcome: Literal["done", "again", "wait", "complete", "cancel", "terminate", "failed", "stopped"]
    data: bytes | None = None
    reason: str = ""
    delay: int | None = None
    until: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class AttemptDeferred:
    """The attempt was put back and burns none: resource exhausted (`delay`), or the worker shuts down (no delay)."""

    path: str
    attempt: int
    reason: str = ""
    delay: int = 0


@dataclass(frozen=True, slots=True)
class StepRecorded:
    """A checkpoint inside one activity."""

    path: str
    attempt: int
    name: str
    result: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Heartbeat:
    path: str
    attempt: int
    progress: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Signal:
    """A pending signal as it lies in the inbox. `stamp` is the instance's revision when it was accepted."""

    seq: int
    name: str
    payload: msgspec.Raw
    stamp: int
    received_at: int
    actor: str = ""


@dataclass(frozen=True, slots=True)
class SignalArrived:
    """Signals are at hand (they come with the decision, oldest first)."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has come for some timer."""


@dataclass(frozen=True, slots=True)
class Pause:
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Resume:
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    actor: str = ""
    reason: str = ""
    compensate: bool = False


@dataclass(frozen=True, slots=True)
class Terminate:
    actor: str = ""
    reason: str = ""
    compensate: bool = False


@dataclass(frozen=True, slots=True)
class Redrive:
    """From the failed node; or from a state (`from_state`), which is entered anew."""

    actor: str = ""
    reason: str = ""
    from_state: str = ""


@dataclass(frozen=True, slots=True)
class Archive:
    actor: str = ""
    reason: str = ""


Control = Pause | Resume | Cancel | Terminate | Redrive | Archive
Input = Started | Claimed | AttemptEnded | AttemptDeferred | StepRecorded | Heartbeat | SignalArrived | Tick | Control
CONTROLS: dict[str, type[Any]] = {
    "pause": Pause,
    "resume": Resume,
    "cancel": Cancel,
    "terminate": Terminate,
    "redrive": Redrive,
    "archive": Archive,
}


def read_control(name: str, payload: bytes) -> Control:
    """A control request from its inbox row. Raises KeyError, msgspec.MsgspecError on one this release does not know."""
    return msgspec.json.decode(payload, type=CONTROLS[name])
