"""The ASGI application: routes, problems, OpenAPI, and what every answer carries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Any, Protocol, cast

from litestar import Litestar, Response, Router, get
from litestar.config.compression import CompressionConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Server
from litestar.params import HeaderParameter
from litestar.types import Message, Scope

from stepkeel.access.access import Access
from stepkeel.api.asked import (
    MOST_WAIT,
    refuse_foreign_host,
    refuse_misfits,
    refuse_other_media,
    refuse_unheeded,
    refuse_unknown,
)
from stepkeel.api.caller import Asking, TheCore, recognise, refuse_too_many
from stepkeel.api.deadline import REQUEST_TIMEOUT, Deadline
from stepkeel.api.document import Document, tables_of
from stepkeel.api.limit import Limiter
from stepkeel.api.problem import HANDLERS, HEADERS
from stepkeel.api.routes import action, audit, bulk, definition, fleet, identity, instance, stream, task, watch
from stepkeel.api.trace import request_id
from stepkeel.engine.core import Core
from stepkeel.errors import BadRequest
from stepkeel.extra import needing

__all__ = ["MOST_BODY", "make_app"]

WRITES_PER_MINUTE, MOST_WRITES = 100, 60_000_000
MOST_BODY = 4_000_000  # bytes of a request
LARGE = 10_000  # bytes of an answer: compressed, where the client takes that
BEARER = "an API key, or a token of an identity provider"
HEADERS_OF_ALL = {
    "request_id": HeaderParameter(name="X-Request-ID", annotation=str, required=False, description="by which it is found in logs"),
    "tenant": HeaderParameter(name="X-Tenant", annotation=str, required=False, description="one of those they reach"),
    "actor": HeaderParameter(name="X-Actor", annotation=str, required=False, description="in whose name, if they may"),
}
ROUTES = [
    route
    for each in (instance, stream, watch, action, task, definition, bulk, fleet, identity, audit)
    for route in cast("list[Any]", each.ROUTES)
]
OPEN = ("/livez", "/readyz", "/api/v1/openapi", "/api/v1/sign-in")  # asked by who looks after it, writes a client, or comes


@get("/livez", summary="This process answers", sync_to_thread=False, security=[{}])
def livez() -> dict[str, str]:
    return {"status": "ok"}


@get("/readyz", summary="The database answers, too", security=[{}])
async def readyz(core: TheCore) -> dict[str, str]:
    await core.store.breakers()
    return {"status": "ok"}


async def _core(request: Asking) -> Core:
    """The caller's; for what anybody may ask, the engine's own."""
    caller = getattr(request.state, "caller", None)
    return request.app.state.core() if caller is None else caller.core


async def _finish(response: Response[Any]) -> Response[Any]:  # not a plain function: that would be called in a thread
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _sending(message: Message, scope: Scope) -> None:
    """Every answer says by which id it is found in the log."""
    if message["type"] == "http.response.start":
        message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id(scope).encode())]


async def _before(request: Asking) -> None:
    request_id(request.scope)
    refuse_foreign_host(request)
    state = request.app.state
    template: str = cast("dict[str, Any]", request.scope).get("path_template", "")
    if not (template.startswith(OPEN) or request.route_handler.opt.get("public")):
        operation = request.route_handler.handler_name
        request.state.caller = await recognise(request, state.core(), state.access, operation)
        refuse_too_many(request, state.limiter)
    refuse_other_media(request)
    refuse_unheeded(request)
    refuse_unknown(request)
    await refuse_misfits(request)


class Opened(AbstractAsyncContextManager[Any], Protocol):
    """An engine, as far as the API needs it."""

    @property
    def is_open(self) -> bool: ...
    def core(self) -> Core: ...


def _traced() -> list[Any]:
    """Raises BadRequest where OpenTelemetry is not installed."""
    with needing("opentelemetry", "tracing", "otel"):
        import_module("opentelemetry.instrumentation.asgi")  # what the next one needs, and tells otherwise
        from litestar.plugins.opentelemetry import OpenTelemetryConfig
    return [OpenTelemetryConfig(exclude=["/livez", "/readyz"]).middleware]


def _openapi(*, secured: bool) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Stepkeel",
        version=version("stepkeel"),
        path="/api/v1/openapi",
        servers=[Server(url="/")],
        components=Components(security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", description=BEARER)}),
        security=[{"bearer": []}] if secured else None,
        operation_id_creator=lambda handler, method, parts: handler.handler_name,
        render_plugins=[Document()],
    )


def make_app(
    engine: Opened,
    *,
    access: Access | None = None,
    writes_per_minute: int | None = WRITES_PER_MINUTE,
    request_timeout: float | None = REQUEST_TIMEOUT,
    hosts: Collection[str] | None = None,
    tracing: bool = False,
    pages: Sequence[Any] = (),
    lifespan: Sequence[Any] = (),
    **options: Any,
) -> Litestar:
    """Opens the engine, unless it is open, for as long as it runs; asks it for its core at each request.

    access   whose credentials are taken; None: nobody is asked who they are, and everybody may do everything
    writes_per_minute   of each identity, in this process; None: as many as they like. Without `access` nobody is counted
    request_timeout   until an answer has to have begun, beyond what a request says it waits; None: as long as it takes
    hosts    the names it answers to (`Host`); None: any
    tracing  a span of OpenTelemetry for each request, in the trace that its `traceparent` names
    pages    more routes, beside the API; those whose option `public` is true ask nobody who they are
    """
    if writes_per_minute is not None and not 1 <= writes_per_minute <= MOST_WRITES:
        raise BadRequest(f"writes_per_minute={writes_per_minute}", remedy=f"1 to {MOST_WRITES:,}, or None")
    outermost = [] if request_timeout is None else [Deadline(request_timeout, MOST_WAIT)]
    limiter = None if access is None or writes_per_minute is None else Limiter(writes_per_minute)

    @asynccontextmanager
    async def opened(_: Litestar) -> AsyncGenerator[None]:
        if engine.is_open:
            yield
        else:
            async with engine:
                yield

    api = Router("/api/v1", route_handlers=ROUTES, parameters=HEADERS_OF_ALL)
    app = Litestar(
        route_handlers=[api, livez, readyz, *pages],
        dependencies={"core": Provide(_core)},
        exception_handlers=HANDLERS,
        before_request=_before,
        after_request=_finish,
        before_send=[_sending],
        request_max_body_size=MOST_BODY,
        # The lowest level: it is done on the loop. A stream is told as it comes.
        compression_config=CompressionConfig("gzip", minimum_size=LARGE, gzip_compress_level=1, exclude=["/events$", "^/assets/"]),
        openapi_config=_openapi(secured=access is not None),
        state=State({"core": engine.core, "hosts": hosts, "access": access, "limiter": limiter, "closing": False, "kept": {}}),
        lifespan=[opened, *lifespan],
        middleware=[*outermost, *(_traced() if tracing else [])],
        logging_config=None,
        **options,
    )
    app.state.tables = tables_of(app)
    return app
