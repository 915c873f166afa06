"""Judging signals, oldest first.

| case | result |
|---|---|
| sent to a state that has been left since (`stamp < closed[name]`), not kept | ignored |
| a wait node takes it (it rests by itself) | its node is done, processed |
| a handler takes it; the machine rests, or it interrupts | fired; processed when its `do` is done |
| a handler takes it; the machine does not rest | stays pending, and later ones for that receiver too |
| its mapping or guard raises | failed; the instance stays as it was |
| kept, and its time to live is over | ignored (expired) |
| nobody takes it, and the instance has nothing else left to do | kept: stays; else rejected (unhandled, or guarded) |
"""

from __future__ import annotations

from stepkeel.kernel.data import PureFailed, apply_into, holds
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.machine import current, machines, rests
from stepkeel.kernel.path import is_reaction, machine_of
from stepkeel.kernel.reaction import fire
from stepkeel.model.input import Signal
from stepkeel.model.node import WaitNode
from stepkeel.model.reaction import Reaction

__all__ = ["expires_at", "judge", "pending", "reject_unhandled", "takes"]


def pending(draft: Draft) -> tuple[Signal, ...]:
    """Signals not yet judged: those a reaction at work holds are in hand."""
    if not draft.signals:
        return ()
    held = {frame.seq for frame in draft.open.values() if frame.seq}
    return tuple(s for s in draft.signals if s.seq not in held) if held else draft.signals


def expires_at(draft: Draft, signal: Signal) -> int | None:
    """When a kept signal's time to live ends; None: never."""
    kind = draft.definition.signals.get(signal.name)
    if kind is None or kind.keep is None or isinstance(kind.keep, bool):
        return None
    return signal.received_at + kind.keep


def judge(draft: Draft) -> bool:
    """Apply the first signal that can be judged; False when none can."""
    blocked: set[tuple[str, str]] = set()
    for signal in pending(draft):
        if _stale(draft, signal) or _take(draft, signal, blocked):
            return True
    return False


def _stale(draft: Draft, signal: Signal) -> bool:
    if not draft.definition.keeps(signal.name):
        if signal.stamp < draft.closed.get(signal.name, 0):
            draft.settle_signal(signal.seq, signal.name, "ignored", "left")
            return True
        return False
    expiry = expires_at(draft, signal)
    if expiry is not None and expiry <= draft.now:
        draft.settle_signal(signal.seq, signal.name, "ignored", "expired")
        return True
    return False


def _take(draft: Draft, signal: Signal, blocked: set[tuple[str, str]]) -> bool:
    """Give the signal to its innermost receiver; False when it has to wait or nobody takes it."""
    try:
        receiver = takes(draft, signal)
        if receiver is None:
            return False
        if isinstance(receiver, str):
            _end_wait(draft, receiver, signal)
            return True
        machine, reaction = receiver
        if (machine, reaction.name) in blocked:
            return False
        if not (rests(draft, machine) or _may_interrupt(draft, machine, reaction)):
            blocked.add((machine, reaction.name))
            return False
        fire(draft, reaction, _decoded(draft, signal), signal, machine=machine)
    except PureFailed as error:
        draft.settle_signal(signal.seq, signal.name, "failed", str(error))
    return True


def _may_interrupt(draft: Draft, machine: str, reaction: Reaction) -> bool:
    """An interrupting reaction does not wait for attempts, but for another reaction that is already at work."""
    if not reaction.interrupt:
        return False
    at_work = ((p, f) for p, f in draft.open.items() if is_reaction(p) and machine_of(p) == machine)
    return not any(f.seq or f.run in ("held", "undoing") for _, f in at_work)


def takes(draft: Draft, signal: Signal) -> str | tuple[str, Reaction] | None:
    """The path of a wait node, or a machine's handler, that would take the signal, innermost first. Raises PureFailed."""
    for path, frame in draft.open.items():
        if frame.run == "waiting" and not frame.seq:
            node = draft.node_at(path)
            if isinstance(node, WaitNode) and node.signal == signal.name and _allows(draft, node, signal, path):
                return path
    for machine in machines(draft):
        for reaction in current(draft, machine).signals:
            if reaction.signal == signal.name and _allows(draft, reaction, signal, machine):
                return machine, reaction
    return None


def _allows(draft: Draft, receiver: WaitNode | Reaction, signal: Signal, at: str = "") -> bool:
    return receiver.when is None or holds(draft, receiver.when, _decoded(draft, signal), at=at)


def _decoded(draft: Draft, signal: Signal) -> object:
    kind = draft.definition.signals.get(signal.name)
    try:
        return kind.codec.decode(signal.payload) if kind else None
    except Exception as error:
        raise PureFailed(f"payload of {signal.name}: {error}") from error


def _end_wait(draft: Draft, path: str, signal: Signal) -> None:
    node = draft.node_at(path)
    if isinstance(node, WaitNode):
        apply_into(draft, path, node.into, _decoded(draft, signal))
    draft.settle_signal(signal.seq, signal.name, "processed")
    draft.say("wait_ended", path, by=signal.name)
    draft.closing.append(path)


def reject_unhandled(draft: Draft) -> None:
    """Called when the instance would wait: what nothing takes now is rejected, unless it is kept."""
    for signal in pending(draft):
        if draft.definition.keeps(signal.name):
            continue
        heard = any(r.signal == signal.name for m in machines(draft) for r in current(draft, m).signals)
        draft.settle_signal(signal.seq, signal.name, "rejected", "guarded" if heard else "unhandled")
