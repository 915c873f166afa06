"""Independent jobs on procrastinate: deferred in one batch, then worked off. A plain queue: no steps, no state, no history.

python bench.py URL COUNT CONCURRENCY: prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import procrastinate
import uvloop

done = 0
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=sys.argv[1], min_size=4, max_size=20))


@app.task(name="order")
async def order(n: int) -> None:
    global done
    done += 1


async def main(count: int, concurrency: int) -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await order.batch_defer_async(*({"n": n} for n in range(count)))
        began = time.perf_counter()
        worker = asyncio.create_task(app.run_worker_async(concurrency=concurrency, wait=False, install_signal_handlers=False))
        await worker
        seconds = time.perf_counter() - began
    assert done == count, done
    print(json.dumps({"workflows_per_s": round(count / seconds, 1), "seconds": round(seconds, 2), "instances": count}))


uvloop.run(main(int(sys.argv[2]), int(sys.argv[3])))
