"""A simulated flow: ways that are chosen, waited for, gone again, split into threads and merged, with races that one wins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from stepkeel.authoring.activity import activity
from stepkeel.authoring.context import Context
from stepkeel.authoring.flow import PartialJoin, ThreadMerge, ThreadSplit, flow
from stepkeel.authoring.graph import step
from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.node import BodyNode, delay
from stepkeel.authoring.state import State
from stepkeel.model.outcome import Fail
from stepkeel.model.policy import Retry
from stepkeel.model.reducer import Append, Sum
from stepkeel.testing.simulation.chance import Chance
from stepkeel.testing.simulation.run import Ended
from stepkeel.testing.simulation.simulate import Simulation

__all__ = ["FLOWS"]

OFTEN = Retry(attempts=50, delay=0.2)


@dataclass
class Claim:
    """`ways` are asked in each of `rounds`; then there are so many `threads`, and a race."""

    ways: str = "ab"
    rounds: int = 1
    threads: int = 2
    breaks: str = ""
    round: int = 0
    last: str = ""
    given_back: Annotated[int, Sum] = 0
    log: Annotated[list[str], Append] = field(default_factory=list[str])


@activity(retry=OFTEN)
async def _give_back(ctx: Context[Claim]) -> None:
    ctx.data.given_back += 1


@activity(retry=OFTEN, compensate=_give_back)
async def _note(ctx: Context[Claim]) -> None:
    word = ctx.node.partition(":")[2].partition("/")[0].partition("#")[0]
    if word == ctx.data.breaks and ctx.data.round >= ctx.data.rounds - 1:
        raise Fail("NO")
    ctx.data.log.append(word)


@activity(retry=OFTEN)
async def _count(ctx: Context[Claim]) -> None:
    ctx.data.round += 1
    ctx.data.last = f"round {ctx.data.round}"


def _again(claim: Claim) -> bool:
    return claim.round < claim.rounds


def _threads(claim: Claim) -> int:
    return claim.threads


_SOON: BodyNode[Claim] = delay(0.3)
_LATE: BodyNode[Claim] = delay(20)


class Claiming(Workflow[Claim]):
    asking = State[Claim](
        flow(
            step("begin", to={way: f"data.ways.contains('{way}')" for way in "abc"}),
            step("a", _note, to="merge"),
            step("b", _note, to="b2"),
            step("b2", [_SOON, _note], to="merge"),
            step("c", _note, to="merge"),
            step("merge", _count, join="live", to={"begin": _again, "go": None}, split="first"),
            step("go", to=["split", "fast", "slow"]),
            step("split", to="thread", split=ThreadSplit(_threads)),
            step("thread", _note, to="pair"),
            step("pair", _note, join=ThreadMerge(2)),
            step("fast", _note, to="win"),
            step("slow", [_LATE, _note], to="win"),
            step("win", _note, join=PartialJoin(1, rest="cancel", region=["fast", "slow"])),
            start="begin",
            leftover="drop",
        )
    )
    asked = State.completed()
    asking.to(asked)


def _claim(chance: Chance) -> Claim:
    ways = chance.pick("ways", ("a", "b", "c", "ab", "bc", "ac", "abc"))
    breaks = chance.pick("breaks", ("", "", "", "", "a", "b2", "pair", "fast"))
    return Claim(ways, 1 + chance.below("rounds", 3), chance.below("threads", 5), breaks)


def _is_whole(claim: Ended) -> str | None:
    """Each way of each round once, each thread, one of those that race, in the order of the ways. Else all is given back."""
    data = claim.data
    if {"node_cancelled", "node_completed", "state_set", "forked", "activity_lost"} & {*claim.events}:
        return None
    fails = data.breaks == "fast" or data.breaks in data.ways or (data.breaks == "b2" and "b" in data.ways)
    if claim.status == "failed" and data.given_back < len(data.log):
        return f"failed, and not all was given back: {data}"
    if claim.status == "failed":
        return None if fails or (data.breaks == "pair" and data.threads > 1) else f"failed: {claim.why}"
    if claim.status != "completed":
        return None
    asked = [*data.ways, *(["b2"] if "b" in data.ways else [])] * data.rounds
    wanted = [*asked, *["thread"] * data.threads, *["pair"] * (data.threads // 2)]
    raced = [word for word in data.log if word in ("fast", "slow", "win")]
    rest = [word for word in data.log if word not in raced]
    if rest != wanted or raced not in (["fast", "win"], ["slow", "win"]) or data.round != data.rounds:
        return f"completed with {data}"
    return None


FLOWS = Simulation((Claiming,), _claim, check=_is_whole, instances=3, node_verbs=True, name="flows")
