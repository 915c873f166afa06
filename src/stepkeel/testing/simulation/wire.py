"""The store as one process sees it: behind a network that delays, loses and repeats, over a server that has its own clock.

| fault | the process | the server |
|---|---|---|
| lost_request | Unavailable | has heard nothing |
| lost_answer | Unavailable | has applied it |
| late_landing | Unavailable | applies it some time later |
| slow | waits | applies it early or late |
| outage | Unavailable, all of them | has heard nothing |
| crash_before, crash_during, crash_after | is dead | has heard nothing; perhaps; has applied it |
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from stepkeel.errors import Unavailable
from stepkeel.model.commit import Batch, Commit
from stepkeel.testing.simulation.chance import Chance, Faults
from stepkeel.testing.simulation.loop import Process, SimulatedLoop
from stepkeel.testing.simulation.server import Server

__all__ = ["Drift", "Wire"]


LOST = ("lost_request", "lost_answer", "late_landing")


class Drift:
    """A process's own clock: it starts anywhere and goes a little too fast or too slow."""

    def __init__(self, loop: SimulatedLoop, chance: Chance) -> None:
        self._loop = loop
        self._offset = chance.below("offset", 3_600_000_000)
        self.rate = 1.0 + chance.between("drift", -0.02, 0.02)

    def now(self) -> int:
        return self._offset + self.monotonic()

    def monotonic(self) -> int:
        skipped = self._loop.skipped  # no clock goes wrong by minutes while nothing happens
        return skipped + round((self._loop.micros - skipped) * self.rate)


def _remote(name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
    def call(self: Wire, *arguments: Any, **named: Any) -> Coroutine[Any, Any, Any]:
        return self.ask(name, arguments, named)

    return call


class Wire:
    """The store port for one process."""

    batch_rows = 100
    transactional = True
    url = "simulation://"

    def __init__(self, server: Server, process: Process, clock: Drift, faults: Faults, chance: Chance) -> None:
        self._server = server
        self._process = process
        self._clock = clock
        self._faults = faults
        self._chance = chance
        self._anchor = (server.now(), clock.monotonic())
        self._heard: Callable[[str | None], None] | None = None
        self.calm = False  # what it does itself (opening, looking after the end) is not disturbed
        server.wires.append(self)

    # -- asking the server

    async def ask(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Send it, let the server do it, bring the answer back; or what the faults make of it."""
        process, server = self._process, self._server
        answer = process.loop.create_future()
        there, back, fate = self._fate(name)
        if fate == "crash_before":
            server.crash(process, fate)
            await answer  # nothing of this process goes on

        def answered(result: Any, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)

        def arrives() -> None:
            if fate == "lost_request" or (server.out and not self.calm):
                process.later(back, answered, None, Unavailable(f"{name}: the connection was lost"))
                return
            try:
                result, error = server.apply(name, arguments, named, process), None
            except Exception as refused:
                result, error = None, refused
            if fate == "crash_after":
                server.crash(process, fate)
            elif fate == "lost_answer":
                process.later(back, answered, None, Unavailable(f"{name}: the connection was lost"))
            elif fate != "late_landing":
                process.later(back, answered, result, error)

        if fate == "late_landing":
            process.later(there, answered, None, Unavailable(f"{name}: no answer in time"))
            there += self._chance.between("landing", 0.01, 3.0)
        server.process.later(there, arrives)
        if fate == "crash_during":
            server.crash(process, fate)
        result = await answer
        if name == "claim":
            self._anchor = (result.now, self._clock.monotonic())
        return result

    def _fate(self, name: str) -> tuple[float, float, str]:
        chance, faults = self._chance, self._faults
        way = chance.draw("way")  # both ways from one number: its first digits, and those behind them
        there, back = 0.0001 + 0.003 * way, 0.0001 + 0.003 * (way * 4096 % 1)
        if self.calm:
            return there, back, ""
        if name == "commit":
            for kind in ("crash_before", "crash_during", "crash_after"):
                if faults.come(kind):
                    return there, back, kind
        for kind in LOST:
            if faults.come(kind):
                return there, back, kind
        if faults.come("slow"):
            if chance.draw("slow way") < 0.5:
                there += chance.between("slow span", 0.1, 4.0)
            else:
                back += chance.between("slow span", 0.1, 4.0)
        return there, back, ""

    # -- hints

    def now(self) -> int:
        at, then = self._anchor
        return at + self._clock.monotonic() - then

    def version(self) -> None:
        return None

    def pulse(self) -> Any:
        raise NotImplementedError("the simulation renews leases on its own loop")

    def listen(self, heard: Callable[[str | None], None]) -> None:
        self._heard = heard

    def tell(self, worker: str | None) -> None:
        for other in self._server.wires:
            if other is not self and other._heard is not None and not other._process.dead:
                self._hint(other, worker)

    def _hint(self, other: Wire, worker: str | None) -> None:
        faults, heard = self._faults, other._heard
        if heard is None or faults.come("lost_hint"):
            return
        delay = self._chance.between("late", 0.1, 3.0) if faults.come("late_hint") else 0.001
        other._process.later(delay, heard, worker)
        if faults.come("double_hint"):
            other._process.later(delay + 0.2, heard, worker)

    # -- the verbs of the port

    open = _remote("open")
    upgrade = _remote("upgrade")
    check = _remote("check")
    add_worker = _remote("add_worker")
    remove_worker = _remote("remove_worker")
    workers = _remote("workers")
    bury = _remote("bury")
    take_over = _remote("take_over")
    claim = _remote("claim")
    owned = _remote("owned")
    news = _remote("news")
    give_back = _remote("give_back")
    grant = _remote("grant")
    pools = _remote("pools")
    pool = _remote("pool")
    tickets = _remote("tickets")
    commit = _remote("commit")
    fences = _remote("fences")
    inbox = _remote("inbox")
    signals = _remote("signals")
    load = _remote("load")
    list = _remote("list")
    history = _remote("history")
    feed = _remote("feed")
    tasks = _remote("tasks")
    breakers = _remote("breakers")
    take_messages = _remote("take_messages")
    settle_messages = _remote("settle_messages")
    outbox = _remote("outbox")
    put_breaker = _remote("put_breaker")
    cached = _remote("cached")
    put_cached = _remote("put_cached")
    forget_cached = _remote("forget_cached")
    acts = _remote("acts")
    audit_head = _remote("audit_head")
    key = _remote("key")
    keys = _remote("keys")
    add_key = _remote("add_key")
    end_key = _remote("end_key")
    use_key = _remote("use_key")
    find_key = _remote("find_key")
    tenants = _remote("tenants")
    metrics = _remote("metrics")
    ended = _remote("ended")
    due = _remote("due")
    definitions = _remote("definitions")
    put_definition = _remote("put_definition")
    archive = _remote("archive")
    purge = _remote("purge")
    renew = _remote("renewed")

    def within(self, tenant: str | None) -> Wire:
        return self

    async def close(self) -> None:
        return

    async def begin(self) -> WireTransaction:
        return WireTransaction(self)


class WireTransaction:
    """A transactional activity's step is a commit of its own; what a fake writes elsewhere is not undone."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.connection: Any = None

    async def check(self) -> None:
        return

    async def commit(self, commit: Commit) -> bool:
        answer = await self._wire.commit(Batch(commits=(commit,)))
        return answer.commits[0]

    async def rollback(self) -> None:
        return

    def transient(self, error: BaseException) -> bool:
        return False
