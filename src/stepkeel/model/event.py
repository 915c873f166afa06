"""History events: facts in the past tense, one vocabulary. An event says what the changed keys do not."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["EVENTS", "Event"]

# name -> what its detail holds
EVENTS: dict[str, str] = {
    # instance
    "created": "",
    "waiting": "",
    "paused": "reason",
    "resumed": "reason",
    "ending_began": "status, reason",
    "completed": "reason",
    "failed": "code, message",
    "cancelled": "reason",
    "terminated": "reason",
    "redriven": "reason, from",
    "forked": "of, revision, from, reason, by",
    "set_aside": "fault",
    "data_set": "fields, reason, by",
    "state_set": "to, body, reason, by",
    "released": "reason, by",
    "code_changed": "was, is",
    "archived": "reason",
    "repaired": "finding, done",
    # state
    "state_entered": "visit",
    "transitioned": "from, to, trigger, by",
    # activity
    "activity_completed": "attempt, cached",
    "activity_failed": "attempt, code, message",
    "activity_retried": "attempt, code, message",
    "activity_retry_scheduled": "attempt, code, message, delay",
    "activity_waiting": "reason",
    "activity_deferred": "reason",
    "activity_lost": "attempt, lost",
    "activity_skipped": "code",
    "activity_fell_back": "code, to",
    "activity_stopped": "attempt",
    "late_result_dropped": "attempt",
    "step_recorded": "name",
    # node
    "wait_ended": "by",
    "iteration_ended": "",
    "loop_ended": "iterations, by",
    "branch_ended": "outcome, code",
    "step_ended": "outcome, code",
    "items_listed": "items",
    "item_ended": "outcome, code",
    "join_resolved": "arrived, size, unmet",
    "token_dropped": "arc, n, reason",
    "node_skipped": "reason",
    "node_cancelled": "then, reason, by",
    "node_completed": "reason, by",
    "items_added": "items, reason, by",
    # message
    "message_emitted": "topic",
    # child
    "child_started": "child, definition, version",
    "child_reported": "child, status, state",
    "child_dropped": "child, reason",
    # task
    "task_opened": "task, title, role, assignee",
    "task_claimed": "task, by",
    "task_released": "task, by",
    "task_reassigned": "task, to, by",
    "task_commented": "task, text, by",
    "task_reminded": "task, n",
    "task_escalated": "task, to",
    "task_completed": "task, by, approved",
    "task_withdrawn": "task, reason",
    # pool
    "hold_asked": "pool",
    "hold_granted": "pool",
    "hold_returned": "pool",
    # signal
    "signal_processed": "seq, name",
    "signal_ignored": "seq, name, reason",
    "signal_rejected": "seq, name, reason",
    "signal_failed": "seq, name, reason",
    # timer
    "timer_scheduled": "purpose, due_at, reason, by",
    "timer_fired": "purpose",
    # compensation
    "compensation_began": "of",
    "compensation_completed": "of",
    "compensation_failed": "of, code, message",
    "compensation_skipped": "of, reason",
}


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    type: str
    path: str = ""
    detail: dict[str, Any] = {}
