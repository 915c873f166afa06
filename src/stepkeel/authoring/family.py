"""child: an instance of another workflow, begun by this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast, get_args, overload

from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.node import BodyNode
from stepkeel.authoring.state import State
from stepkeel.errors import BadRequest
from stepkeel.kernel.family import OUTCOMES
from stepkeel.model.child import ChildResult
from stepkeel.model.definition import Definition
from stepkeel.model.node import Reference

__all__ = ["child"]

D = TypeVar("D")
C = TypeVar("C")

Failures = Literal["fail", "record"]
Of = type[Workflow[C]] | Callable[[], type[Workflow[C]]] | Definition


@overload
def child(
    workflow: Of[C],
    data: Callable[[D], C | Mapping[str, Any]] | Callable[[D, Any], C | Mapping[str, Any]] | None = None,
    *,
    into: Callable[[D, C], D | Mapping[str, Any] | None] | Mapping[str, Any] | str | None = None,
    state: State[Any] | str | None = None,
    outcome: str | None = None,
    wait: bool = True,
    failures: Literal["fail"] = "fail",
    detached: bool = False,
    bound_to: Sequence[State[Any]] = (),
    name: str | None = None,
) -> BodyNode[D]: ...
@overload
def child(
    workflow: Of[C],
    data: Callable[[D], C | Mapping[str, Any]] | Callable[[D, Any], C | Mapping[str, Any]] | None = None,
    *,
    failures: Literal["record"],
    into: Callable[[D, ChildResult[C]], D | Mapping[str, Any] | None] | Mapping[str, Any] | None = None,
    state: State[Any] | str | None = None,
    outcome: str | None = None,
    name: str | None = None,
) -> BodyNode[D]: ...
def child(
    workflow: Of[Any],
    data: Callable[..., Any] | None = None,
    *,
    into: Any = None,
    state: State[Any] | str | None = None,
    outcome: str | None = None,
    wait: bool = True,
    failures: Failures = "fail",
    detached: bool = False,
    bound_to: Sequence[State[Any]] = (),
    name: str | None = None,
) -> BodyNode[Any]:
    """Begin an instance of another workflow, and wait until it has completed.

    workflow  its class, or what a document was loaded to; `lambda: Tree` where it is defined later, or is this very one
    data      makes its data of this instance's (and of the item of the for_each around it); default: it is given the same,
              which then has to be of one type
    into      brings its data into this instance's: a field, or a function
    state     wait until it is in this state (or label) instead; it goes on, and this instance does not complete before it
    outcome   wait for an attempt of it with this outcome: completed, failed, skipped, waiting, retried
    wait      False: wait for nothing; this instance does not complete before it has ended, whatever its end
    failures  fail: one that ends otherwise than waited for fails the node, with the code of its own failure, else
              child_cancelled, child_terminated, child_completed. record: `into` is given a ChildResult of any end
    detached  begin it and forget it: it is not cancelled, paused or waited for
    bound_to  with wait=False: it is cancelled when this machine enters another state than these

    A node that is closed otherwise (its state is left, its branch cancelled) cancels the child, which undoes what it has done.
    Raises BadRequest.
    """
    if detached and (state or outcome or into):
        raise BadRequest("child(detached=True, ...) gives nothing back", remedy="leave state=, outcome= and into= out")
    waits = wait and not detached
    if sum(map(bool, (state, outcome))) > 1 or ((state or outcome) and not waits):
        raise BadRequest("child() waits for one thing: its end, state= or outcome=, or nothing", remedy="name one of them")
    if into is not None and not waits:
        raise BadRequest("child(into=, wait=False)", remedy="what is not waited for brings nothing back")
    if outcome is not None and outcome not in OUTCOMES:
        raise BadRequest(f"child(outcome={outcome!r})", remedy=", ".join(OUTCOMES))
    if failures not in get_args(Failures):
        raise BadRequest(f"child(failures={failures!r})", remedy=", ".join(get_args(Failures)))
    if failures == "record" and isinstance(into, str):
        raise BadRequest("child(failures='record', into='field')", remedy="into= a function of the data and a ChildResult")
    if bound_to and (waits or detached):
        raise BadRequest("child(bound_to=) is for one that is not waited for", remedy="wait=False")
    until = "nothing" if not waits else "state" if state else "outcome" if outcome else "end"
    options = {
        "of": _reference(workflow), "data": data, "into": into, "until": until, "mark": state or outcome or "",
        "failures": failures, "detached": detached, "bound_to": tuple(bound_to),
    }  # fmt: skip
    return BodyNode("child", name or "child", options)


def _reference(workflow: Any) -> Reference:
    definition = workflow if isinstance(workflow, Definition) else getattr(workflow, "definition", None)
    if isinstance(definition, Definition):
        return Reference(lambda: definition, definition.name)
    if isinstance(workflow, type) or not callable(workflow):
        raise BadRequest(f"child({workflow!r})", remedy="a class that derives from Workflow[...], or a function that gives one")

    def find() -> Definition:
        found: Any = cast("Callable[[], Any]", workflow)()
        found = getattr(found, "definition", found)
        if not isinstance(found, Definition):
            raise BadRequest(f"child({workflow!r}) gives {found!r}", remedy="a class that derives from Workflow[...]")
        return found

    return Reference(find)
