"""Graphs: steps that need each other, what each is given, and what becomes of its output."""

from __future__ import annotations

import graphlib
import heapq
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, TypedDict, TypeVar, Unpack, cast, get_args, overload

from stepkeel.authoring.activity import activity_of, output_type
from stepkeel.authoring.check import check_given
from stepkeel.authoring.concurrent import check_bound
from stepkeel.authoring.context import Context
from stepkeel.authoring.flow import JoinOf, SplitOf, To, routed
from stepkeel.authoring.node import BodyNode, Item, Step, tagged_all
from stepkeel.authoring.step import Recorded, with_policies
from stepkeel.authoring.worded import asked_for, worded, worded_outputs
from stepkeel.document.form import near
from stepkeel.errors import BadRequest
from stepkeel.model.codec import decoder_of
from stepkeel.model.function import Function
from stepkeel.model.graph import GraphNode
from stepkeel.model.graph import Step as StepNode
from stepkeel.model.node import ActivityNode
from stepkeel.model.policy import CompensateWhen, Retry
from stepkeel.model.run import Run

if TYPE_CHECKING:
    from stepkeel.authoring.body import Bodies

__all__ = ["Mode", "Step", "StepOptions", "Template", "distinct", "graph", "graph_node", "step", "step_in_body"]

D = TypeVar("D")
I = TypeVar("I")  # noqa: E741 - what an activity is given
T = TypeVar("T")
Template = str | Mapping[str, Any] | list[Any]  # a value with {{ expressions }} in it
Mode = Literal["dependency", "sequential", "parallel"]


class StepOptions(TypedDict, Generic[D, T], total=False):
    """What may be told of a step; see `step`."""

    needs: Sequence[Step[Any] | str]
    when: Callable[[Run[D]], bool] | str | None
    into: Callable[[D, T], D | Mapping[str, Any] | None] | Mapping[str, Any] | str | None
    retry: Retry | None
    timeout: timedelta | float | None
    deadline: timedelta | float | None
    optional: bool
    fallback: Callable[..., Any] | None
    fallback_given: Callable[[Run[D]], Any] | Template | None
    compensate: Callable[..., Any] | None
    compensate_given: Callable[[Run[D]], Any] | Template | None
    compensate_when: CompensateWhen
    tags: Sequence[str]
    to: To[D]
    split: SplitOf
    join: JoinOf


_POLICIES = ("retry", "timeout", "deadline", "optional", "fallback", "compensate", "compensate_when")
_OF_ACTIVITY = (*_POLICIES, "into", "fallback_given", "compensate_given")


@overload
def step(
    name: str,
    activity: Callable[Concatenate[Context[D, I], ...], Awaitable[T]],
    given: Callable[[Run[D]], I] | Template | None = None,
    **options: Unpack[StepOptions[D, T]],
) -> Step[T]: ...
@overload
def step(
    name: str,
    activity: Callable[Concatenate[Context[D, I], ...], T],
    given: Callable[[Run[D]], I] | Template | None = None,
    **options: Unpack[StepOptions[D, T]],
) -> Step[T]: ...
@overload
def step(name: str, activity: None = None, given: None = None, **options: Unpack[StepOptions[Any, Any]]) -> Step[Any]: ...
@overload
def step(
    name: str, activity: Item[D] | Sequence[Item[D]], given: None = None, **options: Unpack[StepOptions[D, Any]]
) -> Step[Any]: ...
def step(name: str, activity: Any = None, given: Any = None, **options: Any) -> Step[Any]:
    """A step of a `graph` or a `flow`: an activity, a node, or a body of several. What its activity returns is the step's output.

    given    a function of the `Run` makes what the activity is given (`ctx.input`): `lambda run: run[reserved]`; it is
             made once, and the same for every attempt
    needs    the steps it begins behind. Where none of them has run, nor does it
    when     a function of the Run; where it does not hold the step is skipped
             Both may be texts, a template (`"{{ steps.reserve.output }}"`) and a condition: those they ask for are needed
    into     a field, or a function of data and output, that brings the output into the data
    compensate_given   what the compensation is given; default: the step's output. fallback_given: default: what the activity was
    retry, timeout, deadline, optional, fallback, compensate, compensate_when   as of an activity, before its own
    tags     as `tagged`
    to       in a flow, instead of needs and when: where its arcs lead to; with guards `{"ship": "data.paid", "ask": None}`
    split    all: tokens go on all arcs whose guard holds (the default); first: on the first of them; or a `ThreadSplit`
    join     each: it fires for each token that comes (the default); all: for one of each arc; live: for those that have come when
             no other can come any more; or a `PartialJoin`, a `ThreadMerge`. Such a step may be without an activity
    Of a step that is no single activity only `needs`, `when` and `tags` may be told. A step that is one may stand in any body, too:
    `State(step("price", ask_price, lambda run: run.input.sku, into="price"))`, without `needs` and `when`. Raises BadRequest.
    """
    if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadRequest(f"step({name!r})", remedy='step("reserve", reserve_stock)')
    unknown = options.keys() - StepOptions.__annotations__.keys()
    if unknown:
        known = near(min(unknown), [*StepOptions.__annotations__])
        raise BadRequest(f"step {name}: there is no option {min(unknown)}", remedy=known)
    several = cast("Sequence[Any]", activity) if isinstance(activity, Sequence) else () if activity is None else (activity,)
    made: Step[Any] = Step(name, tuple(several), given, options)
    if not made.body and (activity is not None or not routed(made)):
        raise BadRequest(f"the step {name} is empty", remedy="give it an activity, or leave it out")
    if not made.single:
        said = [n for n in _OF_ACTIVITY if options.get(n)] + (["given"] if given is not None else [])
        if said:
            raise BadRequest(f"{said[0]}= of the step {name}, which is no single activity", remedy="say it of the activities in it")
    if isinstance(options.get("needs"), str):
        raise BadRequest(f"needs={options['needs']!r} of the step {name}", remedy="a list of steps")
    return made


