"""Calling an activity: in a thread, and for no longer than it may take."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Literal

from stepkeel.runtime.result import AttemptTimeout

__all__ = ["Limit", "bounded", "in_thread"]

Limit = tuple[float, Literal["timeout", "deadline"]]  # seconds an attempt may take, and the code of the failure if it takes longer


async def in_thread(threads: Executor, grace: float, target: Callable[..., Any], context: Any, arguments: tuple[Any, ...]) -> Any:
    """A thread cannot be stopped: told to stop, the attempt ends when the thread does, or its grace is over."""
    call = functools.partial(contextvars.copy_context().run, target, context, *arguments)
    future = asyncio.get_running_loop().run_in_executor(threads, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait({future}, timeout=grace)
        if future.done() and not future.cancelled() and future.exception() is None:
            return future.result()  # it succeeded after all: the kernel decides what that is worth
        raise


async def bounded(call: Any, limit: Limit, grace: float) -> Any:
    """Raises AttemptTimeout."""
    seconds, code = limit
    inner = asyncio.get_running_loop().create_task(call)
    try:
        await asyncio.wait({inner}, timeout=seconds)
        if not inner.done():
            inner.cancel()
            await asyncio.wait({inner}, timeout=grace)
            raise AttemptTimeout(code, seconds)
        return inner.result()
    except asyncio.CancelledError:
        if not inner.done():
            inner.cancel()
            await asyncio.wait({inner}, timeout=grace)
        if inner.done() and not inner.cancelled() and inner.exception() is None:
            return inner.result()
        raise
    finally:
        if inner.done() and not inner.cancelled():
            inner.exception()  # a late error is nobody's: it was answered for
