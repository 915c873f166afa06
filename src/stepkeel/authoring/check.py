"""What can be wrong with a definition. Problems stop the class from being built; warnings are logged and listed.

| code | means |
|---|---|
| no_data_type, bad_data_type, bad_signal_type | the types cannot be stored |
| inherited, no_states, two_initial, state_name_twice, bad_name, reserved_name | names and the start |
| bad_target, foreign_state, way_out_of_final | ways that lead nowhere |
| bad_activity, other_data, other_input, bad_into | activities and mappings that do not fit |
| signal_name_twice | two types under one name |
| bad_handler, bad_interrupt, bad_move | a body of the ending that cannot work; a reaction that leads nowhere, or two ways |
| bad_form | what a task asks for cannot be stored |
| bad_machine, bad_child | a workflow that cannot be a node, or a child, of another |
| bad_version, bad_policy | class keywords |
| (warning) hold_order | pools held within each other in two orders |
| (warning) unreachable, no_way_on, never_taken, never_cached, no_key | probably not meant |
"""

from __future__ import annotations

import difflib
import inspect
import re
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast, get_args, get_origin

from stepkeel.authoring.activity import given_type, read_call
from stepkeel.authoring.state import AnyOf
from stepkeel.authoring.state import State as StateObject
from stepkeel.errors import DefinitionError
from stepkeel.model.codec import Codec
from stepkeel.model.definition import Place, Problem, State
from stepkeel.model.node import Activity, ActivityNode, ChildNode, WaitNode, walk
from stepkeel.model.policy import CompensationPolicy, Unhandled
from stepkeel.model.reaction import Reaction
from stepkeel.model.schema import Schema

__all__ = [
    "Problems",
    "check_activity",
    "check_cached",
    "check_definition",
    "check_field",
    "check_given",
    "check_into",
    "misfits",
    "refused",
]

_KEY = re.compile(r"^[^\s/~#@:!\[\]]+$")


