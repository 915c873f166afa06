"""sql.query and sql.execute: statements on databases that the service `Databases` names. Values are parameters, never text.

They run at least once, as every activity: write statements that may run twice (`insert ... on conflict do nothing`, with the
idempotency key or one of your own).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from stepkeel.authoring.activity import activity
from stepkeel.authoring.context import Context
from stepkeel.document.constant import Constant
from stepkeel.errors import BadRequest, TransientError
from stepkeel.extra import needing
from stepkeel.model.outcome import Fail
from stepkeel.model.policy import Retry

__all__ = ["Databases", "Statement", "execute", "query"]


@dataclass
class Statement:
    """`statement` stands in the document as it is, `parameters` fill its `?` (SQLite) or `$1` (PostgreSQL)."""

    database: str
    statement: Annotated[str, Constant]
    parameters: list[Any] = field(default_factory=list[Any])


class Databases:
    """Databases by name: `Databases({"shop": "postgresql://...", "cache": "sqlite:///cache.db"})`.

    most     rows that a query may give, default 1,000
    timeout  seconds a statement may take, default 30
    Raises BadRequest on a URL of another kind.
    """

    def __init__(self, urls: Mapping[str, str], *, most: int = 1_000, timeout: float = 30.0) -> None:
        strange = sorted(n for n, url in urls.items() if not url.startswith(("postgresql://", "postgres://", "sqlite:///")))
        if strange:
            raise BadRequest(f"the database {strange[0]} is of an unknown kind", remedy="postgresql://..., sqlite:///path")
        self._urls = dict(urls)
        self.most = most
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"<Databases {', '.join(self._urls)}>"

    async def run(self, asked: Statement, *, asks: bool) -> tuple[list[dict[str, Any]], int]:
        """The rows it gives (`asks`), or how many it has changed. Raises Fail, TransientError."""
        url = self._urls.get(asked.database)
        if url is None:
            raise Fail("SQL_NO_DATABASE", f"the service Databases has no {asked.database}; it has: {', '.join(self._urls)}")
        if url.startswith("sqlite:///"):
            return await asyncio.to_thread(self._sqlite, url.removeprefix("sqlite:///"), asked)
        return await self._postgres(url, asked, asks=asks)

    def _sqlite(self, path: str, asked: Statement) -> tuple[list[dict[str, Any]], int]:
        import apsw

        connection: Any = apsw.Connection(path)
        try:
            connection.set_busy_timeout(int(self.timeout * 1_000))
            before = connection.total_changes()
            rows: list[dict[str, Any]] = []
            with connection:
                cursor = connection.execute(asked.statement, tuple(asked.parameters))
                for row in cursor:
                    self._bounded(len(rows))
                    names = [c[0] for c in cursor.description]
                    rows.append(dict(zip(names, row, strict=True)))
            return rows, connection.total_changes() - before
        except (apsw.BusyError, apsw.LockedError, apsw.IOError, apsw.CantOpenError) as error:
            raise TransientError(f"{asked.database}: {error}") from None
        except (apsw.Error, TypeError) as error:
            raise Fail("SQL_FAILED", f"{asked.database}: {error}") from None
        finally:
            connection.close()

    async def _postgres(self, url: str, asked: Statement, *, asks: bool) -> tuple[list[dict[str, Any]], int]:
        with needing("asyncpg", "PostgreSQL", "postgres"):
            import asyncpg  # pyright: ignore[reportMissingTypeStubs]
        driver: Any = asyncpg
        try:
            connection = await driver.connect(url, timeout=self.timeout, command_timeout=self.timeout)
        except (OSError, TimeoutError, driver.PostgresConnectionError, driver.CannotConnectNowError) as error:
            raise TransientError(f"{asked.database}: {type(error).__name__}") from None
        except driver.PostgresError as error:
            raise Fail("SQL_NOT_ALLOWED", f"{asked.database}: {type(error).__name__}") from None
        away = OSError, TimeoutError, driver.PostgresConnectionError, driver.DeadlockDetectedError, driver.SerializationError
        try:
            async with connection.transaction():
                if not asks:
                    status = str(await connection.execute(asked.statement, *asked.parameters)).rpartition(" ")[2]
                    return [], int(status) if status.isdigit() else 0
                rows: list[dict[str, Any]] = []
                async for row in connection.cursor(asked.statement, *asked.parameters):
                    self._bounded(len(rows))
                    rows.append(dict(row))
            return rows, 0
        except away as error:
            raise TransientError(f"{asked.database}: {type(error).__name__}") from None
        except (driver.PostgresError, driver.InterfaceError, ValueError) as error:
            raise Fail("SQL_FAILED", f"{asked.database}: {error}") from None
        finally:
            await connection.close()

    def _bounded(self, rows: int) -> None:
        if rows >= self.most:
            raise Fail("SQL_TOO_MANY", f"more than {self.most:,} rows: say limit")


_OFTEN = Retry(attempts=5, delay=1.0, backoff="exponential", max_delay=60.0, retry_on=(TransientError,))


@activity(name="sql.query", retry=_OFTEN)
async def query(ctx: Context[Any, Statement], databases: Databases) -> list[dict[str, Any]]:
    """Ask a database; gives its rows, each a mapping of columns."""
    return (await databases.run(ctx.input, asks=True))[0]


@activity(name="sql.execute", retry=_OFTEN)
async def execute(ctx: Context[Any, Statement], databases: Databases) -> int:
    """Change a database; gives the number of rows that were changed."""
    return (await databases.run(ctx.input, asks=False))[1]
