"""What a reaction does in the end, from how it is written."""

from __future__ import annotations

from typing import Any, cast

from stepkeel.authoring.check import Problems
from stepkeel.authoring.state import Way
from stepkeel.model.outcome import Cancel, Complete, Fail, Terminate
from stepkeel.model.reaction import Ending, Move

__all__ = ["move_of"]

_ENDS: dict[type, Any] = {Complete: "completed", Cancel: "cancelled", Terminate: "terminated"}


def move_of(problems: Problems, way: Way, to: str, name: str, place: str) -> Move:
    """The one move that is asked for; problems with it are noted."""
    o = way.options
    asked = [n for n in ("go_on", "cancel", "complete", "end") if o.get(n)] + ["to"] * (way.to is not None)
    if len(asked) > 1:
        problems.add("bad_move", place, f"{name} has several moves: {', '.join(asked)}", "one of them", way.line)
    kind = asked[0] if asked else "go_on" if way.trigger == "failure" else "stay"
    _check(problems, way, kind, name, place)
    if kind == "to":
        return Move("to", to)
    if kind == "end":
        return Move("end", ending=_ending(problems, o["end"], name, place, way.line))
    return Move(cast("Any", kind), target=str(o[kind]).strip("/") if kind in ("cancel", "complete") else "")


def _check(problems: Problems, way: Way, kind: str, name: str, place: str) -> None:
    o = way.options
    if o.get("interrupt") and kind == "stay":
        text = f"{name} interrupts what runs and leaves nothing in its place"
        problems.add("bad_interrupt", place, text, "say where it goes on: to=, go_on=, end=", way.line)
    undo = o.get("undo", "none")
    if undo not in ("none", "state", "all"):
        problems.add("bad_move", place, f"{name}: undo={undo!r}", "none, state, all", way.line)
    elif undo != "none" and (kind not in ("to", "end", "go_on") or (kind == "go_on" and way.trigger == "failure")):
        text = f"{name} takes back what was done and does not leave the body that did it"
        problems.add("bad_move", place, text, "say where it goes on: to=, end=", way.line)


def _ending(problems: Problems, end: Any, name: str, place: str, line: str) -> Ending:
    if isinstance(end, Fail):
        return Ending("failed", end.message, end.code)
    if type(end) in _ENDS:
        return Ending(_ENDS[type(end)], end.reason)
    if end not in ("completed", "cancelled", "terminated", "failed"):
        problems.add("bad_move", place, f"{name}: end={end!r}", "a status, or Complete, Cancel, Terminate, Fail", line)
        return Ending("failed")
    return Ending(end)
