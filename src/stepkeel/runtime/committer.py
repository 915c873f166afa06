"""Group commit. It never waits on purpose: while one batch is being made durable, the next one fills.

| what comes back | then |
|---|---|
| an answer | each row is told |
| no answer (Unavailable) | the batch is sent again as it is; rows that do not match then are read back |
| refused for its content | the batch is halved and sent again until the bad row stands alone; that one is told |

A read-back row that is still ours and at the revision we wrote was applied; at the one before: it is sent again;
else it is no longer ours. Dropping it at once would leave a row that a live worker owns and nobody runs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stepkeel.errors import DataInvalid, Unavailable
from stepkeel.model.commit import Batch, Commit, Delivery, Receipt, Start
from stepkeel.store.port import Store

__all__ = ["BOUNDS", "Committer", "CommitterStats"]

_log = logging.getLogger("stepkeel.committer")
MAX_BYTES = 8 * 1_048_576
BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
Told = Callable[[Any], None]


@dataclass(slots=True)
class CommitterStats:
    """Batches made durable, rows in them, history entries written; how long that took, by the bounds, and together."""

    batches: int = 0
    rows: int = 0
    decisions: int = 0
    took: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0


@dataclass(slots=True, eq=False)
class _Entry:
    row: Start | Commit | Delivery
    told: Told
    since: float
    sent: int = 0
    answered: bool = False

    @property
    def size(self) -> int:
        """About how many bytes it brings: history rarely says more than the snapshot does."""
        row = self.row
        return len(row.payload) if isinstance(row, Delivery) else 2 * len(row.step.snapshot or b"")


def _tell(entry: _Entry, answer: Any) -> None:
    """Once, and one row's news must not keep the others from theirs."""
    if entry.answered:
        return
    entry.answered = True
    try:
        entry.told(answer)
    except Exception:
        _log.exception("the answer %r could not be taken", answer)


