"""`make demo`, last part: the workflows of the examples at work in one process, with the console; until it is told to stop.

Orders come in all the time; people's tasks are left to you. What fails, fails because the carrier has lost its list of streets:
redrive it in the console, and every second one goes through.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import uvicorn

from examples.onboarding.services import Accounts, Wholesaler
from examples.onboarding.services import services as of_onboarding
from examples.onboarding.workflow import Hire, Onboarding
from examples.order_approval.services import FlakyPayments, Warehouse
from examples.order_approval.workflow import Order, OrderApproval, OrderApproved, Payments, Stock
from examples.order_processing.services import Shop
from examples.order_processing.services import services as of_processing
from examples.order_processing.workflow import Line, order_processing
from examples.order_processing.workflow import Order as Basket
from stepkeel import Engine, PermanentError
from stepkeel.errors import InstanceEnded

CUSTOMERS = ("ann", "bob", "cy", "dan", "eve", "fay")
OWN = ("localhost", "127.0.0.1")


class Street(Warehouse):
    """A warehouse that does not find every ninth address, until somebody asks a second time."""

    def __init__(self) -> None:
        super().__init__(latency=0.05)
        self.asked: set[str] = set()

    async def hold(self, order_id: str, *, key: str) -> None:
        await super().hold(order_id, key=key)
        n = int(order_id.rpartition("-")[2])
        if n % 9 == 0 and (n % 18 == 0 or order_id not in self.asked):
            self.asked.add(order_id)
            raise PermanentError(f"no street of that name for {order_id}")


def engine_at(url: str) -> Engine:
    shop = Shop({"lamp": 100_000, "sofa": 100_000}, no_credit=("bob",))
    services = {
        Payments: FlakyPayments(0.05),
        Stock: Street(),
        **of_processing(shop),
        **of_onboarding(Accounts(), Wholesaler("laptop", "chair")),
    }
    return Engine(url, [OrderApproval, order_processing, Onboarding], services, on_change="replace")


async def orders(engine: Engine) -> None:
    """One every second or so: most are small, some wait for an approval that mostly comes, a few are dear and wait for you."""
    chance = random.Random()
    began = len((await engine.list(limit=1_000)).items)
    for n in itertools.count(began + 1):
        customer = chance.choice(CUSTOMERS)
        amount = Decimal(chance.randrange(20, 260))
        order = await engine.start(
            OrderApproval, Order(f"O-{n}", customer, amount), key=f"O-{n}", attributes={"customer": customer}
        )
        if amount >= 100 and chance.random() < 0.6:
            asyncio.get_running_loop().call_later(chance.uniform(1, 20), _later, engine, order.id)
        if n % 10 == 1:
            sku, price = chance.choice((("lamp", 40), ("sofa", 900)))
            await engine.start(order_processing, Basket(f"B-{n}", customer, (Line(sku, 1, Decimal(price)),)), key=f"B-{n}")
        if n % 60 == 2:
            hire = Hire(customer, date.today() + timedelta(days=20), "mia", "bob", ["mail", "wiki"], ["laptop"], ["safety"])
            await engine.start(Onboarding, hire, key=f"hire-{n}")
        await asyncio.sleep(chance.expovariate(1.2))


_answers: set[asyncio.Task[None]] = set()


def _later(engine: Engine, id: str) -> None:
    async def answer() -> None:
        with suppress(InstanceEnded):
            await engine.signal(id, OrderApproved(by="ann"), actor="ann")

    task = asyncio.ensure_future(answer())
    _answers.add(task)
    task.add_done_callback(_answers.discard)


def app_of(engine: Engine) -> Any:
    @asynccontextmanager
    async def busy(_: Any) -> AsyncIterator[None]:
        task = asyncio.create_task(orders(engine))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    return engine.asgi(console=True, hosts=OWN, lifespan=[busy])


async def serve(path: Path, port: int) -> None:
    app = app_of(engine_at(f"sqlite:///{path}"))

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            app.state.closing = True  # streams end
            super().handle_exit(sig, frame)

    server = Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False, lifespan="on"))
    task = asyncio.create_task(server.serve())
    while not server.started and not task.done():
        await asyncio.sleep(0.02)
    for each in server.servers if server.started else ():
        print(f"live: http://127.0.0.1:{each.sockets[0].getsockname()[1]}/   (database {path}; Ctrl-C ends it)", flush=True)
    await task


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", type=Path, default=Path("live.db"), help="SQLite file; default live.db")
    parser.add_argument("--port", type=int, default=8080, help="0: any that is free; default 8080")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(options.database, options.port))
