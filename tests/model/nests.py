"""Nestings of nodes made up by chance, and what each of them means in plain Python."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from stepkeel import (
    Append,
    Break,
    Context,
    Retry,
    Signal,
    State,
    Sum,
    Workflow,
    activity,
    at,
    child,
    choice,
    delay,
    during,
    emit,
    for_each,
    graph,
    loop,
    machine,
    parallel,
    scope,
    spawn,
    tagged,
    when,
)
from stepkeel import step as graph_step

Pick = Callable[[str, Sequence[Any]], Any]
STEPS = 60  # more than that is left out: it only takes long


@dataclass
class Job:
    """What branches that run at the same time do to it is put together in their order."""

    log: Annotated[list[str], Append] = field(default_factory=list[str])
    amount: Annotated[int, Sum] = 0


class Never(Signal):
    """Nobody sends it."""


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


@dataclass(frozen=True)
class Parallel:
    """Each branch works on its own copy: what it sees does not depend on how fast the others are."""

    branches: tuple[tuple[Any, ...], ...]
    width: int | None
    key: str = "parallel"


@dataclass(frozen=True)
class Each:
    count: int
    body: tuple[Any, ...]
    width: int
    key: str = "for_each"


@dataclass(frozen=True)
class Graph:
    """Steps of leaves, each with the numbers of those that it needs. They work on the same data, and ask nothing of them."""

    steps: tuple[tuple[int, tuple[int, ...]], ...]
    width: int
    key: str = "graph"

    @property
    def order(self) -> list[int]:
        """They are written last to first; of those whose needs are before them the first written comes first."""
        order: list[int] = []
        while len(order) < len(self.steps):
            order.append(max(n for n, (_, needs) in enumerate(self.steps) if n not in order and {*needs} <= {*order}))
        return order


@dataclass(frozen=True)
class Machine:
    """States one after another, each with a body; a scope is one with a single state."""

    states: tuple[tuple[Any, ...], ...]
    scoped: bool

    @property
    def key(self) -> str:
        return "scope" if self.scoped else "machine"


@dataclass(frozen=True)
class Child:
    """An instance of its own, with the same data; what it comes to is this one's again."""

    body: tuple[Any, ...]
    key: str = "child"


@dataclass(frozen=True)
class During:
    """Offered while the instance is where it is."""

    body: tuple[Any, ...]
    key: str = "during"


def divides(every: int) -> Callable[[Job], bool]:
    return lambda job: job.amount % every == 0


def make(pick: Pick, depth: int = 3, *, looped: bool = False) -> tuple[Any, ...]:
    """A body of one to three nodes; a leap stands in a loop alone."""
    return tuple(_node(pick, depth, looped) for _ in range(pick("length", (1, 2, 3))))


def _node(pick: Pick, depth: int, looped: bool) -> Any:
    kind = (
        pick("kind", ("leaf", "leaf", "loop", "choice", "parallel", "each", "machine", "during", "child", "graph"))
        if depth
        else "leaf"
    )
    if kind == "parallel":
        branches = tuple(make(pick, depth - 1) for _ in range(pick("branches", (1, 2, 3))))
        return Parallel(branches, pick("width", (None, 1, 2)))
    if kind == "graph":
        needs = [tuple(k for k in range(n) if pick("needs", (True, False))) for n in range(pick("steps", (1, 2, 4)))]
        return Graph(tuple((pick("leaves", (1, 2)), each) for each in needs), pick("width", (1, 2, 10)))
    if kind == "machine":
        scoped = pick("scoped", (True, False))
        count = 1 if scoped else pick("states", (1, 2, 3))
        return Machine(tuple(make(pick, depth - 1, looped=looped) for _ in range(count)), scoped)
    if kind == "child":
        return Child(make(pick, depth - 1))
    if kind == "during":
        return During(make(pick, depth - 1, looped=looped))
    if kind == "each":
        return Each(pick("count", (0, 1, 3)), make(pick, depth - 1), pick("width", (1, 2, 10)))
    if kind == "loop":
        word = pick("word", ("until", "while", ""))
        return Loop(make(pick, depth - 1, looped=True), word, pick("every", (2, 3, 5)), pick("most", (1, 2, 3)))
    if kind == "choice":
        arms = tuple((pick("every", (2, 3)), make(pick, depth - 1, looped=looped)) for _ in range(pick("arms", (1, 2))))
        return Choice(arms, make(pick, depth - 1, looped=looped) if pick("otherwise", (True, False)) else ())
    return Leaf(looped and pick("leaps", (True, False, False)))


