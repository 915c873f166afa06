"""The ASGI application: routes, problems, OpenAPI, and what every answer carries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Any, Protocol

from litestar import Litestar, Request, Response, Router, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Server

from stepkeel.api.asked import TheCore, known_parameters, refuse_foreign_host, refuse_other_media, refuse_unknown
from stepkeel.api.problem import HANDLERS, HEADERS
from stepkeel.api.routes import action, definition, instance, task
from stepkeel.engine.core import Core

__all__ = ["MOST_BODY", "make_app"]

MOST_BODY = 4_000_000  # bytes of a request


@get("/livez", summary="This process answers", sync_to_thread=False)
def livez() -> dict[str, str]:
    return {"status": "ok"}


@get("/readyz", summary="The database answers, too")
async def readyz(core: TheCore) -> dict[str, str]:
    await core.store.breakers()
    return {"status": "ok"}


async def _core(state: State) -> Core:
    return state.core()


def _finish(response: Response[Any]) -> Response[Any]:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _before(request: Request[Any, Any, Any]) -> None:
    refuse_foreign_host(request)
    refuse_other_media(request)
    refuse_unknown(request)


class Opened(AbstractAsyncContextManager[Any], Protocol):
    """An engine, as far as the API needs it."""

    @property
    def is_open(self) -> bool: ...
    def core(self) -> Core: ...


def make_app(engine: Opened, *, hosts: Collection[str] | None = None, lifespan: Sequence[Any] = (), **options: Any) -> Litestar:
    """Opens the engine, unless it is open, for as long as it runs; asks it for its core at each request.

    `hosts`: the names it answers to (`Host`); None: any.
    """

    @asynccontextmanager
    async def opened(_: Litestar) -> AsyncGenerator[None]:
        if engine.is_open:
            yield
        else:
            async with engine:
                yield

    routes = [*instance.ROUTES, *action.ROUTES, *task.ROUTES, *definition.ROUTES]
    api = Router("/api/v1", route_handlers=routes)
    app = Litestar(
        route_handlers=[api, livez, readyz],
        dependencies={"core": Provide(_core)},
        exception_handlers=HANDLERS,
        before_request=_before,
        after_request=_finish,
        request_max_body_size=MOST_BODY,
        openapi_config=OpenAPIConfig(
            title="Stepkeel",
            version=version("stepkeel"),
            path="/api/v1/openapi",
            servers=[Server(url="/")],
            operation_id_creator=lambda handler, method, parts: handler.handler_name,
            render_plugins=[JsonRenderPlugin()],
        ),
        state=State({"core": engine.core, "hosts": hosts}),
        lifespan=[opened, *lifespan],
        logging_config=None,
        **options,
    )
    app.state.parameters = known_parameters(app.openapi_schema.to_schema()["paths"])
    return app
