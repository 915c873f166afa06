"""No request takes for ever: what has not begun to answer in time is broken off, and its client is told.

What a request waits for because it says so (`Prefer: wait=10`, `/wait?seconds=10`) comes on top. A stream that has begun has
its own end. The body counts: who sends it a byte at a time is broken off, too.
"""

from __future__ import annotations

import asyncio

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from stepkeel.errors import BadRequest, Unavailable

__all__ = ["REQUEST_TIMEOUT", "Deadline"]

REQUEST_TIMEOUT = 30.0
SHORTEST, LONGEST = 0.01, 3_600.0


class Deadline(ASGIMiddleware):
    """`waits`: how long what is asked of it waits for something to happen, at most, where it says that it does."""

    def __init__(self, seconds: float, waits: float) -> None:
        if not SHORTEST <= seconds <= LONGEST:
            raise BadRequest(f"request_timeout={seconds}", remedy=f"{SHORTEST:g} to {LONGEST:,.0f}, or None")
        self._seconds = seconds
        self._waits = waits

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        waits = scope["path"].endswith("/wait") or any(name == b"prefer" for name, _ in scope["headers"])
        seconds = self._seconds + (self._waits if waits else 0.0)

        limit = asyncio.timeout(seconds)

        async def begun(message: Message) -> None:
            limit.reschedule(None)
            await send(message)

        try:
            async with limit:
                await next_app(scope, receive, begun)
        except TimeoutError:
            if not limit.expired():
                raise
            remedy = "what was asked may be done all the same: ask again, a write with the same Idempotency-Key"
            raise Unavailable(f"no answer within {seconds:g} s", remedy=remedy) from None
