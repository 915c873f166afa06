"""Fixtures for all tests. `url` runs a test on every store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import postgres

# Tests that one process runs, one after the other: they load both cores by themselves, or share a server that is dear to begin.
TOGETHER = {
    "tests/console/": "console",
    "tests/acceptance/test_processes.py": "processes",
    "tests/acceptance/test_crash_points.py": "processes",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """By path: a mark of the plugin's own is not heeded with this pytest."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((name for start, name in TOGETHER.items() if nodeid.startswith(start)), nodeid)

    return Together(config, log)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Of the database. `walled`: PostgreSQL, where tenants' requests have a role of their own."""
    return request.param


@pytest.fixture
def url(kind: str, tmp_path: Path) -> Iterator[str]:
    """A fresh database of each kind; shared by every engine of the test that is given it."""
    if kind == "memory":
        from stepkeel import facade

        name = f"memory://{tmp_path.name}"
        yield name
        facade._shared.pop(tmp_path.name, None)
    elif kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
    else:
        with postgres.fresh_schema(postgres.tenant_role() if kind == "walled" else "") as made:
            yield made


@pytest.fixture(autouse=True)
def the_doctor_is_clean_after_every_test(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every engine that a test closes asks every invariant of every instance first."""
    from stepkeel.facade import Engine

    if request.node.get_closest_marker("corrupts"):
        return
    close = Engine.close

    async def examined(self: Engine) -> None:
        if self._core is not None and self._process is not None:
            report = await self.doctor()
            assert report.clean, report.findings
        await close(self)

    monkeypatch.setattr(Engine, "close", examined)
