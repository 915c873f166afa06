"""Commands on many instances, by filter: redrive-all, pause-all, resume-all, cancel-all, terminate-all, archive-all, signal-all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from cyclopts import App, Parameter

from stepkeel.cli.output import print_json, print_table, say
from stepkeel.cli.session import Actor, JsonOption, PlaceOption, ReasonOption, TenantOption, on_engine, read_json
from stepkeel.cli.which import Which, filters_of
from stepkeel.engine.bulk import Bulk
from stepkeel.facade import Engine

__all__ = ["add_to"]


@Parameter(name="*")
@dataclass(frozen=True)
class How:
    dry_run: Annotated[bool, Parameter(negative=(), help="only say which")] = False
    limit: Annotated[int | None, Parameter(help="at most so many, oldest first")] = None
    actor: Actor = ""
    reason: ReasonOption = ""


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    database: PlaceOption = None
    tenant: TenantOption = None
    json: JsonOption = False


Compensate = Annotated[bool, Parameter(negative=(), help="undo what was done")]


def add_to(app: App) -> None:
    for command in (redrive_all, pause_all, resume_all, cancel_all, terminate_all, archive_all, signal_all):
        app.command(command)


def redrive_all(
    *,
    which: Which | None = None,
    code: Annotated[str | None, Parameter(help="of their failure")] = None,
    fingerprint: Annotated[str | None, Parameter(help="of their failure, as dead-letters tells it")] = None,
    from_state: Annotated[str, Parameter(help="begin this state anew")] = "",
    failed_parts: Annotated[bool, Parameter(negative=(), help="branches and items that had failed beside, too")] = False,
    how: How | None = None,
    where: Where | None = None,
) -> int:
    """Redrive failed instances, oldest first. Exit code 1 if some could not be."""
    more = {"code": code, "fingerprint": fingerprint, "from_state": from_state, "failed_parts": failed_parts}
    return _told("redriven", how, where, lambda e, said: e.redrive_all(**filters_of(which), **more, **said))


def pause_all(*, which: Which | None = None, how: How | None = None, where: Where | None = None) -> int:
    """Pause all that match. Exit code 1 if some could not be; so of the others."""
    return _told("paused", how, where, lambda e, said: e.pause_all(**filters_of(which), **said))


def resume_all(*, which: Which | None = None, how: How | None = None, where: Where | None = None) -> int:
    """Let all go on that match and are paused."""
    return _told("resumed", how, where, lambda e, said: e.resume_all(**filters_of(which), **said))


def cancel_all(
    *, which: Which | None = None, compensate: Compensate = False, how: How | None = None, where: Where | None = None
) -> int:
    """End all that match as cancelled."""
    return _told("cancelled", how, where, lambda e, said: e.cancel_all(compensate=compensate, **filters_of(which), **said))


def terminate_all(
    *, which: Which | None = None, compensate: Compensate = False, how: How | None = None, where: Where | None = None
) -> int:
    """End all that match as terminated."""
    return _told("terminated", how, where, lambda e, said: e.terminate_all(compensate=compensate, **filters_of(which), **said))


def archive_all(*, which: Which | None = None, how: How | None = None, where: Where | None = None) -> int:
    """Take all ended ones that match out of the lists."""
    return _told("archived", how, where, lambda e, said: e.archive_all(**filters_of(which), **said))


def signal_all(
    name: str,
    payload: Annotated[str | None, Parameter(help="JSON, or @file")] = None,
    /,
    *,
    which: Which | None = None,
    once: Annotated[str | None, Parameter(help="a key: each is given it once, however often this is said")] = None,
    how: How | None = None,
    where: Where | None = None,
) -> int:
    """Send a signal to all that match and have not ended."""
    body = read_json(payload, "the payload")

    async def send(engine: Engine, said: dict[str, Any]) -> Bulk:
        said.pop("reason")
        return await engine.signal_all(name, body or {}, key=once, **filters_of(which), **said)

    return _told("signalled", how, where, send)


def _told(done: str, how: How | None, where: Where | None, ask: Callable[[Engine, dict[str, Any]], Awaitable[Bulk]]) -> int:
    how, where = how or How(), where or Where()
    found = on_engine(where.database, lambda e: ask(e, asdict(how)), where.tenant)
    if where.json:
        print_json(found)
        return 1 if found.refused else 0
    parts = [f"{len(found.done)} {'would be ' if how.dry_run else ''}{done}"]
    parts += [f"{len(found.pending)} asked for"] if found.pending else []
    parts += [f"{len(found.refused)} refused"] if found.refused else []
    say(", ".join(parts) + ("; there may be more" if found.more else ""))
    if found.refused:
        print_table(("refused", "why"), list(found.refused.items()))
    return 1 if found.refused else 0