class Problems:
    """Collects problems; nothing is raised before all are known."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.origins: dict[str, tuple[str | int, ...]] = {}  # of places: where they stand in a document

    def add(self, code: str, place: str, message: str, remedy: str, line: str = "", *, warning: bool = False) -> None:
        where = f"{place} ({line})" if line else place
        problem = Problem(code, where, message, remedy, warning)
        if problem not in self.found:
            self.found.append(problem)

    def good_key(self, key: str, place: str) -> bool:
        if _KEY.match(key):
            return True
        self.add(
            "bad_name",
            place,
            f"{key!r} cannot be a name",
            "names are part of paths: no spaces, none of / ~ # @ : ! [ ]",
        )
        return False

    def policies(self, name: str, version: Any, unhandled: str, compensation: str) -> None:
        self.good_key(name, name)
        if not isinstance(version, int) or version < 1:
            self.add("bad_version", name, f"version={version!r}", "a whole number from 1")
        if unhandled not in get_args(Unhandled):
            self.add("bad_policy", name, f"unhandled_signals={unhandled!r}", " or ".join(get_args(Unhandled)))
        if compensation not in get_args(CompensationPolicy):
            self.add("bad_policy", name, f"compensation={compensation!r}", " or ".join(get_args(CompensationPolicy)))

    def class_members(self, cls: type, name: str) -> None:
        if "definition" in vars(cls):
            self.add("reserved_name", name, "definition is the engine's attribute", "call yours otherwise")
        for base in cls.__mro__[1:]:
            if any(isinstance(v, StateObject) for v in vars(base).values()):
                self.add(
                    "inherited",
                    name,
                    f"it inherits from the workflow {base.__name__}",
                    "write it out: workflows have no subclasses",
                )
        for key, value in vars(cls).items():
            if isinstance(value, AnyOf):
                self.add("reserved_name", f"{name}.{key}", "any_of(...) is no state", "use it without assigning it")

    def raise_if_any(self, name: str) -> None:
        if any(not p.warning for p in self.found):
            raise refused(name, self.found)


def refused(name: str, problems: Sequence[Problem]) -> DefinitionError:
    """What tells of all problems, warnings aside."""
    errors = [p for p in problems if not p.warning]
    lines = "\n".join(f"  - {p}" for p in errors)
    many = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
    return DefinitionError(f"{name} has {many}:\n{lines}", tuple(errors))


def check_activity(problems: Problems, data: Codec, activity: Activity, place: str, given: Any) -> None:
    """Does the activity take this data, and what the node is given?"""
    try:
        call = read_call(activity.target)
    except (DefinitionError, TypeError, ValueError) as error:
        remedy = error.remedy if isinstance(error, DefinitionError) else "use a function, or a class with __call__"
        message = error.message if isinstance(error, DefinitionError) else str(error)
        problems.add("bad_activity", place, message, remedy)
        return
    if not _fits(data.type, call.data):
        expected = getattr(call.data, "__name__", call.data)
        problems.add(
            "other_data",
            place,
            f"{activity.name} expects {expected}, the workflow's data is {data.name}",
            "same data type",
        )
    if given is not None and not _fits(given, call.input):
        expected = getattr(call.input, "__name__", call.input)
        problems.add("other_input", place, f"{activity.name} expects {expected}, it is given {given.__name__}", "same input type")


def check_given(problems: Problems, compensation: Activity, output: Any, place: str) -> None:
    """Does a compensation take what the step that it undoes has given?"""
    try:
        wanted = given_type(compensation)
    except (DefinitionError, TypeError, ValueError):
        return  # told where the activity itself is checked
    if wanted is Any or wanted is None or wanted is type(None):
        return
    if output is None or output is type(None) or not _fits(output, wanted):
        gives = "nothing" if output in (None, type(None)) else getattr(output, "__name__", str(output))
        expected = getattr(wanted, "__name__", wanted)
        text = f"the compensation {compensation.name} expects {expected}, the step gives {gives}"
        problems.add("compensation_input", place, text, "say what it is given: compensate_given=")


def _fits(have: Any, want: Any) -> bool:
    """Only what is surely wrong is reported; protocols, unions and variables are left to the type checker."""
    have = dict if isinstance(have, Schema) else have
    if want is Any or have is Any or not inspect.isclass(want) or not inspect.isclass(have):
        return True
    if (
        getattr(want, "_is_protocol", False)
        or want is object
        or (issubclass(have, dict) and "__total__" in vars(cast("Any", have)))
    ):
        return True
    return issubclass(have, want)


def check_into(problems: Problems, data: Codec, field: str, value: Any, place: str) -> None:
    if data.fields is None or not check_field(problems, data, field, place):
        return
    kind: Any = data.fields[field]
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    options = [a for a in get_args(kind) if inspect.isclass(a)] or [kind]
    if inspect.isclass(get_origin(kind)) and get_origin(kind) is not types.UnionType:
        options = [get_origin(kind)]
    if inspect.isclass(value) and all(inspect.isclass(k) for k in options) and not any(_fits(value, k) for k in options):
        problems.add("bad_into", place, f"the field {field} is {kind}, it is given {value.__name__}", "use a function")


def misfits(node: ChildNode, data: Codec) -> list[tuple[str, str]]:
    """What is wrong with a child of a workflow with such data, each with its remedy."""
    of = node.of.definition
    found: list[tuple[str, str]] = []
    if node.data is None and of.data.type is not data.type:
        found.append((f"{of.name} works on {of.data.name}, this workflow on {data.name}", "say how: child(..., lambda data: ...)"))
    marks = {*of.states, *(s.label for s in of.states.values() if s.label)}
    if node.until == "state" and node.mark not in marks:
        found.append((f"{of.name} has no state {node.mark!r}", f"known: {', '.join(of.states)}"))
    return found


def check_field(problems: Problems, data: Codec, field: str, place: str) -> bool:
    """Does the data type have this field?"""
    if data.fields is None or field in data.fields:
        return True
    near = difflib.get_close_matches(field, data.fields, 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(data.fields)}"
    problems.add("bad_into", place, f"{data.name} has no field {field!r}", hint)
    return False


def check_cached(problems: Problems, places: Mapping[str, Place]) -> None:
    """An activity with `cache` has to give a result, and must not be undone."""
    for at, place in places.items():
        node = place.node
        if not isinstance(node, ActivityNode) or node.activity.cache is None:
            continue
        name = node.activity.name
        if node.activity.compensate is not None:
            text = f"{name} is cached, and has a compensation: what does not run cannot be undone"
            problems.add("bad_activity", at, text, "cache only what has no effect")
        elif not node.gives:
            text = f"{name} is cached, and gives no result here: it runs every time"
            problems.add(
                "never_cached", at, text, 'step("price", ask_price, lambda run: run.input.sku, into="price")', warning=True
            )


def check_definition(
    problems: Problems, name: str, initial: str, states: dict[str, State], deadlines: tuple[Reaction, ...]
) -> None:
    if not states:
        problems.add("no_states", name, "it has no states", "begin = State(...) in the class body")
        return
    for state in states.values():
        place = f"{name}.{state.name}"
        problems.good_key(state.name, place)
        if state.ending is not None and (state.reactions or state.transitions):
            kinds = [r for r in (*state.transitions, *state.signals, *state.timeouts) if r]
            if kinds:
                problems.add(
                    "way_out_of_final",
                    place,
                    "a final state has ways out",
                    "remove them, or make it an ordinary State",
                    state.line,
                )
        _check_ways(problems, place, state, timed=bool(deadlines))
    for lost in sorted(states.keys() - _reachable([initial, *(r.move.state for r in deadlines)], states)):
        problems.add("unreachable", f"{name}.{lost}", "no way leads to it", "remove it, or lead to it", warning=True)


def _check_ways(problems: Problems, place: str, state: State, *, timed: bool) -> None:
    for n, transition in enumerate(state.transitions[:-1]):
        if transition.when is None:
            later = state.transitions[n + 1].to
            problems.add(
                "never_taken",
                place,
                f"the way to {later} stands behind one that is always taken",
                "swap them",
                warning=True,
            )
            break
    waits = any(isinstance(node, WaitNode) and node.signal for node in walk(state.body))
    always = any(t.when is None for t in state.transitions)
    if state.ending is None and not always and not state.signals and not state.timeouts and not waits and not timed:
        text = "the instance fails here with no_way_on" if not state.transitions else "if no guard holds it fails with no_way_on"
        problems.add("no_way_on", place, text, "a way without when=, a handler or a timeout", warning=True)


def _reachable(todo: list[str], states: dict[str, State]) -> set[str]:
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen or name not in states:
            continue
        seen.add(name)
        state = states[name]
        todo += [t.to for t in state.transitions] + [r.move.state for r in state.reactions if r.move.state]
    return seen
