"""What an operator should know of a PostgreSQL database: settings that cost durability or speed, and what grows."""

from __future__ import annotations

from typing import Any

from stepkeel.store.port import Remark
from stepkeel.store.postgres.connection import Server
from stepkeel.store.postgres.query import migrations, quoted

__all__ = ["remarks"]

_WANTED = {
    "fsync": ("on", "a crash of the machine can lose or tear what was committed"),
    "full_page_writes": ("on", "a crash of the machine can tear pages"),
    "synchronous_commit": (None, ""),
    "autovacuum": ("on", "tables and indexes grow without end"),
    "max_connections": (None, ""),
    "server_version": (None, ""),
}
_SIZES = """
select c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid), coalesce(s.n_live_tup, 0), coalesce(s.n_dead_tup, 0)
from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_stat_all_tables s on s.relid = c.oid
where n.nspname = $1 and c.relkind = 'r' and c.relname in ('instances', 'history', 'signals') order by 1
"""


async def remarks(connection: Any, server: Server) -> list[Remark]:
    schema = quoted(server.schema)
    version = await connection.fetchval(f"select value from {schema}.meta where name = 'schema'")
    found = [Remark("schema", f"{server.schema}, version {version} of {len(migrations(server.schema))}")]
    for name, (wanted, harm) in _WANTED.items():
        value = str(await connection.fetchval("select current_setting($1)", name))
        found.append(Remark(name, value, "" if wanted in (None, value) else f"{harm}: set it to {wanted}"))
    if (await connection.fetchval("select current_setting('synchronous_commit')")) in ("off", "local"):
        found[3] = Remark("synchronous_commit", "off", "the last moments before a crash can be lost: set it to on")
    used = await connection.fetchval("select count(*) from pg_stat_activity")
    most = int(await connection.fetchval("select current_setting('max_connections')"))
    full = "a worker takes up to five: raise max_connections, or put a pooler in between" if used > 0.8 * most else ""
    found.append(Remark("connections", f"{used} of {most}", full))
    for name, table, indexes, live, dead in await connection.fetch(_SIZES, server.schema):
        bloat = "vacuum does not keep up: see autovacuum" if dead > 10_000 and dead > live else ""
        found.append(Remark(name, f"{table / 1e6:.1f} MB, indexes {indexes / 1e6:.1f} MB, {live} rows, {dead} dead", bloat))
    parts = await connection.fetchval(
        "select count(*) from pg_inherits i where i.inhparent = to_regclass($1)", f"{schema}.archive_instances"
    )
    lacks = "" if parts > 1 else "run `stepkeel db upgrade` once a month, so that the archive has parts to drop"
    found.append(Remark("archive", f"{parts} parts", lacks))
    return found
