"""`stepkeel serve`: the REST API and a worker in one process."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable
from typing import Annotated, Any

from cyclopts import App, Parameter

from stepkeel.access.access import Access
from stepkeel.cli.output import say
from stepkeel.cli.session import load_object, run_loop
from stepkeel.errors import BadRequest
from stepkeel.extra import needing
from stepkeel.facade import Engine

__all__ = ["OWN", "add_to", "addresses", "engine_of", "is_loopback"]

OWN = ("localhost", "127.0.0.1", "::1")


def add_to(app: App) -> None:
    app.command(serve)


def serve(
    engine: Annotated[str, Parameter(help="module:name of an Engine, or of a function that makes one")],
    /,
    *,
    host: Annotated[str, Parameter(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="0: any that is free")] = 8080,
    access: Annotated[
        str | None,
        Parameter(help="who is let in: `keys` (stepkeel key create), or module:name of an Access; default: nobody is asked"),
    ] = None,
    writes_per_minute: Annotated[
        int, Parameter(help="of each identity (with --access), in this process; 0: as many as they like")
    ] = 100,
    trust_network: Annotated[
        bool, Parameter(name="--trust-network", negative=(), help="without --access: whoever reaches it may do everything")
    ] = False,
) -> int:
    """Serve the REST API of an engine, with its worker, until it is told to stop.

    Without --access nobody is asked who they are: who acts is what `X-Actor` says. It listens on this machine alone then,
    unless told otherwise.
    """
    if access is None and not (is_loopback(host) or trust_network):
        text = f"{host} can be reached from elsewhere, and nobody is asked who they are"
        raise BadRequest(text, remedy="--access keys, or --trust-network behind a proxy that asks")
    if access is not None and trust_network:
        raise BadRequest("--access asks everybody, --trust-network nobody", remedy="one of them")
    with needing("uvicorn", "serving", "server"):
        import uvicorn
    made = engine_of(load_object(engine, "engine", "app:engine"), engine)
    asked = None if access is None else _access(access)
    app = made.asgi(
        access=asked,
        writes_per_minute=writes_per_minute or None,
        hosts=(*OWN, host) if asked is None and not trust_network else None,
    )
    config = uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False, server_header=False, lifespan="on")

    class Server(uvicorn.Server):
        """Streams end when it is told to stop: who listens comes back, to another."""

        def handle_exit(self, sig: int, frame: Any) -> None:
            app.state.closing = True
            super().handle_exit(sig, frame)

    return _run(Server(config))


def engine_of(found: Any, target: str) -> Engine:
    """It, or what it makes. Raises BadRequest."""
    made: Any = found() if callable(found) else found
    if not isinstance(made, Engine):
        raise BadRequest(f"{target} is {type(made).__name__}, not an Engine", remedy="engine = Engine(url, [Workflow])")
    return made


def addresses(sockets: Iterable[Any]) -> list[str]:
    """Where they lead to."""
    places = [socket.getsockname()[:2] for socket in sockets]
    found = [f"http://{f'[{host}]' if ':' in host else host}:{port}/api/v1" for host, port in places]
    return [f"{address} (OpenAPI: /api/v1/openapi/openapi.json)" for address in found]


def _access(text: str) -> Access:
    if text == "keys":
        return Access()
    found = load_object(text, "access", "app:access, or keys")
    if not isinstance(found, Access):
        raise BadRequest(f"{text} is {type(found).__name__}, not an Access", remedy="access = Access(issuers=[...])")
    return found


def _run(server: Any) -> int:
    async def main() -> None:
        task = asyncio.create_task(server.serve())
        while not server.started and not task.done():
            await asyncio.sleep(0.02)
        for each in server.servers if server.started else ():
            for address in addresses(each.sockets):
                say(address)
        await task

    run_loop(main())
    return 0 if server.started else 1


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
