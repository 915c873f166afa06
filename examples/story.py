"""What the demos share: an instance's history as lines that a person reads, with the time that has passed in it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from rich.console import Console

from stepkeel import Instance

TELLING = {
    "state_entered": "enters {path}",
    "activity_completed": "done: {path}",
    "activity_retried": "tries again: {path}",
    "activity_retry_scheduled": "tries again soon: {path}",
    "activity_failed": "failed: {path} ({code})",
    "task_opened": "asks {whom}: {title}",
    "task_reminded": "reminds of it",
    "task_escalated": "passes on to {to}",
    "task_completed": "answered by {by}",
    "task_withdrawn": "asks no longer ({reason})",
    "compensation_completed": "undone: {of}",
    "completed": "[green]completed",
    "cancelled": "[yellow]cancelled",
    "failed": "[red]failed: {code}",
}


async def tell(console: Console, instance: Instance[Any], leave_out: Collection[str] = ()) -> None:
    """Print the moments of an instance's history, one a line; `leave_out`: events that do not matter here."""
    began: datetime | None = None
    for entry in await instance.history():
        began = began or entry.at
        for event in entry.events:
            if event.type not in TELLING or event.type in leave_out:
                continue
            if event.type == "activity_completed" and event.path.startswith("undo/"):
                continue  # the compensation says so itself
            if event.type == "state_entered" and "/" in event.path:
                continue  # of a machine within a body
            whom = event.detail.get("assignee") or event.detail.get("role") or "anybody"
            known = {"path": event.path.rpartition("/")[2], "whom": whom, "reason": "", "code": "", **event.detail}
            passed = entry.at - began
            console.print(
                f"  [dim]day {passed.days:>3} {entry.at:%H:%M}[/dim]  {TELLING[event.type].format(**known)}", highlight=False
            )
