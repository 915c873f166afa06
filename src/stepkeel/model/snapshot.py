"""The whole of an instance between two decisions. Encoded as JSON into one column of its row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

import msgspec

from stepkeel.model.sealed import key_name

__all__ = [
    "NOTHING",
    "TERMINAL",
    "UNREADABLE",
    "Assignment",
    "Child",
    "EndingStage",
    "Failure",
    "Frame",
    "Moving",
    "Parent",
    "Pause",
    "Round",
    "Snapshot",
    "Standing",
    "Status",
    "Ticket",
    "Token",
    "Tokens",
    "Undo",
    "flatten",
    "how_many",
    "read_snapshot",
]

Status = Literal["created", "running", "waiting", "paused", "completed", "failed", "cancelled", "terminated"]
STATUSES: tuple[str, ...] = get_args(Status)
TERMINAL = frozenset({"completed", "failed", "cancelled", "terminated"})

# flying: an attempt is on its way · ready: may start · held: waits for a slot, or (a reaction) for attempts being stopped
# backing_off: a retry timer runs · waiting: the activity returned Wait · deferred: put back, burns no attempt
# failed: finally failed, not yet judged (only while paused) · stopping: told to stop, not yet ended
# open: its branches are · loose: its join is over, and branches of it run on; or a child that nothing waits for
# undoing: its join is over, branches are undone · leaving: a child was told to end, and the ending waits for it
Run = Literal[
    "flying",
    "ready",
    "held",
    "backing_off",
    "waiting",
    "deferred",
    "failed",
    "stopping",
    "open",
    "holding",
    "loose",
    "undoing",
    "leaving",
]


# No value at all: `Raw | None` can be encoded, but not decoded. Left out when written.
NOTHING = msgspec.Raw()


class Failure(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Why something failed. `types` are the names of the exception's classes, most derived first."""

    code: str
    message: str = ""
    path: str = ""
    attempt: int = 0
    types: tuple[str, ...] = ()
    kind: Literal["business", "technical", "transient", "permanent", "again"] = "technical"
    details: Any = None
    causes: tuple[str, ...] = ()
    undo_errors: tuple[Failure, ...] = ()
    undone: tuple[str, ...] = ()
    open: dict[str, Frame] = {}


