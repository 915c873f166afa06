"""What only SQLite has: migrations, the file's mark, other processes that write."""

from __future__ import annotations

import asyncio
import re
import threading
from importlib.resources import files
from pathlib import Path

import apsw
import apsw.ext
import pytest

from stepkeel.errors import Unavailable
from stepkeel.model.commit import Batch, Delivery
from stepkeel.store.port import WorkerRow
from stepkeel.store.sqlite import connection
from stepkeel.store.sqlite.query import migrations, statements
from stepkeel.store.sqlite.store import SqliteStore


def _objects(script: str) -> dict[str, str]:
    db = apsw.Connection(":memory:")
    db.execute(script)
    rows = db.execute("select name, sql from sqlite_master where sql is not null").fetchall()
    return {name: re.sub(r"\s*([ (),])\s*", r"\1", re.sub(r"\s+", " ", re.sub(r"--[^\n]*", "", sql))).strip() for name, sql in rows}


def test_migrations_build_exactly_the_schema_that_explains_itself() -> None:
    schema = files("stepkeel.store.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")
    assert _objects("\n".join(migrations())) == _objects(schema)


def test_every_statement_prepares() -> None:
    db = apsw.Connection(":memory:")
    db.execute("\n".join(migrations()))
    for name, sql in statements().items():
        try:
            apsw.ext.query_info(db, sql)
        except apsw.SQLError as error:
            pytest.fail(f"{name}: {error}")


@pytest.mark.parametrize("name", ["due", "next_wake", "owned", "news", "dead_owners", "inbox", "receipt", "history", "row"])
def test_hot_statements_walk_no_table(name: str) -> None:
    """The promise that cost does not grow with what waits or has ended, as the query planner sees it."""
    db = apsw.Connection(":memory:")
    db.execute("\n".join(migrations()))
    plan = " / ".join(row[3] for row in db.execute(f"explain query plan {statements()[name]}", _values(statements()[name])))
    for line in plan.split(" / "):
        assert not line.startswith("SCAN") or "workers" in line or "owners" in line or line == "SCAN o", plan


def _values(sql: str) -> object:
    names = set(re.findall(r":(\w+)", sql))
    return dict.fromkeys(names, 1) if names else (1,) * sql.count("?")


async def test_the_file_carries_our_mark_and_durability_is_full(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "s.db"))
    await store.open()
    db = store._write_to.db
    assert int(db.pragma("application_id")) == connection.APPLICATION_ID
    assert db.pragma("journal_mode") == "wal"
    assert int(db.pragma("synchronous")) == 2
    await store.close()


async def test_a_file_locked_by_another_process_is_waited_for_without_stopping_the_loop(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "s.db"))
    await store.open()
    other = apsw.Connection(str(tmp_path / "s.db"))
    other.execute("begin immediate")
    released = threading.Event()

    async def ticks() -> int:
        count = 0
        while not released.is_set():
            await asyncio.sleep(0.001)
            count += 1
            if count == 30:
                other.execute("commit")
                released.set()
        return count

    ticking = asyncio.create_task(ticks())
    await store.add_worker(WorkerRow("w", "w", "[]", 0, 10))
    assert released.is_set()
    assert await ticking >= 30
    assert [w.id for w in await store.workers()] == ["w"]
    await store.close()


async def test_a_file_that_stays_locked_is_unavailable_after_a_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.05)
    store = SqliteStore(str(tmp_path / "s.db"))
    await store.open()
    other = apsw.Connection(str(tmp_path / "s.db"))
    other.execute("begin immediate")
    with pytest.raises(Unavailable, match="locked by another process"):
        await store.commit(Batch(deliveries=(Delivery("x", "default", "signal", "n", b"{}", "k", "", 1),)))
    other.execute("rollback")
    await store.close()


async def test_another_connection_writing_moves_the_version(tmp_path: Path) -> None:
    mine, theirs = (SqliteStore(str(tmp_path / "s.db")) for _ in range(2))
    await mine.open()
    await theirs.open()
    before = mine.version()
    assert mine.version() == before
    await theirs.add_worker(WorkerRow("w", "w", "[]", 0, 10))
    assert mine.version() != before
    own = theirs.version()
    await theirs.remove_worker("w")
    assert theirs.version() == own, "one's own writes are no news"
    await mine.close()
    await theirs.close()
