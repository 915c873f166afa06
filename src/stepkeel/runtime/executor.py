"""One attempt, from the effect that wants it to the input that reports it.

| step | does |
|---|---|
| prepare | its own copy of the data, its input, services, context |
| call | async on the loop, sync in a thread; within the behaviours, scoped services around all |
| bound | attempt timeout and what is left of the deadline: told to stop, awaited for at most the grace time |
| read | result or error becomes an input (result.py) |
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

from stepkeel.authoring.context import Context
from stepkeel.errors import DataInvalid, TransientError, Unavailable
from stepkeel.kernel.path import address, reaction_of
from stepkeel.kernel.record import item_at
from stepkeel.model.input import AttemptDeferred, AttemptEnded, HandedBack, Heartbeat, StepRecorded
from stepkeel.model.node import Activity
from stepkeel.model.outcome import TryAgain
from stepkeel.model.snapshot import NOTHING, Failure, Frame, Undo
from stepkeel.runtime.batch import Batches
from stepkeel.runtime.behaviour import Behaviour, Invocation, chain
from stepkeel.runtime.binding import Binding
from stepkeel.runtime.cached import Cached
from stepkeel.runtime.call import Limit, bounded, in_thread
from stepkeel.runtime.result import of_error, of_result
from stepkeel.runtime.secret import Opened, Secrets
from stepkeel.store.port import Transaction

if TYPE_CHECKING:
    from stepkeel.runtime.breakers import Breakers, Passage
    from stepkeel.runtime.resident import Resident

__all__ = ["Attempt", "Executor", "write_log"]

_log = logging.getLogger("stepkeel.workflow")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
Report = AttemptEnded | AttemptDeferred | HandedBack


def write_log(level: str, text: str, **place: str) -> None:
    """A line of a workflow's own log, marked with where it comes from."""
    _log.log(_LEVELS.get(level, logging.INFO), "%s", text, extra=place)


def _retried(error: BaseException, transaction: Transaction | None) -> BaseException:
    """A deadlock or a lost race within a transaction is worth another try, whatever the activity's policy says of errors."""
    if transaction is None or not transaction.transient(error):
        return error
    again = TransientError(f"the transaction lost a race: {error}")
    again.__cause__ = error
    return again


class Executor:
    """Shared by all residents of a worker: bindings, behaviours, the threads of sync activities."""

    def __init__(
        self,
        bindings: Mapping[tuple[str, int, str], Binding],
        behaviours: tuple[Behaviour, ...],
        grace: float,
        threads: int = 32,
    ) -> None:
        self._bindings = bindings
        self.behaviours = behaviours
        self.grace = grace
        self.threads = ThreadPoolExecutor(threads, "stepkeel-activity")
        self.breakers: Breakers | None = None  # the worker's, once there is one
        self.secrets: Secrets | None = None  # the engine's, if it was given some
        self.batches = Batches()

    def binding(self, resident: Resident, activity: Activity) -> Binding:
        return self._bindings[resident.definition.name, resident.definition.version, activity.name]

    def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)


