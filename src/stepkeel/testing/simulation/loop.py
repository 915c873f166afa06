"""An event loop of one thread and several processes: time is virtual, and which process runs next the seed decides.

| within a process | callbacks run in the order in which they were asked for, as on any event loop |
| between processes | any order |
| a process that stands still | time goes on; what is due for it runs when it moves again |
| a process that is dead | nothing of it ever runs again, not even its `finally` |
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import itertools
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from stepkeel.errors import BadRequest
from stepkeel.testing.simulation.chance import Chance

__all__ = ["Process", "SimulatedLoop"]

T = TypeVar("T")
_process: contextvars.ContextVar[Process] = contextvars.ContextVar("process")


class Process:
    """What has callbacks of its own: a worker, a client, the store's server."""

    def __init__(self, loop: SimulatedLoop, name: str) -> None:
        self.loop = loop
        self.name = name
        self.ready: deque[asyncio.Handle] = deque()
        self.dead = False
        self.still = False
        self.context = contextvars.Context()
        self.context.run(_process.set, self)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run it in this process."""
        return self.context.copy().run(self.loop.create_task, work)

    def later(self, seconds: float, call: Callable[..., object], *arguments: Any) -> None:
        """Call it in this process, after so long."""
        self.loop.call_later(seconds, call, *arguments, context=self.context)

    def kill(self) -> None:
        self.dead = True
        self.loop.forget(self)

    def __repr__(self) -> str:
        return self.name


class SimulatedLoop(asyncio.AbstractEventLoop):
    """`halted`, once set, ends `run` and is raised by it; an error that nobody handles is made one by `on_error`."""

    def __init__(self, chance: Chance, on_error: Callable[[str], Exception] = RuntimeError) -> None:
        self.micros = 0
        self.on_error = on_error
        self.skipped = 0
        self.halted: Exception | None = None
        self._chance = chance
        self._processes: list[Process] = []
        self._busy: list[Process] = []
        self._timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._count = itertools.count()
        self._root = self.process("simulation")
        self._current = self._root
        self._tasks: list[asyncio.Task[Any]] = []  # kept: one that is collected would run its `finally`
        self._closed = False

    @property
    def current(self) -> Process:
        """The process whose callback runs."""
        return self._current

    def process(self, name: str) -> Process:
        made = Process(self, name)
        self._processes.append(made)
        return made

    def forget(self, process: Process) -> None:
        process.ready.clear()
        if process in self._busy:
            self._busy.remove(process)

    def jump(self, micros: int) -> None:
        """Time passes at once, for all clocks alike; what became due meanwhile is late."""
        self.micros += micros
        self.skipped += micros

    # -- running

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Until this work, of the simulation's own process, is done. Raises what it raises."""
        if events._get_running_loop() is not None:  # pyright: ignore[reportPrivateUsage]
            work.close()
            raise BadRequest("a simulation has an event loop of its own", remedy="call simulate() from a plain function")
        events._set_running_loop(self)  # pyright: ignore[reportPrivateUsage]
        try:
            task = self._root.spawn(work)
            while not task.done() and self.halted is None:
                self._once()
            if self.halted is not None:
                raise self.halted
            return task.result()
        finally:
            events._set_running_loop(None)  # pyright: ignore[reportPrivateUsage]

    def _once(self) -> None:
        busy = self._busy
        if not busy:
            self._next_moment()
            return
        process = busy[0] if len(busy) == 1 else busy[self._chance.below("next", len(busy))]
        ready = process.ready
        handle = ready.popleft()
        if not ready:
            busy.remove(process)
        if not handle.cancelled():
            self._current = process
            handle._run()  # pyright: ignore[reportPrivateUsage]

    def _next_moment(self) -> None:
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not timers:
            raise RuntimeError("the simulation has nothing left to wait for")
        now = self.micros = max(self.micros, timers[0][0])
        while timers and timers[0][0] <= now:
            handle = heapq.heappop(timers)[2]
            if not handle.cancelled():
                self._queue(handle)

    def _queue(self, handle: asyncio.Handle) -> None:
        process: Process = handle._context.get(_process, self._current)  # type: ignore[attr-defined]  # pyright: ignore
        if process.dead:
            return
        process.ready.append(handle)
        if len(process.ready) == 1 and not process.still:
            self._busy.append(process)

    def stand_still(self, process: Process) -> None:
        process.still = True
        if process in self._busy:
            self._busy.remove(process)

    def move_on(self, process: Process) -> None:
        process.still = False
        if process.ready and process not in self._busy:
            self._busy.append(process)

    def discard(self) -> None:
        """Nothing runs any more: close what was left in the middle, without a word."""
        self._closed = True
        for process in self._processes:
            process.dead = True
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # pyright: ignore
                with contextlib.suppress(RuntimeError, asyncio.CancelledError):  # it would wait in its `finally`
                    task.get_coro().close()  # type: ignore[union-attr]  # pyright: ignore
        self._tasks.clear()
        self._timers.clear()

    # -- what asyncio asks of a loop

    def time(self) -> float:
        return self.micros / 1e6

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._queue(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self._at(round(when * 1e6), callback, args, context)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        # A moment at least: what asks to be called again at once must let time pass.
        return self._at(self.micros + (round(delay * 1e6) if delay > 1e-6 else 1), callback, args, context)

    def _at(self, micros: int, callback: Any, args: tuple[Any, ...], context: Any) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(micros / 1e6, callback, args, self, context)
        handle._scheduled = True  # type: ignore[attr-defined]  # pyright: ignore
        heapq.heappush(self._timers, (micros, next(self._count), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        return

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:  # type: ignore[override]
        if self._closed:
            coro.close()
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name or "task", context=context)
        if len(self._tasks) > 1_000:
            self._tasks = [t for t in self._tasks if not t.done()]
        self._tasks.append(task)
        return task

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Sync activities run on the one thread, in one piece."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._closed and self.halted is None:
            self.halted = self.on_error(f"{context.get('message')}: {context.get('exception')!r}")

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self._closed
