"""Who may do what about a task. Asked by the kernel, and beforehand by whoever takes the request; a text refuses it.

| act | may |
|---|---|
| comment, reassign | anybody (who is allowed to ask at all) |
| claim | who is meant: the assignee, a candidate, whoever has its role; nobody who is excluded, or has done another of its tasks |
| release | who has claimed it, and who is trusted (no roles are said) |
| complete | who may claim it, where it is not claimed by another |
"""

from __future__ import annotations

from collections.abc import Collection

from stepkeel.model.snapshot import Assignment
from stepkeel.model.task import Act, TaskRow

__all__ = ["refusal"]


def refusal(task: Assignment | TaskRow, act: Act, actor: str, roles: Collection[str] | None, others: Collection[str] = ()) -> str:
    """Empty where the actor may. `roles` None: trusted as far as roles go. `others` have done the node's other tasks."""
    if act in ("comment", "reassign"):
        return ""
    if act == "release":
        if not task.claimed_by:
            return "nobody has claimed it"
        return "" if roles is None or actor == task.claimed_by else f"it is claimed by {task.claimed_by}"
    if not actor and (act == "claim" or task.excluded or task.assignee or task.candidates):
        return "who does it? say actor="
    if actor and actor in task.excluded:
        return f"{actor} may not: four eyes are asked for"
    if actor and actor in others:
        return f"{actor} has already done another of its tasks"
    if task.claimed_by and task.claimed_by != actor:
        return f"it is claimed by {task.claimed_by}"
    if actor and actor in (task.assignee, *task.candidates):
        return ""
    if task.assignee:
        return f"it is {task.assignee}'s"
    if task.role and (roles is None or task.role in roles):
        return ""
    if task.role:
        return f"it is for the role {task.role}"
    return f"it is for {', '.join(task.candidates)}" if task.candidates else ""
