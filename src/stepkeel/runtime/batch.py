"""Attempts of one instance that begin together and share an activity that takes many: one call for all of them.

| comes | then |
|---|---|
| the first attempt of such an activity | a batch is opened; those that begin in the same moment join it, while there is room |
| a moment later | one call, given the list of what each was given; each takes its place in the list that it returns |
| an error | every attempt has it, and its own policy says what then; one item alone has failed where its place holds a `Fail` |
| an attempt is told to stop | it leaves; the call is stopped when all have left |

What the kernel sees are attempts like any others: each has its own commit, retries and compensation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from stepkeel.authoring.context import Context
from stepkeel.errors import PermanentError
from stepkeel.model.node import Activity

__all__ = ["Batches"]

Call = Callable[[Context[Any, Any]], Awaitable[Any]]
MOMENTS = 3  # turns of the loop that a batch stays open: behaviours around an attempt may take one or two


class _Batch:
    def __init__(self, activity: Activity, call: Call, data: Any) -> None:
        self.activity = activity
        self.call = call
        self.data = data
        self.members: list[tuple[Context[Any, Any], asyncio.Future[Any]]] = []
        self.task: asyncio.Task[None] | None = None

    async def joined(self, context: Context[Any, Any]) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.members.append((context, answer))
        try:
            return await answer
        finally:
            if self.task is not None and all(a.done() for _, a in self.members):
                self.task.cancel()  # nobody waits for it any more

    async def run(self) -> None:
        inputs: list[Any] = [context.input for context, _ in self.members]  # each as a list of one, where it is given something
        given: list[Any] = [each[0] if isinstance(each, list) else each for each in inputs]
        try:
            results = await self.call(self.members[0][0].together(self.data, given, [c.idempotency_key for c, _ in self.members]))
            if not isinstance(results, list) or len(cast("list[Any]", results)) != len(given):
                text = f"{self.activity.name} takes many: given {len(given)}, it returned {_many(results)}"
                raise PermanentError(text, remedy="a list with a result for each input, in their order")
        except BaseException as error:
            for _, answer in self.members:
                if not answer.done():
                    answer.cancel() if isinstance(error, asyncio.CancelledError) else answer.set_exception(error)
            if not isinstance(error, Exception | asyncio.CancelledError):
                raise
            return
        for (_, answer), result in zip(self.members, cast("list[Any]", results), strict=True):
            if not answer.done():
                answer.set_result(result)


def _many(results: Any) -> str:
    return f"{len(cast('list[Any]', results))} results" if isinstance(results, list) else type(results).__name__


class Batches:
    """Of a worker: those that are open, by instance and activity."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], _Batch] = {}

    async def join(self, activity: Activity, context: Context[Any, Any], call: Call, data: Any) -> Any:
        """The result of this attempt, out of a call that others share."""
        key = (context.instance_id, activity.name)
        batch = self._open.get(key)
        if batch is None or (batch.task is not None and batch.task.cancelling()):
            batch = self._open[key] = _Batch(activity, call, data)
            batch.task = asyncio.get_running_loop().create_task(self._later(key, batch))
        elif len(batch.members) + 1 >= activity.batch:
            del self._open[key]  # full with this one
        return await batch.joined(context)

    async def _later(self, key: tuple[str, str], batch: _Batch) -> None:
        try:
            for _ in range(MOMENTS):
                await asyncio.sleep(0)
        finally:
            if self._open.get(key) is batch:
                del self._open[key]
        await batch.run()
