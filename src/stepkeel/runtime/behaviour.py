"""Behaviours: an ordered list of async wrappers around every attempt of every activity, handler and compensation."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from stepkeel.errors import BadRequest, TransientError
from stepkeel.ids import fraction

__all__ = ["Behaviour", "Chaos", "Invocation", "Next", "chain"]

Next = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Invocation:
    """What is about to run. `kind` is activity, handler (a reaction's `do`) or compensation; `parent` who began the instance."""

    definition: str
    version: int
    instance_id: str
    state: str
    node: str
    activity: str
    kind: Literal["activity", "handler", "compensation"]
    attempt: int
    tenant: str = ""
    parent: str = ""


class Behaviour(Protocol):
    """Called around each attempt; the first of the list is outermost. What it returns is the attempt's result."""

    async def __call__(self, invocation: Invocation, call_next: Next) -> Any: ...


def chain(behaviours: tuple[Behaviour, ...], invocation: Invocation, call: Next) -> Next:
    """`call` within all behaviours."""
    for behaviour in reversed(behaviours):
        call = _wrap(behaviour, invocation, call)
    return call


def _wrap(behaviour: Behaviour, invocation: Invocation, inner: Next) -> Next:
    return lambda: behaviour(invocation, inner)


class Chaos:
    """Injects failures at a rate, the same ones for the same seed.

    rate     0..1 of the attempts fail, before or after the activity ran (`after` of them after: its effect is done)
    error    makes the exception; TransientError by default
    only     restricts it to activities of these names
    Whether an attempt fails depends on seed, instance, node and attempt alone, not on the order of things.
    """

    def __init__(
        self,
        rate: float,
        *,
        seed: int = 0,
        after: float = 0.0,
        error: Callable[[str], Exception] = TransientError,
        only: tuple[str, ...] = (),
    ) -> None:
        if not 0 <= rate <= 1 or not 0 <= after <= 1:
            raise BadRequest(f"Chaos(rate={rate}, after={after})", remedy="parts of one")
        self._rate = rate
        self._seed = seed
        self._after = after
        self._error = error
        self._only = only
        self.injected = 0

    async def __call__(self, invocation: Invocation, call_next: Next) -> Any:
        if self._only and invocation.activity not in self._only:
            return await call_next()
        text = f"{invocation.instance_id}/{invocation.node}/{invocation.attempt}"
        place = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
        if fraction(self._seed ^ place) >= self._rate:
            return await call_next()
        self.injected += 1
        if fraction(self._seed ^ place, 1) < self._after:
            await call_next()
        raise self._error(f"chaos in {invocation.node}")
