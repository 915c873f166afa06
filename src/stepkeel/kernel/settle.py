"""The rules, in their order: the first that applies is applied, then again from the first, until only `rest` is left.

| # | rule | applies when |
|---|---|---|
| 1 | close | a node is done: its place goes to its successor, or its container is told |
| 2 | move | an operator has put it elsewhere: done once nothing flies, nothing below applies until then |
| 3 | paused | the instance is paused: stop here |
| 4 | ending | an ending is set: nothing below applies |
| 5 | admit | its definition has limits and it holds no slot of them yet: it queues, nothing below applies |
| 6 | fail | a node has finally failed: fallback, optional, reactions of the state, ending |
| 7 | open | a ready node may start, the condition of a wait holds; an instance without a state enters its first |
| 8 | signals | a signal can be judged |
| 9 | timers | a timer is due |
| 10 | leave | the body is done, the machine rests, a guard holds |
| 11 | final | a final state's body is done |
| 12 | rest | nothing else: running, waiting, or no way on |
"""

from __future__ import annotations

from stepkeel.kernel import compensation, ending, hold, join, machine, reaction, reposition, signal, timer
from stepkeel.kernel.data import PureFailed, pure_failure
from stepkeel.kernel.draft import READY, Draft
from stepkeel.kernel.fail import fail, fail_in_ending
from stepkeel.kernel.node import container_of, during, kind_of, wait
from stepkeel.kernel.path import address, below, container, inside, is_reaction
from stepkeel.model.definition import State
from stepkeel.model.effect import Park
from stepkeel.model.node import Pool
from stepkeel.model.snapshot import TERMINAL, Failure

__all__ = ["rest_as_it_is", "settle"]

MAX_RULES = 10_000


def close(draft: Draft) -> None:
    path = draft.closing.pop(0)
    frame = draft.open.get(path)
    if frame is None or frame.run not in ("loose", "stopping"):
        draft.drop(path)
    if path.startswith("undo/"):
        compensation.finish(draft, path)
        return
    place = draft.definition.places.get(address(path))
    outer = container(path)
    if place is not None and place.next:
        draft.put(f"{outer}/{place.next}", READY)
        return
    holder = inside(path) if "/" in outer else ""
    if is_reaction(outer):
        if draft.ending is None:
            reaction.finish(draft, outer)
    elif holder:
        container_of(draft, holder).behind(draft, holder, outer)


def paused(draft: Draft) -> None:
    """Nothing opens; what flies ends and is recorded. Parked once nothing flies."""
    draft.status = "paused"
    if not draft.in_flight():
        draft.effects.append(Park(None))


def end(draft: Draft) -> None:
    if draft.ending is None:
        return
    if draft.ending.stage != "settling" and (fail_in_ending(draft) or _open_ready(draft) or timer.fire_due(draft)):
        return
    if not ending.advance(draft):
        rest_as_it_is(draft)


def _pools(draft: Draft) -> tuple[Pool, ...]:
    """Those of the definition, and of the tenant's tier: its limits are asked for once, by what is nobody's child."""
    definition = draft.definition
    if not definition.begin_pools or draft.state or draft.parent is not None:
        return definition.pools
    return definition.pools + definition.begin_pools


def admit(draft: Draft, pools: tuple[Pool, ...]) -> bool:
    """These limits hold for the instance as a whole, from its first state to its end."""
    if draft.in_flight():
        return False
    try:
        waits_for = hold.obtain(draft, hold.ROOT, pools)
    except PureFailed as error:
        ending.begin(draft, "failed", failure=pure_failure(hold.ROOT, error))
        return True
    if waits_for:
        # No timer of it counts meanwhile: it has none, or (redriven) they fire when it goes on.
        if draft.status != "waiting":
            draft.status = "waiting"
            draft.say("waiting")
        draft.effects.append(Park(None))
    return bool(waits_for)


def open_(draft: Draft) -> bool:
    if not draft.state:
        machine.enter(draft, draft.definition.initial)
        return True
    if _open_ready(draft) or reaction.proceed(draft):
        return True
    definition = draft.definition
    if definition.conditional and (wait.judge(draft) or during.judge(draft) or join.closed(draft)):
        return True
    return definition.concurrent and compensation.undo_branches(draft)


def leave(draft: Draft) -> bool:
    for m in machine.machines(draft):
        if not machine.current(draft, m).transitions or (draft.open and not _free(draft, m)):
            continue
        try:
            to = machine.way_out(draft, m)
        except PureFailed as error:
            machine.fail_machine(draft, m, pure_failure(machine.root_path(draft, m), error))
            return True
        if to:
            machine.take_transition(draft, to, "automatic", machine=m)
            return True
    return False


