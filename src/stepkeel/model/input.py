"""What the world says to an instance. Each is one row of the kernel's gate (kernel/gate.py)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from stepkeel.model.snapshot import NOTHING, Failure, Parent
from stepkeel.model.task import Act

__all__ = [
    "AddItems",
    "Archive",
    "AttemptDeferred",
    "AttemptEnded",
    "Cancel",
    "CancelNode",
    "ChildReported",
    "Claimed",
    "CompleteNode",
    "Control",
    "FireTimer",
    "Forked",
    "HandedBack",
    "Heartbeat",
    "HoldGranted",
    "Input",
    "Pause",
    "Redrive",
    "Release",
    "Resume",
    "SetData",
    "SetState",
    "Signal",
    "SignalArrived",
    "Started",
    "StepRecorded",
    "TaskActed",
    "Terminate",
    "Tick",
    "control_name",
    "read_letter",
    "said_of",
]


class Started(msgspec.Struct, frozen=True, gc=False):
    """Makes the snapshot. `claimed`: the starter owns the row at once and enters the initial state in the same commit."""

    id: str
    tenant: str
    data: bytes
    claimed: bool = False
    parent: Parent | None = None


class Forked(msgspec.Struct, frozen=True, gc=False):
    """Makes the snapshot of an instance from that of another, as it was at `revision`: from a state, or where it failed."""

    id: str
    data: bytes
    revision: int
    from_state: str = ""
    actor: str = ""
    reason: str = ""


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """A worker took the row. The attempts that were in flight at these paths then (None: all) are lost with the last owner."""

    paths: tuple[str, ...] | None = None


class AttemptEnded(msgspec.Struct, frozen=True, gc=False):
    """An attempt is over. `data` is the whole changed record, None if unchanged; `failure` for errors and TryAgain.

    `base` is what it was given, nothing if that is what its node sees now; `result` what it gave where its node gives one, `cached`
    if it did not run for that.
    """

    path: str
    attempt: int
    outcome: Literal["done", "again", "wait", "break", "complete", "cancel", "terminate", "failed", "stopped"]
    data: bytes | None = None
    reason: str = ""
    delay: int | None = None
    until: int | None = None
    failure: Failure | None = None
    base: msgspec.Raw = NOTHING
    result: msgspec.Raw = NOTHING
    cached: bool = False


class AttemptDeferred(msgspec.Struct, frozen=True, gc=False):
    """The attempt was put back and burns none: a resource is exhausted, say."""

    path: str
    attempt: int
    reason: str = ""
    delay: int = 0


class HandedBack(msgspec.Struct, frozen=True, gc=False):
    """The worker shuts down: these attempts, told by path and number, are put back for another one, and burn none.

    All at once, and no rule is applied then: else the first would begin again before the last is put back.
    """

    attempts: tuple[tuple[str, int], ...]


class StepRecorded(msgspec.Struct, frozen=True, gc=False):
    """A checkpoint inside one activity."""

    path: str
    attempt: int
    name: str
    result: msgspec.Raw


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    path: str
    attempt: int
    progress: msgspec.Raw


class Signal(msgspec.Struct, frozen=True, gc=False):
    """A pending signal as it lies in the inbox. `stamp` is the instance's revision when it was accepted."""

    seq: int
    name: str
    payload: msgspec.Raw
    stamp: int
    received_at: int
    actor: str = ""


class SignalArrived(msgspec.Struct, frozen=True, gc=False):
    """Signals are at hand (they come with the decision, oldest first)."""


class HoldGranted(msgspec.Struct, frozen=True, gc=False):
    """A slot of a pool is this node's: the one it asked for with `n`."""

    path: str
    pool: str
    n: int


