"""A worker: claims instances, holds them while they run, gives them back.

It looks at the database when somebody tells it to (a hint: losing one costs a poll interval), when a timer it knows of
is due, and in any case with a pause that grows from `poll_min` to `poll_max` while nothing comes.

| each look | does |
|---|---|
| ticks | timers of residents that are due |
| news | inbox rows for residents, written by others |
| claim | due rows, as many as there is room for |
| reconcile (every third of a lease) | gives back rows that name this worker and that it does not know of |
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

from stepkeel.clock import Clock
from stepkeel.engine.core import Watcher
from stepkeel.engine.tiers import Tiers
from stepkeel.errors import Unavailable
from stepkeel.ids import IdMaker
from stepkeel.kernel.timer import earliest
from stepkeel.model.commit import Row
from stepkeel.model.decision import Decision
from stepkeel.model.definition import Definition
from stepkeel.model.effect import Emit, StartChild
from stepkeel.runtime.committer import Committer
from stepkeel.runtime.ends import Ends
from stepkeel.runtime.executor import Executor
from stepkeel.runtime.intake import Intake
from stepkeel.runtime.letters import Letters
from stepkeel.runtime.nap import Nap
from stepkeel.runtime.resident import Resident
from stepkeel.runtime.room import Room
from stepkeel.runtime.settings import Settings
from stepkeel.store.port import Store, WorkerRow

__all__ = ["Worker"]

_log = logging.getLogger("stepkeel.worker")


class Worker:
    """`definitions` are those it serves; `watch` is told of every durable step."""

    def __init__(
        self,
        store: Store,
        definitions: Mapping[tuple[str, int], Definition],
        executor: Executor,
        committer: Committer,
        settings: Settings,
        clock: Clock,
        ids: IdMaker,
        watch: Watcher,
        name: str = "",
        tiers: Tiers | None = None,
    ) -> None:
        self.store = store
        self.definitions = definitions
        self.tiers = tiers or Tiers()
        self.executor = executor
        self.committer = committer
        self.settings = settings
        self.clock = clock
        self.ids = ids
        self.loop = asyncio.get_running_loop()
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.id = ""
        self.room = Room(settings.concurrency)
        self.residents = self.room.residents
        self.attempts_started = 0
        self.looks = 0
        self.stopping = False
        self.watch = watch
        self.intake = Intake(self, definitions)
        self._anchor = (0, 0)
        self._background: set[asyncio.Task[Any]] = set()
        self._reconcile_at = 0
        self.letters = Letters(self)
        self.ends = Ends()
        self.beyond: tuple[str, ...] = ()  # what it can besides serving definitions, as its row says
        self.emitting, self.granting = asyncio.Event(), asyncio.Event()  # there are messages to deliver; tickets of pools moved
        self.nap = Nap(store)
        self._task: asyncio.Task[None] | None = None
        self._trusted_until = 0
        self._pause = settings.poll_min

    # -- life

    async def register(self, worker_id: str = "") -> None:
        """Announce this worker, under a new id unless it only tells what else it serves."""
        now = self.store.now()
        self._anchor = (now, self.clock.monotonic())
        self.id = worker_id or self.ids.id(now)
        lease = round(self.settings.lease * 1e6)
        sent = self.clock.monotonic()
        capabilities = json.dumps([*(f"{w.definition}@{w.version}" for w in self.intake.wanted), *self.beyond])
        await self.store.add_worker(WorkerRow(self.id, self.name, capabilities, now, now + lease))
        self.renewed(sent)

    async def serve(self, definitions: Iterable[tuple[str, int]]) -> None:
        """Claim these too, from now on."""
        if self.intake.more(definitions) and self.id:
            await self.register(self.id)
            self.wake()

    def start(self) -> None:
        self._task = self.loop.create_task(self._run())
        self.store.listen(self._heard)

    async def stop(self) -> None:
        """Finish or hand back: nothing new begins, attempts may end within `grace`, the rest is put back, the row goes last."""
        self.room.claiming = False
        self.stopping = True
        if self._task is not None:
            self.nap.wake()
            await asyncio.wait({self._task}, timeout=self.settings.margin)  # a claim under way is worth its answer
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._until_empty(self.settings.grace)
        for resident in list(self.residents.values()):
            for attempt in resident.attempts:
                attempt.stop(defer=True)
        await self._until_empty(min(self.settings.grace, 1.0))
        if not self.trusted():
            self.committer.drop_commits()  # nothing of ours may be sent any more; others take over
        await self.committer.drain()
        left = {r.id: r.epoch for r in self.residents.values()}
        for resident in list(self.residents.values()):
            self.drop(resident)
        if left:
            await self.store.give_back(self.id, left)
        await self.store.remove_worker(self.id)

    async def _until_empty(self, seconds: float) -> None:
        deadline = self.loop.time() + seconds
        while self.residents and self.loop.time() < deadline and self.trusted():
            await asyncio.sleep(0.005)

    # -- trust

    def now(self) -> int:
        """The database's time as last read, moved on by a clock that never steps back."""
        at, then = self._anchor
        return at + self.clock.monotonic() - then

    def renewed(self, sent: int) -> None:
        """A renewal that was sent at this monotonic time has succeeded."""
        window = round((self.settings.lease - self.settings.margin) * 1e6)
        self._trusted_until = sent + window

    def trusted(self) -> bool:
        return not self.settings.heartbeat or self.clock.monotonic() < self._trusted_until

    async def died(self) -> None:
        """Our row is gone: others may have all we held. Drop it and begin again under a new id."""
        _log.error("worker %s was declared dead: dropping %d instances", self.id, len(self.residents))
        self.committer.drop_commits()
        for resident in list(self.residents.values()):
            self.drop(resident)
        await self.register()
        self.wake()

    # -- hints

    def due(self, owner: str | None = None) -> None:
        """A row is there that nobody holds, and it is due; or something is there for another worker."""
        if owner is not None or not self._more():
            self.store.tell(owner)

    def _more(self) -> bool:
        """Work is due: look now, or as soon as there is room. True: there is."""
        if self.room.free:
            self.wake()
            return True
        self.intake.next_wake = self.now()
        if self.room.spare:
            self.nap.wake_within(self.settings.poll_min)  # it may be of a tenant for whom there is
        return False

    def wake(self) -> None:
        """Look at the database soon."""
        self._pause = self.settings.poll_min
        self.nap.wake()

    def hint(self, instance_id: str, owner: str | None) -> None:
        """Something was put into this instance's inbox."""
        if owner == self.id:
            if instance_id in self.residents:
                self.letters.hinted[instance_id] = None
                self.wake()
        else:
            self.due(owner)

    def granted_to(self, owner: str | None) -> None:
        """Slots were granted to residents of this owner, or to rows that nobody holds."""
        if owner == self.id:
            self.letters.ask()
            self.wake()
        else:
            self.due(owner)

    def _heard(self, worker: str | None) -> None:
        """Another process tells of something in our inboxes, or of work that is due."""
        if worker == self.id:
            self.granted_to(worker)
        elif worker is None:
            self._more()

    def holds(self, instance_id: str) -> bool:
        return instance_id in self.residents  # its steps are told of

    # -- looking

    async def _run(self) -> None:
        while not self.stopping:
            try:
                busy = await self.look()
            except Unavailable as error:
                _log.warning("the database does not answer: %s", error)
                busy = False
            except Exception:
                _log.exception("a look at the database failed; the worker goes on")
                busy = False
            self._pause = self.settings.poll_min if busy else min(self._pause * 1.5, self.settings.poll_max)
            await self._rest()

    async def _rest(self) -> None:
        """Until a hint, a timer, another process's commit, or the end of the pause."""
        due = [at for at in (self.intake.next_wake if self.room.free else None, self._soonest_timer()) if at is not None]
        span = self._pause
        if due:
            # At least a moment: a row that somebody else is about to claim would be looked at without end.
            span = min(span, max(0.001, (min(due) - self.now()) / 1e6))
        # The longer nothing came, the less often others' commits are asked for: 20 ms at first, 50 ms at last.
        await self.nap.sleep(span, min(0.05, max(self.settings.poll_min, self._pause / 20)))

    async def look(self) -> bool:
        """One look at the database; True when it found something to do."""
        self.looks += 1
        ticked = self.tick()
        if not self.trusted():
            return False
        await self.intake.read()  # left over where the store did not answer
        news = await self.letters.look(self.nap.others_wrote(forget=True))
        claimed = await self._claim()
        if self.clock.monotonic() >= self._reconcile_at:
            self._reconcile_at = self.clock.monotonic() + round(self.settings.lease / 3 * 1e6)
            await self.intake.reconcile()
        return ticked or news or claimed

    def _soonest_timer(self) -> int | None:
        return min((at for r in self.residents.values() if (at := r.timer()) is not None), default=None)

    def tick(self) -> bool:
        """Tell residents whose timer is due; not those whose items and inbox are still to be read."""
        now = self.now()
        due = [r for r in self.residents.values() if (at := r.timer()) is not None and at <= now and not self.intake.unread(r)]
        for resident in due:
            resident.tick(now)
        return bool(due)

    async def _claim(self) -> bool:
        claims = await self.intake.claim()
        if claims is None:
            return False
        self._anchor = (claims.now, self.clock.monotonic())
        await self.intake.take(claims.rows)
        return bool(claims.rows)

    # -- starts

    def reserve(self, instance_id: str, tenant: str, *, inline: bool = False) -> bool:
        """Room for a start made here: it is inserted already owned. `inline` starts are waited for and always get room."""
        if not (inline or self.room.open_to(tenant)) or not self.id or not self.trusted():
            return False
        self.room.starting[instance_id] = tenant
        return True

    def launched(self, definition: Definition, row: Row, decision: Decision | None) -> None:
        """The reserved start was answered; without a decision it is not ours after all."""
        self.room.starting.pop(row.id, None)
        if decision is None:
            return
        if decision.snapshot.tickets:
            self.granting.set()
        for effect in decision.effects:
            if isinstance(effect, StartChild):
                self.due()
            elif isinstance(effect, Emit):
                self.emitting.set()
        if row.owner is None:
            self.ends.add(decision.snapshot, row.created_at)
            self.watch(row.id, at_rest=True)
        elif row.owner == self.id:  # else we were declared dead meanwhile, and others have it
            resident = Resident(self, definition, decision.snapshot, row)
            self.residents[row.id] = resident
            resident.begin(decision)

    # -- leaving

    def released(self, resident: Resident) -> None:
        """Its commit gave the lease back."""
        self.drop(resident)
        self.ends.add(resident.snapshot, resident.created_at)
        due = earliest(resident.snapshot.timers)
        if due is not None and (self.intake.next_wake is None or due < self.intake.next_wake):
            self.intake.next_wake = due
            if due <= self.now() + self.settings.poll_max * 1e6:
                self.wake()
        if resident.id in self.letters.hinted or (self.room.free == 1 and self.intake.due_by(self.now())):
            self.letters.hinted.pop(resident.id, None)
            self.wake()

    def background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run it on, and keep hold of it; an error of it is logged."""
        task = self.loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_over)

    def _background_over(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("in the background: %s", task.exception())

    def drop(self, resident: Resident) -> None:
        """Another that was claimed here again stays in its place: the answer to a commit may come later than a claim."""
        if self.residents.get(resident.id) is resident:
            del self.residents[resident.id]
        resident.drop()
        self.watch(resident.id, at_rest=True)

    @property
    def idle(self) -> bool:
        return not self.residents and not self.room.starting
