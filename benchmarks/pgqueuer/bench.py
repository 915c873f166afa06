"""Independent jobs on pgqueuer: enqueued in one batch, then worked off. A plain queue: no steps, no state, no history.

python bench.py URL COUNT CONCURRENCY: prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries


async def main(url: str, count: int, concurrency: int) -> None:
    driver = AsyncpgDriver(await asyncpg.connect(url))
    queries = Queries(driver)
    await queries.install()
    await queries.enqueue(["order"] * count, [b"{}"] * count, [0] * count)
    queuer = PgQueuer(driver)
    done = 0

    @queuer.entrypoint("order")
    async def order(job: Job) -> None:
        nonlocal done
        done += 1
        if done == count:
            queuer.shutdown.set()

    began = time.perf_counter()
    await queuer.run(dequeue_timeout=timedelta(seconds=5), batch_size=concurrency)
    seconds = time.perf_counter() - began
    assert done == count, done
    print(json.dumps({"workflows_per_s": round(count / seconds, 1), "seconds": round(seconds, 2), "instances": count}))


uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
