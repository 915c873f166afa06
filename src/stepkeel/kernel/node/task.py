"""task: work for people.

| run | comes | then |
|---|---|---|
| ready | - | one task, or one for each of its people, is opened; waiting; timers of reminders and of the due time set |
| waiting | claim, release, reassign, comment | the task says so |
| waiting | complete, as many as are needed have done so | the form brought into the data, closes; the rest is withdrawn |
| waiting | an approval's vote that decides it | the verdict brought into the data; closes, or failed (`rejected`) |
| waiting | remind | told in the history, and again after the same span |
| waiting | escalate | its tasks pass on to the next role; nobody's claim on them holds any more |
| closed otherwise | - | its tasks are withdrawn (draft.py) |
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from stepkeel.errors import BadRequest, StepkeelError
from stepkeel.ids import id_of
from stepkeel.kernel.data import PureFailed, apply_into, ask_at, fill, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.people import refusal
from stepkeel.model.effect import OpenTask
from stepkeel.model.function import Function
from stepkeel.model.input import TaskActed
from stepkeel.model.instant import from_micros, to_micros, to_span
from stepkeel.model.node import TaskNode
from stepkeel.model.snapshot import NOTHING, Assignment, Failure, Frame
from stepkeel.model.task import TaskRow, Verdict, Vote

__all__ = ["MOST", "acted", "open", "timed"]

MOST = 1_000  # tasks of one node


def open(draft: Draft, path: str, frame: Frame) -> None:
    node = _node(draft, path)
    try:
        title = fill(node.title, draft.record(path)) if isinstance(node.title, str) else str(_value(draft, path, node.title))
        due = _due(draft, path, node)
        each = _assignments(draft, path, node)
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))
        return
    tasks: dict[str, Assignment] = {}
    for assignment in each:
        task = id_of(draft.now, draft.seed, len(draft.effects))
        tasks[task] = assignment
        draft.effects.append(OpenTask(_row(draft, path, node, task, assignment, title, due)))
        who = {k: v for k, v in (("role", assignment.role), ("assignee", assignment.assignee)) if v}
        draft.say("task_opened", path, task=task, title=title, **who)
    draft.put(path, Frame(run="waiting", since=draft.revision, tasks=tasks))
    if due is not None and node.escalate:
        draft.set_timer(path, "escalate", due)
    if node.remind is not None:
        draft.set_timer(path, "remind", _later(node, draft.now, node.remind))


def _row(draft: Draft, path: str, node: TaskNode, task: str, a: Assignment, title: str, due: int | None) -> TaskRow:
    before = draft.before
    form = "" if node.form is None else "approval" if node.approval else node.form.name
    return TaskRow(
        task, before.id, before.tenant, before.definition, before.version, path, title[:1_000], "open", a.role, a.assignee,
        a.candidates, a.excluded, "", form, node.priority, due, draft.now, draft.now,
    )  # fmt: skip


def _value(draft: Draft, path: str, given: Any) -> Any:
    """What a node says of a task: as it was written, or as a function of the data says. Raises PureFailed."""
    return ask_at(draft, path, given) if isinstance(given, Function) else given


def _names(draft: Draft, path: str, given: Any, what: str) -> tuple[str, ...]:
    found = _value(draft, path, given)
    names: list[Any] = [] if found is None else [found] if isinstance(found, str) or not isinstance(found, Iterable) else [*found]
    if any(not isinstance(name, str) or len(name) > 200 for name in names):
        raise PureFailed(f"{what} gave {found!r}: names are texts of at most 200 characters")
    return tuple(dict.fromkeys(name for name in names if name))


def _assignments(draft: Draft, path: str, node: TaskNode) -> list[Assignment]:
    """One for each of its tasks. Raises PureFailed."""
    role = "".join(_names(draft, path, node.role, "role"))
    assignee = "".join(_names(draft, path, node.assignee, "assignee"))
    candidates = _names(draft, path, node.candidates, "candidates")
    excluded = _names(draft, path, node.excluded, "not_by")
    people = _names(draft, path, node.people, "people")
    if isinstance(node.people, Function) and not people:
        raise PureFailed(f"{node.people.name} gave nobody")
    need = len(people) if node.need == "all" else node.need
    if people and need > len(people):
        raise PureFailed(f"{need} have to do it, and there are {len(people)}: {', '.join(people)}")
    if max(need, len(people)) > MOST:
        raise PureFailed(f"more than {MOST} tasks")
    if people:
        return [Assignment(role, person, candidates, excluded) for person in people]
    return [Assignment(role, assignee, candidates, excluded)] * need


def _due(draft: Draft, path: str, node: TaskNode) -> int | None:
    """Raises PureFailed."""
    due = _value(draft, path, node.due)
    if due is None:
        return None
    try:
        if isinstance(due, datetime):
            return to_micros(due)
        return _later(node, draft.now, due if isinstance(node.due, int) else to_span(due))
    except (BadRequest, TypeError, ValueError) as error:
        raise PureFailed(f"due: {due!r} is no timedelta and no moment: {error}") from error


def _later(node: TaskNode, at: int, span: int) -> int:
    return at + max(1, span) if node.calendar is None else node.calendar.add(at, span)


# -- what people do


def acted(draft: Draft, input: TaskActed) -> str | None:
    """A text refuses it, and nothing is changed."""
    frame = draft.open.get(input.path)
    task = frame.tasks.get(input.task) if frame is not None and frame.run == "waiting" else None
    if frame is None or task is None:
        return f"the task {input.task} is closed"
    if task.by or task.said is not NOTHING:
        return f"the task {input.task} was completed by {task.by or 'somebody'}"
    others = [t.by for t in frame.tasks.values() if t.by]
    refused = refusal(task, input.act, input.actor, input.roles, others)
    if refused:
        return refused
    by = {"by": input.actor} if input.actor else {}
    if input.act == "complete":
        return _completed(draft, input, frame, task, by)
    if input.act == "comment":
        draft.say("task_commented", input.path, task=input.task, text=input.text, **by)
        return None
    if input.act == "claim":
        task = replace(task, claimed_by=input.actor)
        draft.say("task_claimed", input.path, task=input.task, **by)
    elif input.act == "release":
        task = replace(task, claimed_by="")
        draft.say("task_released", input.path, task=input.task, **by)
    else:
        if not input.to:
            return "to whom? say to="
        if input.to in task.excluded or input.to in others:
            return f"{input.to} may not do it"
        task = replace(task, assignee=input.to, claimed_by="")
        draft.say("task_reassigned", input.path, task=input.task, to=input.to, **by)
    draft.put_task(input.path, input.task, task)
    return None


def _completed(draft: Draft, input: TaskActed, frame: Frame, task: Assignment, by: dict[str, str]) -> str | None:
    node, path = _node(draft, input.path), input.path
    said = input.payload if bytes(input.payload) else msgspec.Raw(b"{}")
    try:
        value = _form(node).decode(said) if node.form is not None else None
    except StepkeelError as error:
        return f"the form: {error.message}"
    tasks = {**frame.tasks, input.task: replace(task, by=input.actor, said=said, at=draft.now, claimed_by="")}
    try:
        outcome = _decided(draft, node, path, tasks)
    except PureFailed as error:
        return str(error)
    approved = {"approved": value.approved} if isinstance(value, Vote) else {}
    draft.say("task_completed", path, task=input.task, **by, **approved)
    draft.put_task(path, input.task, tasks[input.task])
    if outcome == "rejected" and node.on_reject == "fail":
        comment = value.comment if isinstance(value, Vote) else ""
        text = f"rejected by {input.actor or 'somebody'}" + (f": {comment}" if comment else "")
        draft.withdraw(path, "it is decided")
        draft.fail(path, Failure("rejected", text, path, kind="business", details={"by": input.actor}))
    elif outcome:
        draft.closing.append(path)
    return None


def _form(node: TaskNode) -> Any:
    assert node.form is not None
    return node.form


def _decided(draft: Draft, node: TaskNode, path: str, tasks: dict[str, Assignment]) -> str:
    """What has come of it, brought into the data: done, approved, rejected; nothing yet. Raises PureFailed."""
    done = [t for t in tasks.values() if t.said is not NOTHING]
    need = len(tasks) if node.need == "all" else node.need
    if not node.approval:
        if len(done) < need:
            return ""
        values = [None if node.form is None else node.form.decode(t.said) for t in done]
        apply_into(draft, path, node.into, values if len(tasks) > 1 else values[0])
        return "done"
    done.sort(key=lambda t: t.at)
    votes = [(t, _form(node).decode(t.said)) for t in done]
    yes = sum(vote.approved for _, vote in votes)
    outcome = "approved" if yes >= need else "rejected" if len(tasks) - (len(votes) - yes) < need else ""
    if outcome:
        last, vote = votes[-1]
        said = [(t.by, v.approved, v.comment) for t, v in votes]
        apply_into(draft, path, node.into, Verdict(outcome == "approved", last.by, vote.comment, from_micros(last.at), said))
    return outcome


# -- time


def timed(draft: Draft, path: str, purpose: str) -> None:
    """A reminder, or the due time, has come."""
    frame, node = draft.open[path], _node(draft, path)
    left = {task: a for task, a in frame.tasks.items() if a.said is NOTHING}
    if purpose == "remind":
        for task, a in left.items():
            draft.put_task(path, task, replace(a, reminded=a.reminded + 1))
            draft.say("task_reminded", path, task=task, n=a.reminded + 1)
        _again(draft, path, node, "remind", node.remind or 0)
        return
    step = 0
    for task, a in left.items():
        step = a.escalated
        to = node.escalate[min(step, len(node.escalate) - 1)]
        draft.put_task(path, task, replace(a, role=to, assignee="", candidates=(), claimed_by="", escalated=step + 1))
        draft.say("task_escalated", path, task=task, to=to)
    if step + 1 < len(node.escalate) and isinstance(node.due, int):
        _again(draft, path, node, "escalate", node.due)


def _again(draft: Draft, path: str, node: TaskNode, purpose: str, span: int) -> None:
    try:
        draft.set_timer(path, purpose, _later(node, draft.now, span))
    except BadRequest as error:
        draft.fail(path, pure_failure(path, PureFailed(str(error))))


def _node(draft: Draft, path: str) -> TaskNode:
    node = draft.node_at(path)
    assert isinstance(node, TaskNode)
    return node
