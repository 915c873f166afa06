"""task and approval: work for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar, get_args

from stepkeel.authoring.node import BodyNode
from stepkeel.errors import BadRequest
from stepkeel.model.calendar import Calendar
from stepkeel.model.instant import to_span
from stepkeel.model.task import Verdict, Vote

__all__ = ["approval", "task"]

D = TypeVar("D")
F = TypeVar("F")

Names = str | Sequence[str]
Due = timedelta | float
OnReject = Literal["fail", "go_on"]


def task(
    title: str | Callable[[D], str] | Callable[[D, Any], str],
    form: type[F] | None = None,
    *,
    role: str | Callable[[D], str | None] | Callable[[D, Any], str | None] = "",
    assignee: str | Callable[[D], str | None] | Callable[[D, Any], str | None] = "",
    candidates: Names | Callable[[D], Names | None] | Callable[[D, Any], Names | None] = (),
    people: Names | Callable[[D], Names] | Callable[[D, Any], Names] = (),
    not_by: Names | Callable[[D], Names | None] | Callable[[D, Any], Names | None] = (),
    need: int | Literal["all"] = 1,
    due: Due | Callable[[D], Due | datetime | None] | Callable[[D, Any], Due | datetime | None] | None = None,
    calendar: Calendar | None = None,
    remind: timedelta | float | None = None,
    escalate_to: str | Sequence[str] = (),
    priority: int = 2,
    into: Callable[[D, F], D | Mapping[str, Any] | None] | Mapping[str, Any] | str | None = None,
    name: str | None = None,
) -> BodyNode[D]:
    """Ask somebody to do something, and wait until they have.

    title      a template over the data's fields (`Correct order {order_id}`), or a function
    form       the type of what they say when they complete it; `into` brings it into the data
    role, assignee, candidates   who may do it: whoever has the role, this person, one of these; none of them: anybody
    people     each gets a task of their own; `need` of them, or "all", have to complete it: `into` is given a list then, in the
               order of the people, and the others are withdrawn. `need` without people: so many different persons
    not_by     who may not (four eyes): the requester, say
    due        a span, of working time if there is a `calendar`; or a function that gives a span or a moment
    remind     again and again after so long, of working time as well
    escalate_to   a role, or several one after another, that it passes on to when due
    What says who, what and when may be a function of the data, or of the data and the item of the for_each around it.
    Raises BadRequest.
    """
    options = _options(title, role, assignee, candidates, people, not_by, need, due, calendar, remind, escalate_to, priority)
    return BodyNode("task", name or "task", {**options, "form": form, "into": into, "approval": False, "on_reject": "fail"})


def approval(
    title: str | Callable[[D], str] | Callable[[D, Any], str],
    *,
    role: str | Callable[[D], str | None] | Callable[[D, Any], str | None] = "",
    assignee: str | Callable[[D], str | None] | Callable[[D, Any], str | None] = "",
    candidates: Names | Callable[[D], Names | None] | Callable[[D, Any], Names | None] = (),
    people: Names | Callable[[D], Names] | Callable[[D, Any], Names] = (),
    not_by: Names | Callable[[D], Names | None] | Callable[[D, Any], Names | None] = (),
    need: int | Literal["all"] = 1,
    due: Due | Callable[[D], Due | datetime | None] | Callable[[D, Any], Due | datetime | None] | None = None,
    calendar: Calendar | None = None,
    remind: timedelta | float | None = None,
    escalate_to: str | Sequence[str] = (),
    priority: int = 2,
    into: Callable[[D, Verdict], D | Mapping[str, Any] | None] | Mapping[str, Any] | str | None = None,
    on_reject: OnReject = "fail",
    name: str | None = None,
) -> BodyNode[D]:
    """Ask for a yes or a no. It is approved when `need` have said yes, and rejected when that cannot be any more.

    `into` is given the Verdict. A rejected one fails the node with the code `rejected`, or goes on (`on_reject`). All else as
    for `task`. Raises BadRequest.
    """
    if on_reject not in get_args(OnReject):
        raise BadRequest(f"approval(on_reject={on_reject!r})", remedy=", ".join(get_args(OnReject)))
    options = _options(title, role, assignee, candidates, people, not_by, need, due, calendar, remind, escalate_to, priority)
    return BodyNode("task", name or "approval", {**options, "form": Vote, "into": into, "approval": True, "on_reject": on_reject})


def _options(
    title: Any, role: Any, assignee: Any, candidates: Any, people: Any, not_by: Any, need: Any, due: Any, calendar: Any,
    remind: Any, escalate_to: Any, priority: Any,
) -> dict[str, Any]:  # fmt: skip
    if not (callable(title) or (isinstance(title, str) and title)):
        raise BadRequest(f"task({title!r})", remedy="a title, or a function that gives one")
    if need != "all" and (isinstance(need, bool) or not isinstance(need, int) or need < 1):
        raise BadRequest(f"need={need!r}", remedy="a number from 1, or all")
    if need == "all" and not people:
        raise BadRequest("need='all' of whom?", remedy="people=")
    if people and assignee:
        raise BadRequest("assignee= and people=", remedy="one of them: each of the people is the assignee of a task")
    if type(priority) is not int or not 0 <= priority <= 4:
        raise BadRequest(f"priority={priority!r}", remedy="0 (first) to 4 (last)")
    if calendar is not None and not isinstance(calendar, Calendar):
        raise BadRequest(f"calendar={calendar!r}", remedy="a Calendar")
    for what, span in (("due", due), ("remind", remind)):
        if span is not None and not callable(span) and to_span(span) <= 0:
            raise BadRequest(f"{what}={span!r}", remedy="longer than nothing")
    roles = (escalate_to,) if isinstance(escalate_to, str) and escalate_to else tuple(escalate_to)
    if roles and due is None:
        raise BadRequest("escalate_to= without due=", remedy="say when: due=")
    if len(roles) > 1 and callable(due):
        raise BadRequest("escalate_to= several roles, and due= is a function", remedy="a span: each of them has so long")
    return {
        "title": title, "role": role, "assignee": assignee, "candidates": candidates, "people": people, "not_by": not_by,
        "need": need, "due": due, "calendar": calendar, "remind": remind, "escalate": roles, "priority": priority,
    }  # fmt: skip
