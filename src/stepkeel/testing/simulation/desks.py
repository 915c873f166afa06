"""A simulated definition that asks people: forms, votes, reminders, roles that work passes on to, tasks nobody needs any more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Annotated

from stepkeel.authoring.activity import activity
from stepkeel.authoring.concurrent import Join, for_each, parallel
from stepkeel.authoring.context import Context
from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.nested import scope
from stepkeel.authoring.node import delay
from stepkeel.authoring.people import approval, task
from stepkeel.authoring.signal import Signal
from stepkeel.authoring.state import State
from stepkeel.model.policy import Retry
from stepkeel.model.reducer import Append
from stepkeel.model.task import Verdict
from stepkeel.testing.simulation.chance import Chance
from stepkeel.testing.simulation.run import Ended
from stepkeel.testing.simulation.simulate import Simulation

__all__ = ["DESKS", "PERSONS"]

OFTEN = Retry(attempts=50, delay=0.2)
PERSONS = ("ann", "bob", "cy", "dan")


@dataclass
class Sheet:
    """`author` may not sign; `readers` are asked one by one."""

    author: str = ""
    readers: list[str] = field(default_factory=list[str])
    text: str = ""
    signed: list[str] = field(default_factory=list[str])
    notes: Annotated[list[str], Append] = field(default_factory=list[str])


@dataclass
class Text:
    text: str = ""


class Recalled(Signal): ...


@activity(retry=OFTEN)
async def _file(ctx: Context[Sheet]) -> None:
    ctx.data.notes.append("filed")


def _written(sheet: Sheet, form: Text) -> Sheet:
    return replace(sheet, text=f"{form.text}!")


def _signed(sheet: Sheet, verdict: Verdict) -> Sheet:
    return replace(sheet, signed=[who for who, yes, _ in verdict.votes if yes])


class Report(Workflow[Sheet]):
    writing = State[Sheet](
        task("Write it", Text, role="writer", due=3.0, escalate_to=["editor", "chief"], remind=1.0, into=_written),
        scope(task("Read it over", candidates=PERSONS), on={Recalled: _file}, after={timedelta(seconds=4): []}),
    )
    signing = State[Sheet](
        parallel(
            votes=approval("Sign {text}", people=PERSONS, need=2, not_by=lambda s: s.author, into=_signed, on_reject="go_on"),
            readers=for_each(lambda s: s.readers, task(lambda s, who: f"{who}: {s.text}", assignee=lambda s, who: who), _file),
            first=parallel(a=task("a", role="writer"), b=task("b", role="writer"), c=delay(2.0), join="any"),
            join=Join(2, rest="cancel"),
        ),
        _file,
    )
    done = State.completed()
    dropped = State.cancelled(reason="nobody signs")

    writing.to(signing)
    writing.after(60.0, to=dropped)
    signing.to(done)
    signing.on(Recalled, to=writing, when=lambda s, _: len(s.notes) < 3)
    signing.after(30.0, to=dropped, interrupt=True)


def _sheet(chance: Chance) -> Sheet:
    readers = [chance.pick("reader", PERSONS) for _ in range(chance.below("readers", 4))]
    return Sheet(chance.pick("author", PERSONS), readers)


def _four_eyes(sheet: Ended) -> str | None:
    if sheet.data.author in sheet.data.signed:
        return f"signed by its author {sheet.data.author}"
    if len(set(sheet.data.signed)) != len(sheet.data.signed):
        return f"signed twice: {sheet.data.signed}"
    return None


DESKS = Simulation((Report,), _sheet, instances=1, check=_four_eyes, name="desks")
