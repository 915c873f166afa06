"""What a worker tells whoever watches over it."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta

import pytest
from msgspec.structs import replace

from stepkeel import Engine, State, Workflow
from stepkeel.engine.result import snapshot_of
from stepkeel.errors import BadRequest, Unavailable
from stepkeel.runtime.ends import MOST, OTHERS
from stepkeel.runtime.health import Health
from stepkeel.testing import VirtualClock
from tests.flows import FAST, ChainFlow, Go, Job, World


async def ask(port: int, text: str) -> tuple[str, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode())
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body


async def test_ready_while_it_claims_and_its_lease_is_valid() -> None:
    async with Engine("memory://", [ChainFlow], {World: World()}, settings=FAST) as engine:
        worker = engine.process.worker
        await (await engine.start(ChainFlow, Job())).wait(10)
        rows = engine.process.committer.stats.rows
        async with Health(worker, "127.0.0.1", 0) as health:
            get = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n"
            status, body = await ask(health.port, get.format("/readyz"))
            assert status == "HTTP/1.1 200 OK"
            assert json.loads(body)["worker"] == worker.id
            assert "audit" not in json.loads(body)
            async with Health(worker, "127.0.0.1", 0, lambda: {"rounds": 3}) as audited:
                assert json.loads((await ask(audited.port, get.format("/livez")))[1])["audit"] == {"rounds": 3}
            status, body = await ask(health.port, get.format("/metrics"))
            assert status == "HTTP/1.1 200 OK"
            assert f"stepkeel_committed_rows_total {rows}.0\n".encode() in body
            batches = engine.process.committer.stats.batches
            assert f'stepkeel_commit_seconds_bucket{{le="+Inf"}} {batches}.0\n'.encode() in body
            assert f"stepkeel_commit_seconds_count {batches}.0\n".encode() in body
            assert b"stepkeel_held_instances 0.0\n" in body
            assert b'stepkeel_ended_seconds_count{definition="ChainFlow",status="completed"} 1.0\n' in body
            assert 0 < float(re.findall(rb"stepkeel_ended_seconds_sum\{.*\} (.*)\n", body)[0]) < 10
            assert (await ask(health.port, get.format("/elsewhere")))[0].startswith("HTTP/1.1 404")
            assert (await ask(health.port, "POST /livez HTTP/1.1\r\n\r\n"))[0].startswith("HTTP/1.1 405")
            assert (await ask(health.port, "HEAD /livez HTTP/1.1\r\n\r\n")) == ("HTTP/1.1 200 OK", b"")
            assert (await ask(health.port, "\r\n\r\n"))[0].startswith("HTTP/1.1 405")
            worker._trusted_until = 0
            assert (await ask(health.port, get.format("/readyz")))[0].startswith("HTTP/1.1 503")
            assert (await ask(health.port, get.format("/livez")))[0] == "HTTP/1.1 200 OK"
            with pytest.raises(Unavailable, match="name another port"):
                async with Health(worker, "127.0.0.1", health.port):
                    pass


class Short(Workflow[Job]):
    """It ends in its first decision."""

    done = State[Job].completed()


class Long(Workflow[Job]):
    ready = State[Job]()
    done = State.completed()
    lost = State.failed(code="LOST")
    ready.on(Go, to=done)
    ready.after(timedelta(hours=2), to=lost)


async def test_how_long_instances_took_is_counted_by_definition_and_status_however_they_ended() -> None:
    clock = VirtualClock()
    async with Engine("memory://", [Short, Long], settings=FAST, clock=clock) as engine:
        await (await engine.start(Short, Job())).wait(10)
        quick, late = [await engine.start(Long, Job()) for _ in range(2)]
        for each in (quick, late):
            await each.wait(10, state=Long.ready)
        clock.advance(600)
        await quick.signal(Go())
        await quick.wait(10)
        clock.advance(3 * 3600)
        await late.wait(10)
        ends = engine.process.worker.ends
        assert {place: count for place, (count, _) in ends.seen.items()} == {
            ("Short", "completed"): 1, ("Long", "completed"): 1, ("Long", "failed"): 1,
        }  # fmt: skip
        assert ends.seen["Long", "completed"][1] == pytest.approx(600, abs=5)
        assert ends.seen["Long", "failed"][1] == pytest.approx(600 + 3 * 3600, abs=5)
        snapshot = snapshot_of((await engine.store.load([late.id]))[late.id])
        for n in range(2 * MOST):
            ends.add(replace(snapshot, definition=f"d{n}"), 0)
        assert len(ends.seen) <= MOST + 1
        assert ends.seen[OTHERS, "failed"][0] >= MOST


def test_the_place_is_host_and_port() -> None:
    assert Health.place("8081") == ("127.0.0.1", 8081)
    assert Health.place("0.0.0.0:80") == ("0.0.0.0", 80)
    assert Health.place("[::1]:80") == ("::1", 80)
    for bad in ("host", "host:", "host:99999", "host:x"):
        with pytest.raises(BadRequest):
            Health.place(bad)
