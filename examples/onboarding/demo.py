"""A new colleague's first four months, in a moment: the clock is a virtual one, and everybody answers a day late."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

from rich.console import Console

from examples.onboarding.services import Accounts, Wholesaler, services
from examples.onboarding.workflow import Badge, Hire, Onboarding, SignedContract
from examples.story import tell
from stepkeel.engine.people import TaskInfo
from stepkeel.testing import Harness

EVE = Hire(
    name="eve",
    starts_on=date(2026, 2, 2),
    manager="mia",
    buddy="bob",
    systems=["mail", "wiki"],
    equipment=["laptop", "standing desk"],
    trainings=["safety", "first aid", "git"],
)


def answer(asked: TaskInfo) -> object:
    """What people say: most of them nothing but that it is done."""
    if asked.title.startswith("Sign"):
        return SignedContract(date(2026, 1, 7), "Mill Lane 3")
    if asked.title.startswith("A badge"):
        return Badge(77)
    return {"approved": True} if asked.title.endswith("?") else None


async def main(console: Console) -> None:
    accounts = Accounts(away=2)
    harness = Harness(services=services(accounts, Wholesaler("laptop", "chair")))
    await harness.advance(timedelta(days=4, hours=9))
    eve = await harness.start(Onboarding, EVE, key="eve")
    engine = await harness.engine()
    seen: set[str] = set()
    while (await eve.get()).status in ("running", "waiting"):
        asked = (await engine.tasks(instance_id=eve.id)).items
        # The contract lies around until HR asks for it; all else is done on the second look.
        ready = [t for t in asked if t.id in seen and (t.role == "hr" or not t.title.startswith("Sign"))]
        if ready:
            first = ready[0]
            await engine.task(first.id).complete(answer(first), actor=first.assignee or first.role, wait=0)
            await harness.settle()
            continue
        seen.update(t.id for t in asked)
        await harness.advance(timedelta(days=1))
    console.print("[bold]eve, from the offer to the end of the probation")
    await tell(console, eve)
    value = eve.value
    console.print(f"lives in {value.address}, badge {value.badge}, may use {', '.join(value.accounts)}; {value.verdict}")
    await harness.close()


if __name__ == "__main__":
    asyncio.run(main(Console()))