def graph(
    *steps: Step[Any],
    mode: Mode = "dependency",
    max_concurrency: int = 100,
    into: Callable[[D, dict[str, Any]], D | Mapping[str, Any] | None] | Mapping[str, Any] | None = None,
    name: str | None = None,
) -> BodyNode[D]:
    """Steps that begin when those they need are over, at most `max_concurrency` of them at a time, waiting ones included.

    mode   dependency: as they need each other; sequential: one after another, in this order, each may ask for the output of all
           before it; parallel: all at once, none needs another
    into   brings the outputs, by the names of the steps, into the data when all are over
    A step that needs only what was skipped does not run; a step that finally fails fails the graph. Raises BadRequest.
    """
    if not steps:
        raise BadRequest("graph() of nothing", remedy='graph(step("extract", extract), step("load", load, needs=["extract"]))')
    strange = next((s for s in steps if not isinstance(s, Step)), None)  # pyright: ignore[reportUnnecessaryIsInstance]
    if strange is not None:
        raise BadRequest(f"graph({strange!r})", remedy='step("name", activity)')
    if mode not in get_args(Mode):
        raise BadRequest(f"graph(mode={mode!r})", remedy=", ".join(get_args(Mode)))
    check_bound("graph", max_concurrency)
    options = {"steps": steps, "mode": mode, "max_concurrency": 1 if mode == "sequential" else max_concurrency, "into": into}
    return BodyNode("graph", name or "graph", options)


# -- building


def graph_node(bodies: Bodies, o: Mapping[str, Any], key: str, place: str) -> GraphNode:
    """The node of a graph; what is wrong with its steps goes to the problems."""
    written = {n: worded(bodies, s, f"{place}:{n}") for n, s in distinct(bodies, o["steps"], place).items()}
    for each in (s for s in written.values() if routed(s)):
        text = f"{routed(each)[0]}= of a step of a graph"
        bodies.problems.add("bad_step", f"{place}:{each.key}", text, "needs=, or a flow")
    needs = {s.key: _needs(bodies, s, written, place, o["mode"]) for s in written.values()}
    order = _ordered(bodies, needs, place) if o["mode"] == "dependency" else [*needs]
    steps = [_step(bodies, written[name], tuple(needs[name]), f"{place}:{name}") for name in order]
    return GraphNode(
        key,
        tuple(steps),
        o["max_concurrency"],
        bodies.mapper(worded_outputs(bodies, o["into"], place), place, None),
        o["mode"] == "sequential",
    )


def distinct(bodies: Bodies, steps: Iterable[Step[Any]], place: str) -> dict[str, Step[Any]]:
    """The steps of a graph or flow, by name."""
    found: dict[str, Step[Any]] = {}
    for each in steps:
        if each.origin is not None:
            bodies.problems.origins[f"{place}:{each.key}"] = each.origin
        if each.key in found:
            bodies.problems.add("step_twice", f"{place}:{each.key}", f"two steps are called {each.key}", "give one another name")
        elif bodies.problems.good_key(each.key, place):
            found[each.key] = each
    return found