class ChildReported(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A child has ended, with its data; or has come to what its parent waits for (`status` is then no ending one)."""

    path: str
    child: str
    status: str
    state: str = ""
    reason: str = ""
    data: msgspec.Raw = NOTHING
    failure: Failure | None = None


class TaskActed(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Somebody does something about a task. `roles`: those they have; None where whoever asks is trusted about that.

    `payload` is what it is completed with, `to` whom it is given to, `text` a comment.
    """

    path: str
    task: str
    act: Act
    actor: str = ""
    roles: tuple[str, ...] | None = None
    payload: msgspec.Raw = NOTHING
    to: str = ""
    text: str = ""


class Tick(msgspec.Struct, frozen=True, gc=False):
    """Time has come for some timer."""


class Requested(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What operators ask may be meant for an instance as they saw it: at this revision, and not at a later one."""

    if_revision: int | None = None


class Pause(Requested, frozen=True, gc=False):
    """`by_parent`: because the instance that began it is paused."""

    actor: str = ""
    reason: str = ""
    by_parent: bool = False


class Resume(Requested, frozen=True, gc=False):
    """`by_parent`: what was paused by that alone goes on."""

    actor: str = ""
    reason: str = ""
    by_parent: bool = False


class Cancel(Requested, frozen=True, gc=False):
    actor: str = ""
    reason: str = ""
    compensate: bool = False


class Terminate(Requested, frozen=True, gc=False):
    actor: str = ""
    reason: str = ""
    compensate: bool = False


class Redrive(Requested, frozen=True, gc=False):
    """From the failed node; or from a state (`from_state`), which is entered anew, or a node of its body: `Pay/charge`.

    `failed_parts`: branches and items that had failed before, and that their join did without, are tried again too.
    """

    actor: str = ""
    reason: str = ""
    from_state: str = ""
    failed_parts: bool = False


class Archive(Requested, frozen=True, gc=False):
    actor: str = ""
    reason: str = ""


class FireTimer(Requested, frozen=True, gc=False):
    """The timer at a path is due now: all of its purposes, or this one."""

    path: str
    purpose: str = ""
    actor: str = ""
    reason: str = ""


class CancelNode(Requested, frozen=True, gc=False):
    """Close an open node, branch or item: its branch ends cancelled (`end`), or the flow goes on behind it (`skip`)."""

    path: str
    then: Literal["end", "skip"] = "end"
    actor: str = ""
    reason: str = ""


class CompleteNode(Requested, frozen=True, gc=False):
    """A container ends with the results it has, a node that waits is done."""

    path: str
    actor: str = ""
    reason: str = ""


class AddItems(Requested, frozen=True, gc=False):
    path: str
    items: list[Any]
    actor: str = ""
    reason: str = ""


class SetData(Requested, frozen=True, gc=False):
    """Set fields of the data."""

    changes: dict[str, Any]
    actor: str = ""
    reason: str = ""


class SetState(Requested, frozen=True, gc=False):
    """Leave the state it stands in for another one, or for a node of its body (`Pay/charge`).

    `body` False: the state's body is left out. `stop`: attempts in flight are stopped, not waited for.
    """

    state: str
    body: bool = True
    stop: bool = False
    actor: str = ""
    reason: str = ""


class Release(Requested, frozen=True, gc=False):
    """Take it from the worker that holds it."""

    actor: str = ""
    reason: str = ""


MOVED_ON = "it has moved on"  # begins what is told of a request that was meant for an earlier revision
Control = (
    CancelNode | CompleteNode | AddItems | SetData | SetState | Pause | Resume | Cancel | Terminate | Redrive | FireTimer | Release
    | Archive
)  # fmt: skip
Input = (
    Started | Claimed | AttemptEnded | AttemptDeferred | HandedBack | StepRecorded | Heartbeat | SignalArrived | HoldGranted
    | ChildReported | TaskActed | Tick | Control
)  # fmt: skip
CONTROLS: dict[str, type[Any]] = {
    "pause": Pause,
    "resume": Resume,
    "cancel": Cancel,
    "terminate": Terminate,
    "redrive": Redrive,
    "fire_timer": FireTimer,
    "cancel_node": CancelNode,
    "complete_node": CompleteNode,
    "add_items": AddItems,
    "set_data": SetData,
    "set_state": SetState,
    "release": Release,
    "archive": Archive,
}
SETTLED = frozenset({CancelNode, CompleteNode, AddItems})  # what follows from them is decided with them, by who has the definition

_NAMES = {kind: name for name, kind in CONTROLS.items()}


def control_name(kind: type[Any]) -> str:
    """What a kind of control request is called in an inbox, and in messages."""
    return _NAMES[kind]


def said_of(request: Control | Forked, **more: str) -> dict[str, str]:
    """What history tells of who asked for it and why, and more; what is empty is left out."""
    return {k: v for k, v in (("reason", request.reason), ("by", request.actor), *more.items()) if v}


def read_letter(kind: str, name: str, payload: bytes) -> Input:
    """What a row of the inbox that is no signal says. Raises KeyError, ValueError, RecursionError on one that is not known."""
    return msgspec.json.decode(payload, type=_LETTERS.get(kind) or CONTROLS[name])


_LETTERS: dict[str, type[Any]] = {"grant": HoldGranted, "child": ChildReported, "task": TaskActed}
