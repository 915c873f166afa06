"""What a step says in text: templates and conditions as functions of its Run. Those whose output they ask for are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stepkeel.authoring.activity import activity_of, input_of, order_of
from stepkeel.authoring.node import Step
from stepkeel.document.expression import Expression, steps_named
from stepkeel.document.formula import STEP, OfRun, Outputs
from stepkeel.document.template import Template

if TYPE_CHECKING:
    from stepkeel.authoring.body import Bodies

__all__ = ["asked_for", "worded", "worded_outputs"]

_GIVEN = {"fallback_given": "fallback", "compensate_given": "compensate"}


def worded(bodies: Bodies, each: Step[Any], place: str) -> Step[Any]:
    """The step with functions in the place of texts; what is wrong with them goes to the problems."""
    options = dict(each.options)
    given: Any = each.given
    if each.single and not callable(given) and given is not None:
        given = _given(bodies, given, f"{place} given", each.body[0])
    for name, of in _GIVEN.items():
        said: Any = options.get(name)
        if said is not None and not callable(said):
            options[name] = _given(bodies, said, f"{place} {name}", options.get(of), each.key if of == "compensate" else "")
    guard: Any = options.get("when")
    if isinstance(guard, str):
        options["when"] = bodies.compiled(f"{place} when", lambda: _condition(guard), STEP, {})
    return replace(each, given=given, options=options)


def _given(bodies: Bodies, said: Any, place: str, activity: Any, own: str = "") -> Any:
    def make() -> OfRun:
        template = Template(said, STEP)
        wanted = None if activity is None else input_of(activity_of(activity))
        return OfRun(template, template.steps, own, order_of(wanted))

    return bodies.compiled(place, make, STEP, {})


def _condition(text: str) -> OfRun:
    return OfRun(Expression(text, STEP), (name for name, _ in steps_named(text)))


def worded_outputs(bodies: Bodies, into: Any, place: str) -> Any:
    """What brings the outputs of a graph into the data."""
    if not isinstance(into, Mapping):
        return into
    return bodies.compiled(place, lambda: Outputs(Template(dict(into), STEP)), STEP, {})  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def asked_for(each: Step[Any]) -> list[str]:
    """The steps whose output it asks for by templates."""
    made = [each.given, *(each.options.get(n) for n in ("when", *_GIVEN))]
    return [name for call in made if isinstance(call, OfRun) for name in call.steps if name != call.own]
