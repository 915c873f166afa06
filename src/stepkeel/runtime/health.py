"""Whether a worker lives and works, for whoever restarts it: GET /livez and /readyz. Off unless asked for.

| path | 200 while |
|---|---|
| /livez | the event loop answers |
| /readyz | it claims, and its lease is valid |
| /metrics | prometheus-client is installed: how long commits take, and what else is this worker's own |
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from stepkeel.errors import BadRequest, Unavailable
from stepkeel.runtime.figures import KIND, figures
from stepkeel.runtime.worker import Worker

__all__ = ["Health"]

SECONDS = 5.0


class Health:
    """`audit` gives what the auditor found, to be told as well."""

    def __init__(self, worker: Worker, host: str, port: int, audit: Callable[[], Mapping[str, Any]] | None = None) -> None:
        self._worker = worker
        self._audit = audit
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None

    @staticmethod
    def place(text: str) -> tuple[str, int]:
        """HOST:PORT, or PORT of 127.0.0.1. Raises BadRequest."""
        host, _, port = text.rpartition(":")
        if not port.isdigit() or not 0 <= int(port) < 65536:
            raise BadRequest(f"--health {text!r}", remedy="HOST:PORT, for example 127.0.0.1:8081")
        return host.strip("[]") or "127.0.0.1", int(port)

    async def __aenter__(self) -> Health:
        try:
            self._server = await asyncio.start_server(self._answer, self._host, self._port)
        except OSError as error:
            raise Unavailable(
                f"health on {self._host}:{self._port}: {error.strerror or error}", remedy="name another port"
            ) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def port(self) -> int:
        """The port it listens on; of interest where 0 was asked for."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                line = await reader.readline()
                while (await reader.readline()).strip():
                    continue
                writer.write(self._reply(line.decode("latin-1").split()))
                await writer.drain()
        except (TimeoutError, OSError, ValueError):
            pass  # whoever asked has gone, or speaks something else
        finally:
            writer.close()

    def _reply(self, request: list[str]) -> bytes:
        path = request[1].partition("?")[0] if len(request) >= 2 else ""
        worker = self._worker
        ready = worker.room.claiming and worker.trusted()
        if not request or request[0] not in ("GET", "HEAD"):
            status = "405 Method Not Allowed"
        elif path == "/livez" or (path == "/readyz" and ready):
            status = "200 OK"
        else:
            status = "503 Service Unavailable" if path == "/readyz" else "404 Not Found"
        facts: dict[str, Any] = {"worker": worker.id, "name": worker.name, "ready": ready, "held": len(worker.residents)}
        if self._audit is not None:
            facts["audit"] = self._audit()
        kind, body = "application/json", json.dumps(facts).encode() + b"\n"
        if path == "/metrics" and status.startswith("404"):
            with suppress(BadRequest):  # what it needs is not installed
                status, kind, body = "200 OK", KIND, figures(worker)
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        return head.encode() + (b"" if request and request[0] == "HEAD" else body)
