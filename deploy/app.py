"""What the image serves until you put your own in its place: a purchase that somebody has to approve."""

from dataclasses import dataclass, replace
from datetime import timedelta

from stepkeel import Context, Engine, State, Workflow, activity, approval


@dataclass
class Purchase:
    what: str
    amount: int
    ordered: bool = False


@activity
async def order(ctx: Context[Purchase]) -> Purchase:
    return replace(ctx.data, ordered=True)


class Purchasing(Workflow[Purchase]):
    deciding = State[Purchase](approval(lambda p: f"Buy {p.what}?", role="buyer", due=timedelta(days=2)))
    ordering = State(order)
    ordered = State.completed()

    deciding.to(ordering)
    ordering.to(ordered)


engine = Engine("sqlite:////tmp/purchasing.db", [Purchasing])  # STEPKEEL_DATABASE says otherwise
