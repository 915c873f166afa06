"""Two sources, a few functions of rows, and a warehouse in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict

from stepkeel import Context, Retry, TransientError, activity

Row = dict[str, Any]


@dataclass
class Warehouse:
    """`away`: how often a source does not answer."""

    orders: list[Row] = field(default_factory=list[Row])
    customers: list[Row] = field(default_factory=list[Row])
    rows: list[Row] = field(default_factory=list[Row])
    away: int = 0

    def read(self, rows: list[Row]) -> list[Row]:
        if self.away:
            self.away -= 1
            raise TransientError("the source does not answer")
        return rows


class Both(TypedDict):
    orders: list[Row]
    customers: list[Row]


@activity(name="extract.orders")
async def orders(ctx: Context[Any, str], warehouse: Warehouse) -> list[Row]:
    """The orders of a day."""
    return [row for row in warehouse.read(warehouse.orders) if row["day"] == ctx.input]


@activity(name="extract.customers")
async def customers(ctx: Context[Any, str], warehouse: Warehouse) -> list[Row]:
    """All customers."""
    return warehouse.read(warehouse.customers)


@activity(name="rows.clean")
async def clean(ctx: Context[Any, list[Row]]) -> list[Row]:
    """Without those that have no amount."""
    return [row for row in ctx.input if row.get("amount")]


@activity(name="rows.join")
async def join(ctx: Context[Any, Both]) -> list[Row]:
    """Each order with its customer's name."""
    names = {c["id"]: c["name"] for c in ctx.input["customers"]}
    return [row | {"name": names.get(row["customer"], "?")} for row in ctx.input["orders"]]


@activity(name="rows.score")
async def score(ctx: Context[Any, list[Row]]) -> dict[str, int]:
    """What each customer has ordered for."""
    found: dict[str, int] = {}
    for row in ctx.input:
        found[row["name"]] = found.get(row["name"], 0) + row["amount"]
    return found


@activity(name="warehouse.load", retry=Retry(attempts=3, delay=1))
async def load(ctx: Context[Any, list[Row]], warehouse: Warehouse) -> int:
    """Write the rows; a second try writes none of them twice."""
    warehouse.rows += [row for row in ctx.input if row not in warehouse.rows]
    return len(ctx.input)


@activity(name="warehouse.unload")
async def unload(ctx: Context[Any, str], warehouse: Warehouse) -> None:
    """Take the rows of a day out again."""
    warehouse.rows = [row for row in warehouse.rows if row["day"] != ctx.input]


SERVICES = {Warehouse: Warehouse()}