def _needs(bodies: Bodies, each: Step[Any], every: Mapping[str, Step[Any]], place: str, mode: Mode) -> list[str]:
    """The names of those that a step needs and that there are."""
    found: list[str] = []
    where = f"{place}:{each.key}"
    for need in (*each.options.get("needs", ()), *asked_for(each)):
        name = need.key if isinstance(need, Step) else str(need)
        if name not in every:
            bodies.problems.add("unknown_step", where, f"it needs {name}, and there is no such step", near(name, [*every]))
        elif mode == "parallel":
            bodies.problems.add("bad_needs", where, f"it needs {name}, and the mode is parallel", "mode=dependency")
        elif mode == "sequential" and [*every].index(name) >= [*every].index(each.key):
            bodies.problems.add("bad_needs", where, f"it needs {name}, which comes later", "swap them, or mode=dependency")
        elif name not in found:
            found.append(name)
    return found


def _ordered(bodies: Bodies, needs: dict[str, list[str]], place: str) -> list[str]:
    """Each behind those it needs, else as they were written."""
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        ring: list[str] = error.args[1]
        text = f"they need each other in a ring: {' needs '.join(reversed(ring))}"
        bodies.problems.add("cycle", f"{place}:{ring[0]}", text, "take one of these needs away, or write a loop")
        for n in needs:
            needs[n] = []
    place_of = {name: n for n, name in enumerate(needs)}
    names = [*needs]
    left = {name: len(needed) for name, needed in needs.items()}
    behind: dict[str, list[str]] = {name: [] for name in needs}
    for name, needed in needs.items():
        for other in needed:
            behind[other].append(name)
    ready = [place_of[name] for name, n in left.items() if not n]
    order: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for other in behind[name]:
            left[other] -= 1
            if not left[other]:
                heapq.heappush(ready, place_of[other])
    return order


def _step(bodies: Bodies, each: Step[Any], needs: tuple[str, ...], where: str) -> StepNode:
    items = tagged_all(each.options.get("tags", ()), [_told(each)] if each.single else [*each.body])
    outer, bodies.gives = bodies.gives, True
    nodes = bodies.body(items, where)
    bodies.gives = outer
    last = next((n for n in reversed(nodes) if isinstance(n, ActivityNode)), None)
    read = decoder_of(Any if last is None else output_type(last.activity))
    if each.single and nodes and isinstance(nodes[0], ActivityNode):
        nodes = (_with_mappings(bodies, each, nodes[0], read, where),)
    return StepNode(each.key, nodes, needs, _asking(bodies, each.options.get("when"), f"{where} when"), read)


def _told(each: Step[Any]) -> Recorded:
    """Its activity, with the policies that it tells."""
    own = activity_of(each.body[0])
    return Recorded(with_policies(own, {n: each.options.get(n) for n in _POLICIES}))


def step_in_body(bodies: Bodies, each: Step[Any], key: str, place: str, given: Any) -> ActivityNode | None:
    """The node of a step that stands in a body; None where it cannot."""
    said = [n for n in ("needs", "when") if each.options.get(n)] + routed(each)
    if said or not each.single:
        text = f"{said[0]}= of a step that stands in no graph" if said else "a step of several nodes that stands in no graph"
        bodies.problems.add("bad_step", place, text, "graph(step(...)), or choice(when(...)), or the nodes themselves")
        return None
    each = worded(bodies, each, place)
    node = bodies.node(_told(each), key, place, given if each.given is None else None)
    assert isinstance(node, ActivityNode)
    node = replace(node, gives=node.gives or each.given is not None or each.options.get("into") is not None)
    return _with_mappings(bodies, each, node, decoder_of(output_type(node.activity)), place)


def _with_mappings(bodies: Bodies, each: Step[Any], node: ActivityNode, read: Any, where: str) -> ActivityNode:
    """What the activity, its fallback and its compensation are given, and where its output goes."""
    o, output = each.options, output_type(node.activity)
    undo: Any = o.get("compensate_given")
    if node.activity.compensate is not None and undo is None and node.gives:
        check_given(bodies.problems, node.activity.compensate, output, where)
        undo = own_output
    return replace(
        node,
        given=_asking(bodies, each.given, f"{where} given"),
        fallback_given=_asking(bodies, o.get("fallback_given"), f"{where} fallback_given"),
        undo_given=_asking(bodies, undo, f"{where} compensate_given"),
        into=bodies.mapper(o.get("into"), f"{where} into", output),
        read=read,
    )


def _asking(bodies: Bodies, call: Any, place: str) -> Function | None:
    """A function of the Run. One that asks for the item of a for_each around it is given it."""
    if call is None:
        return None
    made = bodies.function(call, place)
    return replace(made, item=made.item or "item" in getattr(getattr(call, "__code__", None), "co_names", ()))


def own_output(run: Run[Any]) -> Any:
    """What a compensation is given where nothing else is said."""
    return run.output


own_output.__stepkeel_source__ = "output"  # type: ignore[attr-defined]
