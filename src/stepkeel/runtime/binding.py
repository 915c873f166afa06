"""Services found by type: checked when the engine starts, resolved for each attempt."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from msgspec import Raw

from stepkeel.authoring.activity import read_call
from stepkeel.errors import ServiceMissing
from stepkeel.model.codec import decoder_of
from stepkeel.model.node import Activity

__all__ = ["Binding", "Scoped", "bind", "scoped"]


@dataclass(frozen=True, slots=True)
class Scoped:
    """A service made anew for each attempt and closed after it."""

    factory: Callable[[], Any]


def scoped(factory: Callable[[], Any]) -> Any:
    """`services={Session: scoped(make_session)}`: one for each attempt.

    What the factory gives is entered and left if it is a context manager (async or not), else closed by its `aclose`
    or `close`, if it has one.
    """
    return Scoped(factory)


@dataclass(frozen=True, slots=True)
class Binding:
    """An activity ready to be called: `call(context)` for the plain case, `enter` where services are made for it."""

    activity: Activity
    is_async: bool
    arguments: tuple[Any, ...]
    construct: tuple[Any, ...] | None
    needs_scope: bool
    decode_input: Callable[[Any], Any]

    def decoded(self, raw: Raw) -> Any:
        """What an attempt is given; of an activity that takes many, as a list of one."""
        return self.decode_input(b"[%b]" % bytes(raw)) if self.activity.batch else self.decode_input(raw)

    def target(self) -> Callable[..., Any]:
        """The function to call, a class's instance made for this attempt. Services must not be scoped."""
        return self.activity.target if self.construct is None else self.activity.target(*self.construct)

    async def enter(self, stack: contextlib.AsyncExitStack) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """The same with scoped services: made now, closed by the stack."""
        made = [await _made(stack, a) for a in self.arguments]
        if self.construct is None:
            return self.activity.target, tuple(made)
        built = [await _made(stack, a) for a in self.construct]
        return self.activity.target(*built), tuple(made)


async def _made(stack: contextlib.AsyncExitStack, service: Any) -> Any:
    if not isinstance(service, Scoped):
        return service
    made = service.factory()
    if inspect.isawaitable(made):
        made = await made
    if hasattr(made, "__aenter__"):
        return await stack.enter_async_context(made)
    if hasattr(made, "__enter__"):
        return stack.enter_context(made)
    for name, push in (("aclose", stack.push_async_callback), ("close", stack.callback)):
        if hasattr(made, name):
            push(getattr(made, name))
            break
    return made


def bind(activity: Activity, services: Mapping[Any, Any]) -> Binding:
    """Resolve what an activity asks for. Raises ServiceMissing naming activity, parameter and type."""
    call = read_call(activity.target)
    arguments = tuple(_find(activity, name, kind, services) for name, kind in call.services)
    construct = None if call.construct is None else tuple(_find(activity, n, k, services) for n, k in call.construct)
    every = arguments + (construct or ())
    return Binding(activity, call.is_async, arguments, construct, any(isinstance(s, Scoped) for s in every), decoder_of(call.input))


def _find(activity: Activity, name: str, kind: Any, services: Mapping[Any, Any]) -> Any:
    try:
        found = services[kind]
    except (KeyError, TypeError):
        known = ", ".join(_text(k) for k in services) or "none"
        raise ServiceMissing(
            f"activity {activity.name}: no service for {name}: {_text(kind)}",
            remedy=f"Engine(..., services={{{_text(kind)}: ...}}); given: {known}",
        ) from None
    protocol: Any = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if getattr(protocol, "_is_protocol", False) and not isinstance(found, Scoped):
        members: dict[str, Any] = {**vars(protocol)}
        wanted = [m for m, v in members.items() if not m.startswith("_") and callable(v)]
        lacking = [m for m in wanted if not callable(getattr(found, m, None))]
        if lacking:
            raise ServiceMissing(
                f"activity {activity.name}: the service for {name}: {_text(kind)} is {type(found).__name__}, "
                f"which lacks {', '.join(lacking)}",
                remedy="give one that has the Protocol's methods",
            )
    return found


def _text(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind)