class Attempt:
    """A running attempt; also the host of its Context. `stopping`: it was told to stop."""

    __slots__ = (
        "_executor",
        "_frame",
        "_gives",
        "_input",
        "_loop",
        "_opened",
        "_steps",
        "attempt",
        "before",
        "deferring",
        "path",
        "resident",
        "stopping",
        "task",
    )

    def __init__(self, executor: Executor, resident: Resident, path: str, attempt: int) -> None:
        self._executor = executor
        self.resident = resident
        self.path = path
        self.attempt = attempt
        self._frame: Frame = resident.snapshot.open[path]
        self._steps: Mapping[str, msgspec.Raw] = self._frame.steps
        self._gives = False
        self._input = NOTHING  # what it is given, as it is stored
        self._opened = Opened(executor.secrets, resident.snapshot.tenant)
        self.before: msgspec.Raw = resident.snapshot.data
        self.stopping = False
        self.deferring = False
        self._loop = resident.loop
        self.task = self._loop.create_task(self._run())

    def stop(self, *, defer: bool = False) -> None:
        """Tell it to stop; `defer`: it is put back rather than stopped (shutdown)."""
        if not self.stopping:
            self.stopping = True
            self.deferring = defer
            self.task.cancel()
            self._loop.call_later(self._executor.grace, self._overdue)

    def _overdue(self) -> None:
        """Its grace time is over: it counts as ended, whatever still runs in its thread."""
        self.resident.attempt_over(self, self._stopped(), None)

    def _stopped(self) -> Report:
        if self.deferring:
            return HandedBack(((self.path, self.attempt),))
        return AttemptEnded(self.path, self.attempt, "stopped")

    async def _run(self) -> None:
        resident = self.resident
        definition = resident.definition
        fresh = None
        try:
            self.before, data = resident.given.data(resident.snapshot, self.path)
        except DataInvalid as error:
            resident.set_aside(f"its data does not fit the type: {error}")
            return
        transaction: Transaction | None = None
        passage: Passage | None = None
        try:
            activity, kind = self._activity()
            binding = self._executor.binding(resident, activity)
            input = await self._given(binding)
            if self._executor.secrets is not None:
                await self._opened.look(self.before)
            cached = self._cached(activity, kind)
            if cached is not None and await self._taken(cached):
                return
            if activity.breaker is not None and (passage := await self._enter(activity)).wait:
                resident.attempt_over(self, self._parked(activity, passage), None)
                return
            if activity.transactional:
                transaction = await self._begin()
                await self._until_trusted()
            context = self._context(data, kind, input, transaction)
            limit = self._limit(activity)
            work = self._work(binding, context, kind)
            result = await (work if limit is None else bounded(work, limit, self._executor.grace))
            report, fresh = of_result(self.path, self.attempt, result, data, self.before, definition.data, gives=self._gives)
            report = self._opened.mask_report(report)
            if cached is not None:
                report, fresh = await cached.keep(report), None
            if transaction is not None:
                await transaction.check()
                if report.outcome == "failed" or (isinstance(result, TryAgain) and result.discard):
                    transaction = await self._undone(transaction)
        except asyncio.CancelledError as error:
            # Only a cancelled attempt was stopped; an activity that awaits something cancelled has simply failed.
            report = self._stopped() if self.task.cancelling() else self._failed(error)
        except BaseException as error:
            report = self._failed(_retried(error, transaction))
            if not isinstance(error, Exception):
                resident.attempt_over(self, report, None)
                raise
        if passage is not None:
            self._left(passage, report)
        if transaction is not None and not (isinstance(report, AttemptEnded) and report.outcome not in ("failed", "stopped")):
            transaction = await self._undone(transaction)
        resident.attempt_over(self, report, fresh, transaction)

    def _failed(self, error: BaseException) -> Report:
        return self._opened.mask_report(of_error(self.path, self.attempt, error))

    def _cached(self, activity: Activity, kind: str) -> Cached | None:
        """Where its result is kept; None where that is for nobody else."""
        if activity.cache is None or not self._gives or self._input is NOTHING or kind == "compensation":
            return None
        return Cached(self.resident.worker.store, self.resident.snapshot.tenant, activity, self._input)

    async def _taken(self, cached: Cached) -> bool:
        known = await cached.taken()
        await self._until_trusted()
        if known is not NOTHING:
            self.resident.attempt_over(self, AttemptEnded(self.path, self.attempt, "done", result=known, cached=True), None)
        return known is not NOTHING

    # -- circuit breakers

    async def _enter(self, activity: Activity) -> Passage:
        breakers = self._executor.breakers
        assert breakers is not None
        passage = await breakers.enter(activity, f"{self.resident.id}/{self.path}")
        await self._until_trusted()
        return passage

    def _parked(self, activity: Activity, passage: Passage) -> Report:
        text = f"{passage.name} is not called now: its breaker is open"
        if passage.policy.when_open == "park":
            return AttemptDeferred(self.path, self.attempt, text, passage.wait)
        return AttemptEnded(self.path, self.attempt, "failed", failure=Failure("circuit_open", text, kind="permanent"))

    def _left(self, passage: Passage, report: Report) -> None:
        """Failed: it did not answer, or not in time. One that was stopped tells nothing."""
        breakers = self._executor.breakers
        if breakers is None or isinstance(report, HandedBack) or (isinstance(report, AttemptEnded) and report.outcome == "stopped"):
            return
        failure = report.failure if isinstance(report, AttemptEnded) and report.outcome == "failed" else None
        failed = isinstance(report, AttemptDeferred) or (failure is not None and failure.kind in ("technical", "transient"))
        reason = f"{failure.code}: {failure.message}" if failure is not None else ""
        breakers.left(passage, failed=failed, reason=reason)

    # -- transactional

    async def _begin(self) -> Transaction:
        """Once nothing of the instance is on its way: its commit must not wait for what the activity locks."""
        await self.resident.hold(self)
        try:
            return await self.resident.worker.store.begin()
        except Unavailable as error:
            raise TransientError(str(error)) from error

    async def _until_trusted(self) -> None:
        """The database was asked, and that may have taken long: begin only while the lease is known to be ours."""
        while not self.resident.worker.trusted():
            await asyncio.sleep(0.05)  # it is renewed, or this instance is dropped, and the attempt with it

    async def _undone(self, transaction: Transaction) -> None:
        try:
            await asyncio.shield(transaction.rollback())
        except Unavailable as error:
            _log.warning("%s", error)  # the connection is gone, and the transaction with it

    # -- prepare

    def _activity(self) -> tuple[Activity, Any]:
        """The activity at this path, and what kind of call it is."""
        definition = self.resident.definition
        if self.path.startswith("undo/"):
            entry = self._undo()
            node: Any = definition.places[address(entry.path)].node
            self._gives = node.undo_given is not None  # what it returns changes nothing
            return node.activity.compensate, "compensation"
        node = definition.places[address(self.path)].node
        self._gives = node.gives
        activity = node.activity.fallback if self._frame.fell_back else node.activity
        return activity, "handler" if "!" in self.path else "activity"

    def _undo(self) -> Undo:
        key = self.path.rpartition("/")[2]
        return next(u for u in self.resident.snapshot.undo if u.key == key)

    def _context(self, data: Any, kind: str, input: Any, transaction: Transaction | None) -> Context[Any, Any]:
        resident = self.resident
        key = f"{resident.id}/{self.path}"
        done: dict[str, Any] | None = None
        if kind == "compensation":
            done = {k: msgspec.json.decode(v) for k, v in self._undo().changed.items()}
        return Context(
            data,
            input,
            self,
            instance_id=resident.id,
            node=self.path,
            idempotency_key=f"{key}!fallback" if self._frame.fell_back else key,
            attempt=self.attempt,
            definition=resident.definition.name,
            version=resident.definition.version,
            correlation_id=resident.correlation_id,
            attributes=resident.attributes,
            now=resident.snapshot.at,
            done=done,
            connection=None if transaction is None else transaction.connection,
        )

    async def _given(self, binding: Binding) -> Any:
        """What the node says; else the item that the for_each around it has for it, or what its reaction was given; an undo: what

        it undoes was.
        """
        resident = self.resident
        snapshot = resident.snapshot
        if self.path.startswith("undo/"):
            entry = self._undo()
            at, frame, own = entry.item, entry.given, entry.input
        else:
            own = self._frame.input
            outer = reaction_of(self.path)
            at = item_at(snapshot.open, self.path) if "[" in self.path else None
            frame = snapshot.open.get(outer) if outer else None
        self._input = own
        if own is NOTHING and at is not None:
            self._input = await resident.given.item(resident.worker.store, resident.id, at)
            await self._until_trusted()
        if self._input is not NOTHING:
            return binding.decoded(await self._opened.into(self._input))
        if snapshot.ending is not None and self.path.startswith("!"):
            return snapshot.ending.failure
        if frame is None:
            return None
        if frame.input is not NOTHING:
            kind = self.resident.definition.signals.get(frame.reason)
            return kind.codec.decode(frame.input) if kind else None
        return frame.error

    def _limit(self, activity: Activity) -> Limit | None:
        """Seconds this attempt may take, and the code of the failure if it takes longer."""
        clamp = self.resident.definition.step_timeout
        if activity.timeout is None and activity.deadline is None and clamp is None:
            return None
        limits: list[Limit] = [(t / 1e6, "timeout") for t in (activity.timeout, clamp) if t is not None]
        if activity.deadline is not None and self._frame.first_at:
            left = self._frame.first_at + activity.deadline - self.resident.worker.now()
            limits.append((max(0.0, left / 1e6), "deadline"))
        return min(limits)

    # -- call

    def _work(self, binding: Binding, context: Context[Any, Any], kind: Any) -> Coroutine[Any, Any, Any]:
        """What is to be awaited: the activity's own coroutine where nothing stands around it."""
        behaviours = self._executor.behaviours
        if behaviours:
            return self._within(behaviours, binding, context, kind)
        if binding.is_async and not binding.needs_scope and not binding.activity.batch:
            return binding.target()(context, *binding.arguments)
        return self._invoke(binding, context)

    async def _within(self, behaviours: tuple[Behaviour, ...], binding: Binding, context: Context[Any, Any], kind: Any) -> Any:
        resident, snapshot = self.resident, self.resident.snapshot
        invocation = Invocation(
            resident.definition.name, resident.definition.version, resident.id, snapshot.state, self.path,
            binding.activity.name, kind, self.attempt, snapshot.tenant, snapshot.parent.id if snapshot.parent else "",
        )  # fmt: skip
        return await chain(behaviours, invocation, lambda: self._invoke(binding, context))()

    async def _invoke(self, binding: Binding, context: Context[Any, Any]) -> Any:
        if not binding.activity.batch:
            return await self._called(binding, context)
        data = self.resident.definition.data.decode(self.before)
        return await self._executor.batches.join(binding.activity, context, functools.partial(self._called, binding), data)

    async def _called(self, binding: Binding, context: Context[Any, Any]) -> Any:
        if not binding.needs_scope:
            target, arguments = binding.target(), binding.arguments
            if binding.is_async:
                return await target(context, *arguments)
            return await in_thread(self._executor.threads, self._executor.grace, target, context, arguments)
        async with contextlib.AsyncExitStack() as stack:
            target, arguments = await binding.enter(stack)
            if binding.is_async:
                return await target(context, *arguments)
            return await in_thread(self._executor.threads, self._executor.grace, target, context, arguments)

    # -- host of the context

    def steps(self) -> Mapping[str, msgspec.Raw]:
        return self._steps

    async def record_step(self, name: str, result: bytes) -> None:
        raw = msgspec.Raw(self._opened.mask_json(result))
        await self.resident.feed_durably(StepRecorded(self.path, self.attempt, name, raw))
        self._steps = {**self._steps, name: raw}

    def record_step_blocking(self, name: str, result: bytes) -> None:
        asyncio.run_coroutine_threadsafe(self.record_step(name, result), self._loop).result()

    def heartbeat(self, progress: bytes) -> None:
        self._loop.call_soon_threadsafe(
            self.resident.feed, Heartbeat(self.path, self.attempt, msgspec.Raw(self._opened.mask_json(progress)))
        )

    def log(self, level: str, text: str) -> None:
        write_log(level, self._opened.mask(text), instance_id=self.resident.id, node=self.path)

    def secret(self, reference: str) -> str:
        return self._opened.value(reference)
