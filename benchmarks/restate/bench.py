"""The order workload on Restate: its server from npm, the Python SDK behind granian, `concurrency` requests in flight.

python bench.py FOLDER COUNT CONCURRENCY [--one-partition]: prints one JSON object. FOLDER is for the server's data.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

HERE = Path(__file__).parent
NOTE = "fragile, leave at the back door, ring twice, do not bend; the customer asked for gift wrapping and a card"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def running(folder: str, *, one_partition: bool) -> Iterator[int]:
    """Server and service; the port of the ingress."""
    ingress, admin, node, service = (free_port() for _ in range(4))
    settings = {
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
        "RESTATE_BASE_DIR": folder,
        "RESTATE_LOG_FILTER": "error",
    }
    if one_partition:
        settings["RESTATE_DEFAULT_NUM_PARTITIONS"] = "1"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    granian = [str(Path(sys.executable).parent / "granian"), "--interface", "asgi", "--port", str(service), "service:app"]
    started = [
        subprocess.Popen(
            [HERE / "node_modules/.bin/restate-server"], env={**os.environ, **settings}, **quiet, start_new_session=True
        ),
        subprocess.Popen(granian, cwd=HERE, **quiet, start_new_session=True),
    ]
    try:
        _register(admin, service)
        yield ingress
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)  # granian's workers with it
            process.wait()


def _register(admin: int, service: int) -> None:
    body = json.dumps({"uri": f"http://127.0.0.1:{service}"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{admin}/deployments", body, {"content-type": "application/json"})
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(request, timeout=5).read()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


async def drive(port: int, count: int, concurrency: int) -> float:
    """Plain HTTP/1.1 over one connection for each in flight: a client library would cost more than what it asks for."""
    numbers = iter(range(count))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for n in numbers:
            order = {"order_id": f"ORD-{n:08d}", "customer_id": f"C-{n % 997:05d}", "amount": 10.0 + n % 500, "note": NOTE}
            body = json.dumps(order).encode()
            head = f"POST /order/run HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert answer.startswith(b"http/1.1 200"), answer
            length = int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0])
            assert json.loads(await reader.readexactly(length))["confirmed_at"] == 1
        writer.close()

    await asyncio.gather(*(client() for _ in range(concurrency)))  # one round to warm up
    began = time.perf_counter()
    numbers = iter(range(count))
    await asyncio.gather(*(client() for _ in range(concurrency)))
    return time.perf_counter() - began


def main() -> None:
    folder, count, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with running(folder, one_partition="--one-partition" in sys.argv) as port:
        seconds = uvloop.run(drive(port, count, concurrency))
    print(json.dumps({"workflows_per_s": round(count / seconds, 1), "seconds": round(seconds, 2), "instances": count}))


main()
