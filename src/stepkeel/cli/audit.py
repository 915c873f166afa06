"""Commands on the audit log: audit list, verify, export, head."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import App, Parameter

from stepkeel.cli.output import plain, print_json, print_table, say
from stepkeel.cli.session import JsonOption, PlaceOption, TenantOption, on_engine, time_of
from stepkeel.facade import Engine

__all__ = ["add_to"]

After = Annotated[int, Parameter(help="only entries behind this number")]


def add_to(app: App) -> None:
    group = App(
        name="audit", help="The audit log: who did what, in a chain that shows when it was changed.", result_action="return_value"
    )
    group.command(show, name="list")
    group.command(verify)
    group.command(export)
    group.command(head)
    app.command(group)


def show(
    *,
    actor: Annotated[str | None, Parameter(help="what they did")] = None,
    verb: Annotated[str | None, Parameter(help="start, pause, complete, purge ...")] = None,
    kind: Annotated[str | None, Parameter(help="instance, task, definition, key, breaker ...")] = None,
    instance: Annotated[str | None, Parameter(help="what was done to it, its tasks too")] = None,
    since: Annotated[str | None, Parameter(name="--from", help="an ISO 8601 time")] = None,
    to: Annotated[str | None, Parameter(help="an ISO 8601 time")] = None,
    after: After = 0,
    limit: int = 100,
    database: PlaceOption = None,
    tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:
    """The latest entries, newest first; with --after those behind a number, oldest first."""
    found = on_engine(
        database,
        lambda e: e.audit.list(
            after=after, newest_first=not after, limit=limit, actor=actor, verb=verb, kind=kind, instance_id=instance,
            at_from=time_of(since, "--from"), at_to=time_of(to, "--to"),
        ),
        tenant,
    )  # fmt: skip
    if json:
        print_json([plain(each) for each in found])
        return
    rows = [(e.seq, e.at, e.actor or e.identity, e.verb, e.kind, e.subject, e.reason) for e in found]
    print_table(("number", "at", "actor", "verb", "kind", "subject", "reason"), rows)


def verify(
    *,
    anchor: Annotated[str, Parameter(help="a head as it was told earlier (number:digest): it has to be in the chain")] = "",
    database: PlaceOption = None,
    tenant: TenantOption = None,
    json: JsonOption = False,
) -> int:
    """Walk the whole chain. Exit code 1 if an entry was changed, taken out or put in."""
    found = on_engine(database, lambda e: e.audit.verify(anchor), tenant)
    if json:
        print_json({"intact": found.intact, **plain(found)})
    else:
        for problem in found.problems:
            say(problem)
        say(f"{found.entries} entries, {'intact' if found.intact else 'NOT intact'}; head {found.head}")
    return 0 if found.intact else 1


def export(*, after: After = 0, database: PlaceOption = None, tenant: TenantOption = None) -> None:
    """Lines of JSON, oldest first: each the entry as it was digested, with its digest put in at the end."""

    async def write(engine: Engine) -> None:
        async for line in engine.audit.export(after):
            sys.stdout.write(line.decode())

    on_engine(database, write, tenant)


def head(*, database: PlaceOption = None, tenant: TenantOption = None) -> None:
    """Number and digest of the last entry: kept elsewhere, it proves later that nothing was changed or cut off before it."""
    say(on_engine(database, lambda e: e.audit.head(), tenant))
