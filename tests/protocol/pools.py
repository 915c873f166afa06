"""Slots that the whole fleet shares: pools and tickets as a small model, every state of it visited.

Three instances want into a section for one, two granters give the slot away, one of the instances may be cancelled while
it waits, and one crash may come anywhere. Each rule can be switched off, and each is needed.

| promise | holds when |
|---|---|
| too_many | never: more instances are in the section than there are slots |
| stuck | never: faults over, everybody fair, and an instance waits for ever |
| left_behind | never: a ticket whose instance has left or was cancelled, when all is over |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.protocol.model import Broken, Found, search

POOL_RULES = (
    "asks_with_the_step",  # the ticket is inserted in the commit that parks the instance
    "returns_with_the_step",  # and deleted in the commit that leaves the section
    "counts_behind_the_lock",  # what is held is counted in a statement that begins when the pool is locked
    "grants_and_tells_at_once",  # grant and delivery to the inbox are one transaction
    "only_what_still_waits",  # a ticket that was returned meanwhile is not granted
    "a_crash_keeps_the_slot",  # whoever takes over goes on holding it
)
SIZE = 1


class Instance(NamedTuple):
    phase: str = "begin"  # begin, queue, in, out
    ticket: str = ""  # waiting, granted
    told: bool = False
    owes: str = ""  # what its worker has yet to write: ask, return


class Granter(NamedTuple):
    phase: str = "idle"  # idle, counted, tell
    locked: bool = False
    chosen: int = -1


class Pool(NamedTuple):
    instances: tuple[Instance, ...] = (Instance(),) * 3
    granters: tuple[Granter, ...] = (Granter(),) * 2
    crashes: int = 1
    cancels: int = 1


@dataclass(frozen=True)
class Granting:
    without: str = ""

    def on(self, rule: str) -> bool:
        return rule != self.without

    def actions(self, s: Pool) -> Iterator[tuple[str, Pool]]:
        for n, instance in enumerate(s.instances):
            for name, after, used in self.of_instance(s, instance):
                moved = s._replace(instances=(*s.instances[:n], after, *s.instances[n + 1 :]))
                yield f"{n} {name}", moved._replace(crashes=s.crashes - (used == "crash"), cancels=s.cancels - (used == "cancel"))
        for n, granter in enumerate(s.granters):
            yield from self.of_granter(s, n, granter)

    def of_instance(self, s: Pool, i: Instance) -> Iterator[tuple[str, Instance, str]]:
        if i.owes:
            ticket = "waiting" if i.owes == "ask" else ""
            yield f"has its worker {i.owes}", i._replace(ticket=ticket, owes=""), ""
            if s.crashes:
                yield f"loses its worker, which did not {i.owes}", i._replace(owes=""), "crash"
        elif i.phase == "begin":
            asked = i._replace(phase="queue")
            together = self.on("asks_with_the_step")
            yield "asks", asked._replace(ticket="waiting") if together else asked._replace(owes="ask"), ""
        elif i.phase == "queue":
            if i.told:
                yield "enters", i._replace(phase="in"), ""
            if s.cancels:
                yield "is cancelled", i._replace(phase="out", ticket=""), "cancel"
        elif i.phase == "in":
            left = i._replace(phase="out")
            together = self.on("returns_with_the_step")
            yield "leaves", left._replace(ticket="") if together else left._replace(owes="return"), ""
            if s.crashes:
                yield "loses its worker", i if self.on("a_crash_keeps_the_slot") else i._replace(ticket=""), "crash"

    def of_granter(self, s: Pool, n: int, g: Granter) -> Iterator[tuple[str, Pool]]:
        def put(after: Granter, state: Pool = s) -> Pool:
            return state._replace(granters=(*s.granters[:n], after, *s.granters[n + 1 :]))

        if s.crashes and g != Granter():
            yield f"granter {n} dies", put(Granter())._replace(crashes=s.crashes - 1)
        free = not any(other.locked for other in s.granters)
        if g.phase == "idle" and self.on("counts_behind_the_lock"):
            if not g.locked and free and chosen(s) >= 0:
                yield f"granter {n} locks the pool", put(g._replace(locked=True))
            elif g.locked:
                yield f"granter {n} counts", put(g._replace(phase="counted", chosen=chosen(s)))
        elif g.phase == "idle" and chosen(s) >= 0:
            yield f"granter {n} counts", put(g._replace(phase="counted", chosen=chosen(s)))
        elif g.phase == "counted" and not g.locked:
            if free:
                yield f"granter {n} locks the pool", put(g._replace(locked=True))
        elif g.phase == "counted":
            yield f"granter {n} grants", self.granted(s, g, put)
        elif g.phase == "tell":
            told = s.instances[g.chosen]._replace(told=True)
            yield f"granter {n} tells {g.chosen}", put(Granter(), replaced(s, g.chosen, told))

    def granted(self, s: Pool, g: Granter, put: Callable[..., Pool]) -> Pool:
        if g.chosen < 0:
            return put(Granter())
        instance = s.instances[g.chosen]
        if instance.ticket != "waiting" and self.on("only_what_still_waits"):
            return put(Granter())
        instance = instance._replace(ticket="granted")
        if not self.on("grants_and_tells_at_once"):
            return put(Granter("tell", False, g.chosen), replaced(s, g.chosen, instance))
        return put(Granter(), replaced(s, g.chosen, instance._replace(told=True)))

    def check(self, s: Pool) -> None:
        if sum(i.phase == "in" for i in s.instances) > SIZE:
            raise Broken("too_many")


def replaced(s: Pool, n: int, instance: Instance) -> Pool:
    return s._replace(instances=(*s.instances[:n], instance, *s.instances[n + 1 :]))


def chosen(s: Pool) -> int:
    """The first that waits, if a slot is free."""
    if sum(i.ticket == "granted" for i in s.instances) >= SIZE:
        return -1
    return next((n for n, i in enumerate(s.instances) if i.ticket == "waiting"), -1)


def explore_pools(granting: Granting) -> Found:
    """A state from which nothing can happen any more, without a fault, must be one where all is over."""

    def following(s: Pool) -> list[tuple[str, Pool]]:
        granting.check(s)
        moves = list(granting.actions(s))
        if all((after.cancels, after.crashes) != (s.cancels, s.crashes) for _, after in moves):
            if any(i.phase != "out" for i in s.instances):
                raise Broken("stuck")
            if any(i.ticket for i in s.instances):
                raise Broken("left_behind")
        return moves

    return search(Pool(), following)
