"""Planted defects in what an instance does beyond itself: children, letters to others, tasks of people, messages."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Any

import pytest
from msgspec.structs import replace

from stepkeel.engine import people
from stepkeel.kernel import compensation, decide, flow, graph, join, merge
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.node import task
from stepkeel.model import input as inputs
from stepkeel.model.snapshot import NOTHING
from stepkeel.runtime.resident import Resident
from stepkeel.store.memory import MemoryStore
from tests.simulation.mutants import MUTANTS, mutant

__all__ = ["MUTANTS"]


@mutant("families", "letter_taken", "child_forgotten")
def of_several_letters_only_those_before_a_park_are_taken(patch: pytest.MonkeyPatch) -> None:
    """Each is committed by itself, and the first that parks has the others counted as seen."""
    original = Resident._control

    def control(self: Any, row: Any) -> None:
        self._taking = False
        original(self, row)

    patch.setattr(Resident, "_control", control)


@mutant("graphs", "check", "pure_failed")
def a_step_begins_behind_the_first_that_it_needs(patch: pytest.MonkeyPatch) -> None:
    """As if any of them were enough."""
    original = join.unlock

    def unlock(draft: Any, path: str, node: Any, steps: Any) -> None:
        eager = tuple(dataclasses.replace(s, needs=s.needs[:1]) for s in node.steps)
        original(draft, path, dataclasses.replace(node, steps=eager), steps)

    patch.setattr(join, "unlock", unlock)


@mutant("flows", "check", "pure_failed")
def a_live_join_takes_what_has_come(patch: pytest.MonkeyPatch) -> None:
    """Whatever may still be on its way."""
    patch.setattr(flow._Board, "_reached", lambda *_: False)


@mutant("flows", "check", "flow_fires")
def of_several_firings_of_a_step_the_first_is_over(patch: pytest.MonkeyPatch) -> None:
    """Whichever of them has ended."""
    original = flow._Board.over

    def over(self: Any, part: str) -> bool:
        first = next(p for p in self.going if self.node.step(p) is self.node.step(part))
        return original(self, first)

    patch.setattr(flow._Board, "over", over)


@mutant("flows", "check")
def what_a_firing_appends_counts_as_it_comes(patch: pytest.MonkeyPatch) -> None:
    """The faster is the first."""
    patch.setattr(merge, "order_of", lambda draft, holder: lambda part: 0)


@mutant("graphs", "no_orphan", "stranded")
def what_needs_a_skipped_step_is_not_judged(patch: pytest.MonkeyPatch) -> None:
    """It is neither dead nor may it begin, and the graph never ends."""

    class Never(deque[str]):
        def extend(self, names: Any) -> None: ...

    patch.setattr(graph, "deque", Never)


@mutant("graphs", "check")
def an_undo_is_given_nothing(patch: pytest.MonkeyPatch) -> None:
    """Though its step has told what it did."""
    original = compensation.register

    def register(draft: Any, path: str, node: Any, before: Any, after: Any, output: Any = NOTHING) -> None:
        original(draft, path, node, before, after)

    patch.setattr(compensation, "register", register)


@mutant("families", "child_unreported", "child_forgotten", "stranded")
def a_letter_to_a_row_of_the_same_batch_is_lost(patch: pytest.MonkeyPatch) -> None:
    """What one statement does that updates each row once."""
    original = MemoryStore.commit

    async def commit(self: Any, batch: Any) -> Any:
        ids = {c.id for c in batch.commits}
        kept = [
            replace(c, step=replace(c.step, sent=tuple(d for d in c.step.sent if d.instance_id not in ids))) for c in batch.commits
        ]
        return await original(self, replace(batch, commits=tuple(kept)))

    patch.setattr(MemoryStore, "commit", commit)


@mutant("families", "child_unreported", "child_forgotten", "stranded", "child_exists")
def a_report_is_sent_after_the_commit_and_not_in_it(patch: pytest.MonkeyPatch) -> None:
    """Lost with the worker that was to send it."""
    original = MemoryStore.commit

    async def commit(self: Any, batch: Any) -> Any:
        letters = tuple(d for c in batch.commits for d in c.step.sent if d.kind == "child")
        kept = [replace(c, step=replace(c.step, sent=tuple(d for d in c.step.sent if d.kind != "child"))) for c in batch.commits]
        answer = await original(self, replace(batch, commits=tuple(kept)))
        if len(letters) == 1 and len(batch.commits) % 2:  # the second call does not always come about
            await original(self, replace(batch, starts=(), commits=(), deliveries=letters))
        return answer

    patch.setattr(MemoryStore, "commit", commit)


@mutant("families", "child_forgotten")
def a_child_that_was_told_to_end_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Its frame goes, and it is not told."""
    patch.setattr(Draft, "dismiss", lambda self, path, child, reason: None)


@mutant("desks", "task_matches")
def a_task_that_nobody_needs_stays_open(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Draft, "_withdraw", lambda self, path, tasks, reason: None)


@mutant("desks", "task_twice", "acknowledged_lost", "check", first=260)
def whoever_completes_a_task_last_has_done_it(patch: pytest.MonkeyPatch) -> None:
    """What it was completed with before is forgotten when it is asked whether it is open."""
    original = task.acted

    def acted(draft: Draft, input: Any) -> Any:
        frame = draft.open.get(input.path)
        if frame is not None and input.task in frame.tasks:
            again = replace(frame.tasks[input.task], by="", said=NOTHING)
            draft.put(input.path, replace(frame, tasks={**frame.tasks, input.task: again}))
        return original(draft, input)

    patch.setitem(decide._APPLY, inputs.TaskActed, acted)


@mutant("desks", "check")
def four_eyes_are_looked_for_among_the_assignees_alone(patch: pytest.MonkeyPatch) -> None:
    original = task.refusal

    def refusal(desk: Any, act: Any, actor: str, roles: Any, others: Any = ()) -> str:
        return original(replace(desk, excluded=()), act, actor, roles, others)

    patch.setattr(task, "refusal", refusal)
    patch.setattr(people, "refusal", refusal)


@mutant("desks", "task_matches", "acknowledged_lost")
def tasks_are_written_by_a_commit_of_their_own(patch: pytest.MonkeyPatch) -> None:
    """Those of the last commit come with the next; who crashes in between loses them."""
    original = MemoryStore._beyond
    late: list[Any] = []

    def beyond(self: Any, step: Any) -> None:
        original(self, replace(step, opened=(), changed=()))
        for before in late:
            original(self, before)
        late[:] = [replace(step, children=(), sent=())]

    patch.setattr(MemoryStore, "_beyond", beyond)


@mutant("machines", "message_lost")
def a_message_that_failed_counts_as_delivered(patch: pytest.MonkeyPatch) -> None:
    original = MemoryStore.settle_messages

    async def settle(self: Any, done: Any, failed: Any) -> None:
        await original(self, [*done, *failed], [])

    patch.setattr(MemoryStore, "settle_messages", settle)


@mutant("machines", "message_lost")
def messages_are_removed_when_they_are_taken(patch: pytest.MonkeyPatch) -> None:
    """Lost with the worker that was to deliver them, and with an answer that does not come."""
    original = MemoryStore.take_messages

    async def take(self: Any, topics: Any, until: int, limit: int) -> Any:
        taken = await original(self, topics, until, limit)
        await self.settle_messages(taken, ())
        return taken

    patch.setattr(MemoryStore, "take_messages", take)
