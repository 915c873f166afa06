"""The same verbs without await, for programs that have no loop: of a client, and of an engine as well.

The loop runs in a thread of its own; so the worker of an engine works on while the program does something else.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any

from stepkeel.errors import BadRequest

__all__ = ["Blocking"]

_HANDLES = frozenset({"Instance", "Task", "Keys", "Audit", "RemoteInstance", "RemoteTask", "RemoteKeys", "RemoteAudit"})


class _Loop:
    """A loop in a thread, from the first use to `close`."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="stepkeel-blocking", daemon=True)
        self._thread.start()

    def wait(self, coroutine: Any) -> Any:
        """What it returns; an interrupt (Ctrl-C) cancels it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class _View:
    """Something with async methods, whose methods wait."""

    def __init__(self, target: Any, loop: _Loop | None) -> None:
        self._target = target
        self._loop: Any = loop

    def __repr__(self) -> str:
        return f"<blocking {self._target!r}>"

    def __dir__(self) -> list[str]:
        return dir(self._target)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._target, name)
        if not callable(found):
            return _viewed(found, self._loop)
        if inspect.isasyncgenfunction(found):

            def each(*given: Any, **named: Any) -> Iterator[Any]:
                return _each(found(*given, **named), self._loop)

            return each

        def call(*given: Any, **named: Any) -> Any:
            async def work() -> Any:
                made = found(*given, **named)  # on the loop: what it makes may belong to it
                return await made if inspect.isawaitable(made) else made

            return _viewed(self._loop.wait(work()), self._loop)

        call.__doc__, call.__name__ = found.__doc__, name
        return call


class Blocking(_View):
    """`with Blocking(Client(url, key=...)) as stepkeel: stepkeel.start("Order", {...}).wait(10)`; or with an Engine.

    It may be used by several threads at once. Not within a running loop: there it would stop everything, and raises BadRequest.
    """

    def __init__(self, target: Any) -> None:
        if not hasattr(target, "__aenter__"):
            raise BadRequest(f"{target!r} is neither a Client nor an Engine", remedy="Blocking(Client(url))")
        super().__init__(target, None)

    def __enter__(self) -> Blocking:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise BadRequest("a loop runs here", remedy="await the client's own verbs")
        self._loop = _Loop()
        try:
            self._loop.wait(self._target.__aenter__())
        except BaseException:
            self._loop.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        loop = self._loop
        self._loop = None
        try:
            loop.wait(self._target.__aexit__(kind, error, trace))
        finally:
            loop.close()

    def __getattr__(self, name: str) -> Any:
        if self._loop is None and not name.startswith("_"):
            raise BadRequest("it is not open", remedy="with Blocking(...) as stepkeel:")
        return super().__getattr__(name)


def _viewed(value: Any, loop: _Loop) -> Any:
    """Handles wait as well; records are what they are."""
    if isinstance(value, list):
        return [_viewed(each, loop) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return _View(value, loop) if type(value).__name__ in _HANDLES else value


_END = object()


def _each(items: AsyncIterator[Any], loop: _Loop) -> Iterator[Any]:
    async def following() -> Any:
        return await anext(items, _END)

    while (item := loop.wait(following())) is not _END:
        yield _viewed(item, loop)
