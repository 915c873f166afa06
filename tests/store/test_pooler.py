"""Behind a pooler in transaction mode that knows nothing of prepared statements (pgbouncer before 1.21, or set so)."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stepkeel import Engine
from tests import postgres
from tests.flows import FAST, Go, Job, OrderFlow, World

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
SETTINGS = """
[databases]
postgres = host=127.0.0.1 port={server} dbname=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 4
max_client_conn = 100
"""


@pytest.fixture
def pooled() -> Iterator[str]:
    if PGBOUNCER is None:
        pytest.skip("no pgbouncer on this machine; the contract suite runs the same statements without it")
    server = postgres.own_server()
    port = postgres.free_port()
    folder = Path(server.folder) / f"pooler{port}"
    folder.mkdir()
    (folder / "users").write_text('"stepkeel" ""\n')
    (folder / "pgbouncer.ini").write_text(SETTINGS.format(server=server.port, port=port, folder=folder))
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:
        entry = pwd.getpwuid(server.folder.stat().st_uid)
        as_user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}
    process = subprocess.Popen([PGBOUNCER, "-q", folder / "pgbouncer.ini"], stderr=subprocess.PIPE, **as_user)
    try:
        with postgres.fresh_schema("&pooler=transaction", base=server.url) as url:
            through = url.replace(f":{server.port}/", f":{port}/")
            _await(through)
            yield through
    finally:
        process.kill()
        process.communicate()


def _await(url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            postgres.execute(url, "select 1")
            return
        except OSError:
            assert time.monotonic() < deadline, "the pooler does not listen"
            time.sleep(0.02)


async def test_workers_and_clients_work_behind_it(pooled: str) -> None:
    """More connections than the pool has, so that statements of one client go to whichever server connection is free."""
    world = World()
    async with (
        Engine(pooled, [OrderFlow], {World: world}, settings=FAST) as one,
        Engine(pooled, [OrderFlow], {World: world}, settings=FAST),
        Engine(pooled, [OrderFlow], {World: world}, worker=False) as client,
    ):
        jobs = await client.start_many(OrderFlow, [Job(str(n)) for n in range(60)])
        for job in jobs:
            await job.signal(Go(), key="go")
        for job in jobs:
            assert (await job.wait(20)).data.log == ["reserve", "charge", "ship"]
        assert set(world.effects.values()) == {1}
        assert (await one.doctor()).clean
