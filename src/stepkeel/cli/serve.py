"""`stepkeel serve`: the REST API and a worker in one process."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable
from typing import Annotated, Any

from cyclopts import App, Parameter

from stepkeel.access.access import Access
from stepkeel.cli.log import LogLevel, set_up
from stepkeel.cli.output import say
from stepkeel.cli.session import DatabaseOption, configured, engine_of, load_object, run_loop
from stepkeel.config.read import read_config
from stepkeel.errors import BadRequest
from stepkeel.extra import needing

__all__ = ["OWN", "add_to", "addresses", "is_loopback"]

OWN = ("localhost", "127.0.0.1", "::1")


def add_to(app: App) -> None:
    app.command(serve)


def serve(
    engine: Annotated[str, Parameter(help="module:name of an Engine, or of a function that makes one")],
    /,
    *,
    database: DatabaseOption = None,
    host: Annotated[str | None, Parameter(help="address to listen on; default: 127.0.0.1")] = None,
    port: Annotated[int | None, Parameter(help="0: any that is free; default: 8080")] = None,
    worker: Annotated[bool | None, Parameter(help="run workflows in this process, too; default: it does")] = None,
    access: Annotated[
        str | None,
        Parameter(help="who is let in: `keys` (stepkeel key create), or module:name of an Access; default: nobody is asked"),
    ] = None,
    writes_per_minute: Annotated[
        int | None, Parameter(help="of each identity (with --access), in this process; 0: as many as they like; default: 100")
    ] = None,
    trust_network: Annotated[
        bool | None, Parameter(name="--trust-network", negative=(), help="without --access: whoever reaches it may do everything")
    ] = None,
    console: Annotated[bool | None, Parameter(help="the web console at /; default: it is")] = None,
    log_level: LogLevel = None,
) -> int:
    """Serve the REST API of an engine and its console, with its worker unless told otherwise, until it is told to stop.

    Without --access nobody is asked who they are: who acts is what `X-Actor` says. It listens on this machine alone then,
    unless told otherwise.
    """
    config = read_config()
    address: str = config.get("serve.host", host)
    access = config.get("serve.access", access)
    trusted: bool = config.get("serve.trust_network", trust_network)
    _refuse_open(address, access, trusted=trusted)
    with needing("uvicorn", "serving", "server"):
        import uvicorn
    set_up(config, log_level)
    polls = None if config.get("serve.worker", worker) else False
    made = configured(engine_of(load_object(engine, "engine", "app:engine"), engine), config, database, worker=polls)
    asked = None if access is None else _access(access)
    shown: bool = config.get("serve.console", console)
    app = made.asgi(
        console=shown,
        access=asked,
        writes_per_minute=config.get("serve.writes_per_minute", writes_per_minute) or None,
        request_timeout=config.get("serve.request_timeout"),
        tracing=config.get("serve.tracing"),
        hosts=(*OWN, address) if asked is None and not trusted else None,
    )
    number: int = config.get("serve.port", port)
    served = uvicorn.Config(app, host=address, port=number, log_config=None, access_log=False, server_header=False, lifespan="on")

    class Server(uvicorn.Server):
        """Streams end when it is told to stop: who listens comes back, to another."""

        def handle_exit(self, sig: int, frame: Any) -> None:
            app.state.closing = True
            super().handle_exit(sig, frame)

    return _run(Server(served), console=shown)


def _refuse_open(address: str, access: str | None, *, trusted: bool) -> None:
    """Raises BadRequest where nobody would be asked by mistake."""
    if access is None and not (is_loopback(address) or trusted):
        text = f"{address} can be reached from elsewhere, and nobody is asked who they are"
        raise BadRequest(text, remedy="--access keys, or --trust-network behind a proxy that asks")
    if access is not None and trusted:
        raise BadRequest("--access asks everybody, --trust-network nobody", remedy="one of them")


def addresses(sockets: Iterable[Any], *, console: bool) -> list[str]:
    """Where they lead to."""
    places = [socket.getsockname()[:2] for socket in sockets]
    found = [f"http://{f'[{host}]' if ':' in host else host}:{port}/api/v1" for host, port in places]
    also = ", the console: /" if console else ""
    return [f"{address} (OpenAPI: /api/v1/openapi/openapi.json{also})" for address in found]


def _access(text: str) -> Access:
    if text == "keys":
        return Access()
    found = load_object(text, "access", "app:access, or keys")
    if not isinstance(found, Access):
        raise BadRequest(f"{text} is {type(found).__name__}, not an Access", remedy="access = Access(issuers=[...])")
    return found


def _run(server: Any, *, console: bool) -> int:
    async def main() -> None:
        task = asyncio.create_task(server.serve())
        while not server.started and not task.done():
            await asyncio.sleep(0.02)
        for each in server.servers if server.started else ():
            for address in addresses(each.sockets, console=console):
                say(address)
        await task

    run_loop(main())
    return 0 if server.started else 1


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
