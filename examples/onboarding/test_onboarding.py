"""Four months of a new colleague in a second of virtual time, and the ways in which it ends early."""

from __future__ import annotations

from datetime import date, timedelta
from io import StringIO
from typing import Any

from rich.console import Console

from examples.onboarding import demo
from examples.onboarding.services import Accounts, Wholesaler, services
from examples.onboarding.workflow import Badge, Hire, Onboarding, SignedContract, Withdrew
from stepkeel.engine.people import TaskInfo
from stepkeel.testing import Harness, HarnessInstance


async def hired(harness: Harness, accounts: Accounts, **fields: Any) -> HarnessInstance[Hire]:
    harness.services.update(services(accounts, Wholesaler("laptop", "chair")))
    first = harness.now.date() + timedelta(days=30)
    hire = Hire("eve", first, "mia", "bob", ["mail", "wiki"], ["laptop", "standing desk"], ["safety", "first aid", "git"], **fields)
    return await harness.start(Onboarding, hire)


async def tasks(harness: Harness, of: HarnessInstance[Hire], **who: Any) -> list[TaskInfo]:
    return [*(await (await harness.engine()).tasks(instance_id=of.id, **who)).items]


async def do(harness: Harness, of: HarnessInstance[Hire], actor: str, payload: object = None, **who: Any) -> str:
    """The first task that this person or role finds; its title."""
    first = (await tasks(harness, of, **(who or {"person": actor})))[0]
    await (await harness.engine()).task(first.id).complete(payload, actor=actor, wait=0)
    await harness.settle()
    return first.title


async def prepared(harness: Harness, accounts: Accounts) -> HarnessInstance[Hire]:
    eve = await hired(harness, accounts)
    await do(harness, eve, "eve", SignedContract(date(2026, 1, 2), "Mill Lane 3"))
    assert await do(harness, eve, "tom", role="office") == "Buy for eve: standing desk"
    await do(harness, eve, "rita", Badge(77), role="reception")
    await harness.advance(timedelta(days=31))
    return eve.assert_state(Onboarding.first_weeks)


async def in_probation(harness: Harness, accounts: Accounts) -> HarnessInstance[Hire]:
    eve = await prepared(harness, accounts)
    assert await do(harness, eve, "bob") == "Show eve around"
    assert len(await tasks(harness, eve)) == 2, "two trainings at a time"
    taken = [await do(harness, eve, "eve") for _ in eve.value.trainings]
    assert sorted(taken) == ["Take part in first aid", "Take part in git", "Take part in safety"]
    await harness.advance(timedelta(days=120))
    return eve.assert_state(Onboarding.probation)


async def test_preparations_wait_for_each_other_only_at_the_first_morning(harness: Harness) -> None:
    accounts = Accounts()
    eve = await hired(harness, accounts)
    assert accounts.open == {("eve", "mail"), ("eve", "wiki")}, "no account waits for a signature"
    assert sorted(t.title for t in await tasks(harness, eve)) == [
        "A badge for eve",
        "Buy for eve: standing desk",
        "Sign the contract, eve",
    ]
    await harness.advance(timedelta(days=40))
    eve.assert_state(Onboarding.preparing)  # nothing begins without a contract


async def test_two_of_three_say_that_she_stays(harness: Harness) -> None:
    eve = await in_probation(harness, Accounts())
    asked = {t.assignee: t for t in await tasks(harness, eve)}
    assert [*sorted(asked)] == ["bob", "hr", "mia"]
    engine = await harness.engine()
    for who in ("mia", "bob"):
        await engine.task(asked[who].id).approve(f"says {who}", actor=who, wait=0)
    await harness.settle()
    eve.assert_status("completed").assert_state(Onboarding.employed)
    assert eve.value.verdict == "mia: yes says mia; bob: yes says bob"
    assert (eve.value.address, eve.value.badge, eve.value.deliveries) == ("Mill Lane 3", 77, ["delivery-1", None])
    assert await tasks(harness, eve) == [], "nobody is asked any more"


async def test_who_does_not_stay_keeps_no_account(harness: Harness) -> None:
    accounts = Accounts()
    eve = await in_probation(harness, accounts)
    engine = await harness.engine()
    for asked in (await tasks(harness, eve))[:2]:
        await engine.task(asked.id).reject("late too often", actor=asked.assignee, wait=0)
        await harness.settle()
    eve.assert_status("cancelled").assert_state(Onboarding.parted)
    assert (accounts.open, eve.value.accounts) == (set(), [])


async def test_a_candidate_who_withdraws_closes_every_task_and_account(harness: Harness) -> None:
    accounts = Accounts()
    eve = await hired(harness, accounts)
    assert (await harness.signal(eve, Withdrew("another offer"))).status == "processed"
    eve.assert_status("cancelled").assert_state(Onboarding.withdrawn)
    assert (await tasks(harness, eve), accounts.open) == ([], set())


async def test_a_contract_that_nobody_signs_passes_on_to_hr_after_three_working_days(harness: Harness) -> None:
    eve = await hired(harness, Accounts())
    await harness.advance(timedelta(days=7))
    (contract,) = [t for t in await tasks(harness, eve) if t.title.startswith("Sign")]
    assert (contract.role, contract.assignee) == ("hr", "")
    eve.assert_history("task_reminded", "task_escalated")


async def test_a_directory_that_is_away_and_a_colleague_far_away(harness: Harness) -> None:
    accounts = Accounts(away=3)
    eve = await hired(harness, accounts, remote=True)
    assert "A badge for eve" not in [t.title for t in await tasks(harness, eve)]
    await harness.advance(timedelta(minutes=10))
    assert accounts.open == {("eve", "mail"), ("eve", "wiki")}
    assert eve.value.accounts == ["mail", "wiki"]


async def test_the_demo_tells_of_four_months() -> None:
    out = StringIO()
    await demo.main(Console(file=out, width=120))
    lines = [line.strip() for line in out.getvalue().splitlines()]
    assert "day   3 09:00  passes on to hr" in lines, "three working days: it began on a Monday"
    assert any(line.startswith("day 149") and line.endswith("completed") for line in lines)
    assert lines[-1] == "lives in Mill Lane 3, badge 77, may use mail, wiki; mia: yes; bob: yes"