class Committer:
    """`trusted` is asked before each batch with commits in it: outside its lease a worker sends none.

    `reached` is told into whose inboxes, held by which worker, a batch has put something.
    """

    def __init__(
        self,
        store: Store,
        patience: float,
        trusted: Callable[[], bool] = lambda: True,
        reached: Callable[[str, str | None], None] = lambda instance_id, owner: None,
    ) -> None:
        self._store = store
        self._patience = patience
        self._trusted = trusted
        self._reached = reached
        self._queue: list[_Entry] = []
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self.stats = CommitterStats()

    # -- taking rows

    def commit(self, commit: Commit, told: Told) -> None:
        """`told(True)` applied, `told(False)` no longer ours, `told(error)` refused for its content."""
        self._add(_Entry(commit, told, 0.0))

    async def start(self, start: Start) -> str:
        """The id that holds the start's key. Raises Unavailable, DataInvalid."""
        return await self._wait_for(start)

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Raises Unavailable: nothing is known then; sending it again with the same key is safe."""
        return await self._wait_for(delivery)

    async def _wait_for(self, row: Start | Delivery) -> Any:
        future: asyncio.Future[Any] = self._loop.create_future()

        def told(answer: Any) -> None:
            if future.done():
                return
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self._add(_Entry(row, told, self._loop.time()))
        return await future

    def _add(self, entry: _Entry) -> None:
        self._queue.append(entry)
        if self._task is None:
            self._task = self._loop.create_task(self._run())

    def drop_commits(self) -> None:
        """Forget queued commits: the worker is dead and owns nothing any more."""
        self._queue = [e for e in self._queue if not isinstance(e.row, Commit)]

    async def drain(self) -> None:
        """Wait until nothing is queued or on its way."""
        while self._task is not None:
            await asyncio.wait({self._task})

    # -- sending them

    async def _run(self) -> None:
        try:
            while self._queue:
                batch = self._take()
                if batch:
                    await self._send(batch)
                    if self._queue:
                        await asyncio.sleep(0)  # what this batch set free goes on while the next one is sent
                else:
                    await asyncio.sleep(0.02)  # only commits wait, and for the lease to be renewed or lost
        finally:
            self._task = None
            if self._queue:  # an error of ours: do not strand what waits
                self._task = self._loop.create_task(self._run())

    def _take(self) -> list[_Entry]:
        """The next batch, within its bounds; without commits while the worker is out of its trust window."""
        queue, held = self._queue, list[_Entry]()
        if not self._trusted():
            held = [e for e in queue if isinstance(e.row, Commit)]
            queue = [e for e in queue if not isinstance(e.row, Commit)]
        size, most = 0, self._store.batch_rows
        for n, entry in enumerate(queue):
            size += entry.size
            if n and (n >= most or size > MAX_BYTES):
                self._queue = held + queue[n:]
                return queue[:n]
        self._queue = held
        return queue

    async def _send(self, entries: list[_Entry]) -> None:
        pause = 0.02
        while entries:
            for entry in entries:
                entry.sent += 1
            try:
                await self._exchange(entries)
                return
            except Unavailable as error:
                _log.warning("commit of %d rows: %s", len(entries), error)
                entries = self._give_up_old([e for e in entries if not e.answered], error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
                if not self._trusted():
                    self._queue += [e for e in entries if isinstance(e.row, Commit)]
                    entries = [e for e in entries if not isinstance(e.row, Commit)]
            except Exception as error:
                if not isinstance(error, DataInvalid):
                    _log.exception("a batch of %d rows cannot be sent as it is", len(entries))
                await self._halve([e for e in entries if not e.answered], error)
                return

    def _give_up_old(self, entries: list[_Entry], error: Unavailable) -> list[_Entry]:
        """Callers get their error after a deadline; commits are tried until the worker is dead."""
        now = self._loop.time()
        kept: list[_Entry] = []
        for entry in entries:
            if not isinstance(entry.row, Commit) and now - entry.since > self._patience:
                _tell(entry, error)
            else:
                kept.append(entry)
        return kept

    async def _halve(self, entries: list[_Entry], error: Exception) -> None:
        if len(entries) <= 1:
            for entry in entries:
                _tell(entry, error)
            return
        middle = len(entries) // 2
        for half in (entries[:middle], entries[middle:]):
            await self._send(half)

    async def _exchange(self, entries: list[_Entry]) -> None:
        starts: list[_Entry] = []
        commits: list[_Entry] = []
        deliveries: list[_Entry] = []
        for e in entries:
            kind = type(e.row)
            (commits if kind is Commit else starts if kind is Start else deliveries).append(e)
        batch = Batch(
            tuple(e.row for e in starts),  # pyright: ignore[reportArgumentType]
            tuple(e.row for e in commits),  # pyright: ignore[reportArgumentType]
            tuple(e.row for e in deliveries),  # pyright: ignore[reportArgumentType]
        )
        began = time.perf_counter()
        answer = await self._store.commit(batch)
        took, stats = time.perf_counter() - began, self.stats
        stats.took[bisect_left(BOUNDS, took)] += 1
        stats.seconds += took
        stats.batches += 1
        stats.rows += len(entries)
        for instance_id, owner in answer.reached.items():
            self._reached(instance_id, owner)
        for entry, started in zip(starts, answer.starts, strict=True):
            _tell(entry, started)
        for entry, receipt in zip(deliveries, answer.deliveries, strict=True):
            _tell(entry, receipt)
        unsure: list[_Entry] = []
        for entry, matched in zip(commits, answer.commits, strict=True):
            if matched:
                _tell(entry, True)
            elif entry.sent > 1:
                unsure.append(entry)
            else:
                _tell(entry, False)
        if unsure:
            await self._read_back(unsure)

    async def _read_back(self, entries: list[_Entry]) -> None:
        """An earlier answer was lost: find out what became of these rows."""
        fences = await self._store.fences([e.row.id for e in entries if isinstance(e.row, Commit)])
        for entry in entries:
            commit = entry.row
            assert isinstance(commit, Commit)
            fence = fences.get(commit.id)
            if fence is None:
                _tell(entry, False)
            elif commit.step.release and fence.revision >= commit.step.revision:
                _tell(entry, True)  # given back, as far as this worker is concerned
            elif (fence.owner, fence.epoch) != (commit.owner, commit.epoch):
                _tell(entry, False)
            elif fence.revision == commit.step.revision:
                _tell(entry, True)
            else:
                self._add(entry)
