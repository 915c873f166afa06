"""Flows of one activity, and what is asked of them in conversations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from stepkeel import Append, Context, State, Workflow, activity, flow
from stepkeel.kernel.invariants import violations_of_frames
from stepkeel.model.effect import RunAttempt
from stepkeel.testing import Scenario

F = "work/flow:"


@dataclass
class Board:
    n: int = 0
    ok: bool = True
    word: str = ""
    log: Annotated[list[str], Append] = field(default_factory=list[str])


@activity
async def act(ctx: Context[Board]) -> None: ...


def workflow(*steps: Any, **options: Any) -> type[Workflow[Board]]:
    class Tokens(Workflow[Board]):
        work = State[Board](flow(*steps, **options))
        done = State.completed()
        work.to(done)

    return Tokens


def of(*steps: Any, data: Board | None = None, **options: Any) -> Scenario:
    return Scenario(workflow(*steps, **options), data or Board())


def run(*parts: str) -> set[str]:
    return {f"{F}{part}/act" for part in parts}


def began(s: Scenario) -> set[str]:
    return {e.path for e in s.last.effects if isinstance(e, RunAttempt)}


def done(s: Scenario, *parts: str, **changes: Any) -> set[str]:
    """These firings end, one after the other; what begins with the last of them."""
    for part in parts:
        s.done(f"{F}{part}/act", **changes)
        assert not violations_of_frames(s.snapshot)
    return began(s)


def told(s: Scenario, kind: str) -> list[tuple[str, dict[str, Any]]]:
    return [(e.path.removeprefix(F), e.detail) for e in s.last.events if e.type == kind]


def code(s: Scenario) -> str:
    assert s.snapshot.failure is not None
    return s.snapshot.failure.code
