"""Every store behind the port, on a clock that the test moves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stepkeel.store.keyring import Keyring
from stepkeel.store.memory import MemoryStore
from stepkeel.store.port import Store
from stepkeel.store.postgres.store import PostgresStore
from stepkeel.store.sealed import keep_sealed
from stepkeel.store.sqlite.store import SqliteStore
from stepkeel.testing import VirtualClock
from tests import postgres


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["memory", "sqlite", "postgresql", "portable", "pooled", "sealed"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: VirtualClock) -> AsyncIterator[Store]:
    with contextlib.ExitStack() as stack:
        made = _store(request.param, tmp_path, clock, stack)
        await made.open()
        yield made
        await made.close()


def _store(kind: str, folder: Path, clock: VirtualClock, stack: contextlib.ExitStack) -> Store:
    """`portable` and `pooled` are the other two ways of talking to PostgreSQL; `sealed` is SQLite, encrypted."""
    if kind == "sealed":
        return keep_sealed(SqliteStore(str(folder / "s.db"), clock=clock), Keyring({"one": bytes(32)}, "one"))
    if kind == "memory":
        return MemoryStore(clock=clock)
    if kind == "sqlite":
        return SqliteStore(str(folder / "s.db"), clock=clock)
    options = {"postgresql": "", "portable": "&profile=portable", "pooled": "&pooler=transaction"}
    return PostgresStore(stack.enter_context(postgres.fresh_schema(options[kind])), clock)