class Token(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`n` alike tokens on an arc of a flow; or what a firing has taken.

    depth   how many firings, one behind the other, have led to it: contributions to reduced fields count in this order
    past    of the firings whose values `wrote` holds, those behind which it comes
    """

    n: int = 1
    depth: int = 0
    past: tuple[str, ...] = ()


def how_many(tokens: Iterable[Token]) -> int:
    """Alike ones are one entry."""
    return sum(t.n for t in tokens)


class Tokens(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a flow stands. A firing is called by its step, from the second on with its number: `pay`, `pay#2`.

    arcs    arc -> the tokens on it, the oldest first
    fired   step -> how often it has fired; going: firings that are open
    late    step whose join of n has fired -> the arcs that its round still waits for
    due     a firing that is over, and whose arcs could not be told: its split raised
    depths  firings that are over, and whose contributions to reduced fields wait for others
    """

    arcs: dict[str, tuple[Token, ...]] = {}
    fired: dict[str, int] = {}
    going: dict[str, Token] = {}
    late: dict[str, tuple[str, ...]] = {}
    due: tuple[str, ...] = ()
    depths: dict[str, int] = {}


class Round(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What concurrent branches, steps or items have come to. A part is a branch's or step's name, or an item's number.

    size      how many take part; next: how many of them have begun
    ready     steps of a graph that may begin and for which there is no room yet
    arrived   how many of them count for the join; missed: how many never will
    ended     part -> outcome; of items that are done only `done` tells: ranges like `0-14,16`
    settled   so many, in order, have ended: their contributions to reduced fields are applied for good
    wrote     plain field -> the one part that has set it, or of each of several the last value
    parts     reduced field -> part -> its contribution; under "" what comes before them all
    entry     the data as they were when all began, where each part has its own copy of them
    own       part that is open -> its copy; null while it is the same as `entry`
    listed    the revision whose history entry tells the items of a for_each: they are written once
    added     for items that were added: the number of the first of them, and the revision that tells them
    stood     part that failed -> what was open in it then
    tokens    of a flow: where its tokens are; its parts are firings
    """

    size: int = 0
    next: int = 0
    ready: tuple[str, ...] = ()
    arrived: int = 0
    missed: int = 0
    ended: dict[str, str] = {}
    done: str = ""
    settled: int = 0
    wrote: dict[str, str | dict[str, msgspec.Raw]] = {}
    parts: dict[str, dict[str, msgspec.Raw]] = {}
    entry: msgspec.Raw = NOTHING
    own: dict[str, msgspec.Raw] = {}
    listed: int = 0
    added: tuple[tuple[int, int], ...] = ()
    stood: dict[str, dict[str, Frame]] = {}
    tokens: Tokens | None = None

    @property
    def lists(self) -> tuple[tuple[int, int], ...]:
        """Of each list of items the number of its first one, and the revision that tells it; none for a parallel."""
        return ((0, self.listed), *self.added) if self.listed else ()


class Standing(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a machine within a body stands."""

    state: str = ""
    visits: dict[str, int] = {}


class Assignment(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One task of a node, as far as it may change. `by`: who has completed it; `said`: what with."""

    role: str = ""
    assignee: str = ""
    candidates: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    claimed_by: str = ""
    by: str = ""
    said: msgspec.Raw = NOTHING
    at: int = 0
    reminded: int = 0
    escalated: int = 0


class Child(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The instance that a node has begun. `over`: it has ended, or is none of our business any more."""

    id: str = ""
    over: bool = False


class Parent(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Who began this instance: which node of which other one, how deep that stands itself, and what is to be told besides the end.

    until     also that the state (or label) `mark` is entered, or an attempt has the outcome `mark`
    told      that was told
    """

    id: str
    path: str
    depth: int = 1
    until: Literal["end", "state", "outcome"] = "end"
    mark: str = ""
    told: bool = False


class Frame(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What one open node remembers; defaults are not written, so an activity at its first attempt is `{}`.

    `input` is what a reaction, or the attempts of an activity, are given; `outputs` those of the steps that one told to stop needs,
    which its compensation may ask for when they are gone.
    """

    attempt: int = 1
    lost: int = 0
    first_at: int = 0
    run: Run = "flying"
    reason: str = ""
    error: Failure | None = None
    steps: dict[str, msgspec.Raw] = {}
    progress: msgspec.Raw = NOTHING
    fell_back: bool = False
    since: int = 0
    seq: int = 0
    input: msgspec.Raw = NOTHING
    round: Round | None = None
    machine: Standing | None = None
    child: Child | None = None
    tasks: dict[str, Assignment] = {}
    outputs: dict[str, msgspec.Raw] = {}


class Ticket(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A place in the queue of a pool, or a slot of it once `granted`. `n` tells it from earlier ones of the same path.

    `rate`: it counts for a span from its grant on, however long it is held.
    """

    pool: str
    n: int
    granted: bool = False
    rate: bool = False


class Pause(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`by_parent`: because the instance that began this one was paused; with that it is resumed."""

    actor: str = ""
    reason: str = ""
    at: int = 0
    by_parent: bool = False


class Moving(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where an operator has put it. Done once no attempt is in flight; nothing else begins until then.

    state   is entered anew, and its body begun at the node `begin`, or at its first one; not at all without `body`
    parts   no state: it goes on where it stands, and what had failed in branches and items is tried again
    reopened   it had failed: the timeouts of the machine as a whole count anew
    """

    state: str = ""
    begin: str = ""
    body: bool = True
    trigger: Literal["set_state", "redrive"] = "set_state"
    actor: str = ""
    parts: bool = False
    reopened: bool = False


class Undo(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A registered compensation: the node it undoes, the fields as that left them.

    It is told from others by the revision that registered it, and where that registered several, by its place among them.
    What the node was given is given to its undo too: `item` says where it is listed (for_each, revision, place), `given` is the
    signal or failure of the reaction. `input`: its undo is given something of its own, or could not be told what (`fault`).
    """

    n: int
    path: str
    changed: dict[str, msgspec.Raw] = {}
    k: int = 1
    item: tuple[str, int, int] | None = None
    given: Frame | None = None
    input: msgspec.Raw = NOTHING
    fault: str = ""

    @property
    def key(self) -> str:
        return str(self.n) if self.k == 1 else f"{self.n}-{self.k}"


class EndingStage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An ending under way: what status is wanted, why, and how far it is."""

    status: str
    stage: Literal["settling", "undoing", "on_failure", "on_cancel", "finally"] = "settling"
    reason: str = ""
    failure: Failure | None = None
    compensate: bool = True
    handlers: bool = True


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`revision` is the row's (a fault may have moved it on); `at` is the time of the last history entry;

    `results` are what items of open for_eaches have given, by the path of their body.
    """

    id: str
    tenant: str
    definition: str
    version: int
    fingerprint: str
    status: Status
    data: msgspec.Raw
    revision: int = 0
    at: int = 0
    label: str = ""
    schema: int = 1
    state: str = ""
    visits: dict[str, int] = {}
    fired: dict[str, int] = {}
    open: dict[str, Frame] = {}
    timers: dict[str, dict[str, int]] = {}
    closed: dict[str, int] = {}
    undo: tuple[Undo, ...] = ()
    ending: EndingStage | None = None
    pause: Pause | None = None
    reason: str = ""
    failure: Failure | None = None
    tickets: dict[str, dict[str, Ticket]] = {}
    results: dict[str, msgspec.Raw] = {}
    parent: Parent | None = None
    moving: Moving | None = None

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL

    @property
    def queues(self) -> bool:
        """It waits for a slot of some pool."""
        return any(not t.granted for held in self.tickets.values() for t in held.values())


MAPS = ("visits", "fired", "open", "timers", "closed", "tickets", "results")
SCALARS = ("fingerprint", "status", "label", "schema", "state", "ending", "pause", "reason", "failure", "parent", "moving")
_DEFAULTS: dict[str, Any] = {
    "label": "",
    "schema": 1,
    "state": "",
    "ending": None,
    "pause": None,
    "reason": "",
    "failure": None,
    "parent": None,
    "moving": None,
}


def flatten(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot as flat keys (`state`, `data.amount`, `open.Pay/charge`): the form that history changes speak of.

    Values that equal their default are left out.
    """
    flat: dict[str, Any] = {}
    for name in SCALARS:
        value = getattr(snapshot, name)
        if name not in _DEFAULTS or value != _DEFAULTS[name]:
            flat[name] = value
    for name in MAPS:
        for key, value in getattr(snapshot, name).items():
            flat[f"{name}.{key}"] = value
    for key, value in msgspec.json.decode(snapshot.data, type=dict[str, msgspec.Raw]).items():
        flat[f"data.{key}"] = value
    for entry in snapshot.undo:
        flat[f"undo.{entry.key}"] = entry
    return flat


UNREADABLE = (ValueError, OverflowError, RecursionError)  # what reading foreign bytes raises; msgspec's errors are ValueErrors
SCHEMA = 1
LAST = 253_402_300_799_999_999  # the end of the year 9999, in microseconds
_decoder = msgspec.json.Decoder(Snapshot)


def read_snapshot(raw: bytes, revision: int, instance_id: str = "") -> Snapshot:
    """The snapshot of a row; its revision is the row's. Raises one of UNREADABLE on bytes that are none, are encrypted, were
    written by a newer release, are of another instance than `instance_id`, or tell of times which cannot be.
    """
    if (key := key_name(raw)) is not None:
        raise ValueError(f"it is encrypted, and cannot be read with the key {key} as it is known here")
    snapshot = _decoder.decode(raw)
    if instance_id and snapshot.id != instance_id:
        raise ValueError(f"it is that of {snapshot.id}")
    if snapshot.schema > SCHEMA:
        raise ValueError(f"a newer release wrote it (schema {snapshot.schema}, this one reads {SCHEMA})")
    times = [snapshot.at, *(at for purposes in snapshot.timers.values() for at in purposes.values())]
    times += [] if snapshot.pause is None else [snapshot.pause.at]
    if min(times) < 0 or max(times) > LAST:
        raise ValueError("it tells of a time that cannot be")
    return snapshot if snapshot.revision == revision else msgspec.structs.replace(snapshot, revision=revision)
