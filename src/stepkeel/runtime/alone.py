"""The commit of a step together with what its transactional activity has written: on that transaction, outside the group.

| what comes back | then |
|---|---|
| applied | the resident goes on |
| no match | all is rolled back: the instance is another's |
| refused for its content | rolled back, told |
| no answer | read back; not applied means that what was written is gone as well: whoever claims the row runs it again |
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stepkeel.errors import DataInvalid, StepkeelError, Unavailable
from stepkeel.model.commit import Commit
from stepkeel.store.port import Transaction

if TYPE_CHECKING:
    from stepkeel.runtime.worker import Worker

__all__ = ["commit_alone"]

_log = logging.getLogger("stepkeel.committer")


async def commit_alone(worker: Worker, transaction: Transaction, commit: Commit, told: Callable[[Any], None]) -> None:
    """`told` hears True, False or the error, as from the group commit."""
    try:
        if not worker.trusted():
            await transaction.rollback()
            raise Unavailable("the lease was not renewed in time")
        answer: Any = await transaction.commit(commit)
    except DataInvalid as error:
        answer = error
    except Exception as error:
        _log.warning("instance %s: %s", commit.id, error)
        answer = await _applied(worker, commit)
    told(answer)


async def _applied(worker: Worker, commit: Commit) -> bool:
    while True:
        try:
            fence = (await worker.store.fences([commit.id])).get(commit.id)
            return fence is not None and fence.revision >= commit.step.revision
        except StepkeelError as error:
            _log.warning("instance %s: %s", commit.id, error)
            await asyncio.sleep(0.2)