def written(body: tuple[Any, ...]) -> Iterator[Any]:
    """As an author writes it; with nodes that leave no trace in the log: messages, and what runs beside."""
    for node in body:
        if isinstance(node, Leaf):
            yield tagged("leaf", leap if node.leaps else step)
        elif isinstance(node, Loop):
            guard = {f"{node.word}_" if node.word == "while" else node.word: divides(node.every)} if node.word else {}
            yield loop(*written(node.body), max_iterations=node.most, at_max="go_on", **guard)  # type: ignore[arg-type]
        elif isinstance(node, Child):
            yield child(workflow(node.body, f"nest-{next(_numbers)}"), into=lambda _, inner: inner)
        elif isinstance(node, During):
            yield during(at("work"), *written(node.body))
        elif isinstance(node, Graph):
            steps = [graph_step(f"g{n}", [step] * k, needs=[f"g{m}" for m in needs]) for n, (k, needs) in enumerate(node.steps)]
            yield graph(*reversed(steps), max_concurrency=node.width)
        elif isinstance(node, Machine):
            yield scope(*written(node.states[0]), on={Never: step}) if node.scoped else machine(_machine(node), name="machine")
        elif isinstance(node, Parallel):
            branches: Any = {f"b{n}": [*written(branch)] for n, branch in enumerate(node.branches)}
            yield parallel(**branches, max_concurrency=node.width, data="own")
            yield emit(lambda job: job.amount, to="nests")
        elif isinstance(node, Each):
            yield for_each(lambda _, n=node.count: range(n), *written(node.body), max_concurrency=node.width, data="own")
            yield spawn(delay(0.4), emit(to="nests"))
        else:
            arms = [when(divides(every), *written(arm)) for every, arm in node.arms]
            yield choice(*arms, otherwise=[*written(node.otherwise)] or None)


def _machine(node: Machine) -> type[Workflow[Job]]:
    states = {f"s{n}": State[Job](*written(body)) for n, body in enumerate(node.states)}
    inner = [*states.values(), State.completed()]
    for here, then in itertools.pairwise(inner):
        here.to(then)
    members: Any = {**states, "over": inner[-1], "__orig_bases__": (Workflow[Job],)}
    return type("Inner", (Workflow,), members)


_numbers = itertools.count(1)  # two definitions have two names


def workflow(body: tuple[Any, ...], name: str = "Nest") -> type[Workflow[Job]]:
    class Nest(Workflow[Job], name=name):
        work = State[Job](*written(body))
        done = State.completed()
        work.to(done)

    return Nest


def expected(body: tuple[Any, ...]) -> list[str]:
    """The paths that run; of what runs at the same time in the order of the branches. Raises TooLong."""
    run = Run([], 0)
    run.play(body, "work")
    return run.log


@dataclass
class Run:
    """What a body does to the data, in plain Python."""

    log: list[str]
    amount: int

    def play(self, body: tuple[Any, ...], place: str) -> None:
        used: dict[str, int] = {}
        for node in body:
            used[node.key] = n = used.get(node.key, 0) + 1
            path = f"{place}/{node.key}" + (f"-{n}" if n > 1 else "")
            if isinstance(node, Leaf):
                self.leaf(node, path)
            elif isinstance(node, Loop):
                self.loop(node, path)
            elif isinstance(node, Child):
                self.play(node.body, "work")
            elif isinstance(node, During):
                self.play(node.body, path)
            elif isinstance(node, Graph):
                for n in node.order:
                    self.play((Leaf(leaps=False),) * node.steps[n][0], f"{path}:g{n}")
            elif isinstance(node, Machine):
                for n, state in enumerate(node.states):
                    self.play(state, f"{path}:within" if node.scoped else f"{path}:s{n}")
            elif isinstance(node, Parallel):
                self.branches([(branch, f"{path}:b{n}") for n, branch in enumerate(node.branches)])
            elif isinstance(node, Each):
                self.branches([(node.body, f"{path}[{k}]") for k in range(node.count)])
            else:
                names = ["arm", "arm-2"]
                arms = enumerate(node.arms)
                taken = next(((names[n], arm) for n, (every, arm) in arms if self.amount % every == 0), None)
                name, arm = taken or ("otherwise", node.otherwise)
                self.play(arm, f"{path}:{name}")

    def leaf(self, node: Leaf, path: str) -> None:
        self.log.append(path)
        self.amount += 1
        if len(self.log) > STEPS:
            raise TooLong
        if node.leaps and self.amount % 3 == 0:
            raise Broken

    def loop(self, node: Loop, path: str) -> None:
        for n in range(1, node.most + 1):
            if node.word == "while" and self.amount % node.every:
                return
            try:
                self.play(node.body, path if n == 1 else f"{path}@{n}")
            except Broken:
                return
            if node.word == "until" and self.amount % node.every == 0:
                return

    def branches(self, bodies: list[tuple[tuple[Any, ...], str]]) -> None:
        ends: list[Run] = []
        for body, path in bodies:
            ends.append(Run([*self.log], self.amount))
            ends[-1].play(body, path)
        came, amount = len(self.log), self.amount
        for end in ends:
            self.log += end.log[came:]
            self.amount += end.amount - amount
        if len(self.log) > STEPS:
            raise TooLong
