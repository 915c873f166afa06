"""Planted defects: each a small change of the engine that a tired programmer could make. The simulation has to find them.

`make mutants` runs them all and prints how many seeds each took.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from stepkeel.kernel import compensation, decide, join, merge, region, timer
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.node import activity
from stepkeel.kernel.path import below
from stepkeel.model import input as inputs
from stepkeel.model.commit import Settled
from stepkeel.model.effect import RunAttempt
from stepkeel.runtime.committer import Committer, _tell
from stepkeel.runtime.intake import Intake
from stepkeel.runtime.resident import Resident
from stepkeel.runtime.worker import Worker
from stepkeel.store import memory
from stepkeel.store.memory import MemoryStore

MUTANTS: dict[str, tuple[str, set[str], Callable[[pytest.MonkeyPatch], None], int]] = {}


def mutant(simulation: str, *codes: str, first: int = 0) -> Callable[[Any], Any]:
    """Register a defect, the built-in simulation that finds it, and what it is found as.

    `first`: seeds before it are known not to find it, and are left out: they only take long.
    """

    def register(plant: Callable[[pytest.MonkeyPatch], None]) -> Any:
        MUTANTS[plant.__name__] = (simulation, set(codes), plant, first)
        return plant

    return register


@mutant("saga", "times_increase", "fold_matches", "unexpected_error", "left_terminal")
def commit_without_fencing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryStore, "_matching_row", lambda self, commit: self._rows.get(commit.id))
    patch.setattr(MemoryStore, "_check", lambda self, batch: None)


@mutant("telephone", "unread_inbox")
def park_without_looking_at_the_inbox(patch: pytest.MonkeyPatch) -> None:
    """What a sub-select on an old snapshot of the signals does."""
    original = MemoryStore._commit

    def commit(self: Any, commit: Any) -> bool:
        applied = original(self, commit)
        if applied and commit.step.release and not commit.step.ended:
            self._put(self._rows[commit.id], wake_at=commit.step.wake_at)
        return applied

    patch.setattr(MemoryStore, "_commit", commit)


@mutant("telephone", "no_fate")
def all_of_the_inbox_counts_as_seen(patch: pytest.MonkeyPatch) -> None:
    original = MemoryStore._commit

    def commit(self: Any, commit: Any) -> bool:
        return original(self, replace(commit, step=replace(commit.step, seen=self._rows[commit.id].inbox)))

    patch.setattr(MemoryStore, "_commit", commit)


@mutant("saga", "ran_without_lease")
def trust_without_an_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Worker, "trusted", lambda self: True)


@mutant("saga", "ran_without_lease")
def trust_counted_from_the_answer(patch: pytest.MonkeyPatch) -> None:
    """The window begins when the renewal was answered, not before it was sent, and has no margin."""

    def renewed(self: Any, sent: int) -> None:
        self._trusted_until = self.clock.monotonic() + round(self.settings.lease * 1e6)

    patch.setattr(Worker, "renewed", renewed)


@mutant("approval", "unexpected_error", "timer_of_nothing", "timer_matches", "stranded")
def timers_survive_their_state(patch: pytest.MonkeyPatch) -> None:
    original = Draft.drop_timers

    def drop_timers(self: Any, path: str, purpose: str = "") -> None:
        if purpose:
            original(self, path, purpose)

    patch.setattr(Draft, "drop_timers", drop_timers)


@mutant("approval", "early_timer")
def timers_fire_a_little_early(patch: pytest.MonkeyPatch) -> None:
    original = timer.due

    def due(draft: Any, below: str = "") -> Any:
        draft.now += 100_000
        try:
            return original(draft, below)
        finally:
            draft.now -= 100_000

    patch.setattr(timer, "due", due)


@mutant("saga", "undone_twice", "completed_twice")
def compensation_is_not_popped(patch: pytest.MonkeyPatch) -> None:
    def finish(draft: Any, path: str) -> None:
        entry = compensation.entry_at(draft, path)
        if entry is not None:
            draft.say("compensation_completed", path, of=entry.path)

    patch.setattr(compensation, "finish", finish)


@mutant("saga", "undone_out_of_order")
def compensation_in_order_of_completion(patch: pytest.MonkeyPatch) -> None:
    def open_next(draft: Any) -> bool:
        if not draft.undo:
            return False
        entry = draft.undo[0]
        draft.say("compensation_began", f"undo/{entry.n}", of=entry.path)
        draft.put(f"undo/{entry.n}", compensation.READY)
        return True

    patch.setattr(compensation, "open_next", open_next)


@mutant("telephone", "two_fates")
def signal_processed_and_not_settled(patch: pytest.MonkeyPatch) -> None:
    """The fate of a signal is not in the commit that decided it: after a takeover it is judged again."""
    original = Resident._send

    def send(self: Any) -> None:
        self._next.settled = [s for s in self._next.settled if not isinstance(s, Settled)]
        original(self)

    patch.setattr(Resident, "_send", send)


@mutant("telephone", "acknowledged_lost", "stranded")
def receipt_before_the_signal_is_stored(patch: pytest.MonkeyPatch) -> None:
    """A delivery that finds the instance owned is only told to the owner's memory."""
    original = MemoryStore._deliver

    def deliver(self: Any, delivery: Any) -> Any:
        receipt = original(self, delivery)
        if receipt.seq and receipt.owner is not None and delivery.kind == "signal":
            self._inbox[delivery.instance_id].pop(receipt.seq, None)
        return receipt

    patch.setattr(MemoryStore, "_deliver", deliver)


