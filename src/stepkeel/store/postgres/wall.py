"""A second wall between tenants: what a request asks for its tenant is asked with the rights of a role that sees no others.

| who asks | rights | sees |
|---|---|---|
| a worker, and whoever asks for no tenant | of the URL's user | every tenant, as without the wall |
| a request of a tenant | of the role | rows of that tenant; definitions and keys of `*` |
| whoever else takes the role | of the role | no row of any tenant |

It is there against mistakes of ours, a condition forgotten in a statement. It does not keep out who can send statements of
their own on such a connection: they could name another tenant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from stepkeel.errors import DatabaseInvalid
from stepkeel.store.postgres.connection import Lane, Server
from stepkeel.store.postgres.query import TENANT_SETTING, quoted

__all__ = ["Walled", "build_wall", "check_wall"]

T = TypeVar("T")
FOR_ALL = ("definitions", "api_keys")  # hold rows of the tenant `*`, which are everybody's
WRITTEN = {"breakers": "select, insert, update"}  # of what is no tenant's; the rest of that is only read
EVERYBODY = "stepkeel_all"
_TABLES = """
select c.relname, exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant' and not a.attisdropped),
    c.relrowsecurity, array(select polname::text from pg_policy where polrelid = c.oid)
from pg_class c where c.relnamespace = to_regnamespace($1) and c.relkind in ('r', 'p') and not c.relispartition order by 1
"""
_ROLE = """
select rolsuper or rolbypassrls, pg_has_role(current_user, oid, 'member'),
    exists (select from pg_class c where c.relnamespace = to_regnamespace($2) and pg_has_role(r.oid, c.relowner, 'member'))
from pg_roles r where rolname = $1
"""


class Walled:
    """A lane as one tenant's requests use it."""

    def __init__(self, lane: Lane, tenant: str) -> None:
        self._lane = lane
        self._tenant = tenant

    async def fetch(self, sql: str, *values: Any, again: bool = True) -> list[Any]:
        return await self._lane.fetch(sql, *values, again=again, tenant=self._tenant)

    async def transact(self, work: Callable[[Any], Awaitable[T]], *, again: bool = True) -> T:
        return await self._lane.transact(work, again=again, tenant=self._tenant)


async def check_wall(connection: Any, server: Server) -> None:
    """The role is one that the wall holds for, and every table of tenants has it. Raises DatabaseInvalid."""
    await _check_role(connection, server)
    lacking = [name for name, *rest in await _tables(connection, server) if rest[0] and not _walled(server, *rest[1:])]
    if lacking:
        raise DatabaseInvalid(
            f"{server.url}: {', '.join(lacking[:3])} {'has' if len(lacking) == 1 else 'have'} no wall for {server.tenant_role}",
            remedy="run `stepkeel db upgrade` with this URL, as the owner of the tables",
        )


async def build_wall(connection: Any, server: Server) -> None:
    """Within a transaction: policies and rights, where they are missing. Raises DatabaseInvalid where the role will not do."""
    await _check_role(connection, server)
    schema, role = quoted(server.schema), quoted(server.tenant_role)
    await connection.execute(f"grant usage on schema {schema} to {role}")
    for name, of_tenants, *rest in await _tables(connection, server):
        table = f"{schema}.{quoted(name)}"
        rights = "select, insert, update, delete" if of_tenants else WRITTEN.get(name, "select")
        await connection.execute(f"grant {rights} on {table} to {role}")
        if of_tenants and not _walled(server, *rest):
            await connection.execute(_policies(server, name, table, rest[1]))


def _policies(server: Server, name: str, table: str, have: list[str]) -> str:
    """The first lets the workers' user see all where it is not the owner; the second takes away again from the role."""
    text = server.tenant_role.replace("'", "''")
    theirs = f"tenant = current_setting('{TENANT_SETTING}', true)" + (" or tenant = '*'" if name in FOR_ALL else "")
    statements = [f"alter table {table} enable row level security"]
    if EVERYBODY not in have:
        statements.append(f"create policy {EVERYBODY} on {table} using (true)")
    if _policy(server) not in have:
        where = f"(current_user <> '{text}' or {theirs})"
        statements.append(f"create policy {quoted(_policy(server))} on {table} as restrictive using {where}")
    return ";".join(statements)


def _policy(server: Server) -> str:
    return f"stepkeel_{server.tenant_role}"


def _walled(server: Server, enabled: bool, policies: list[str]) -> bool:
    return enabled and {EVERYBODY, _policy(server)} <= set(policies)


async def _tables(connection: Any, server: Server) -> list[Any]:
    return await connection.fetch(_TABLES, quoted(server.schema))


async def _check_role(connection: Any, server: Server) -> None:
    role = quoted(server.tenant_role)
    rows = await connection.fetch(_ROLE, server.tenant_role, quoted(server.schema))
    if not rows:
        user = quoted(await connection.fetchval("select current_user::text"))
        raise DatabaseInvalid(
            f"{server.url}: there is no role {server.tenant_role}", remedy=f"create role {role} nologin; grant {role} to {user};"
        )
    beyond, member, owns = rows[0]
    if beyond or owns:
        why = "sees every row, as a superuser or by BYPASSRLS" if beyond else "owns the tables"
        raise DatabaseInvalid(f"{server.url}: the role {server.tenant_role} {why}", remedy="a role of its own, with no such right")
    if not member:
        user = await connection.fetchval("select current_user::text")
        raise DatabaseInvalid(
            f"{server.url}: {user} may not take the role {server.tenant_role}", remedy=f"grant {role} to {quoted(user)};"
        )