def final(draft: Draft) -> bool:
    for m in machine.machines(draft):
        state = machine.current(draft, m)
        if state.ending is None or (draft.open and not _free(draft, m)):
            continue
        how = state.ending
        if not m and how.status == "completed" and not how.at_once and machine.loose(draft):
            continue  # what was left to finish is waited for
        ending.end_machine(draft, m, how, state.name)
        return True
    return False


def rest(draft: Draft) -> bool:
    if draft.in_flight():
        draft.status = "running"
        return True
    state = machine.current(draft)
    waits = draft.open or draft.timers or state.signals
    if not waits:
        signal.reject_unhandled(draft)
        machine.fail_machine(draft, "", _no_way_on(state, machine.root_path(draft)))
        return False
    signal.reject_unhandled(draft)
    if draft.definition.nested and _lost(draft):
        return False
    if draft.definition.conditional and not draft.timers and not _hears(draft) and wait.stuck(draft):
        return False
    rest_as_it_is(draft)
    return True


def settle(draft: Draft) -> None:
    """Apply the rules until the instance rests, is paused or has ended; too many of them fail it."""
    if _settled(draft):
        return
    text = f"{MAX_RULES} rules in one decision"
    ending.begin(draft, "failed", failure=Failure("no_progress", text, draft.state, kind="permanent"))
    if not _settled(draft):
        ending.close(draft)  # the bodies of its ending make no progress either


def _settled(draft: Draft) -> bool:
    """The table above. What is plainly out of the question is not even asked: every step of every instance passes here."""
    pools = _pools(draft)
    for _ in range(MAX_RULES):
        if draft.closing:
            close(draft)
        elif draft.moving is not None:
            if not reposition.proceed(draft):
                draft.status = "running" if draft.pause is None else "paused"
                return True
        elif draft.pause is not None:
            paused(draft)
            return True
        elif draft.ending is not None or draft.status in TERMINAL:
            end(draft)
            if _at_rest(draft):
                return True
        elif pools and admit(draft, pools):
            if draft.ending is None:
                return True
        elif not _forward(draft) and rest(draft):
            return True
    return False


def _forward(draft: Draft) -> bool:
    return (
        fail(draft)
        or open_(draft)
        or (bool(draft.signals) and signal.judge(draft))
        or (bool(draft.timers) and timer.fire_due(draft))
        or leave(draft)
        or final(draft)
    )


def _free(draft: Draft, m: str) -> bool:
    return machine.body_done(draft, m) and machine.rests(draft, m)


def _no_way_on(state: State, path: str) -> Failure:
    text = f"nothing leads on from {state.name}: no way whose guard holds, no handler, no timeout"
    return Failure("no_way_on", text, path, kind="permanent")


def _hears(draft: Draft) -> bool:
    return any(machine.current(draft, m).signals for m in machine.machines(draft))


def _lost(draft: Draft) -> bool:
    """Fail the first machine within a body that has no way on: nor can anything beside it still change what its guards see."""
    for m in machine.machines(draft)[:-1]:
        state, path = machine.current(draft, m), machine.root_path(draft, m)
        if state.signals or any(below(p, path) or machine.is_own(p, m) for p in (*draft.open, *draft.timers)):
            continue
        beside = any(f.run not in ("open", "loose", "holding") for f in draft.open.values()) or draft.timers or _hears(draft)
        if not state.transitions or not beside:
            machine.fail_machine(draft, m, _no_way_on(state, path))
            return True
    return False


def _open_ready(draft: Draft) -> bool:
    definition = draft.definition
    leaving = reaction.leaving(draft) if definition.concurrent or definition.nested else ()
    for path, frame in draft.open.items():
        if frame.run == "ready" and (not leaving or reaction.may_begin(path, leaving)):
            if definition.holding and hold.waits_around(draft, path):
                continue
            kind_of(draft, path).open(draft, path, frame)
            return True
    return False


def _at_rest(draft: Draft) -> bool:
    """True when `end` is done for now: closed, waiting for attempts (running), or for an undo's timer (parked)."""
    if draft.status in TERMINAL:
        return True
    if draft.in_flight():
        draft.status = "running"
        return True
    return any(isinstance(e, Park) for e in draft.effects)


def rest_as_it_is(draft: Draft) -> None:
    """Say what the instance does now: attempts in flight keep it running, else it waits and gives its lease back."""
    if draft.in_flight():
        draft.status = "running"
        return
    if draft.status != "waiting":
        draft.status = "waiting"
        draft.say("waiting")
    wake = timer.earliest(draft.timers)
    for kept in signal.pending(draft):
        expiry = signal.expires_at(draft, kept)
        if expiry is not None:
            wake = expiry if wake is None else min(wake, expiry)
    draft.effects.append(Park(wake))