@mutant("saga", "ran_before_commit")
def attempts_begin_before_their_commit(patch: pytest.MonkeyPatch) -> None:
    original = Resident._send

    def send(self: Any) -> None:
        if self._holder is None and self._sent is None:
            early, self._next.effects = self._next.effects, []
            for effect in early:
                if isinstance(effect, RunAttempt):
                    self._run(effect)
                else:
                    self._next.effects.append(effect)
        original(self)

    patch.setattr(Resident, "_send", send)


@mutant("saga", "ran_before_commit", "stranded")
def a_lost_answer_counts_as_applied(patch: pytest.MonkeyPatch) -> None:
    async def read_back(self: Any, entries: Any) -> None:
        for entry in entries:
            _tell(entry, True)

    patch.setattr(Committer, "_read_back", read_back)
    original = Committer._give_up_old

    def give_up(self: Any, entries: Any, error: Any) -> Any:
        for entry in entries:
            if hasattr(entry.row, "step") and hasattr(entry.row, "epoch"):
                _tell(entry, True)
        return original(self, [e for e in entries if not e.answered], error)

    patch.setattr(Committer, "_give_up_old", give_up)


@mutant("telephone", "stranded")
def rows_of_lost_claims_are_kept(patch: pytest.MonkeyPatch) -> None:
    async def reconcile(self: Any) -> None:
        return

    patch.setattr(Intake, "reconcile", reconcile)


@mutant("telephone", "stranded")
def claimed_and_forgotten_when_the_inbox_cannot_be_read(patch: pytest.MonkeyPatch) -> None:
    """Was in the engine, and the simulation found it."""
    original = Intake.read

    async def read(self: Any) -> None:
        try:
            await original(self)
        finally:
            self._unread = []

    patch.setattr(Intake, "read", read)


@mutant("saga", "stranded")
def lost_attempts_are_not_run_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(activity, "lost", lambda draft, paths: None)


@mutant("saga", "stranded")
def takeover_spares_what_is_running(patch: pytest.MonkeyPatch) -> None:
    """Taken over only in some status: the classic."""
    original = MemoryStore.take_over

    async def take_over(self: Any, limit: int) -> Any:
        kept = {i: r for i, r in self._rows.items() if r.owner is not None and r.status == "waiting"}
        for instance_id in kept:
            del self._rows[instance_id]
        try:
            return await original(self, limit)
        finally:
            self._rows.update(kept)

    patch.setattr(MemoryStore, "take_over", take_over)


