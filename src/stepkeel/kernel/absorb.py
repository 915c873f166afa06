"""A part of a parallel, for_each or graph has failed: its join takes the failure where it can do without that part.

| its join | then |
|---|---|
| is over (the part runs on, loose), or collects failures, or goes on unmet, or judges by a function | taken |
| needs so many, and so many may still arrive | taken |
| needs this one | not taken: the failure goes on outwards (fail.py) |
| is none: it is a flow, whose threads are all wanted | not taken |

Taken: the part has ended `failed`, what else is open in it is closed, and how it stood is kept for a redrive.
"""

from __future__ import annotations

from msgspec.structs import replace

from stepkeel.kernel import region
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.join import ended, need_of
from stepkeel.kernel.parts import Concurrent, body_of, concurrent_at, put_round, round_of
from stepkeel.kernel.path import below
from stepkeel.model.snapshot import Failure, Round

__all__ = ["absorb"]


def absorb(draft: Draft, holder: str, part: str, failure: Failure) -> bool:
    """A node in a part has failed: the join takes the failure if it can do without that part."""
    frame = draft.open[holder]
    if frame.round is None or frame.round.tokens is not None or frame.run not in ("open", "loose"):
        return False
    node = concurrent_at(draft, holder)
    if frame.run == "open" and not _can_do_without(draft, holder, node, frame.round):
        return False
    body = body_of(node, holder, part)
    _keep(draft, holder, part, body)
    region.cancel(draft, body)
    ended(draft, holder, part, "failed", code=failure.code)
    return True


def _can_do_without(draft: Draft, path: str, node: Concurrent, round: Round) -> bool:
    join = node.join
    if join.failures == "collect" or join.unmet == "go_on" or not isinstance(join.need, int | str):
        return True
    need = need_of(draft, path, node, round)
    return round.size - round.missed - 1 >= need


def _keep(draft: Draft, holder: str, part: str, body: str) -> None:
    """How a failed part stood, for a redrive of it."""
    stood = {
        p: replace(f, error=None, run="ready" if f.round is None else f.run)
        for p, f in draft.open.items()
        if below(p, body) and f.run != "stopping"
    }
    round = round_of(draft, holder)
    put_round(draft, holder, replace(round, stood={**round.stood, part: stood}))
