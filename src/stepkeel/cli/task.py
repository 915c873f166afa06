"""Commands on tasks: tasks (list), task show, claim, release, complete, approve, reject, reassign, comment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from stepkeel.cli.output import plain, print_json, print_table, say
from stepkeel.cli.session import JsonOption, PlaceOption, TenantOption, on_engine, read_json, time_of
from stepkeel.engine.result import Receipt
from stepkeel.engine.task import Task

__all__ = ["add_to"]

Who = Annotated[str, Parameter(name="--actor", help="who does it; kept in history")]
Roles = Annotated[list[str] | None, Parameter(name="--role", negative=(), help="a role they have; without one it is not asked for")]


def add_to(app: App) -> None:
    app.command(tasks)
    group = App(name="task", help="Look at a task, and do something about it.", result_action="return_value")
    for command in (show, claim, release, complete, approve, reject, reassign, comment):
        group.command(command)
    app.command(group)


def tasks(
    *,
    status: Annotated[list[str] | None, Parameter(negative=(), help="open (default), completed, withdrawn")] = None,
    person: Annotated[str | None, Parameter(help="theirs: assigned to or claimed by them, or they are a candidate")] = None,
    role: Annotated[list[str] | None, Parameter(negative=(), help="for one of these roles")] = None,
    assignee: str | None = None,
    definition: str | None = None,
    instance: Annotated[str | None, Parameter(help="of one instance")] = None,
    text: Annotated[str | None, Parameter(help="in the title")] = None,
    due_from: str | None = None,
    due_to: str | None = None,
    sort: Literal["opened", "due"] = "due",
    limit: int = 50,
    cursor: Annotated[str | None, Parameter(help="of the page before")] = None,
    database: PlaceOption = None,
    tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:
    """List tasks, those due first before the others."""
    page = on_engine(
        database,
        lambda engine: engine.tasks(
            status=status or "open", person=person, roles=role, assignee=assignee, definition=definition, instance_id=instance,
            text=text, due_from=time_of(due_from, "--due-from"), due_to=time_of(due_to, "--due-to"), sort=sort, limit=limit,
            cursor=cursor,
        ),
        tenant,
    )  # fmt: skip
    if json:
        print_json({"items": [plain(t) for t in page.items], "cursor": page.cursor})
        return
    rows = [
        (t.id, t.title, t.assignee or t.role or ", ".join(t.candidates), t.claimed_by, _state(t), t.due_at, t.definition)
        for t in page.items
    ]
    print_table(("id", "title", "for", "claimed by", "status", "due", "definition"), rows)
    if page.cursor:
        say(f"more: --cursor {page.cursor}")


def _state(task: Any) -> str:
    return "overdue" if task.overdue else task.status


def show(id: str, /, *, database: PlaceOption = None, tenant: TenantOption = None, json: JsonOption = False) -> None:
    """Everything about one task."""
    info = on_engine(database, lambda engine: engine.task(id).get(), tenant)
    if json:
        print_json(plain(info))
        return
    print_table(("field", "value"), [(k, v) for k, v in plain(info).items() if v not in (None, "", [], (), False)])


def _act(id: str, work: Callable[[Task], Awaitable[Receipt]], database: str | None, tenant: str | None, as_json: bool) -> int:
    receipt = on_engine(database, lambda engine: work(engine.task(id)), tenant)
    if as_json:
        print_json(plain(receipt))
    else:
        say(f"{receipt.name}: {receipt.status}" + (f" ({receipt.reason})" if receipt.reason else ""))
    return 0 if receipt.status in ("processed", "pending") else 1


def claim(
    id: str, /, *, actor: Who, role: Roles = None, database: PlaceOption = None, tenant: TenantOption = None,
    json: JsonOption = False,
) -> int:  # fmt: skip
    """It is the actor's alone until they release it."""
    return _act(id, lambda t: t.claim(actor=actor, roles=role), database, tenant, json)


def release(
    id: str, /, *, actor: Who = "", role: Roles = None, database: PlaceOption = None, tenant: TenantOption = None,
    json: JsonOption = False,
) -> int:  # fmt: skip
    """Give it back to all who may do it."""
    return _act(id, lambda t: t.release(actor=actor, roles=role), database, tenant, json)


def complete(
    id: str, payload: str | None = None, /, *, actor: Who = "", role: Roles = None, database: PlaceOption = None,
    tenant: TenantOption = None, json: JsonOption = False,
) -> int:  # fmt: skip
    """It is done; PAYLOAD is what its form asks for, as JSON or @file."""
    given = read_json(payload, "the payload")
    return _act(id, lambda t: t.complete(given, actor=actor, roles=role), database, tenant, json)


def approve(
    id: str, comment: str = "", /, *, actor: Who = "", role: Roles = None, database: PlaceOption = None,
    tenant: TenantOption = None, json: JsonOption = False,
) -> int:  # fmt: skip
    """Say yes."""
    return _act(id, lambda t: t.approve(comment, actor=actor, roles=role), database, tenant, json)


def reject(
    id: str, comment: str = "", /, *, actor: Who = "", role: Roles = None, database: PlaceOption = None,
    tenant: TenantOption = None, json: JsonOption = False,
) -> int:  # fmt: skip
    """Say no."""
    return _act(id, lambda t: t.reject(comment, actor=actor, roles=role), database, tenant, json)


def reassign(
    id: str, to: str, /, *, actor: Who = "", database: PlaceOption = None, tenant: TenantOption = None,
    json: JsonOption = False,
) -> int:  # fmt: skip
    """It is TO's from now on."""
    return _act(id, lambda t: t.reassign(to, actor=actor), database, tenant, json)


def comment(
    id: str, text: str, /, *, actor: Who = "", database: PlaceOption = None, tenant: TenantOption = None,
    json: JsonOption = False,
) -> int:  # fmt: skip
    """Say something about it, in the history of its instance."""
    return _act(id, lambda t: t.comment(text, actor=actor), database, tenant, json)
