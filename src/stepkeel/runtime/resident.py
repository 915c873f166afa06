"""An instance in a worker's memory, driven step by step.

Inputs come in (attempt over, timer, signals, control), each is decided at once on the snapshot of the last decision.
At most one commit is on its way; what is decided meanwhile is folded into the next. Effects wait until the commit that
decided them is durable. A commit that gives the lease back ends the residency: what comes later finds the row.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from stepkeel.kernel.decide import decide
from stepkeel.kernel.history import encode, history_row
from stepkeel.model import input as inputs
from stepkeel.model.commit import Commit, InboxRow, Row, Settled, Step
from stepkeel.model.decision import Decision
from stepkeel.model.definition import Definition
from stepkeel.model.effect import End, Park, RunAttempt, SettleSignal, StopAttempt
from stepkeel.model.snapshot import TERMINAL, UNREADABLE, Snapshot
from stepkeel.runtime.alone import commit_alone
from stepkeel.runtime.aside import set_aside
from stepkeel.runtime.executor import Attempt, write_log
from stepkeel.runtime.given import Given
from stepkeel.runtime.group import PERFORMED, Group
from stepkeel.store.port import Transaction

if TYPE_CHECKING:
    from stepkeel.runtime.result import Fresh
    from stepkeel.runtime.worker import Worker

__all__ = ["Resident", "signal_of"]

_log = logging.getLogger("stepkeel.worker")
MAX_SIGNALS = 100


def signal_of(row: InboxRow) -> inputs.Signal:
    return inputs.Signal(row.seq, row.name, msgspec.Raw(row.payload), row.stamp, row.received_at, row.actor)


class Resident:
    __slots__ = (
        "_attempts", "_back", "_fault", "_holder", "_loaded", "_next", "_parked", "_sent", "_taking", "_ticked", "_window",
        "attributes", "correlation_id", "created_at", "definition", "dropped", "epoch", "floor", "given", "id", "loop", "orphaned",
        "priority", "releasing", "revision", "seen", "signals", "snapshot", "worker",
    )  # fmt: skip

    def __init__(self, worker: Worker, definition: Definition, snapshot: Snapshot, row: Row) -> None:
        self.worker = worker
        self.loop = worker.loop
        self.id = snapshot.id
        self.definition = definition
        self.snapshot = snapshot
        self.correlation_id = row.correlation_id
        self.attributes: dict[str, Any] = msgspec.json.decode(row.attributes) if row.attributes != b"{}" else {}
        self.created_at = row.created_at
        self.epoch = row.epoch
        self.priority = row.priority
        self.revision = row.revision  # of the last durable commit
        self.floor = row.wake_at or 0
        self.seen = row.seen
        self.orphaned = tuple(p for p, f in snapshot.open.items() if f.run in ("flying", "stopping"))  # by the last owner
        self.signals: tuple[inputs.Signal, ...] = ()
        self.releasing = False
        self.dropped = False
        self._loaded = 0  # seq of the last inbox row read
        self._attempts: dict[str, Attempt] = {}
        self._back: tuple[tuple[str, int], ...] = ()
        self._holder: Attempt | None = None
        self._next = Group()
        self._sent: Group | None = None
        self._parked: Park | End | None = None
        self._fault = ""
        self._taking = False
        self._window = MAX_SIGNALS
        self._ticked: tuple[Snapshot, int] | None = None  # what a tick at that time could not move
        self.given = Given(definition)

    def begin(self, decision: Decision) -> None:
        """The start that made it is durable: do what it wanted."""
        if self.definition.concurrent:
            self.given.listed(decision.snapshot.revision, decision.events)
        for effect in decision.effects:
            if isinstance(effect, PERFORMED):
                self._next.effects.append(effect)
        self._send()

    # -- inputs

    def feed(self, input: inputs.Input, actor: str = "", request: int = 0) -> Decision | None:
        """Decide on an input; None when this worker has nothing to say about the instance any more.

        `request` is the seq of the control request the input comes from: it is settled by the same commit.
        """
        if self.releasing or self.dropped or self._fault:
            return None
        worker = self.worker
        now = max(worker.now(), self.floor)
        signals = self.signals if len(self.signals) <= self._window else self.signals[: self._window]
        beyond = len(self.signals) > len(signals)
        try:
            decision = decide(self.definition, self.snapshot, input, now, worker.ids.seed(), signals, self.given.items)
            self._take(decision, actor, request)
            if beyond:
                self._go_on_judging(decision)
        except Exception as error:
            _log.exception("instance %s cannot be decided", self.id, extra={"instance_id": self.id})
            self.set_aside(f"{type(error).__name__}: {error}")
            return None
        if self._sent is None and not self._taking:
            self._send()
        return decision

    def _take(self, decision: Decision, actor: str, request: int) -> None:
        was, snapshot, group = self.snapshot, decision.snapshot, self._next
        if snapshot is not was:
            group.history.append(history_row(decision, actor, self.worker.id))
            if snapshot.status != was.status or snapshot.state != was.state or snapshot.label != was.label:
                group.moved = True
            self.snapshot = snapshot
            if self.definition.concurrent:
                self.given.listed(snapshot.revision, decision.events)
        if request:
            status: Any = "rejected" if decision.refused else "processed"
            group.settled += (Settled(request, status, decision.message, snapshot.at),)
        if snapshot is not was or decision.effects:
            self._parked = None  # else nothing was decided: what is about to be sent still holds
        rare = False
        for effect in decision.effects:
            if isinstance(effect, SettleSignal):
                group.settled += (Settled(effect.seq, effect.status, effect.reason, snapshot.at),)
                self.signals = tuple(s for s in self.signals if s.seq != effect.seq)
            elif isinstance(effect, Park | End):
                self._parked = effect
            elif isinstance(effect, PERFORMED):
                group.effects.append(effect)
            else:
                rare = True
        if rare:
            group.take(decision.effects, self, snapshot)

    def _go_on_judging(self, decision: Decision) -> None:
        """It was given fewer signals than were at hand, so it does not rest yet. Those that nothing takes now do not count."""
        if isinstance(self._parked, Park) and self.snapshot.pause is None:
            self._window += 0 if any(isinstance(e, SettleSignal) for e in decision.effects) else MAX_SIGNALS
            self._parked = None
            self.loop.call_soon(self.feed, inputs.SignalArrived())

    async def feed_durably(self, input: inputs.Input) -> None:
        """Decide, and wait until that is durable. Raises CancelledError when the instance is no longer ours."""
        future: asyncio.Future[None] = self.loop.create_future()
        self._next.futures.append(future)
        if self.feed(input) is None:
            raise asyncio.CancelledError
        await future

    def arrived(self, inbox: int, rows: list[InboxRow]) -> None:
        """Pending rows of the inbox; `inbox` is its counter, read before them. All but signals are taken at once,

        and before anything is committed: one of them may park the instance, and the others count as seen by then.
        """
        fresh = [r for r in rows if r.seq > self._loaded]
        if fresh:
            self._loaded = fresh[-1].seq
        self.seen = max(self.seen, inbox)
        self.signals += tuple(signal_of(r) for r in fresh if r.kind == "signal")
        self._taking = True
        for row in fresh:
            if row.kind != "signal":
                self._control(row)
        self._taking = False
        if self._sent is None and not self.releasing and not self.dropped and not self._fault:
            self._send()

    @property
    def loaded(self) -> int:
        return self._loaded

    def _control(self, row: InboxRow) -> None:
        try:
            request = inputs.read_letter(row.kind, row.name, row.payload)
        except (KeyError, *UNREADABLE) as error:
            text = f"not understood: {error}"
            self._next.settled += (Settled(row.seq, "rejected", text, self.snapshot.at),)
            return
        self.feed(request, row.actor, row.seq)

    # -- attempts

    def attempt_over(
        self,
        attempt: Attempt,
        report: inputs.AttemptEnded | inputs.AttemptDeferred | inputs.HandedBack,
        fresh: Fresh | None,
        transaction: Transaction | None = None,
    ) -> None:
        """`transaction`: what a transactional activity has written, to be committed with the decision, or not at all."""
        holder = self._holder is attempt
        if holder:
            self._holder = None
        if self._attempts.get(attempt.path) is not attempt:
            self._roll_back(transaction)
            return
        del self._attempts[attempt.path]
        self.given.fresh = fresh
        if isinstance(report, inputs.AttemptEnded) and attempt.before is not self.snapshot.data:
            report = msgspec.structs.replace(report, base=attempt.before)
        group, revision = self._next, self.snapshot.revision
        group.transaction = transaction
        if isinstance(report, inputs.HandedBack):
            self._back += report.attempts
        else:
            self.feed(report)
        self._hand_back()
        if transaction is not None and (self.snapshot.revision == revision or self.dropped or self._fault):
            group.transaction = None  # nothing was decided: the attempt counts for nothing, and so does what it wrote
            self._roll_back(transaction)
        if holder and self._sent is None and not self.releasing and not self.dropped:
            self._send()

    async def hold(self, attempt: Attempt) -> None:
        """Until this attempt is over, decisions wait for its commit: what is on its way ends first, and other such attempts."""
        while (self._holder is not None or self._sent is not None) and not self.dropped:
            await asyncio.sleep(0.001)
        self._holder = attempt

    def _roll_back(self, transaction: Transaction | None) -> None:
        if transaction is not None:
            self.worker.background(transaction.rollback())

    @property
    def attempts(self) -> list[Attempt]:
        return list(self._attempts.values())

    # -- the commit

    def _send(self) -> None:
        """Send what was decided since the last commit, if anything; else do at once what was wanted."""
        if self._holder is not None:
            return  # a transactional activity runs: what is decided meanwhile goes with its commit
        group, parked, snapshot = self._next, self._parked, self.snapshot
        if not group.history and not group.settled and parked is None:
            if group.effects or group.futures:
                self._next = Group()
                self._perform(group)
            return
        raw = encode(snapshot) if group.history else None
        if raw is not None and len(raw) > self.worker.settings.max_snapshot:
            self.set_aside(f"its snapshot would be {len(raw)} bytes, the bound is {self.worker.settings.max_snapshot}")
            return
        step = Step(
            snapshot.status, snapshot.state, snapshot.label, snapshot.revision, raw, snapshot.at, self.seen,
            tuple(group.history), group.settled, parked is not None, parked.wake_at if isinstance(parked, Park) else None,
            snapshot.status in TERMINAL, None, group.moved or raw is None, False, group.asked, group.returned,
            group.children, group.sent, group.opened, group.changed, group.emitted,
        )  # fmt: skip
        group.revision = snapshot.revision
        self._sent, self._next, self._parked = group, Group(), None
        self.releasing = step.release
        commit = Commit(self.id, snapshot.tenant, self.worker.id, self.epoch, self.revision, step)
        if group.transaction is None:
            self.worker.committer.commit(commit, self._committed)
        else:
            self.worker.background(commit_alone(self.worker, group.transaction, commit, self._committed))

    def _committed(self, answer: Any) -> None:
        """The commit was answered: True applied, False no longer ours, an error: refused for its content."""
        group, self._sent = self._sent, None
        if self.dropped or group is None:
            return
        if isinstance(answer, BaseException):
            self.releasing = False
            self.set_aside(f"the database refused it: {answer}")
        elif not answer:
            _log.warning("instance %s is no longer ours: its commit was refused", self.id, extra={"instance_id": self.id})
            self.worker.drop(self)
        else:
            self.revision = group.revision
            if group.asked or group.returned:
                self.worker.granting.set()
            if group.children:
                self.worker.due()
            if group.emitted:
                self.worker.emitting.set()
            self._perform(group)
            if self.releasing:
                self.worker.released(self)
                return
            self.worker.watch(self.id, at_rest=False)
            if self._fault:
                self.set_aside(self._fault)
            elif self._sent is None:
                self._send()

    def _perform(self, group: Group) -> None:
        """Durable: do what was wanted."""
        for future in group.futures:
            if not future.done():
                future.set_result(None)
        for effect in group.effects:
            if isinstance(effect, RunAttempt):
                self._run(effect)
            elif isinstance(effect, StopAttempt):
                self._stop(effect)
            else:
                write_log(effect.level, effect.text, instance_id=self.id)

    def _run(self, effect: RunAttempt) -> None:
        frame = self.snapshot.open.get(effect.path)
        if frame is None or frame.attempt != effect.attempt or frame.run not in ("flying", "stopping") or self.dropped:
            return  # decided otherwise since
        if self.worker.stopping:
            self._back += ((effect.path, effect.attempt),)
            self.loop.call_soon(self._hand_back)
            return
        if not self.worker.trusted():
            self.loop.call_later(0.05, self._run, effect)  # the lease is renewed, or this instance is dropped
            return
        self.worker.attempts_started += 1
        self._attempts[effect.path] = Attempt(self.worker.executor, self, effect.path, effect.attempt)

    def _hand_back(self) -> None:
        """Once no other attempt is in flight, those that another worker has to begin again are put back together."""
        if not self._back:
            return
        left = {p for p, f in self.snapshot.open.items() if f.run in ("flying", "stopping")}
        if left <= {path for path, _ in self._back}:
            back, self._back = self._back, ()
            self.feed(inputs.HandedBack(back))

    def _stop(self, effect: StopAttempt) -> None:
        running = self._attempts.get(effect.path)
        if running is not None:
            running.stop()
        else:
            self.loop.call_soon(self.feed, inputs.AttemptEnded(effect.path, effect.attempt, "stopped"))

    # -- leaving

    def set_aside(self, fault: str) -> None:
        """Stop here: paused with a fault, the snapshot's bytes as they are. Nobody else of the batch is harmed."""
        self._fault = fault
        if self._sent is not None:
            return  # once its answer is here: the fence has to be known
        self._stop_attempts()
        self.releasing = True
        set_aside(
            self.worker,
            self.id,
            self.snapshot.tenant,
            self.epoch,
            self.revision,
            fault,
            self.seen,
            lambda _: self.worker.released(self),
        )

    def drop(self) -> None:
        """Forget it: it is another's, or nobody's. Attempts are stopped, their results are worth nothing."""
        self.dropped = True
        self._stop_attempts()

    def _stop_attempts(self) -> None:
        for attempt in list(self._attempts.values()):
            attempt.task.cancel()
        self._attempts.clear()
        for future in (*self._next.futures, *(self._sent.futures if self._sent else ())):
            if not future.done():
                future.cancel()

    def tick(self, now: int) -> None:
        """Time has come for a timer. One that cannot fire yet (the state does not rest) is no news until something moves."""
        before = self.snapshot
        self.feed(inputs.Tick())
        if self.snapshot is before:
            self._ticked = (before, now)

    def timer(self) -> int | None:
        """When a timer of a resident that keeps running is due."""
        if self.releasing or self.dropped or not self.snapshot.timers:
            return None
        since = self._ticked[1] if self._ticked is not None and self._ticked[0] is self.snapshot else -1
        return min((at for purposes in self.snapshot.timers.values() for at in purposes.values() if at > since), default=None)
