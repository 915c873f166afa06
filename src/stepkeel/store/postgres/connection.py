"""One connection at a time, made when it is first needed and again when it was lost.

| what went wrong | then |
|---|---|
| serialisation failure, deadlock | the whole transaction again, with jitter, a bounded number of times |
| connection lost, server restarting, out of resources | again on a new one until `patience` is over, then Unavailable |
| the same for a commit | Unavailable at once: its sender reads back what became of it |
| the data was refused | DataInvalid: nothing was applied |
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from stepkeel.errors import BadRequest, DatabaseInvalid, DataInvalid, StepkeelError, Unavailable
from stepkeel.ids import IdMaker, fraction
from stepkeel.store.place import shown
from stepkeel.store.postgres.query import TENANT_SETTING, quoted

__all__ = ["PLANNING", "RACES", "Lane", "Server", "connect", "translate"]

T = TypeVar("T")
_driver: Any = asyncpg  # its stubs are incomplete
_SHOW = f"select set_config('{TENANT_SETTING}', $1, $2)"
CONFLICTS = 20
PARTING_SECONDS = 0.5
CONNECT_SECONDS = 5.0
OLDEST = 13
# Plans are kept for long: see the head of queries.sql.
PLANNING = (
    "plan_cache_mode = force_generic_plan",
    "enable_seqscan = off",
    "enable_hashjoin = off",
    "enable_mergejoin = off",
    "jit = off",
)
_ALWAYS = ("jit = off", "idle_in_transaction_session_timeout = '15s'", "default_transaction_isolation = 'read committed'")


@dataclass(frozen=True, slots=True)
class Server:
    """Where and how to connect, as the URL says.

    schema     of our tables; default `stepkeel`
    portable   neither SKIP LOCKED nor NOTIFY (?profile=portable)
    pooled     a pooler in transaction mode stands between (?pooler=transaction): nothing outlives a transaction
    tenant_role   whose rights a tenant's requests have (?tenant_role=name): see wall.py; '': no second wall
    """

    url: str
    dsn: str = field(repr=False)
    schema: str = "stepkeel"
    portable: bool = False
    pooled: bool = False
    tenant_role: str = ""
    patience: float = 10.0

    @staticmethod
    def of(url: str, patience: float = 10.0) -> Server:
        """Raises BadRequest; a password is never part of the message."""
        parts = urlsplit(url)
        ours: dict[str, str] = {"schema": "stepkeel", "profile": "native", "pooler": "none", "tenant_role": ""}
        theirs: list[tuple[str, str]] = []
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            if name in ours:
                ours[name] = value
            else:
                theirs.append((name, value))
        for name, known in (("profile", ("native", "portable")), ("pooler", ("none", "transaction"))):
            if ours[name] not in known:
                raise BadRequest(f"{shown(url)}: {name}={ours[name]}", remedy=f"{name}= is one of: {', '.join(known)}")
        for name in ("schema", "tenant_role"):
            said = ours[name]
            if len(said.encode()) > 40 or "\0" in said or (not said and (name == "schema" or f"{name}=" in parts.query)):
                raise BadRequest(f"{shown(url)}: {name}={said!r}", remedy="a name of 1 to 40 bytes")
        dsn = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(theirs), ""))
        portable, pooled = ours["profile"] == "portable", ours["pooler"] == "transaction"
        return Server(shown(url), dsn, ours["schema"], portable, pooled, ours["tenant_role"], patience)


RACES = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
_CONTENT = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError, UnicodeError)
# The driver's own confusion too: a connection lost at an awkward moment leaves it in a state that it does not expect.
_AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
_REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)


def translate(error: BaseException, server: Server) -> Exception:
    """An error of the driver as one of ours. What is neither about the data nor ours may be over when tried again."""
    if isinstance(error, StepkeelError):
        return error
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, _CONTENT):
        return DataInvalid(f"the database refused the data: {text}")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return Unavailable(f"{server.url}: {text}", remedy="grant it, or run `stepkeel db upgrade` as the owner of the tables")
    if isinstance(error, _AWAY):
        return Unavailable(f"{server.url}: {text}", remedy="does the server run, and is it reachable from here?")
    return error if isinstance(error, Exception) else Unavailable(text)


async def _dial(server: Server) -> Any:
    """The driver's connection. Given up in its midst it would leave an error behind that nobody takes: so it may finish."""
    dialing = asyncio.ensure_future(
        _driver.connect(
            server.dsn,
            timeout=CONNECT_SECONDS,
            command_timeout=6 * server.patience,
            statement_cache_size=0 if server.pooled else 500,
            max_cached_statement_lifetime=0,
        )
    )
    try:
        return await asyncio.shield(dialing)
    except asyncio.CancelledError:
        dialing.add_done_callback(_hang_up)  # also where we are not left the time to wait for it
        done, _ = await asyncio.wait({dialing}, timeout=PARTING_SECONDS)
        if not done:
            dialing.cancel()
        raise


def _hang_up(dialing: asyncio.Future[Any]) -> None:
    if not dialing.cancelled() and dialing.exception() is None:
        dialing.result().terminate()


