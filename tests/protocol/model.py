"""The protocol of claims, leases, commits, signals and takeovers as a small model whose every state is visited.

A new worker may come under the id of one that died, which the engine never does: epochs alone have to keep their
residencies apart, so the owner in the fence is a second wall and not among the rules here.

One instance, two workers, a few signals, a bounded number of faults. The instance has one attempt to run and then judges
signals until it has judged them all. Every rule that the protocol rests on can be switched off, and each is needed:
without it some state breaks one of the promises below.

| promise | holds when |
|---|---|
| orphan | never: not ended, unowned, no wake-up, and unread signals or never begun |
| base | no commit is applied to another revision than it was decided on |
| residency | no commit of a residency that is over is applied |
| undurable | no attempt starts whose decision is not in the row |
| foreign | no attempt starts while another may hold the instance |
| doubled | a signal sent twice with one key is in the inbox once |
| stuck | never: faults over, messages delivered, everybody fair, and still something is left to do |
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

S = TypeVar("S")
RULES = (
    "fence_epoch",  # a commit names the epoch of its residency
    "fence_revision",  # and the revision it was decided on
    "epoch_grows",  # claim, give-back and takeover each begin a new epoch
    "park_compares_inbox",  # parking sets the wake-up when more has come than was seen
    "seen_is_read_first",  # what counts as seen was read before, or with, the signals
    "signal_wakes",  # a signal to an unowned instance sets its wake-up
    "take_over_the_dead",  # what a dead worker held is freed
    "reconcile",  # what names a live worker that does not know of it is given back
    "read_back",  # a lost answer is asked for, not guessed
    "trust_ends_first",  # a worker stops before its lease is over
    "keys",  # a signal with a known key is not stored again
)


class Message(NamedTuple):
    """A commit on its way."""

    owner: int
    epoch: int
    base: int
    seen: int
    judged: int
    kind: str  # step, park, end
    residency: int


class Memory(NamedTuple):
    """What a worker knows of the instance: `phase` is think, sent, unsure (an answer was lost), again (sent again), run."""

    epoch: int
    revision: int
    seen: int
    judged: int
    residency: int
    phase: str
    sent: Message | None = None
    answer: str = ""


class Worker(NamedTuple):
    up: bool = True
    row: bool = True
    trust: bool = True
    claim: Memory | None = None  # the answer of a claim, on its way
    memory: Memory | None = None


class State(NamedTuple):
    owner: int = 0
    epoch: int = 0
    revision: int = 1
    wake: bool = True
    inbox: int = 0
    accepted: int = 0
    seen: int = 0
    judged: int = 0
    began: bool = False
    ended: bool = False
    residency: int = 0
    workers: tuple[Worker, Worker] = (Worker(), Worker())
    air: tuple[Message, ...] = ()  # commits whose sender has given up on the answer; they may land yet
    signals: int = 2  # left to be sent
    crashes: int = 1
    stalls: int = 1
    losses: int = 1


class Broken(Exception):
    """A promise, and the actions that led there."""


@dataclass(frozen=True)
class Protocol:
    """`without`: the rule that is switched off."""

    without: str = ""

    def on(self, rule: str) -> bool:
        return rule != self.without

    # -- the row

    def lands(self, s: State, m: Message) -> tuple[State, bool]:
        """The commit reaches the database: applied, or left aside."""
        if self.on("fence_epoch") and s.epoch != m.epoch:
            return s, False
        if self.on("fence_revision") and s.revision != m.base:
            return s, False
        if s.revision != m.base:
            raise Broken("base")
        if s.residency != m.residency:
            raise Broken("residency")
        s = s._replace(revision=s.revision + 1, seen=m.seen, judged=m.judged, began=True)
        if m.kind == "step":
            return s, True
        more = s.inbox > m.seen and m.kind == "park" and self.on("park_compares_inbox")
        return self.free(s, wake=more)._replace(ended=m.kind == "end"), True

    def free(self, s: State, *, wake: bool) -> State:
        epoch = s.epoch + 1 if self.on("epoch_grows") else s.epoch
        return s._replace(owner=0, wake=wake, epoch=epoch, residency=s.residency + 1)

    # -- what may happen next

    def actions(self, s: State) -> Iterator[tuple[str, State]]:
        if s.signals and not s.ended:
            yield "signal", self.signalled(s)
            if s.losses:
                again = self.signalled(s)
                doubled = again if self.on("keys") else again._replace(inbox=again.inbox + 1)
                yield "signal, sent twice", doubled._replace(losses=s.losses - 1)
        for n, message in enumerate(s.air):
            yield f"a late commit of {message.owner} lands", self.lands(s, message)[0]._replace(air=s.air[:n] + s.air[n + 1 :])
        for w in (1, 2):
            yield from self.of_worker(s, w, s.workers[w - 1])

    def signalled(self, s: State) -> State:
        wake = s.wake or (s.owner == 0 and self.on("signal_wakes"))
        return s._replace(signals=s.signals - 1, inbox=s.inbox + 1, accepted=s.accepted + 1, wake=wake)

    def of_worker(self, s: State, w: int, worker: Worker) -> Iterator[tuple[str, State]]:
        if worker.up:
            if s.crashes:
                sent = worker.memory.sent if worker.memory and worker.memory.phase in ("sent", "again") else None
                air = (*s.air, sent) if sent and not worker.memory.answer else s.air  # type: ignore[union-attr]
                yield f"{w} dies", put(s, w, Worker(up=False, row=worker.row))._replace(crashes=s.crashes - 1, air=air)
            if s.stalls and worker.trust:
                yield f"{w} stands still", put(s, w, worker._replace(trust=False))._replace(stalls=s.stalls - 1)
            yield from self.fair(s, w, worker)
            yield from self.lossy(s, w, worker)
        over = not worker.up or not worker.trust or not self.on("trust_ends_first")
        if worker.row and over and (not worker.up or s.stalls == 0):
            yield f"the lease of {w} is over", put(s, w, worker._replace(row=False))
        if s.owner == w and not worker.row and self.on("take_over_the_dead"):
            yield f"what {w} held is taken over", self.free(s, wake=True)
        if not worker.up and not worker.row and s.owner != w:
            yield f"a new worker comes in place of {w}", put(s, w, Worker())

    def fair(self, s: State, w: int, worker: Worker) -> Iterator[tuple[str, State]]:
        """What a live worker does by itself."""
        memory = worker.memory
        if not worker.row and not worker.trust:
            yield f"{w} learns that it is dead", put(s, w, Worker(up=False, row=False))
        elif worker.row and not worker.trust:
            yield f"{w} renews its lease", put(s, w, worker._replace(trust=True))
        idle = memory is None and worker.claim is None
        if worker.trust and idle and s.owner == 0 and s.wake and not s.ended and worker.row:
            epoch = s.epoch + 1 if self.on("epoch_grows") else s.epoch
            claimed = s._replace(owner=w, wake=False, epoch=epoch, residency=s.residency + 1)
            known = Memory(epoch, s.revision, 0, s.judged, claimed.residency, "think")
            yield f"{w} claims", put(claimed, w, worker._replace(claim=known))
        if worker.claim is not None:
            yield f"{w} hears what it claimed", put(s, w, worker._replace(claim=None, memory=worker.claim._replace(seen=s.inbox)))
        if worker.trust and worker.row and idle and s.owner == w and self.on("reconcile"):
            yield f"{w} gives back what it does not know", self.free(s, wake=True)
        if memory is not None:
            yield from self.works(s, w, worker, memory)

    def works(self, s: State, w: int, worker: Worker, m: Memory) -> Iterator[tuple[str, State]]:
        if m.phase == "think" and worker.trust:
            yield f"{w} decides", put(s, w, worker._replace(memory=self.decided(s, w, m)))
        elif m.phase == "run":
            yield f"the attempt on {w} ends", put(s, w, worker._replace(memory=m._replace(phase="think", seen=s.inbox)))
        elif m.sent is not None and not m.answer and m.phase in ("sent", "again"):
            landed, applied = self.lands(s, m.sent)
            answered = m._replace(answer="yes" if applied else "no")
            yield f"a commit of {w} lands", put(landed, w, worker._replace(memory=answered))
        elif m.answer == "yes":
            yield f"{w} hears that it is durable", self.goes_on(s, w, worker, m)
        elif m.answer == "no":
            yield f"{w} hears that it is not", self.refused(s, w, worker, m)
        elif m.phase == "unsure":
            again = m._replace(phase="again", answer="")
            if self.on("read_back"):
                yield f"{w} sends it again", put(s, w, worker._replace(memory=again))
            else:
                yield f"{w} takes it for durable", self.goes_on(s, w, worker, m)

    def lossy(self, s: State, w: int, worker: Worker) -> Iterator[tuple[str, State]]:
        m = worker.memory
        if s.losses and worker.claim is not None:
            yield f"the answer of the claim of {w} is lost", put(s, w, worker._replace(claim=None))._replace(losses=s.losses - 1)
        if s.losses and m is not None and m.phase == "sent" and m.sent is not None:
            unsure = put(s, w, worker._replace(memory=m._replace(phase="unsure", answer="")))._replace(losses=s.losses - 1)
            if m.answer:
                yield f"the answer to {w} is lost", unsure
            else:
                yield f"{w} gives up on the answer, the commit is on its way", unsure._replace(air=(*s.air, m.sent))
                yield f"the commit of {w} is lost", unsure

    # -- a worker's decisions

    def decided(self, s: State, w: int, m: Memory) -> Memory:
        seen = m.seen if self.on("seen_is_read_first") else s.inbox
        if m.revision == 1:
            kind, judged = "step", m.judged
        else:
            judged = max(m.judged, m.seen)
            kind = "end" if judged >= 2 else "park"
        return m._replace(phase="sent", sent=Message(w, m.epoch, m.revision, seen, judged, kind, m.residency), answer="")

    def goes_on(self, s: State, w: int, worker: Worker, m: Memory) -> State:
        assert m.sent is not None
        if m.sent.kind != "step":
            return put(s, w, worker._replace(memory=None))
        if not worker.trust:
            return put(s, w, worker._replace(memory=None))  # it starts nothing; what it holds is freed with its lease
        if s.revision < m.sent.base + 1:
            raise Broken("undurable")
        if s.owner != w and s.residency != m.residency:
            raise Broken("foreign")
        running = Memory(m.epoch, m.revision + 1, m.seen, m.sent.judged, m.residency, "run")
        return put(s, w, worker._replace(memory=running))

    def refused(self, s: State, w: int, worker: Worker, m: Memory) -> State:
        """No match. The first time it is another's; after a lost answer the row tells."""
        assert m.sent is not None
        if m.phase == "again":
            if m.sent.kind != "step" and s.revision >= m.sent.base + 1:
                return put(s, w, worker._replace(memory=None))
            if (s.owner, s.epoch, s.revision) == (w, m.epoch, m.sent.base + 1):
                return self.goes_on(s, w, worker, m)
        return put(s, w, worker._replace(memory=None))

    # -- promises

    def check(self, s: State) -> None:
        resting = not s.ended and s.owner == 0 and not s.wake
        if resting and (not s.began or s.inbox > s.seen):
            raise Broken("orphan")
        if s.inbox > s.accepted:
            raise Broken("doubled")

    def calm(self, s: State, known: set[State]) -> None:
        """From here without faults: what must come to rest. `known`: states from which it is known to."""
        s = s._replace(crashes=0, stalls=0, losses=0, signals=0)
        passed: list[State] = []
        for _ in range(200):
            if s in known:
                break
            passed.append(s)
            moved = next((after for _, after in self.actions(s)), None)
            if moved is None:
                if not (s.ended or (s.owner == 0 and not s.wake and s.judged >= min(s.inbox, 2))):
                    raise Broken("stuck")
                break
            s = moved
            self.check(s)
        else:
            raise Broken("stuck")
        known.update(passed)


