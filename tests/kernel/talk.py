"""Random conversations with the kernel: `python -m tests.kernel.talk FIRST COUNT` prints a digest of all that was decided."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from stepkeel import Context, Retry, State, Workflow, activity
from stepkeel.model import input as inputs
from stepkeel.model.decision import Decision
from stepkeel.model.event import EVENTS
from stepkeel.model.snapshot import STATUSES, TERMINAL, Failure
from stepkeel.model.task import ACTS
from stepkeel.testing import Scenario
from stepkeel.testing.simulation.builtin import BUILTIN
from stepkeel.testing.simulation.chance import Chance
from stepkeel.testing.simulation.desks import PERSONS
from stepkeel.testing.simulation.sample import sample
from tests.flows import ChainFlow, Job, OrderFlow

Pick = Callable[[str, Sequence[Any]], Any]


@activity
async def by_sms(ctx: Context[Job]) -> None: ...


@activity(fallback=by_sms, retry=Retry(attempts=2))
async def by_mail(ctx: Context[Job]) -> None: ...


@activity(optional=True)
async def thank(ctx: Context[Job]) -> None: ...


class NoticeFlow(Workflow[Job], on_failure=thank):
    """What an activity may do instead of failing the workflow."""

    telling = State(by_mail, thank)
    told = State.completed()
    telling.to(told)


FLOWS: tuple[type[Workflow[Any]], ...] = (OrderFlow, ChainFlow, NoticeFlow, *(w for s in BUILTIN for w in s.workflows))
OUTCOMES = ("done", "done", "done", "break", "failed", "failed", "again", "wait", "stopped", "complete", "cancel", "terminate")
FAILURES = (
    Failure("DECLINED", "no", kind="business"),
    Failure("CARD_DECLINED", "no", kind="business"),
    Failure("boom", "boom"),
    Failure("boom", "boom", kind="permanent"),
)
SPANS = (0, 1, 1_000, 500_000, 5_000_000, 3_600_000_000, 300_000_000_000, -2_000_000)


class Talk:
    """One instance that anything may be said to, in any order: what is true of it, stale, or nonsense."""

    def __init__(self, workflow: type[Workflow[Any]], pick: Pick, seed: int) -> None:
        self.pick = pick
        self.chance = Chance(seed)
        codec = workflow.definition.data
        self.scenario = Scenario(workflow, sample(codec, self.chance), claimed=pick("claimed", (True, False)), seed=seed)
        self.names = sorted(workflow.definition.signals)

    def go_on(self) -> Decision:
        """Say one thing. The scenario asserts that it is decided twice alike, changes no argument, and folds."""
        scenario, before = self.scenario, self.scenario.snapshot
        decision = scenario.feed(self.something(), after=self.pick("after", SPANS))
        after = decision.snapshot
        assert after.status in STATUSES
        assert all(e.type in EVENTS for e in decision.events), decision.events
        if decision.refused:
            assert (after, decision.events, decision.effects) == (before, (), ())
            assert decision.message
        elif after is not before:
            assert after.revision == before.revision + 1
            assert after.at > before.at
        if before.status in TERMINAL and before.status != "failed":
            assert after.status == before.status, "what has ended stays so"
        return decision

    def something(self) -> inputs.Input:
        s, pick = self.scenario.snapshot, self.pick
        paths = (*(tuple(s.open) * 8), *s.closed, "nowhere", "undo/1")
        kind = pick("input", KINDS)
        path = pick("path", paths) if kind.__struct_fields__ else ""
        frame = s.open.get(path)
        attempt = (frame.attempt if frame else 1) + pick("attempt", (0, 0, 0, 0, 1, -1))
        if kind is inputs.AttemptEnded:
            return self.ended(path, attempt)
        if kind is inputs.AttemptDeferred:
            return kind(path, attempt, "busy", pick("delay", (0, 5_000_000)))
        if kind is inputs.HandedBack:
            return kind(tuple((p, f.attempt) for p, f in s.open.items())[: pick("back", (1, 2, 9))])
        if kind in (inputs.StepRecorded, inputs.Heartbeat):
            return kind(path, attempt, *((pick("name", ("a", "b")),) * (kind is inputs.StepRecorded)), msgspec.Raw(b'{"n":1}'))
        if kind is inputs.Claimed:
            return kind(pick("claims", (None, (), tuple(s.open))))
        if kind is inputs.HoldGranted:
            asked = [(p, t.pool, t.n) for p, tickets in s.tickets.items() for t in tickets.values()]
            return kind(*pick("grant", (*asked, ("nowhere", "pool", 1))))
        if kind in (inputs.ChildReported, inputs.TaskActed):
            return self.reported() if kind is inputs.ChildReported else self.acted()
        if kind is inputs.SignalArrived and self.names:
            self.send()
        return self.request(kind, path) if kind in ASKED else kind()

    def request(self, kind: Any, path: str) -> inputs.Input:
        s, pick = self.scenario.snapshot, self.pick
        if kind in (inputs.CancelNode, inputs.CompleteNode, inputs.AddItems):
            target = pick("target", (path, path.rpartition("/")[0], "nowhere"))
            more: Any = {inputs.CancelNode: (pick("then", ("end", "skip")),), inputs.AddItems: ([7, 8],)}.get(kind, ())
            return kind(target, *more, "ann", "")
        if kind is inputs.SetData:
            return kind(msgspec.json.decode(s.data), "ann", "")
        if kind is inputs.FireTimer:
            return kind(pick("timer", (*s.timers, "nowhere")), pick("purpose", ("", "", "retry")), "ann", "in a hurry")
        if kind is inputs.Redrive:
            return kind("ann", "", pick("from", ("", "", s.state, self.place())), pick("parts", (False, False, True)))
        if kind is inputs.SetState:
            return kind(self.place(), pick("body", (True, True, False)), pick("stop", (True, False)), "ann")
        return kind("ann", "because", pick("compensate", (True, False)))  # Cancel, Terminate

    def send(self) -> None:
        scenario = self.scenario
        codec = scenario.definition.signals[name := self.pick("signal", self.names)].codec
        scenario._seq += 1
        payload = msgspec.Raw(codec.encode(sample(codec, self.chance)))
        scenario.signals += (inputs.Signal(scenario._seq, name, payload, scenario.snapshot.revision, scenario.now),)

    def place(self) -> str:
        """A state, or a node of its body."""
        state = self.pick("state", list(self.scenario.definition.states.values()))
        return self.pick("place", (state.name, *(f"{state.name}/{n.key}" for n in state.body), "nowhere"))

    def reported(self) -> inputs.ChildReported:
        pick = self.pick
        children = [(p, f.child.id) for p, f in self.scenario.snapshot.open.items() if f.child is not None]
        path, child = pick("child", (*children, ("nowhere", "nobody")))
        data = msgspec.Raw(b"{}") if pick("data", (True, False)) else msgspec.Raw()
        return inputs.ChildReported(path, child, pick("status", STATUSES), "", "", data, pick("failure", FAILURES))

    def acted(self) -> inputs.TaskActed:
        pick = self.pick
        tasks = [(p, t) for p, f in self.scenario.snapshot.open.items() for t in f.tasks]
        path, task = pick("task", (*tasks, ("nowhere", "nothing")))
        said = pick("said", (b'{"approved":true}', b'{"approved":false}', b"{}", b'{"text":"x"}', b""))
        roles = pick("roles", (None, ("writer", "editor"), ()))
        to, actor = pick("to", ("", *PERSONS)), pick("actor", ("", *PERSONS))
        return inputs.TaskActed(path, task, pick("act", ACTS), actor, roles, msgspec.Raw(said), to, "hm")

    def ended(self, path: str, attempt: int) -> inputs.AttemptEnded:
        pick = self.pick
        outcome = pick("outcome", OUTCOMES)
        data = self.scenario.definition.data.encode(sample(self.scenario.definition.data, self.chance))
        failure = pick("failure", FAILURES) if outcome in ("failed", "again") else None
        delay = pick("for", (1_000_000, 60_000_000)) if outcome in ("again", "wait") else None
        changed = data if outcome not in ("failed", "stopped") and pick("changed", (True, False)) else None
        return inputs.AttemptEnded(path, attempt, outcome, changed, "said so", delay, None, failure)


ASKED = (
    inputs.CancelNode, inputs.CompleteNode, inputs.AddItems, inputs.SetData, inputs.SetState, inputs.FireTimer, inputs.Redrive,
    inputs.Cancel, inputs.Terminate,
)  # fmt: skip
KINDS: tuple[Any, ...] = (
    *([inputs.AttemptEnded] * 24),
    *([inputs.SignalArrived] * 6),
    *([inputs.Claimed] * 3),
    *([inputs.HoldGranted] * 8),
    *([inputs.ChildReported] * 8),
    *([inputs.TaskActed] * 8),
    *([inputs.Tick] * 8),
    *([inputs.AttemptDeferred, inputs.HandedBack, inputs.StepRecorded, inputs.Heartbeat] * 2),
    *([inputs.Resume, inputs.Redrive] * 4),
    inputs.FireTimer,
    inputs.FireTimer,
    inputs.CancelNode,
    inputs.CancelNode,
    inputs.CompleteNode,
    inputs.AddItems,
    inputs.SetData,
    inputs.SetState,
    inputs.Release,
    inputs.Pause,
    inputs.Cancel,
    inputs.Terminate,
    inputs.Archive,
)


def digest(first: int, count: int, steps: int = 60) -> str:
    """Of the bytes of every decision of so many conversations; each goes on a little when all is over."""
    told = hashlib.sha256()
    for seed in range(first, first + count):
        chance = Chance(seed)
        talk, steps_left = Talk(FLOWS[seed % len(FLOWS)], chance.pick, seed), steps
        while steps_left > 0:
            d = talk.go_on()
            steps_left -= 1 if d.snapshot.status not in TERMINAL else steps // 5
            told.update(msgspec.json.encode((d.snapshot, d.events, d.changes, d.refused, d.message)) + repr(d.effects).encode())
    return told.hexdigest()


if __name__ == "__main__":
    sys.stdout.write(digest(int(sys.argv[1]), int(sys.argv[2])))