async def connect(server: Server, *, first: bool = False, planning: bool = True, role: str = "") -> Any:
    """A connection with our settings, and with the rights of `role`. `first`: what does not go away is told as DatabaseInvalid.

    Raises Unavailable, DatabaseInvalid.
    """
    try:
        connection = await _dial(server)
    except _REFUSED as error:
        if first:
            raise DatabaseInvalid(
                f"{server.url}: {' '.join(str(error).split())}", remedy="check user, password and the database's name"
            ) from None
        raise translate(error, server) from None
    except _AWAY as error:
        raise translate(error, server) from None
    except ValueError as error:
        raise BadRequest(f"{server.url}: {error}", remedy="postgresql://user@host:5432/database") from None
    try:
        version = connection.get_server_version().major
        if version < OLDEST:
            raise DatabaseInvalid(
                f"{server.url} is PostgreSQL {version}, {OLDEST} is the oldest that will do", remedy="upgrade the server"
            )
        if not server.pooled:
            await connection.execute(_settings("set", (*_ALWAYS, *(PLANNING if planning else ())), role))
    except BaseException as error:
        connection.terminate()
        if isinstance(error, Exception):
            raise translate(error, server) from None
        raise
    return connection


def _settings(verb: str, settings: Sequence[str], role: str) -> str:
    return "".join(f"{verb} {s};" for s in (*settings, *([f"role {quoted(role)}"] if role else ())))


class Lane:
    """A connection that its users take in turn. With a `role` it has the rights of that, and each says for which tenant it asks."""

    def __init__(self, server: Server, *, planning: bool = True, role: str = "") -> None:
        self._server = server
        self._planning = planning
        self._role = role
        self._tenant = ""  # whose rows its connection shows, in a session of ours
        self._lock = asyncio.Lock()
        self._connection: Any = None
        self._chance = IdMaker()
        self._closed = False
        self.repeated = 0  # transactions that lost a race and ran again
        local = (*_ALWAYS[:2], *(PLANNING if planning else ()))
        self._begin = "begin isolation level read committed;" + _settings("set local", local, role)

    async def fetch(self, sql: str, *values: Any, again: bool = True, tenant: str = "") -> list[Any]:
        """The rows of one statement, which is a transaction of its own. `again`: may be sent again when its answer is lost."""
        if self._server.pooled:
            return await self.transact(lambda c: c.fetch(sql, *values), again=again, tenant=tenant)
        return await self._tried(lambda c: c.fetch(sql, *values), again, tenant)

    async def transact(self, work: Callable[[Any], Awaitable[T]], *, again: bool = True, tenant: str = "") -> T:
        """The statements of `work` in one transaction, as a whole again when it could not be."""

        async def whole(connection: Any) -> T:
            await connection.execute(self._begin if self._server.pooled else "begin isolation level read committed")
            try:
                if self._server.pooled and self._role:
                    await connection.fetch(_SHOW, tenant, True)
                result = await work(connection)
                await connection.execute("commit")
            except BaseException:
                if not connection.is_closed():
                    await asyncio.shield(_rollback(connection))
                raise
            return result

        return await self._tried(whole, again, tenant)

    async def _tried(self, work: Callable[[Any], Awaitable[T]], again: bool, tenant: str) -> T:
        end = time.monotonic() + self._server.patience
        conflicts, pause = 0, 0.01
        while True:
            try:
                async with self._lock:
                    return await self._once(work, tenant)
            except RACES as error:
                conflicts += 1
                self.repeated += 1
                if conflicts > CONFLICTS:
                    raise translate(error, self._server) from error
            except Exception as error:
                told = translate(error, self._server)
                if not isinstance(told, Unavailable) or not again or self._closed or time.monotonic() > end:
                    raise told from None
            await asyncio.sleep(pause * (0.5 + fraction(self._chance.seed())))
            pause = min(pause * 2, 0.5)

    async def _once(self, work: Callable[[Any], Awaitable[T]], tenant: str) -> T:
        if self._closed:
            raise Unavailable(f"{self._server.url}: this store was closed")
        if self._connection is None or self._connection.is_closed():
            self._connection = None
            made = await connect(self._server, planning=self._planning, role=self._role)
            if self._closed:  # meanwhile: nobody would hang up
                made.terminate()
                raise Unavailable(f"{self._server.url}: this store was closed")
            self._connection, self._tenant = made, ""
        connection = self._connection
        try:
            if tenant != self._tenant and not self._server.pooled:
                await connection.fetch(_SHOW, tenant, False)
                self._tenant = tenant
            return await work(connection)
        except (*RACES, *_CONTENT):
            raise
        except BaseException:
            # Whatever it was: the next one begins on a fresh connection, which knows of no half-done work.
            self._connection = None
            connection.terminate()
            raise

    def abandon(self) -> None:
        """Hang up, whatever is going on; nothing is done here any more."""
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            try:
                await connection.close(timeout=2)
            except Exception:
                connection.terminate()


async def _rollback(connection: Any) -> None:
    try:
        await connection.execute("rollback")
    except Exception:
        connection.terminate()
