"""Making and upgrading the tables: an empty place is filled, a foreign one refused, an older one left to `db upgrade`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from stepkeel.errors import DatabaseInvalid, SchemaTooNew, StepkeelError
from stepkeel.store.port import Upgrade
from stepkeel.store.postgres.connection import Server, connect, translate
from stepkeel.store.postgres.query import migrations, quoted
from stepkeel.store.postgres.wall import build_wall, check_wall

__all__ = ["make_partitions", "prepare", "upgrade"]

TRIES = 10
_TWICE = (
    asyncpg.UniqueViolationError,
    asyncpg.DuplicateTableError,
    asyncpg.DuplicateSchemaError,
    asyncpg.DuplicateObjectError,
)
_TABLES = """
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p')
"""


async def version_of(connection: Any, server: Server) -> int:
    """The version of our tables; 0 where there are none. Raises DatabaseInvalid when others' tables are there."""
    tables = sorted(r[0] for r in await connection.fetch(_TABLES, server.schema))
    if "meta" in tables and "instances" in tables:
        found = await connection.fetchval(f"select value from {quoted(server.schema)}.meta where name = 'schema'")
        if found is not None:
            return int(found)
    if tables:
        raise DatabaseInvalid(
            f"{server.url}: the schema {server.schema} holds tables of another program ({', '.join(tables[:3])})",
            remedy="name another one: ?schema=name",
        )
    return 0


async def prepare(connection: Any, server: Server, *, make: bool = True) -> None:
    """Make the tables where there are none, unless `make` is False. Raises DatabaseInvalid, SchemaTooNew, Unavailable."""
    try:
        async with connection.transaction():
            version = await version_of(connection, server)
        known = len(migrations(server.schema))
        if version > known:
            raise SchemaTooNew(
                f"{server.url} has schema {version}, this release knows {known}", remedy="upgrade the stepkeel package"
            )
        if version == 0 and not make:
            raise DatabaseInvalid(
                f"{server.url} has no tables of ours in schema {server.schema}",
                remedy="is it the right database? `stepkeel db upgrade` makes them, or an engine with workflows",
            )
        if version == 0:
            await _migrate(connection, server)
        elif version < known:
            raise DatabaseInvalid(
                f"{server.url} has schema {version}, this release needs {known}", remedy="run `stepkeel db upgrade` once"
            )
        elif server.tenant_role:
            await check_wall(connection, server)
    except asyncpg.InsufficientPrivilegeError as error:
        raise DatabaseInvalid(
            f"{server.url}: {error}",
            remedy="let the owner run `stepkeel db upgrade`, and grant usage of the schema and all on its tables",
        ) from None
    except StepkeelError:
        raise
    except Exception as error:
        raise translate(error, server) from None


async def upgrade(server: Server) -> Upgrade:
    """Bring the tables to this release's version, and make the archive's parts of the months ahead.

    Raises Unavailable, DatabaseInvalid, SchemaTooNew.
    """
    connection = await connect(server, first=True, planning=False)
    try:
        before, now = await _migrate(connection, server)
        clock = await connection.fetchval("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")
        return Upgrade(before, now, tuple(await make_partitions(connection, server, clock)))
    except StepkeelError:
        raise
    except Exception as error:
        raise translate(error, server) from None
    finally:
        await connection.close()


async def _migrate(connection: Any, server: Server) -> tuple[int, int]:
    """From, to. Several that try at once do it once."""
    for tries in range(TRIES):
        try:
            async with connection.transaction():
                return await _upgrade(connection, server)
        except _TWICE:
            if tries == TRIES - 1:
                raise
    raise AssertionError


async def _upgrade(connection: Any, server: Server) -> tuple[int, int]:
    schema, known = quoted(server.schema), migrations(server.schema)
    version = await version_of(connection, server)
    if version > len(known):
        raise SchemaTooNew(
            f"{server.url} has schema {version}, this release knows {len(known)}", remedy="upgrade the stepkeel package"
        )
    if version == 0:
        if not await connection.fetchval("select 1 from pg_namespace where nspname = $1", server.schema):
            await connection.execute(f"create schema {schema}")
    else:
        # Others that upgrade wait here, and find the work done.
        await connection.execute(f"lock table {schema}.meta in exclusive mode")
        version = await version_of(connection, server)
    for script in known[version:]:
        await connection.execute(script)
    await connection.execute(
        f"insert into {schema}.meta (name, value) values ('schema', $1) on conflict (name) do update set value = excluded.value",
        str(len(known)),
    )
    if server.tenant_role:
        await build_wall(connection, server)
    return version, len(known)


def _months(now: int, ahead: int) -> list[tuple[str, str, str]]:
    """Name and bounds of the parts of the archive for this month and those ahead: ids begin with their time."""
    at = datetime.fromtimestamp(now / 1e6, UTC)
    found: list[tuple[str, str, str]] = []
    for n in range(ahead + 1):
        first, after = (_first(at.year, at.month + n + k) for k in (0, 1))
        found.append((f"{first:%Y_%m}", _prefix(first), _prefix(after)))
    return found


def _first(year: int, month: int) -> datetime:
    return datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC)


def _prefix(at: datetime) -> str:
    """The first 13 characters of a UUIDv7 made then: 48 bits of milliseconds."""
    digits = f"{round(at.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"


async def make_partitions(connection: Any, server: Server, now: int, ahead: int = 12) -> list[str]:
    """The parts of the archive for the months ahead, as far as they are missing; their names."""
    have = {r[0] for r in await connection.fetch(_TABLES, server.schema)}
    made: list[str] = []
    for month, begin, end in _months(now, ahead):
        for table in ("archive_instances", "archive_history", "archive_signals"):
            name = f"{table}_{month}"
            if name in have:
                continue
            place = quoted(server.schema)
            rest = f"{place}.{table}_rest"
            column = "id" if table == "archive_instances" else "instance_id"
            async with connection.transaction():
                # What the last part holds of these months already moves over: it could not be made otherwise.
                await connection.execute(f"lock table {place}.{table} in access exclusive mode")
                await connection.execute(f"create table {place}.{name} (like {place}.{table} including defaults)")
                where = f"{column} >= '{begin}' and {column} < '{end}'"
                await connection.execute(
                    f"with gone as (delete from {rest} where {where} returning *) insert into {place}.{name} select * from gone"
                )
                await connection.execute(
                    f"alter table {place}.{table} attach partition {place}.{name} for values from ('{begin}') to ('{end}')"
                )
            made.append(name)
    return made
