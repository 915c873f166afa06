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
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any

from stepkeel.clock import Clock
from stepkeel.engine.core import Watcher
from stepkeel.errors import Unavailable
from stepkeel.ids import IdMaker
from stepkeel.kernel.timer import earliest
from stepkeel.model import input as inputs
from stepkeel.model.commit import Row
from stepkeel.model.decision import Decision
from stepkeel.model.definition import Definition
from stepkeel.model.effect import Emit, StartChild
from stepkeel.model.snapshot import UNREADABLE, read_snapshot
from stepkeel.runtime.aside import set_aside
from stepkeel.runtime.committer import Committer
from stepkeel.runtime.executor import Executor
from stepkeel.runtime.letters import Letters
from stepkeel.runtime.nap import Nap
from stepkeel.runtime.resident import Resident
from stepkeel.runtime.settings import Settings
from stepkeel.store.port import Store, Wanted, WorkerRow

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
    ) -> None:
        self.store = store
        self.definitions = definitions
        self.executor = executor
        self.committer = committer
        self.settings = settings
        self.clock = clock
        self.ids = ids
        self.loop = asyncio.get_running_loop()
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.id = ""
        self.residents: dict[str, Resident] = {}
        self.attempts_started = 0
        self.looks = 0
        self.claiming = True
        self.stopping = False
        self.watch = watch
        self._wanted: Sequence[Wanted] = tuple(Wanted(n, v) for n, v in definitions)
        self._anchor = (0, 0)
        self._starting: set[str] = set()
        self._background: set[asyncio.Task[Any]] = set()
        self._stray: dict[str, int] = {}
        self._lettered: list[Resident] = []
        self._next_wake: int | None = None
        self._reconcile_at = 0
        self.letters = Letters(self)
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
        capabilities = json.dumps([f"{w.definition}@{w.version}" for w in self._wanted])
        await self.store.add_worker(WorkerRow(self.id, self.name, capabilities, now, now + lease))
        self.renewed(sent)

    async def serve(self, definitions: Iterable[tuple[str, int]]) -> None:
        """Claim these too, from now on."""
        new = tuple(Wanted(n, v) for n, v in definitions)
        self._wanted = (*self._wanted, *(w for w in new if w not in self._wanted))
        if self.id and new:
            await self.register(self.id)
            self.wake()

    def start(self) -> None:
        self._task = self.loop.create_task(self._run())
        self.store.listen(self._heard)

    async def stop(self) -> None:
        """Finish or hand back: nothing new begins, attempts may end within `grace`, the rest is put back, the row goes last."""
        self.claiming = False
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
        if owner is None and self.room > 0:
            self.wake()
        else:
            self.store.tell(owner)

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
        elif worker is None and self.room > 0:
            self.wake()

    def holds(self, instance_id: str) -> bool:
        return instance_id in self.residents  # its steps are told of

    @property
    def room(self) -> int:
        return self.settings.concurrency - len(self.residents) - len(self._starting) if self.claiming else 0

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
        due = [at for at in (self._next_wake if self.room > 0 else None, self._soonest_timer()) if at is not None]
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
        await self._read_lettered()  # left over where the store did not answer
        news = await self.letters.look(self.nap.others_wrote(forget=True))
        claimed = await self._claim()
        if self.clock.monotonic() >= self._reconcile_at:
            self._reconcile_at = self.clock.monotonic() + round(self.settings.lease / 3 * 1e6)
            await self._reconcile()
        return ticked or news or claimed

    def _soonest_timer(self) -> int | None:
        timed = [at for r in self.residents.values() if (at := r.timer()) is not None]
        return min(timed, default=None)

    def tick(self) -> bool:
        """Tell residents whose timer is due; not those whose items and inbox are still to be read."""
        now = self.now()
        due = [r for r in self.residents.values() if (at := r.timer()) is not None and at <= now and r not in self._lettered]
        for resident in due:
            resident.tick(now)
        return bool(due)

    # -- claiming

    async def _claim(self) -> bool:
        if not self._wanted:
            return False
        claims = await self.store.claim(self.id, self._wanted, max(self.room, 0))
        self._anchor = (claims.now, self.clock.monotonic())
        self._next_wake = claims.next_wake
        for row in claims.rows:
            resident = self.adopt(row)
            if resident is None:
                continue
            if row.inbox or resident.definition.itemized:
                self._lettered.append(resident)
            else:
                resident.feed(inputs.Claimed(resident.orphaned))
        await self._read_lettered()
        return bool(claims.rows)

    async def _read_lettered(self) -> None:
        """Requests and grants in the inbox of what was claimed come first: what they began is not lost."""
        for resident in self._lettered:
            if resident.definition.itemized and not resident.dropped:
                await resident.given.load(self.store, resident.snapshot)
        await self.letters.load(r for r in self._lettered if not r.dropped)
        lettered, self._lettered = self._lettered, []
        for resident in lettered:
            resident.feed(inputs.Claimed(resident.orphaned))

    def adopt(self, row: Row) -> Resident | None:
        """Take a claimed row into memory; None if it had to be set aside."""
        definition = self.definitions.get((row.definition, row.version))
        if row.fault is not None:
            return self._set_row_aside(row, row.fault)  # something came for it; only a resume lets it go on
        if row.takeovers > self.settings.max_takeovers:
            return self._set_row_aside(row, f"{row.takeovers} workers died or were lost with it before any commit")
        try:
            snapshot = read_snapshot(row.snapshot, row.revision, row.id)
        except UNREADABLE as error:
            return self._set_row_aside(row, f"its snapshot does not decode: {error}")
        if snapshot.status != row.status:
            return self._set_row_aside(row, f"its row says {row.status}, its snapshot {snapshot.status}")
        if definition is None:
            return self._set_row_aside(row, f"{row.definition} version {row.version} is not served here")
        resident = Resident(self, definition, snapshot, row)
        self.residents[row.id] = resident
        return resident

    def _set_row_aside(self, row: Row, fault: str) -> None:
        _log.error("instance %s is set aside: %s", row.id, fault)
        # Its inbox is as good as seen: what lies there unread must not wake it again and again.
        set_aside(self, row.id, row.tenant, row.epoch, row.revision, fault, row.inbox, lambda _: None)

    async def _reconcile(self) -> None:
        """Give back rows that name us, that we held at neither of two looks, and that no request of ours is about."""
        owned = await self.store.owned(self.id)
        known = self.residents.keys() | self._starting
        stray = {i: e for i, e in owned.items() if i not in known}
        twice = {i: e for i, e in stray.items() if self._stray.get(i) == e}
        self._stray = stray
        if twice:
            _log.warning("giving back %d rows whose claim or start was never answered", len(twice))
            await self.store.give_back(self.id, twice)

    # -- starts

    def reserve(self, instance_id: str, *, inline: bool = False) -> bool:
        """Room for a start made here: it is inserted already owned. `inline` starts are waited for and always get room."""
        if (self.room <= 0 and not inline) or not self.id or not self.trusted():
            return False
        self._starting.add(instance_id)
        return True

    def launched(self, definition: Definition, row: Row, decision: Decision | None) -> None:
        """The reserved start was answered; without a decision it is not ours after all."""
        self._starting.discard(row.id)
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
            self.watch(row.id, at_rest=True)
        elif row.owner == self.id:  # else we were declared dead meanwhile, and others have it
            resident = Resident(self, definition, decision.snapshot, row)
            self.residents[row.id] = resident
            resident.begin(decision)

    # -- leaving

    def released(self, resident: Resident) -> None:
        """Its commit gave the lease back."""
        self.drop(resident)
        due = earliest(resident.snapshot.timers)
        if due is not None and (self._next_wake is None or due < self._next_wake):
            self._next_wake = due
            if due <= self.now() + self.settings.poll_max * 1e6:
                self.wake()
        if resident.id in self.letters.hinted or (self.room == 1 and self._next_wake is not None and self._next_wake <= self.now()):
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
        return not self.residents and not self._starting
