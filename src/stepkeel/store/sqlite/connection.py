"""Opening a file as ours, and waiting for others who write it.

Write transactions begin IMMEDIATE: a read that upgrades would fail at once, without waiting. The busy handler sleeps
short random times; SQLite's own back-off starves a process for over a second when several write.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import apsw

from stepkeel.errors import DatabaseInvalid, DataInvalid, SchemaTooNew, Unavailable
from stepkeel.ids import IdMaker, fraction
from stepkeel.store.sqlite.query import migrations

__all__ = ["APPLICATION_ID", "Connection", "prepare", "translate"]

T = TypeVar("T")
APPLICATION_ID = 0x5354504B  # "STPK"
PATIENCE = 10.0
_BUSY = (apsw.BusyError, apsw.LockedError)
_AWAY = (
    *_BUSY,
    apsw.IOError,
    apsw.FullError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.NoMemError,
    apsw.ProtocolError,
)
_CONTENT = (
    apsw.ConstraintError,
    apsw.TooBigError,
    apsw.MismatchError,
    apsw.RangeError,
    UnicodeEncodeError,
    OverflowError,
)


def translate(error: Exception, url: str) -> Exception:
    """A database error as one of ours."""
    if isinstance(error, _CONTENT):
        return DataInvalid(f"the database refused the data: {error}")
    if isinstance(error, apsw.NotADBError | apsw.CorruptError):
        return DatabaseInvalid(f"{url} is no SQLite database: {error}", remedy="name another file")
    if isinstance(error, _BUSY):
        return Unavailable(f"{url} is locked by another process", remedy="it did not let go for 10 s: which process writes?")
    if isinstance(error, _AWAY):
        return Unavailable(f"{url}: {error}", remedy="check disk space, permissions, and that the folder exists")
    return error


class Connection:
    """One connection. `patient` False refuses a busy database at once, for work on the event loop's thread."""

    def __init__(self, path: str, url: str) -> None:
        self.url = url
        self.patient = True
        self._chance = IdMaker()
        self._since = 0.0
        self._lock = threading.Lock()
        try:
            self.db: Any = apsw.Connection(path)
            self.db.set_busy_handler(self._wait)
            self.db.pragma("journal_mode", "wal")
            self.db.pragma("synchronous", "full")
            self.db.pragma("cache_size", -16384)
            self.db.pragma("wal_autocheckpoint", 4000)
        except apsw.Error as error:
            raise translate(error, url) from None

    def _wait(self, tries: int) -> bool:
        if not self.patient:
            return False
        if tries == 0:
            self._since = time.monotonic()
        if time.monotonic() - self._since > PATIENCE:
            return False
        time.sleep(0.0002 + 0.003 * fraction(self._chance.seed()))
        return True

    def write(self, work: Callable[[], T], patient: bool = True) -> T:
        """Run work in one write transaction. Raises Unavailable, DataInvalid: rolled back, nothing was applied."""
        with self._lock:
            self.patient = patient
            try:
                self.db.execute("begin immediate")
                try:
                    result = work()
                    self.db.execute("commit")
                except BaseException:
                    if self.db.in_transaction:
                        self.db.execute("rollback")
                    raise
                return result
            except (apsw.Error, UnicodeEncodeError, OverflowError) as error:
                raise translate(error, self.url) from error
            finally:
                self.patient = True

    def all(self, sql: str, values: Any = ()) -> list[Any]:
        try:
            return self.db.execute(sql, values).fetchall()
        except apsw.Error as error:
            raise translate(error, self.url) from error

    def close(self) -> None:
        self.db.close()


def prepare(connection: Connection, path: str) -> None:
    """Make the tables in an empty file; refuse a file that is not ours or newer than this program."""
    db, url = connection.db, connection.url

    def upgrade() -> None:
        application, version = int(db.pragma("application_id")), int(db.pragma("user_version"))
        known = migrations()
        if application != APPLICATION_ID:
            tables = [t for (t,) in db.execute("select name from sqlite_master where type = 'table'")]
            if application or tables:
                named = f" (it has {', '.join(tables[:3])})" if tables else ""
                raise DatabaseInvalid(f"{url} is the database of another program{named}", remedy="name another file")
        if version > len(known):
            raise SchemaTooNew(
                f"{url} has schema {version}, this release knows {len(known)}", remedy="upgrade the stepkeel package"
            )
        for script in known[version:]:
            db.execute(script)
        db.pragma("application_id", APPLICATION_ID)
        db.pragma("user_version", len(known))

    try:
        current = (int(db.pragma("application_id")), int(db.pragma("user_version")))
    except apsw.Error as error:
        raise translate(error, url) from None
    if current != (APPLICATION_ID, len(migrations())):
        connection.write(upgrade)
    if path and not Path(path).exists():
        raise Unavailable(f"{url}: the file is gone", remedy="was it deleted while being opened?")
