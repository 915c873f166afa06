"""Processes that kill themselves at a commit: `python -m tests.acceptance.crashing WORKFLOW URL FOLDER`.

For k = 1, 2, ... and for `before` and `after`: a process runs the workflow and is killed (SIGKILL) as its k-th commit is
about to be sent, or when it has been made durable and nobody knows yet; a fresh process then finishes what it left. The
last k is the one that no process lives to see. One line of JSON for each.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from examples.order_approval.services import FlakyPayments
from examples.order_approval.workflow import Order, OrderApproval, OrderApproved, Payments, Stock
from examples.telephone_call.workflow import (
    Call,
    CallConnected,
    CallDialed,
    HungUp,
    PhoneHurledAgainstWall,
    PlacedOnHold,
    TelephoneCall,
)

from stepkeel import Engine, Settings
from stepkeel.errors import InstanceEnded

SETTINGS = Settings(lease=0.6, margin=0.2, stall_limit=0.3, poll_max=0.1)
AT_ONCE = 6
WHEN = ("before", "after")


class Effects:
    """What the services did, a line each; O_APPEND keeps the lines of several processes whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, text: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")

    def counts(self) -> Counter[str]:
        return Counter(self._path.read_text(encoding="utf-8").split()) if self._path.exists() else Counter()


class NotedPayments(FlakyPayments):
    def __init__(self, effects: Effects) -> None:
        super().__init__(latency=0.0)
        self._effects = effects

    async def reserve(self, order_id: str, amount: Decimal, *, key: str, attempt: int) -> str | None:
        self._effects.note(key)
        return await super().reserve(order_id, amount, key=key, attempt=attempt)


class NotedStock:
    def __init__(self, effects: Effects) -> None:
        self._effects = effects

    async def hold(self, order_id: str, *, key: str) -> None:
        self._effects.note(key)

    async def release(self, order_id: str, *, key: str) -> None:
        self._effects.note(key)


async def order(engine: Engine, name: str) -> list[str]:
    """One is approved and completes; the other's card is declined, and its stock is given back."""
    ids: list[str] = []
    for number in (1, 11):
        data = Order(f"ORD-{number:04}", "C-1", Decimal(250))
        job = await engine.start(OrderApproval, data, key=f"{name}-{number}")
        ids.append(job.id)
        await job.wait(20, state=OrderApproval.awaiting)
        await _quietly(job.signal(OrderApproved("ann"), key="yes"))
    return ids


async def telephone(engine: Engine, name: str) -> list[str]:
    job = await engine.start(TelephoneCall, Call("call"), key=name)
    said: list[Any] = [CallDialed("1"), CallConnected(), PlacedOnHold(), HungUp(), CallDialed("2"), CallConnected(), PlacedOnHold()]
    for n, what in enumerate([*said, PhoneHurledAgainstWall()]):
        await _quietly(job.signal(what, key=str(n), wait=20))
    return [job.id]


async def _quietly(call: Awaitable[Any]) -> None:
    try:
        await call
    except InstanceEnded:
        return  # it was heard before the crash


PLAYS: dict[str, tuple[Any, Callable[[Engine, str], Awaitable[list[str]]]]] = {
    "order": (OrderApproval, order),
    "telephone": (TelephoneCall, telephone),
}


def make_engine(which: str, url: str, effects: Effects, *, worker: bool = True) -> Engine:
    services = {Payments: NotedPayments(effects), Stock: NotedStock(effects)}
    return Engine(url, [PLAYS[which][0]], services, worker=worker, settings=SETTINGS)


def die_at(engine: Engine, k: int, when: str) -> None:
    store: Any = engine.store
    commit, seen = store.commit, 0

    async def counted(batch: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == k and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await commit(batch)
        if seen == k:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    store.commit = counted


async def dies(which: str, url: str, effects: Effects, k: int, when: str) -> None:
    engine = make_engine(which, url, effects)
    die_at(engine, k, when)
    async with engine:
        for instance_id in await PLAYS[which][1](engine, f"{k}{when}"):
            await engine.wait(instance_id, 30)


async def finishes(which: str, url: str, effects: Effects, k: int, when: str) -> None:
    """Everything said again, with the same keys; then what a user sees, and what was recorded as done and ran again."""
    recorded = await completed(which, url, effects)
    ran = effects.counts()
    async with make_engine(which, url, effects) as engine:
        ended: list[Any] = []
        for instance_id in await PLAYS[which][1](engine, f"{k}{when}"):
            result = await engine.wait(instance_id, 30)
            events = [(e.type, e.path) for h in await engine.history(instance_id) for e in h.events]
            done = Counter(p for t, p in events if t == "activity_completed")
            ended.append({"status": result.status, "state": result.state, "reason": result.reason, "done": done})
        report = await engine.doctor()
        again = sorted(recorded & (effects.counts() - ran).keys())
        tell({"k": k, "when": when, "ended": ended, "doctor": report.violations, "recorded": len(recorded), "again": again})


async def completed(which: str, url: str, effects: Effects) -> set[str]:
    """The idempotency keys of the activities whose completion is in some history."""
    keys: set[str] = set()
    async with make_engine(which, url, effects, worker=False) as engine:
        for info in (await engine.list(limit=1000)).items:
            events = [e for h in await engine.history(info.id) for e in h.events]
            keys |= {f"{info.id}/{e.path}" for e in events if e.type == "activity_completed"}
    return keys


def tell(facts: dict[str, Any]) -> None:
    os.write(1, json.dumps(facts).encode() + b"\n")  # in one piece: several processes write here


def fork(work: Callable[[], Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        logging.disable(logging.CRITICAL)
        asyncio.run(work())
        os._exit(0)
    except BaseException as error:
        tell({"error": repr(error)})
        os._exit(1)


def one(which: str, url: str, folder: Path, k: int, when: str) -> bool:
    """True if the process lived to its end: there is no k-th commit."""
    effects = Effects(folder / f"{which}{k}{when}.txt")
    place = url.replace("{n}", f"{k}{when}")
    _, status = os.waitpid(fork(lambda: dies(which, place, effects, k, when)), 0)
    lived = not os.WIFSIGNALED(status)
    os.waitpid(fork(lambda: finishes(which, place, effects, k, when)), 0)
    return lived


def main(which: str, url: str, folder: Path) -> None:
    """Several k at a time: most of each is waiting for a lease to be over."""
    k = 0
    while True:
        waves = [(k + n // 2 + 1, WHEN[n % 2]) for n in range(AT_ONCE)]
        k += AT_ONCE // 2
        pids = []
        for at, when in waves:
            pid = os.fork()
            if not pid:
                os._exit(one(which, url, folder, at, when))
            pids.append(pid)
        lived = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        if any(lived):
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
