"""Nestings of nodes made up by chance, and what each of them means in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stepkeel import Break, Context, Retry, State, Workflow, activity, choice, loop, when
from tests.flows import Job

Pick = Callable[[str, Sequence[Any]], Any]
STEPS = 60  # more than that is left out: it only takes long


@activity(retry=Retry(attempts=100, delay=0.1))
async def step(ctx: Context[Job]) -> None:
    ctx.data.log.append(ctx.idempotency_key.partition("/")[2])
    ctx.data.amount += 1


@activity(retry=Retry(attempts=100, delay=0.1))
async def leap(ctx: Context[Job]) -> Break | None:
    ctx.data.log.append(ctx.idempotency_key.partition("/")[2])
    ctx.data.amount += 1
    return Break() if ctx.data.amount % 3 == 0 else None


class TooLong(Exception): ...


class Broken(Exception): ...


@dataclass(frozen=True)
class Leaf:
    """`leaps`: it ends the innermost loop at every third count."""

    leaps: bool

    @property
    def key(self) -> str:
        return "leap" if self.leaps else "step"


@dataclass(frozen=True)
class Loop:
    body: tuple[Any, ...]
    word: str  # until, while, nothing
    every: int
    most: int
    key: str = "loop"


@dataclass(frozen=True)
class Choice:
    arms: tuple[tuple[int, tuple[Any, ...]], ...]
    otherwise: tuple[Any, ...]
    key: str = "choice"


def divides(every: int) -> Callable[[Job], bool]:
    return lambda job: job.amount % every == 0


def make(pick: Pick, depth: int = 3, *, looped: bool = False) -> tuple[Any, ...]:
    """A body of one to three nodes; a leap stands in a loop alone."""
    return tuple(_node(pick, depth, looped) for _ in range(pick("length", (1, 2, 3))))


def _node(pick: Pick, depth: int, looped: bool) -> Any:
    kind = pick("kind", ("leaf", "leaf", "loop", "choice")) if depth else "leaf"
    if kind == "loop":
        word = pick("word", ("until", "while", ""))
        return Loop(make(pick, depth - 1, looped=True), word, pick("every", (2, 3, 5)), pick("most", (1, 2, 3)))
    if kind == "choice":
        arms = tuple((pick("every", (2, 3)), make(pick, depth - 1, looped=looped)) for _ in range(pick("arms", (1, 2))))
        return Choice(arms, make(pick, depth - 1, looped=looped) if pick("otherwise", (True, False)) else ())
    return Leaf(looped and pick("leaps", (True, False, False)))


def written(body: tuple[Any, ...]) -> Iterator[Any]:
    """As an author writes it."""
    for node in body:
        if isinstance(node, Leaf):
            yield leap if node.leaps else step
        elif isinstance(node, Loop):
            guard = {f"{node.word}_" if node.word == "while" else node.word: divides(node.every)} if node.word else {}
            yield loop(*written(node.body), max_iterations=node.most, at_max="go_on", **guard)  # type: ignore[arg-type]
        else:
            arms = [when(divides(every), *written(arm)) for every, arm in node.arms]
            yield choice(*arms, otherwise=[*written(node.otherwise)] or None)


def workflow(body: tuple[Any, ...]) -> type[Workflow[Job]]:
    class Nest(Workflow[Job]):
        work = State[Job](*written(body))
        done = State.completed()
        work.to(done)

    return Nest


def expected(body: tuple[Any, ...]) -> list[str]:
    """The paths that run, in order. Raises TooLong."""
    log: list[str] = []
    _play(body, "work", log)
    return log


def _play(body: tuple[Any, ...], place: str, log: list[str]) -> None:
    used: dict[str, int] = {}
    for node in body:
        used[node.key] = n = used.get(node.key, 0) + 1
        path = f"{place}/{node.key}" + (f"-{n}" if n > 1 else "")
        if isinstance(node, Leaf):
            log.append(path)
            if len(log) > STEPS:
                raise TooLong
            if node.leaps and len(log) % 3 == 0:
                raise Broken
        elif isinstance(node, Loop):
            _play_loop(node, path, log)
        else:
            names = ["arm", "arm-2"]
            taken = next(((names[n], arm) for n, (every, arm) in enumerate(node.arms) if len(log) % every == 0), None)
            name, arm = taken or ("otherwise", node.otherwise)
            _play(arm, f"{path}:{name}", log)


def _play_loop(node: Loop, path: str, log: list[str]) -> None:
    for n in range(1, node.most + 1):
        if node.word == "while" and len(log) % node.every:
            return
        try:
            _play(node.body, path if n == 1 else f"{path}@{n}", log)
        except Broken:
            return
        if node.word == "until" and len(log) % node.every == 0:
            return
