"""What several conversations are about: plain activities, and a workflow of one body."""

from __future__ import annotations

from typing import Any

from stepkeel import Context, Signal, State, Workflow, activity
from tests.flows import Job


@activity
async def undo(ctx: Context[Job]) -> None: ...


@activity(compensate=undo)
async def act(ctx: Context[Job]) -> None: ...


@activity
async def tell(ctx: Context[Job]) -> None: ...


class Ping(Signal): ...


def build(*body: Any) -> type[Workflow[Job]]:
    """A body, and the end behind it."""

    class Flow(Workflow[Job]):
        work = State[Job](*body)
        done = State.completed()
        work.to(done)

    return Flow
