"""What the API costs: starts in bulk and one by one, reads beside them, and 500 clients who read slowly.

python -m benchmarks.api [--url postgresql://...] [--seconds 10]

`stepkeel serve` (API alone, keys asked for) and two `stepkeel worker` processes that run what is started: four activities
each. The client is a process of its own on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvloop

from stepkeel import Engine
from stepkeel.cli.bench import BenchOrderFlow

URL = os.environ.get("STEPKEEL_BENCH_URL", "memory://")
engine = Engine(URL, [BenchOrderFlow])
api = Engine(URL, [BenchOrderFlow], worker=False)
ROUNDS, BATCH, READS = 3, 500, 100  # a batch in a request; reads in a second beside it
SLOW = 500


def item(n: int) -> dict[str, Any]:
    return {"data": {"order_id": f"ORD-{n:08d}", "customer_id": f"C-{n % 997:05d}", "amount": 10.0}}


@contextmanager
def running(*arguments: str, url: str, told: str) -> Iterator[str]:
    """The line with which it says that it runs."""
    command = [sys.executable, "-c", "from stepkeel.cli.main import run; run()", *arguments]
    environ = {**os.environ, "STEPKEEL_BENCH_URL": url}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert told in line, line
            yield line
        finally:
            process.terminate()
            process.wait(30)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


def quantile(values: list[float], q: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * q))] * 1_000


async def bulk(client: httpx2.AsyncClient, seconds: float) -> float:
    """Starts a second, one request at a time."""
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        body = {"definition": "bench-order", "items": [item(count + n) for n in range(BATCH)]}
        answer = await client.post("/bulk/start", json=body)
        assert answer.status_code == 200, answer.text
        count += BATCH
    return count / (time.perf_counter() - began)


async def paced(client: httpx2.AsyncClient, seconds: float) -> float:
    """1,000 starts a second, 100 in a request."""
    began, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        body = {"definition": "bench-order", "items": [item(count + n) for n in range(100)]}
        assert (await client.post("/bulk/start", json=body)).status_code == 200
        count += 100
        await asyncio.sleep(max(0.0, count / 1_000 - (time.perf_counter() - began)))
    return count / spent


async def single(client: httpx2.AsyncClient, seconds: float) -> float:
    """Starts a second, 20 clients one by one."""
    began, count = time.perf_counter(), 0

    async def one() -> None:
        nonlocal count
        while time.perf_counter() - began < seconds:
            body = {"definition": "bench-order", **item(count)}
            assert (await client.post("/instances", json=body)).status_code == 201
            count += 1

    await asyncio.gather(*(one() for _ in range(20)))
    return count / (time.perf_counter() - began)


class Plain:
    """One connection of HTTP/1.1 and nothing more: what a client library costs is not measured."""

    def __init__(self, host: str, port: int, key: str) -> None:
        self.at = host, port
        self.head = f"Host: {host}\r\nAuthorization: Bearer {key}\r\n\r\n"

    async def open(self, **options: Any) -> None:
        self.reader, self.writer = await asyncio.open_connection(*self.at, **options)

    def ask(self, path: str) -> None:
        self.writer.write(f"GET /api/v1{path} HTTP/1.1\r\n{self.head}".encode())

    async def get(self, path: str) -> bytes:
        self.ask(path)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        assert b" 200 " in head.partition(b"\r\n")[0], head
        return await self.reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))


async def reads(client: Plain, ids: list[str], stop: asyncio.Event) -> list[float]:
    """Seconds of each GET of an instance, READS a second whatever else goes on."""
    spent: list[float] = []
    await client.open()
    while not stop.is_set():
        before = time.perf_counter()
        await client.get(f"/instances/{ids[len(spent) % len(ids)]}")
        spent.append(time.perf_counter() - before)
        await asyncio.sleep(max(0.0, 1 / READS - spent[-1]))
    client.writer.close()
    return spent


async def slow(client: Plain, stop: asyncio.Event) -> None:
    """Asks for a long list and takes a few bytes of it in a second."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    taken.setblocking(False)
    await asyncio.get_running_loop().sock_connect(taken, client.at)
    client.reader, client.writer = await asyncio.open_connection(sock=taken, limit=1_024)
    client.ask("/instances?limit=100")
    while not stop.is_set():
        await client.reader.read(64)
        await asyncio.sleep(1)
    client.writer.transport.abort()


async def beside(work: Any, plain: Plain, ids: list[str]) -> tuple[Any, list[float]]:
    stop = asyncio.Event()
    reading = asyncio.create_task(reads(plain, ids, stop))
    found = await work
    stop.set()
    return found, await reading


async def measure(address: str, key: str, seconds: float) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    limits = httpx2.Limits(max_connections=50)
    async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=60, limits=limits) as client:
        seed = await client.post("/bulk/start", json={"definition": "bench-order", "items": [item(n) for n in range(100)]})
        ids = [i["id"] for i in seed.json()["items"]]
        host, port = client.base_url.host, client.base_url.port or 80

        async def round(name: str, work: Callable[[], Any]) -> None:
            rates: list[float] = []
            medians: list[float] = []
            tails: list[float] = []
            for _ in range(ROUNDS):
                rate, spent = await beside(work(), Plain(host, port, key), ids)
                rates.append(rate)
                medians.append(quantile(spent, 0.5))
                tails.append(quantile(spent, 0.99))
                await drained(client)
            done = f"{spread(rates)} starts/s, " if rates[0] else ""
            told = f"GET instance p50 {statistics.median(medians):.1f} ms, p99 {statistics.median(tails):.1f} ms"
            print(f"{name:17} {done}{told} ({min(tails):.1f}-{max(tails):.1f})", flush=True)

        await round("nothing else", lambda: asyncio.sleep(seconds, 0.0))
        await round("1,000 starts/s", lambda: paced(client, seconds))
        await round("bulk starts", lambda: bulk(client, seconds))
        await round("single starts", lambda: single(client, seconds))
        stop = asyncio.Event()
        tasks = [asyncio.create_task(slow(Plain(host, port, key), stop)) for _ in range(SLOW)]
        await asyncio.sleep(3)
        await round(f"{SLOW} slow clients", lambda: asyncio.sleep(seconds, 0.0))
        stop.set()
        await asyncio.gather(*tasks)


async def drained(client: httpx2.AsyncClient) -> None:
    """What was started has ended: a round begins with nothing left of the one before."""
    while True:
        counts = (await client.get("/metrics")).json()["items"]
        if all(c["status"] == "completed" for c in counts):
            return
        await asyncio.sleep(0.2)


async def prepared(url: str) -> str:
    """A key; the tables are made."""
    async with Engine(url, [BenchOrderFlow], worker=False) as made:
        return (await made.keys.create("bench", roles=["admin"])).secret


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="")
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = given.url or f"sqlite:///{Path(folder) / 'bench.db'}"
        key = asyncio.run(prepared(url))
        line = stack.enter_context(
            running(
                "serve", "benchmarks.api:api", "--port", "0", "--access", "keys", "--writes-per-minute", "0", url=url, told="http"
            )
        )
        for _ in range(2):
            stack.enter_context(running("worker", "benchmarks.api:engine", "--log-level", "error", url=url, told="serves"))
        print(
            json.dumps({"store": url.partition(":")[0], "seconds": given.seconds, "batch": BATCH, "python": sys.version.split()[0]})
        )
        uvloop.run(measure(line.split()[0], key, given.seconds))


if __name__ == "__main__":
    main()
