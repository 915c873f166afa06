"""Those who do the tasks of a run: whoever finds one open claims it, hands it on, says something, completes it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from stepkeel.errors import InstanceEnded, InvalidTransition, NotAllowed, NotFound, TaskClosed, Unavailable
from stepkeel.kernel.path import address
from stepkeel.model.node import TaskNode
from stepkeel.model.task import TaskRow
from stepkeel.testing.simulation.sample import sample
from stepkeel.testing.simulation.watch import Violation

if TYPE_CHECKING:
    from stepkeel.testing.simulation.client import Client

__all__ = ["People"]

PAUSE = 0.15
NAMES = ("ann", "bob", "cy", "dan", "eve")
ACTS = ("complete", "complete", "complete", "claim", "release", "reassign", "comment")
REFUSED = (Unavailable, InstanceEnded, InvalidTransition, NotAllowed, NotFound, TaskClosed)


class People:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._run = client.run
        self.completed: dict[str, str] = {}  # task -> by whom, as they were told

    async def work(self, until: float) -> None:
        """A few at a time, each with what they find."""
        n, under_way = 0, set[asyncio.Task[None]]()
        while self._run.loop.time() < until:
            await asyncio.sleep(PAUSE)
            found = self._open()
            if found:
                n += 1
                under_way.add(asyncio.ensure_future(self._act(self._run.chance.pick("task", found), n)))
        if under_way:
            await asyncio.gather(*under_way)

    def _open(self) -> list[TaskRow]:
        return [t for t in self._run.server.store.desk() if t.status == "open"]

    async def _act(self, task: TaskRow, n: int) -> None:
        run, chance = self._run, self._run.chance
        act, actor = chance.pick("act", ACTS), chance.pick("who", (*NAMES, task.assignee or "ann", task.claimed_by or "bob"))
        roles = None if chance.draw("trusted") < 0.5 else (task.role,)
        handle = (await self._client.engine()).task(task.id)
        options: dict[str, Any] = {"actor": actor, "roles": roles, "wait": 5.0}
        try:
            if act == "complete":
                receipt = await handle.complete(self._payload(task), key=f"act-{n}", **options)
            elif act == "reassign":
                receipt = await handle.reassign(chance.pick("to", NAMES), **options)
            elif act == "comment":
                receipt = await handle.comment("hm", **options)
            else:
                receipt = await getattr(handle, act)(**options)
        except REFUSED:
            return
        run.note("people", f"{actor}: {act} of {task.id[-6:]} of {run.short(task.instance_id)}: {receipt.status}")
        if act == "complete" and receipt.status == "processed":
            first = self.completed.setdefault(task.id, actor)
            if first != actor:
                raise Violation("task_twice", task.instance_id, f"{task.id} was completed by {first} and {actor}")

    def _payload(self, task: TaskRow) -> Any:
        definition = next(d for d in self._run.plan.definitions if (d.name, d.version) == (task.definition, task.version))
        place = definition.places[address(task.path)]
        assert isinstance(place.node, TaskNode)
        if place.node.approval:
            return {"approved": self._run.chance.draw("vote") < 0.7}
        return None if place.node.form is None else sample(place.node.form, self._run.chance)

    def check(self) -> None:
        """What somebody was told is done is done, and by them. Raises Violation."""
        rows = {t.id: t for t in self._run.server.store.desk()}
        for task, actor in self.completed.items():
            row = rows.get(task)
            if row is None or (row.status, row.closed_by) != ("completed", actor):
                raise Violation(
                    "acknowledged_lost", row.instance_id if row else "-", f"{actor} was told that the task {task} is done"
                )
