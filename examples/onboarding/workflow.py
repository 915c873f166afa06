"""From the signed offer to the end of the probation: people, machines and the calendar of one office, over months."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Annotated, Protocol
from zoneinfo import ZoneInfo

from stepkeel import (
    Append,
    Calendar,
    Context,
    Fail,
    Retry,
    Signal,
    State,
    Verdict,
    Workflow,
    activity,
    any_of,
    approval,
    for_each,
    parallel,
    scope,
    task,
    until,
    when,
)

ZONE = "Europe/Berlin"
OFFICE = Calendar(ZONE, ("09:00", "17:00"), holidays=["2026-12-25"])
WORKING_DAY = timedelta(hours=8)


class Directory(Protocol):
    async def grant(self, person: str, system: str, *, key: str) -> None: ...
    async def revoke(self, person: str, system: str, *, key: str) -> None: ...


class Supplier(Protocol):
    async def order(self, article: str, *, key: str) -> str | None:
        """The number of the delivery; None where there is no such article."""
        ...


@dataclass
class Hire:
    name: str
    starts_on: date
    manager: str
    buddy: str
    systems: list[str] = field(default_factory=list[str])
    equipment: list[str] = field(default_factory=list[str])
    trainings: list[str] = field(default_factory=list[str])
    remote: bool = False
    address: str = ""
    badge: int = 0
    deliveries: list[str | None] = field(default_factory=list[str | None])
    accounts: Annotated[list[str], Append] = field(default_factory=list[str])
    verdict: str = ""


@dataclass
class SignedContract:
    signed_on: date
    address: str


@dataclass
class Badge:
    number: int


class Withdrew(Signal):
    """The candidate will not come."""

    reason: str


@activity
async def revoke_account(ctx: Context[Hire, str], directory: Directory) -> None:
    await directory.revoke(ctx.data.name, ctx.input, key=ctx.idempotency_key)
    ctx.data.accounts.remove(ctx.input)


@activity(retry=Retry(attempts=5, delay=timedelta(minutes=1), backoff="exponential"), compensate=revoke_account)
async def grant_account(ctx: Context[Hire, str], directory: Directory) -> None:
    await directory.grant(ctx.data.name, ctx.input, key=ctx.idempotency_key)
    ctx.data.accounts.append(ctx.input)


@activity(retry=Retry(attempts=5, delay=timedelta(hours=1)))
async def order_article(ctx: Context[Hire, str], supplier: Supplier) -> str | Fail:
    number = await supplier.order(ctx.input, key=ctx.idempotency_key)
    return number or Fail("NO_SUCH_ARTICLE", f"the supplier does not know {ctx.input}")


def first_morning(hire: Hire) -> datetime:
    return datetime.combine(hire.starts_on, time(9), ZoneInfo(ZONE))


def end_of_probation(hire: Hire) -> datetime:
    return first_morning(hire) + timedelta(days=120)


def signed(hire: Hire, contract: SignedContract) -> None:
    hire.address = contract.address


def with_badge(hire: Hire, badge: Badge) -> None:
    hire.badge = badge.number


def judged(hire: Hire, verdict: Verdict) -> None:
    hire.verdict = "; ".join(f"{who}: {'yes' if yes else 'no'} {comment}".strip() for who, yes, comment in verdict.votes)


class Onboarding(Workflow[Hire]):
    preparing = State[Hire](
        parallel(
            contract=task(
                "Sign the contract, {name}",
                SignedContract,
                assignee=lambda hire: hire.name,
                due=3 * WORKING_DAY,
                calendar=OFFICE,
                remind=WORKING_DAY,
                escalate_to="hr",
                into=signed,
            ),
            accounts=for_each(lambda hire: hire.systems, grant_account, max_concurrency=4),
            equipment=for_each(
                lambda hire: hire.equipment,
                scope(
                    order_article,
                    on_failure={"NO_SUCH_ARTICLE": task(lambda hire, article: f"Buy for {hire.name}: {article}", role="office")},
                ),
                into="deliveries",
            ),
            badge=when(lambda hire: not hire.remote, task("A badge for {name}", Badge, role="reception", into=with_badge)),
        ),
        until(first_morning),
    )
    first_weeks = State[Hire](
        parallel(
            tour=task("Show {name} around", assignee=lambda hire: hire.buddy, due=WORKING_DAY, calendar=OFFICE, escalate_to="hr"),
            trainings=for_each(
                lambda hire: hire.trainings,
                task(
                    lambda hire, training: f"Take part in {training}",
                    assignee=lambda hire, training: hire.name,
                    due=10 * WORKING_DAY,
                    calendar=OFFICE,
                ),
                max_concurrency=2,
            ),
        ),
    )
    probation = State[Hire](
        until(end_of_probation),
        approval(
            "Does {name} stay?",
            people=lambda hire: [hire.manager, hire.buddy, "hr"],
            need=2,
            not_by=lambda hire: hire.name,
            remind=timedelta(days=2),
            into=judged,
        ),
    )
    employed = State.completed()
    withdrawn = State.cancelled(reason="the candidate withdrew")
    parted = State.cancelled(reason="did not pass the probation")

    preparing.to(first_weeks)
    first_weeks.to(probation)
    probation.to(employed)
    any_of(preparing, first_weeks).on(Withdrew, to=withdrawn, interrupt=True)
    probation.on_failure("rejected", to=parted)
