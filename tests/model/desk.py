"""A workflow, and what it means in plain Python: no engine, no store, no history, only what a user is promised."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from stepkeel import Context, Fail, Signal, State, Workflow, activity

LIMIT = 20
PATIENCE = 65  # minutes in `serving`


@dataclass
class Desk:
    total: int = 0
    log: list[str] = field(default_factory=list[str])


class Bank:
    broken = False


class Add(Signal):
    n: int


class Hold(Signal): ...


class Free(Signal): ...


class Close(Signal): ...


class Memo(Signal, keep=True):
    text: str


@activity
async def unlock(ctx: Context[Desk]) -> None:
    ctx.data.log.append("unlocked")


@activity(compensate=unlock)
async def lock(ctx: Context[Desk]) -> None:
    ctx.data.log.append("locked")


@activity
async def book(ctx: Context[Desk], bank: Bank) -> None:
    if bank.broken:
        raise ValueError("the bank is broken")
    if ctx.data.total > LIMIT:
        raise Fail("TOO_MUCH")
    ctx.data.log.append("booked")


def _added(desk: Desk, add: Add) -> Desk:
    return replace(desk, total=desk.total + add.n)


class DeskFlow(Workflow[Desk]):
    starting = State(lock)
    serving = State[Desk]()
    held = State[Desk]()
    closing = State(book)
    closed = State.completed()
    refused = State.terminated(reason="too much")
    expired = State.cancelled(reason="nobody came")

    starting.to(serving)
    serving.on(Add, into=_added)
    serving.on(Hold, to=held)
    serving.on(Close, to=closing)
    serving.after(timedelta(minutes=PATIENCE), to=expired)
    held.on(Free, to=serving)
    held.on(Memo, into=lambda desk, memo: replace(desk, log=[*desk.log, memo.text]))
    closing.on_failure("TOO_MUCH", to=refused)
    closing.to(closed)


HANDLES = {"serving": {"Add", "Hold", "Close"}, "held": {"Free", "Memo"}}


@dataclass
class Said:
    """A signal, as it was accepted. `fate` is pending until it is judged."""

    name: str
    key: str
    value: int | str = 0
    fate: str = "pending"
    stale: bool = False  # a state that handles it was left since


@dataclass
class Model:
    """One desk. Times in minutes."""

    bank: Bank
    now: int
    status: str = "waiting"
    state: str = "serving"
    total: int = 0
    log: list[str] = field(default_factory=lambda: ["locked"])
    said: list[Said] = field(default_factory=list[Said])
    due: int | None = None
    archived: bool = False

    def __post_init__(self) -> None:
        self.due = self.now + PATIENCE

    @property
    def ended(self) -> bool:
        return self.status not in ("waiting", "paused")

    def go_on(self) -> None:
        """Whatever may happen now does: signals in order of arrival, then time, then what nobody takes is refused."""
        while self.status == "waiting":
            pending = [s for s in self.said if s.fate == "pending"]
            judged = next((s for s in pending if s.stale or s.name in HANDLES[self.state]), None)
            if judged is not None and judged.stale:
                judged.fate = "ignored"
            elif judged is not None:
                judged.fate = "processed"
                self.take(judged)
            elif self.due is not None and self.due <= self.now:
                self.enter("expired")
            else:
                for each in pending:
                    each.fate = "pending" if each.name == "Memo" else "rejected"
                return

    def take(self, said: Said) -> None:
        if said.name == "Add":
            self.total += int(said.value)
        elif said.name == "Memo":
            self.log.append(str(said.value))
        else:
            self.enter({"Hold": "held", "Free": "serving", "Close": "closing"}[said.name])

    def enter(self, state: str) -> None:
        for each in self.said:
            if each.fate == "pending" and each.name != "Memo" and each.name in HANDLES.get(self.state, ()):
                each.stale = True
        self.state, self.due = state, self.now + PATIENCE if state == "serving" else None
        if state == "closing":
            self.book()
        elif state == "expired":
            self.end("cancelled", undo=True)

    def book(self) -> None:
        if self.bank.broken:
            self.end("failed", undo=True)
        elif self.total > LIMIT:
            self.state = "refused"
            self.end("terminated", undo=True)
        else:
            self.log.append("booked")
            self.state = "closed"
            self.end("completed", undo=False)

    def end(self, status: str, *, undo: bool) -> None:
        self.status, self.due = status, None
        if undo and self.locked:
            self.log.append("unlocked")
        for each in self.said:
            each.fate = "ignored" if each.fate == "pending" else each.fate

    @property
    def locked(self) -> bool:
        return self.log.count("locked") > self.log.count("unlocked")
