"""Results of activities that declare `cache`: taken from the store instead of running them, and kept there for others.

| an attempt | then |
|---|---|
| has an input for which, in its tenant and by the same code, something was returned lately | that is its result |
| has another one, the time is over, or the store does not answer | the activity runs |
| has returned a result | kept, before its step is: whoever takes over after a crash finds it |
| has returned Fail, Wait or the like, or raised | nothing is kept |
| has changed the data | failed (`bad_result`): the next time they would stay as they are |
"""

from __future__ import annotations

import functools
import hashlib
import logging

from msgspec import Raw

from stepkeel.authoring.source import code_of
from stepkeel.errors import Unavailable
from stepkeel.model.cached import CachedRow
from stepkeel.model.input import AttemptEnded
from stepkeel.model.node import Activity
from stepkeel.model.snapshot import NOTHING, Failure
from stepkeel.store.port import Store

__all__ = ["Cached"]

_log = logging.getLogger("stepkeel.worker")
_code_of = functools.cache(code_of)  # it reads source: more than half a millisecond, and the same for every attempt


class Cached:
    """Of one attempt: where its result is kept. `input` is what the activity is given, as JSON."""

    __slots__ = ("_activity", "_key", "_store", "_tenant")

    def __init__(self, store: Store, tenant: str, activity: Activity, input: Raw) -> None:
        self._store = store
        self._tenant = tenant
        self._activity = activity
        digest = hashlib.blake2b(_code_of(activity.target).encode(), digest_size=24)
        digest.update(bytes(input))
        self._key = digest.hexdigest()

    async def taken(self) -> Raw:
        """What is kept, or NOTHING."""
        try:
            found = await self._store.cached(self._tenant, self._activity.name, self._key)
        except Unavailable as error:
            _log.warning("%s runs, for nothing can be read that is kept of it: %s", self._activity.name, error)
            return NOTHING
        return NOTHING if found is None else Raw(found)

    async def keep(self, report: AttemptEnded) -> AttemptEnded:
        """What becomes of an attempt that ran."""
        if report.outcome != "done":
            return report
        if report.data is not None:
            text = f"{self._activity.name} is cached and has changed the data: only what it returns is kept"
            return AttemptEnded(report.path, report.attempt, "failed", failure=Failure("bad_result", text, kind="permanent"))
        if report.result is not NOTHING and self._activity.cache is not None:
            until = self._store.now() + self._activity.cache
            try:
                row = CachedRow(self._tenant, self._activity.name, self._key, bytes(report.result), until)
                await self._store.put_cached(row)
            except Unavailable as error:
                _log.warning("what %s has returned is not kept: %s", self._activity.name, error)
        return report
