"""Commands on many instances: list, purge, retire, doctor, dead-letters; and on circuit breakers and messages."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from stepkeel.cli.output import plain, print_json, print_table, say
from stepkeel.cli.session import Actor, JsonOption, PlaceOption, ReasonOption, TenantOption, on_engine
from stepkeel.cli.which import Which, filters_of
from stepkeel.engine.doctor import OVERDUE, Report
from stepkeel.errors import BadRequest
from stepkeel.facade import Engine
from stepkeel.model.instant import from_micros, span_of

__all__ = ["add_to"]

Many = Annotated[list[str] | None, Parameter(negative=())]


def add_to(app: App) -> None:
    app.command(list_, name="list")
    app.command(purge)
    app.command(retire)
    app.command(doctor)
    app.command(dead_letters)
    app.command(limits)
    app.command(breakers)
    app.command(forget_cached)
    app.command(outbox)


def list_(
    *,
    which: Which | None = None,
    sort: str = "created",
    descending: Annotated[bool, Parameter(negative=())] = False,
    archived: Annotated[bool, Parameter(negative=(), help="those in the archive instead")] = False,
    limit: int = 50,
    cursor: Annotated[str | None, Parameter(help="of the page before")] = None,
    database: PlaceOption = None,
    tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:
    """List instances. Times are ISO 8601, from inclusive, to exclusive."""
    options: dict[str, Any] = {"sort": sort, "descending": descending, "archived": archived, "limit": limit, "cursor": cursor}
    page = on_engine(database, lambda e: e.list(**options, **filters_of(which)), tenant)
    if json:
        print_json({"items": [plain(i) for i in page.items], "cursor": page.cursor})
        return
    rows = [
        (
            i.id,
            f"{i.definition} v{i.version}",
            i.status + (" (set aside)" if i.fault else ""),
            i.state,
            i.key,
            i.created_at,
            i.updated_at,
        )
        for i in page.items
    ]
    print_table(("id", "definition", "status", "state", "key", "created", "updated"), rows)
    if page.cursor:
        say(f"more: --cursor {page.cursor}")


def purge(
    *,
    which: Which | None = None,
    archived: Annotated[bool, Parameter(negative=(), help="those in the archive instead")] = False,
    actor: Actor = "",
    reason: ReasonOption = "",
    database: PlaceOption = None,
    tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:
    """Delete ended instances for good. Needs a filter, and never touches a live one."""
    gone = on_engine(database, lambda e: e.purge(archived=archived, actor=actor, reason=reason, **filters_of(which)), tenant)
    print_json({"purged": gone}) if json else say(f"purged {gone}")


def retire(
    *,
    older_than: Annotated[str, Parameter(help="30d, 12h, 90m or 45s since the end")],
    status: Many = None,
    definition: str | None = None,
    delete: Annotated[bool, Parameter(negative=(), help="delete for good instead of archiving")] = False,
    archived: Annotated[bool, Parameter(negative=(), help="with --delete: what lies in the archive")] = False,
    actor: Actor = "",
    reason: ReasonOption = "",
    database: PlaceOption = None,
    tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:
    """Move what ended long ago into the archive, in batches. Failed instances stay unless --status failed."""
    span = span_of(older_than, "--older-than")
    filters: dict[str, Any] = {k: v for k, v in {"status": status, "definition": definition}.items() if v}
    filters |= {"actor": actor, "reason": reason}
    gone = on_engine(database, lambda e: e.retire(older_than=span, delete=delete, archived=archived, **filters), tenant)
    print_json({"retired": gone}) if json else say(f"{'deleted' if delete else 'archived'} {gone}")


def doctor(
    *,
    histories: Annotated[bool, Parameter(negative="--no-histories", help="fold every history too (reads all)")] = True,
    fix: Annotated[bool, Parameter(negative=(), help="repair what is safe, and say what was done")] = False,
    overdue: Annotated[float, Parameter(help="seconds after which what is due or unread is worth a note")] = OVERDUE,
    database: PlaceOption = None,
    json: JsonOption = False,
) -> int:
    """Check every instance against the invariants. Exit code 1 if any is violated (and was not repaired)."""
    if overdue < 0:
        raise BadRequest(f"--overdue {overdue}", remedy="seconds, not negative")

    async def work(engine: Engine) -> Report:
        return await engine.doctor(histories=histories, fix=fix, overdue=overdue)

    report = on_engine(database, work)
    if json:
        counts = {"checked": report.checked, "violations": report.violations, "repaired": report.repaired}
        print_json({**counts, "findings": report.findings})
    else:
        if report.findings:
            columns = ("kind", "instance", "what", "done") if fix else ("kind", "instance", "what")
            print_table(columns, [(f.kind, f.instance_id, f.text, f.repaired)[: len(columns)] for f in report.findings])
        say(str(report))
    return 0 if report.clean else 1


def dead_letters(
    *,
    which: Which | None = None,
    code: Annotated[str | None, Parameter(help="of their failure")] = None,
    fingerprint: Annotated[str | None, Parameter(help="of their failure")] = None,
    database: PlaceOption = None,
    tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:
    """Failed instances, in groups of one definition, state, failure code and fingerprint."""
    groups = on_engine(database, lambda e: e.dead_letters(code=code, fingerprint=fingerprint, **filters_of(which)), tenant)
    if json:
        print_json(groups)
        return
    rows = [(g.count, g.definition, g.state, g.code, g.fingerprint, g.example, g.latest) for g in groups]
    print_table(("count", "definition", "state", "code", "fingerprint", "message of the latest", "latest"), rows)


def limits(
    name: str | None = None,
    *,
    after: Annotated[str, Parameter(help="the last name of the page before")] = "",
    limit: int = 100,
    tickets: Annotated[int, Parameter(help="of each: how many of those that hold and wait")] = 20,
    database: PlaceOption = None,
    tenant: TenantOption = None,
    json: JsonOption = False,
) -> int:
    """Limits that somebody holds slots of or waits for: who does. A name: that one alone."""
    found = on_engine(database, lambda e: e.limits(name, after=after, limit=limit, tickets=tickets), tenant)
    if json:
        print_json([plain(each) for each in found])
        return 0
    rows = [
        (each.name, f"{each.held} of {each.size}" + (f" in {each.per:g} s" if each.per else ""), each.waiting, ticket, path, since)
        for each in found
        for ticket, path, since in [(t.instance_id, t.path, t.since or "waits") for t in each.tickets] or [("", "", "")]
    ]
    print_table(("limit", "held", "waiting", "instance", "path", "since"), rows)
    return 0


def breakers(
    *,
    close: Annotated[str | None, Parameter(help="the name of one to be closed now")] = None,
    actor: Actor = "",
    reason: ReasonOption = "",
    database: PlaceOption = None,
    json: JsonOption = False,
) -> int:
    """Circuit breakers: which services failed lately, and are not called for now."""
    if close is not None:
        closed = on_engine(database, lambda e: e.close_breaker(close, actor=actor, reason=reason))
        say(f"{close} is closed" if closed else f"{close} is not open")
        return 0 if closed else 1
    rows = on_engine(database, lambda e: e.breakers())
    if json:
        print_json([plain(r) for r in rows])
        return 0
    table = [
        (r.name, r.state, r.recent, None if r.state == "closed" else _moment(r.until), _moment(r.opened_at), r.reason) for r in rows
    ]
    print_table(("breaker", "state", "recent", "until", "opened", "why"), table)
    return 0


def forget_cached(
    activity: str,
    /,
    *,
    actor: Actor = "",
    reason: ReasonOption = "",
    database: PlaceOption = None,
    tenant: TenantOption = None,
) -> int:
    """Have an activity with a cache run again, whatever is kept of its results."""
    count = on_engine(database, lambda e: e.forget_cached(activity, actor=actor, reason=reason), tenant)
    say(f"{count} results of {activity} are forgotten")
    return 0


def outbox(
    *,
    limit: Annotated[int, Parameter(help="at most so many")] = 100,
    database: PlaceOption = None,
    tenant: TenantOption = None,
    json: JsonOption = False,
) -> int:
    """Messages that no sink has taken yet, oldest first. Exit code 1 if one of them has failed."""
    rows = on_engine(database, lambda e: e.outbox(limit), tenant)
    if json:
        print_json([plain(m) for m in rows])
    else:
        print_table(("at", "topic", "message", "tries", "failed because"), [(m.at, m.topic, m.id, m.tries, m.error) for m in rows])
    return 1 if any(m.error for m in rows) else 0


def _moment(at: int) -> Any:
    return from_micros(at) if at else None