def put(s: State, w: int, worker: Worker) -> State:
    one, two = s.workers
    return s._replace(workers=(worker, two) if w == 1 else (one, worker))


@dataclass
class Found:
    """How many states there are; the first broken promise and the way to it."""

    states: int
    promise: str = ""
    way: tuple[str, ...] = ()


def explore(protocol: Protocol, first: State = State()) -> Found:
    calm: set[State] = set()

    def following(s: State) -> list[tuple[str, State]]:
        protocol.check(s)
        protocol.calm(s, calm)
        return list(protocol.actions(s))

    return search(first, following)


def search(first: S, following: Callable[[S], Sequence[tuple[str, S]]], most: int = 2_000_000) -> Found:
    """Every reachable state, nearest first, so that the way told is a shortest one. `following` raises Broken."""
    came: dict[S, tuple[S | None, str]] = {first: (None, "")}
    queue = deque([first])
    while queue:
        s = queue.popleft()
        try:
            moves = following(s)
        except Broken as broken:
            return Found(len(came), str(broken), way_to(came, s))
        for name, after in moves:
            if after not in came:
                came[after] = (s, name)
                queue.append(after)
        assert len(came) < most
    return Found(len(came))


def way_to(came: dict[S, tuple[S | None, str]], s: S) -> tuple[str, ...]:
    """The actions that led to `s`."""
    names: list[str] = []
    at: S | None = s
    while at is not None:
        at, name = came[at]
        names.append(name)
    return tuple(reversed(names[:-1]))
