"""States: entering, resting, leaving.

| step | does |
|---|---|
| enter | visit + 1, what older visits remembered is dropped, timers of the timeouts set, the body's first node ready |
| rest | nothing flying, stopping or ready, no reaction at work: reactions may move the machine |
| leave | open nodes closed, their timers gone, `closed` notes the signals that were heard, the target entered |
"""

from __future__ import annotations

from stepkeel.kernel.data import PureFailed, ask, holds, pure_failure
from stepkeel.kernel.draft import READY, Draft
from stepkeel.kernel.path import below, is_reaction, state_path
from stepkeel.model.definition import State
from stepkeel.model.node import Node, WaitNode, walk
from stepkeel.model.reaction import Reaction
from stepkeel.model.snapshot import Failure, Frame

__all__ = [
    "arm",
    "body_done",
    "current",
    "enter",
    "flying",
    "heard",
    "leave_state",
    "loose",
    "open_body",
    "rests",
    "root_path",
    "take_transition",
    "way_out",
]

MOVES_WITHOUT_REST = 1_000
_BUSY = frozenset({"flying", "ready", "stopping", "failed"})


def root_path(draft: Draft) -> str:
    return state_path(draft.state, draft.visits.get(draft.state, 1))


def current(draft: Draft) -> State:
    return draft.definition.states[draft.state]


def open_body(draft: Draft, container: str, body: tuple[Node, ...]) -> None:
    if body:
        draft.put(f"{container}/{body[0].key}", READY)


def enter(draft: Draft, name: str) -> None:
    """Enter a state of the root machine."""
    state = draft.definition.states[name]
    visit = draft.visits.get(name, 0) + 1
    draft.visits = {**draft.visits, name: visit}
    draft.state = name
    if draft.fired:
        draft.fired = {}
    if state.label:
        draft.label = state.label
    path = state_path(name, visit)
    draft.say("state_entered", path)
    open_body(draft, path, state.body)
    try:
        for reaction in state.timeouts:
            arm(draft, path, reaction)
    except PureFailed as error:
        _fail_entry(draft, path, pure_failure(path, error))


def _fail_entry(draft: Draft, path: str, failure: Failure) -> None:
    """A state whose timeouts cannot be computed fails as a whole: nothing of its body begins."""
    for open_path in [p for p in draft.open if below(p, path)]:
        draft.drop(open_path)
    draft.put(path, Frame(run="failed", error=failure))


def arm(draft: Draft, path: str, reaction: Reaction) -> None:
    """Set the timer of a timeout. Raises PureFailed."""
    delay = reaction.delay
    if delay is None and reaction.delay_of is not None:
        span = ask(reaction.delay_of, draft.view())
        try:
            delay = round(span.total_seconds() * 1_000_000) if hasattr(span, "total_seconds") else round(span * 1_000_000)
        except (TypeError, ValueError) as error:
            raise PureFailed(f"{reaction.delay_of.name} gave {span!r}, no timedelta: {error}") from error
    draft.set_timer(f"{path}!{reaction.name}", "after", draft.now + max(0, delay or 0))


def rests(draft: Draft) -> bool:
    """Nothing of the machine is in flight and no reaction of it is at work, loose branches aside."""
    for path, frame in draft.open.items():
        if (frame.run in _BUSY or is_reaction(path)) and not is_loose(path, loose(draft)):
            return False
    return True


def body_done(draft: Draft) -> bool:
    prefix = root_path(draft) + "/"
    for path in draft.open:
        if path.startswith(prefix) and not is_loose(path, loose(draft)):
            return False
    return True


def loose(draft: Draft) -> tuple[str, ...]:
    """The nodes whose join is over while branches of them run on."""
    if not draft.definition.concurrent:
        return ()
    return tuple(path for path, frame in draft.open.items() if frame.run == "loose")


def is_loose(path: str, holders: tuple[str, ...]) -> bool:
    return any(below(path, holder) for holder in holders)


def flying(draft: Draft) -> list[tuple[str, Frame]]:
    """The attempts on their way that leaving the state would stop."""
    holders = loose(draft)
    return [(p, f) for p, f in draft.open.items() if f.run in ("flying", "stopping") and not is_loose(p, holders)]


def way_out(draft: Draft) -> str:
    """The first automatic way whose guard holds. Raises PureFailed."""
    for transition in current(draft).transitions:
        if holds(draft, transition.when):
            return transition.to
    return ""


def heard(state: State) -> frozenset[str]:
    """The signals a state takes: by a handler, or by a wait in its body."""
    waits = {n.signal for n in walk(state.body) if isinstance(n, WaitNode) and n.signal}
    return frozenset(waits | {r.signal for r in state.signals})


def leave_state(draft: Draft, to: str) -> None:
    """Close what is open, note which signals can no longer be meant for this state."""
    path = root_path(draft)
    holders = loose(draft)
    for open_path in [p for p in draft.open if below(p, path) and not is_loose(p, holders)]:
        draft.drop(open_path)
    for timed in [p for p in draft.timers if below(p, path) and not is_loose(p, holders)]:
        draft.drop_timers(timed)
    draft.drop_results([p for p in draft.results if below(p, path)] if draft.results else ())
    if to != draft.state:
        signals = heard(current(draft))
        if signals:
            draft.closed = {**draft.closed, **dict.fromkeys(sorted(signals), draft.revision)}


def take_transition(draft: Draft, to: str, trigger: str, by: str = "") -> None:
    """Leave the current state for another (or for a new visit of itself)."""
    was = draft.state
    leave_state(draft, to)
    detail = {"by": by} if by else {}
    draft.say("transitioned", "", **{"from": was, "to": to, "trigger": trigger, **detail})
    draft.moves += 1
    if draft.moves > MOVES_WITHOUT_REST:
        text = f"{MOVES_WITHOUT_REST} transitions in one decision, the last from {was} to {to}"
        draft.put(root_path(draft), Frame(run="failed", error=Failure("no_progress", text, was, kind="permanent")))
        return
    enter(draft, to)
