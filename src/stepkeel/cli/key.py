"""Commands on API keys: key create, list, rotate, revoke."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from stepkeel.access.key import Key, NewKey
from stepkeel.access.role import BUILT_IN
from stepkeel.cli.output import plain, print_json, print_table, say
from stepkeel.cli.session import Actor, JsonOption, PlaceOption, ReasonOption, TenantOption, on_engine
from stepkeel.model.instant import span_of

__all__ = ["add_to"]


def add_to(app: App) -> None:
    group = App(name="key", help="API keys, by which programs are known to `stepkeel serve`.", result_action="return_value")
    group.command(create)
    group.command(show, name="list")
    group.command(rotate)
    group.command(revoke)
    app.command(group)


def create(
    name: str,
    /,
    *,
    role: Annotated[
        list[str], Parameter(negative=(), help="viewer, operator, approver, designer, admin, or one of yours; several times")
    ],
    scope: Annotated[
        list[str] | None, Parameter(negative=(), help="only operations like this (get_*), whatever its roles permit; several times")
    ] = None,
    ends_in: Annotated[str | None, Parameter(help="how long it is valid: 90d, 12h; default: until it is revoked")] = None,
    any_tenant: Annotated[bool, Parameter(negative=(), help="it reaches every tenant, which requests name with X-Tenant")] = False,
    actor: Actor = "",
    database: PlaceOption = None,
    tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:
    """Make a key. It is shown this once."""
    span = None if ends_in is None else span_of(ends_in, "--ends-in")
    made = on_engine(
        database,
        lambda e: e.keys.create(name, roles=role, scopes=scope or (), ends_in=span, any_tenant=any_tenant, actor=actor),
        tenant,
    )
    own = sorted(set(role) - set(BUILT_IN))
    _told(made, json=json)
    if own and not json:
        say(f"{', '.join(own)}: not built in, permits what the Access of the server says")


def show(*, database: PlaceOption = None, tenant: TenantOption = None, json: JsonOption = False) -> None:
    """Those of a tenant, and those that reach any; without what is secret."""
    keys = on_engine(database, lambda e: e.keys.list(), tenant)
    if json:
        print_json([plain(k) for k in keys])
        return
    rows = [(k.id, k.name, k.tenant, ", ".join(k.roles), ", ".join(k.scopes), k.made_at, k.used_at, _end(k)) for k in keys]
    print_table(("id", "name", "tenant", "roles", "scopes", "made", "last used", "ends"), rows)


def _end(key: Key) -> object:
    return "has ended" if key.ended else key.ends_at


def rotate(
    id: str,
    /,
    *,
    overlap: Annotated[str, Parameter(help="how long the old one is still valid")] = "24h",
    actor: Actor = "",
    database: PlaceOption = None,
    tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:
    """Make another one like it, shown this once; the old one is valid for the overlap."""
    span = span_of(overlap, "--overlap")
    _told(on_engine(database, lambda e: e.keys.rotate(id, overlap=span, actor=actor), tenant), json=json)


def revoke(
    id: str,
    /,
    *,
    actor: Actor = "",
    reason: ReasonOption = "",
    database: PlaceOption = None,
    tenant: TenantOption = None,
) -> None:
    """From now on it is refused."""
    key = on_engine(database, lambda e: e.keys.revoke(id, actor=actor, reason=reason), tenant)
    say(f"{key.id} ({key.name}) is refused from now on")


def _told(made: NewKey, *, json: bool) -> None:
    if json:
        print_json({"key": plain(made.key), "secret": made.secret})
        return
    say(made.secret)
    say(f"id {made.key.id}: keep it now, it is not shown again")