@mutant("limits", "too_many_slots")
def slots_are_given_without_counting(patch: pytest.MonkeyPatch) -> None:
    def choose(tickets: Any, now: int, limit: int) -> Any:
        return [t for t in tickets if t.granted_at is None][:limit], None

    patch.setattr(memory, "choose", choose)


@mutant("limits", "ticket_matches", "stranded")
def slots_are_not_given_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Draft, "give_back", lambda self, path: None)


@mutant("saga", "acknowledged_lost")
def a_start_key_is_not_honoured(patch: pytest.MonkeyPatch) -> None:
    original = MemoryStore._start
    patch.setattr(MemoryStore, "_start", lambda self, start: original(self, replace(start, row=replace(start.row, key=None))))


@mutant("saga", "times_increase", "fold_matches")
def fencing_by_owner_alone(patch: pytest.MonkeyPatch) -> None:
    def matching(self: Any, commit: Any) -> Any:
        row = self._rows.get(commit.id)
        return row if row is not None and row.owner == commit.owner else None

    patch.setattr(MemoryStore, "_matching_row", matching)
    patch.setattr(MemoryStore, "_check", lambda self, batch: None)


@mutant("saga", "left_terminal", "unexpected_error")
def an_ended_instance_goes_on(patch: pytest.MonkeyPatch) -> None:
    from stepkeel.kernel import gate

    patch.setattr(decide, "verdict", lambda snapshot, kind: "apply" if kind is inputs.Cancel else gate.verdict(snapshot, kind))


@mutant("saga", "fold_matches")
def a_change_is_missing_in_history(patch: pytest.MonkeyPatch) -> None:
    original = Draft.changes

    def changes(self: Any) -> Any:
        found = original(self)
        return replace(found, set={k: v for k, v in found.set.items() if not k.startswith("undo.")})

    patch.setattr(Draft, "changes", changes)


@mutant("flood", "no_fate", "unread_inbox")
def what_one_decision_was_not_given_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """It goes on only while more is left than one decision takes; what is left then was never shown to any."""
    original = Resident._go_on_judging

    def go_on(self: Any, decision: Any) -> None:
        if len(self.signals) > self._window:
            original(self, decision)

    patch.setattr(Resident, "_go_on_judging", go_on)


@mutant("flood", "no_fate", "unread_inbox")
def only_the_first_page_of_the_inbox_is_read(patch: pytest.MonkeyPatch) -> None:
    original = MemoryStore.inbox

    async def inbox(self: Any, after: Any, limit: int = 100) -> Any:
        return {i: (n, rows[: limit - 1]) for i, (n, rows) in (await original(self, after, limit)).items()}

    patch.setattr(MemoryStore, "inbox", inbox)


@mutant("rounds", "ran_before_commit", "ran_without_lease", first=1_400)
def a_start_is_run_by_whoever_began_it(patch: pytest.MonkeyPatch) -> None:
    """Also when its worker was declared dead before the answer came."""
    original = Worker.launched

    def launched(self: Any, definition: Any, row: Any, decision: Any) -> None:
        original(self, definition, replace(row, owner=self.id) if row.owner is not None else row, decision)

    patch.setattr(Worker, "launched", launched)


@mutant("branches", "check", "fold_matches", "completed_twice", "stranded", "undone_twice")
def contributions_are_put_together_as_they_come(patch: pytest.MonkeyPatch) -> None:
    """Reduced fields in the order in which branches end."""
    patch.setattr(merge, "order_of", lambda draft, holder: lambda part: 0)


@mutant("branches", "attempt_vanished")
def a_cancelled_region_keeps_what_flies_as_it_is(patch: pytest.MonkeyPatch) -> None:
    def cancel(draft: Draft, *outer: str) -> None:
        for path in [p for p in draft.open if any(below(p, o) for o in outer)]:
            draft.drop(path)

    patch.setattr(region, "cancel", cancel)


@mutant("branches", "check", "stranded", "unexpected_error")
def a_finished_item_is_begun_again_after_a_takeover(patch: pytest.MonkeyPatch) -> None:
    """What has ended is counted, and not which."""
    patch.setattr(join, "with_number", lambda text, n: text)
