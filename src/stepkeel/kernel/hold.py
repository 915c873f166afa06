"""Holding slots of pools: asked for one pool after the other, in the order of their names, so that no two wait for each other.

Those of a tenant's tier come first: who waits for them keeps nobody else's tenant waiting. A body that holds slots, and what
undoes, asks for none of them: who has a tenant's slot may be waiting for just those.

| a path has | comes | then |
|---|---|---|
| no ticket | it needs a slot | hold_asked: a ticket in the queue of the first pool it lacks |
| a ticket, not granted | - | it waits; whatever closes the path takes it out of the queue |
| a ticket, not granted | its time is over (a hold's timeout) | the node fails (`hold_timeout`) |
| a ticket, not granted | grant | hold_granted; the next pool is asked for, or the node may start |
| all granted | its attempt ended, it was closed, the instance has ended | hold_returned |
| all granted | its worker is lost | it keeps them: a holder is an instance, not a worker |
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from stepkeel.kernel.data import PureFailed, ask_at
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.path import around
from stepkeel.model.commit import Ask, Return
from stepkeel.model.effect import AskPool, Effect, ReturnPool
from stepkeel.model.function import Function
from stepkeel.model.input import HoldGranted
from stepkeel.model.node import HoldNode, Pool
from stepkeel.model.snapshot import Ticket

__all__ = ["AGE", "ROOT", "granted", "obtain", "steps_of", "tickets_of", "waits_around"]

ROOT = "!hold"  # the path of what the instance as a whole holds
AGE = 60_000_000  # what a step of priority is worth in waiting: so none starves


def obtain(draft: Draft, path: str, pools: tuple[Pool, ...]) -> str:
    """Empty when the path holds a slot of every pool; else the pool it now waits for. Raises PureFailed (a key)."""
    held = draft.tickets.get(path, {})
    for pool in sorted(pools, key=lambda p: (p.scope != "tier", p.name)):
        ticket = held.get(pool.name)
        if ticket is None:
            name = _named(draft, path, pool)
            if name is None:
                continue
            ticket = Ticket(name, draft.revision, rate=pool.per is not None)
            amount = _amount(draft, path, pool)
            draft.put_ticket(path, pool.name, ticket)
            draft.effects.append(AskPool(path, name, ticket.n, pool.size, pool.per, amount))
            draft.say("hold_asked", path, pool=name, **({"amount": amount} if amount > 1 else {}))
        if not ticket.granted:
            return ticket.pool
    return ""


def _named(draft: Draft, path: str, pool: Pool) -> str | None:
    """The pool's name with its scope and the value of its key; None where the key says that there is no limit."""
    before = draft.before
    tenant = before.tenant
    own = {"fleet": "", "tenant": tenant, "tier": tenant, "definition": before.definition, "instance": before.id}[pool.scope]
    whole = f"{pool.scope}/{own}/{pool.name}" if own else pool.name
    if pool.key is None:
        return whole
    value = ask_at(draft, path, pool.key)
    if value is None:
        return None
    if not isinstance(value, str | int) or len(str(value)) > 200:
        raise PureFailed(f"{pool.key.name} gave {value!r}: a limit's key is a text of at most 200 characters, a number, or None")
    return f"{whole}:{value}"


def _amount(draft: Draft, path: str, pool: Pool) -> int:
    """How many slots it takes. Raises PureFailed."""
    found = ask_at(draft, path, pool.amount) if isinstance(pool.amount, Function) else pool.amount
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= pool.size:
        raise PureFailed(f"{found!r} slots of {pool.name} are asked for, which has {pool.size}")
    return found


def steps_of(draft: Draft, path: str) -> tuple[Pool, ...]:
    """What the tenant's tier has an attempt ask for."""
    definition = draft.definition
    if not definition.step_pools or path.startswith("undo/"):
        return ()
    if definition.holding and any(isinstance(draft.node_at(holder), HoldNode) for holder, _ in around(path)):
        return ()
    return definition.step_pools


def waits_around(draft: Draft, path: str) -> bool:
    """A hold around it has not got its slots: redriven, it asks for them anew, and nothing in it begins before."""
    for holder, _ in around(path):
        frame = draft.open.get(holder)
        if frame is not None and frame.run in ("held", "ready") and isinstance(draft.node_at(holder), HoldNode):
            return True
    return False


def granted(draft: Draft, input: HoldGranted) -> None:
    """A slot has come; for a ticket that is no more, nothing: it was given back with it."""
    for base, ticket in draft.tickets.get(input.path, {}).items():
        if (ticket.pool, ticket.n, ticket.granted) == (input.pool, input.n, False):
            draft.put_ticket(input.path, base, replace(ticket, granted=True))
            draft.say("hold_granted", input.path, pool=input.pool)
            frame = draft.open.get(input.path)
            if frame is not None and frame.run == "held":
                draft.put(input.path, replace(frame, run="ready", reason=""))
            return


def tickets_of(effects: Iterable[Effect], at: int, priority: int) -> tuple[tuple[Ask, ...], tuple[Return, ...]]:
    """The tickets that effects of a decision at that time open and close."""
    asked = [Ask(e.path, e.pool, e.n, e.size, e.per, at + priority * AGE, e.amount) for e in effects if isinstance(e, AskPool)]
    returned = [Return(e.path, e.pool, e.n) for e in effects if isinstance(e, ReturnPool)]
    return tuple(asked), tuple(returned)
