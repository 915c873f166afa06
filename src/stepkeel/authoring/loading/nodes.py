"""Bodies: each node of a document as the author of a class would write it, `loop(...)`, `task(...)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from stepkeel.authoring.concurrent import for_each, parallel, spawn
from stepkeel.authoring.during import during
from stepkeel.authoring.family import child
from stepkeel.authoring.graph import graph
from stepkeel.authoring.hold import hold
from stepkeel.authoring.loading.flows import Flows
from stepkeel.authoring.loading.reader import seconds
from stepkeel.authoring.nested import add_items, pick, scope, stop
from stepkeel.authoring.node import BodyNode, When, choice, delay, emit, log, loop, tagged, transform, until, wait, when
from stepkeel.authoring.people import approval, task
from stepkeel.authoring.step import Recorded, with_policies
from stepkeel.document.form import near
from stepkeel.document.nodes import NODE
from stepkeel.document.source import Way
from stepkeel.errors import BadRequest
from stepkeel.model.definition import Definition

__all__ = ["Nodes"]

Said = Mapping[str, Any]


class Nodes(Flows):
    """Reads bodies."""

    own: Callable[[], Definition] | None = None  # the workflow that is being read, for a child that is one of it
    own_name = ""

    def body(self, value: Any, way: Way) -> list[Any]:
        if isinstance(value, list):
            found = [self._item(v, (*way, n)) for n, v in enumerate(cast("list[Any]", value))]
        else:
            found = [self._item(value, way)]
        return [item for item in found if item is not None]

    def _item(self, value: Any, way: Way) -> Any:
        if isinstance(value, str):
            activity = self.activity_called(value, way) if value else None
            return None if activity is None else Recorded(activity, way)
        if not isinstance(value, dict):
            return None
        said = cast("dict[str, Any]", value)
        kind = NODE.of(said)
        if not kind or not self.intact(way):
            self._inner(said, kind, way)
            return None
        try:
            made = getattr(self, f"_{kind}")(said, way)
        except BadRequest as error:
            self.report.add("bad_value", (*way, kind), error.message, error.remedy or "")
            return None
        if isinstance(made, BodyNode):
            made = replace(cast("BodyNode[Any]", made), origin=way)
        if made is None or kind == "uses":
            return made
        for tag in said.get("tags", ()):
            made = tagged(tag, made)
        return made

    def _inner(self, said: Said, kind: str, way: Way) -> None:
        """A node that says what it cannot: what stands in its body is looked at all the same."""
        if kind == "uses":
            self.activity(said, way)
        for name in ("body", "otherwise", kind if kind in ("loop", "scope", "spawn") else ""):
            if name in said and (name != "otherwise" or kind != "during"):
                self.body(said[name], (*way, name))
        if not kind or not self.intact((*way, kind)):
            return
        if kind == "parallel":
            for name, branch in said["parallel"].items():
                self._branch(branch, (*way, "parallel", name))
        elif kind == "choice":
            for n, arm in enumerate(said["choice"]):
                self.body(arm["body"], (*way, "choice", n, "body"))
        elif kind == "graph":
            with self.graph(said["graph"], (*way, "graph")):
                self.steps(said["graph"], (*way, "graph"))
        elif kind == "flow":
            self.flow_steps(said["flow"], (*way, "flow"))

    def _name(self, said: Said) -> str | None:
        return said.get("name")

    # -- activities and pure nodes

    def _uses(self, said: Said, way: Way) -> Any:
        name = str(said.get("name") or said["uses"])
        made = self.call(said, way, name, graph=False)
        if made is None or name != said["uses"] or said.keys() & {"with", "into", "fallback", "compensate", "tags"}:
            return made
        told = {n: made.options.get(n) for n in ("retry", "timeout", "deadline", "optional")}
        return Recorded(
            with_policies(cast("Recorded", made.body[0]).record, told), way
        )  # what it returns sets fields, as in Python

    def _log(self, said: Said, way: Way) -> Any:
        text = self.maybe(said["log"], (*way, "log"), "text", ("data",))
        return log(text, level=said.get("level", "info"), name=self._name(said)) if text is not None else None

    def _set(self, said: Said, way: Way) -> Any:
        made = self.into(said["set"], (*way, "set"))
        return transform(made, name=said.get("name", "set")) if made is not None else None

    def _transform(self, said: Said, way: Way) -> Any:
        made = self.value(said["transform"], (*way, "transform"), reads="fields")
        return transform(made, name=said.get("name", "transform")) if made is not None else None

    def _emit(self, said: Said, way: Way) -> Any:
        what = self.value(said["what"], (*way, "what"), ("data", "item")) if "what" in said else None
        return emit(what, to=said["emit"], name=self._name(said))

    # -- waiting

    def _wait(self, said: Said, way: Way) -> Any:
        signal = self.signal(said["wait"], (*way, "wait")) if "wait" in said else None
        options: dict[str, Any] = {}
        if "when" in said:
            options["when"] = self.condition(said["when"], (*way, "when"), {"signal": signal})
        if "into" in said:
            options["into"] = self.into(said["into"], (*way, "into"), "signal", signal)
        if "condition" in said:
            options["condition"] = self.condition(said["condition"], (*way, "condition"))
        if "delay" in said:
            options["delay"] = self.maybe(said["delay"], (*way, "delay"), "span", ("data",))
        if "until" in said:
            options["until"] = self.value(said["until"], (*way, "until"), reads="moment")
        if self.report.wrong(way):
            return None
        return wait(signal, **options, name=self._name(said))

    _condition = _wait

    def _delay(self, said: Said, way: Way) -> Any:
        span = self.maybe(said["delay"], (*way, "delay"), "span", ("data",))
        if isinstance(span, str):
            self.report.add("bad_value", (*way, "delay"), f"{span!r} is no span of time", "5m, 2h, 3d, or {{ ... }}")
            return None
        calendar = self.calendar(said["calendar"], (*way, "calendar")) if "calendar" in said else None
        return delay(span, calendar=calendar, name=self._name(said)) if span is not None else None

    def _until(self, said: Said, way: Way) -> Any:
        made = self.value(said["until"], (*way, "until"), reads="moment")
        return until(made, name=self._name(said)) if made is not None else None

    def signal(self, name: Any, way: Way) -> Any:
        """The type of a signal that is declared, or given."""
        found = self.signals.get(name) or self.known.types.get(name)
        if found is None and isinstance(name, str):
            remedy = near(name, [*self.signals], "signals: {" + str(name) + ": {properties: {...}}}")
            self.report.add("unknown_signal", way, f"there is no signal {name}", remedy)
        return found

    # -- people, children

    def _task(self, said: Said, way: Way) -> Any:
        form = self.typed(said["form"], (*way, "form"), said.get("name", "task")) if "form" in said else None
        options = self._asks(said, way, form)
        return task(options.pop("title"), form, **options) if not self.report.wrong(way) else None

    def _approval(self, said: Said, way: Way) -> Any:
        options = self._asks(said, way, None) | self.some(said, way, "on_reject")
        return approval(options.pop("title"), **options) if not self.report.wrong(way) else None

    def _asks(self, said: Said, way: Way, form: Any) -> dict[str, Any]:
        kind = "task" if "task" in said else "approval"
        found: dict[str, Any] = {"title": self.maybe(said[kind], (*way, kind), "text"), "name": self._name(said)}
        for name in ("role", "assignee", "candidates", "people", "not_by"):
            if self.good(said, name, way):
                found[name] = self.maybe(said[name], (*way, name))
        found |= self.some(said, way, "need", "priority")
        if self.good(said, "due", way):
            found["due"] = self.maybe(said["due"], (*way, "due"), "due")
            if isinstance(found["due"], str):
                found["due"] = self.value(said["due"], (*way, "due"), reads="due")
        if self.good(said, "calendar", way):
            found["calendar"] = self.calendar(said["calendar"], (*way, "calendar"))
        if self.good(said, "remind", way):
            found["remind"] = seconds(said["remind"])
        if self.good(said, "escalate_to", way):
            found["escalate_to"] = said["escalate_to"]
        if self.good(said, "into", way):
            found["into"] = self.into(said["into"], (*way, "into"), "result", form)
        return found

    def _child(self, said: Said, way: Way) -> Any:
        workflow = self._workflow(said["child"], (*way, "child"))
        data = self.value(said["data"], (*way, "data"), ("data", "item")) if "data" in said else None
        options = self.some(said, way, "state", "outcome", "wait", "failures", "detached")
        if "into" in said:
            options["into"] = self.into(said["into"], (*way, "into"))
        bound = tuple(said.get("bound_to", ()))
        for n, name in enumerate(bound):
            if name not in self.states:
                self.report.add("bad_target", (*way, "bound_to", n), f"there is no state {name}", near(name, [*self.states]))
        if workflow is None or self.report.wrong(way):
            return None
        return child(workflow, data, bound_to=[self.states[n] for n in bound], name=said.get("name"), **options)

    def _workflow(self, name: str, way: Way) -> Any:
        """The definition of that name, or what finds it once this one is built."""
        if name == self.own_name:
            return self.own
        found = self.known.workflows.get(name)
        if found is None:
            known = near(name, [*self.known.workflows], "load(..., workflows=[...])")
            self.report.add("unknown_workflow", way, f"there is no workflow {name}", known)
        return found

    # -- nodes that hold bodies

    def _parallel(self, said: Said, way: Way) -> Any:
        branches = {n: self._branch(b, (*way, "parallel", n)) for n, b in said["parallel"].items()}
        options = self._concurrent(said, way)
        if "otherwise" in said:
            options["otherwise"] = self.body(said["otherwise"], (*way, "otherwise"))
        for name in sorted(branches.keys() & {"join", "max_concurrency", "data", "into", "otherwise", "name"}):
            self.report.add("reserved_name", (*way, "parallel", name), f"a branch cannot be called {name}", "give it another name")
        if self.report.wrong(way):
            return None
        return parallel(**options, name=said.get("name"), **branches)

    def _branch(self, said: Any, way: Way) -> Any:
        if isinstance(said, dict) and "body" in said and not NODE.of(arm := cast("dict[str, Any]", said)):
            body = self.body(arm["body"], (*way, "body"))
            guard = self.condition(arm["when"], (*way, "when")) if "when" in arm else None
            return When(guard, tuple(body), str(way[-1]))
        return self.body(said, way)

    def _concurrent(self, said: Said, way: Way) -> dict[str, Any]:
        found = self.some(said, way, "max_concurrency")
        if "join" in said:
            found["join"] = self.join(said["join"], (*way, "join")) or "all"
        if "data" in said:
            found["data"] = self.own_data(said["data"], (*way, "data"))
        if "into" in said:
            found["into"] = self.into(said["into"], (*way, "into"))
        return found

    def _for_each(self, said: Said, way: Way) -> Any:
        items = self.value(said["for_each"], (*way, "for_each"), reads="items")
        body = self.body(said["body"], (*way, "body"))
        options = self._concurrent(said, way) | self.some(said, way, "detached")
        if "stay_open_until" in said:
            text = said["stay_open_until"]
            options["stay_open_until"] = text if text == "completed" else self.condition(text, (*way, "stay_open_until"))
        return for_each(items, *body, **options, name=said.get("name")) if items and not self.report.wrong(way) else None

    def _loop(self, said: Said, way: Way) -> Any:
        body = self.body(said["loop"], (*way, "loop"))
        asked = {f"{n}_" if n == "while" else n: self.condition(said[n], (*way, n)) for n in ("while", "until") if n in said}
        options = self.some(said, way, "max_iterations", "at_max")
        return loop(*body, **asked, **options, name=said.get("name")) if not self.report.wrong(way) else None

    def _choice(self, said: Said, way: Way) -> Any:
        arms: list[Any] = []
        for n, arm in enumerate(said["choice"]):
            at = (*way, "choice", n)
            body = self.body(arm["body"], (*at, "body"))
            arms.append(when(self.condition(arm["when"], (*at, "when")), *body, name=arm.get("name", "arm")))
        other = self.body(said["otherwise"], (*way, "otherwise")) if "otherwise" in said else None
        return choice(*arms, otherwise=other, name=said.get("name")) if not self.report.wrong(way) else None

    def _graph(self, said: Said, way: Way) -> Any:
        with self.graph(said["graph"], (*way, "graph")):
            steps = self.steps(said["graph"], (*way, "graph"))
            output = self.output(said["output"], (*way, "output")) if "output" in said else None
        options = self.some(said, way, "mode", "max_concurrency")
        return graph(*steps, into=output, name=said.get("name"), **options) if not self.report.wrong(way) else None

    def _flow(self, said: Said, way: Way) -> Any:
        return self.read_flow(said, way)

    def _hold(self, said: Said, way: Way) -> Any:
        limits = self.limits(said["hold"], (*way, "hold"))
        given = said.get("amount", 1)
        if isinstance(given, dict):
            amount: Any = {n: self._amount(a, (*way, "amount", n)) for n, a in cast("dict[str, Any]", given).items()}
        else:
            amount = self._amount(given, (*way, "amount"))
        body = self.body(said["body"], (*way, "body"))
        options: dict[str, Any] = self.some(said, way, "scope") | self.spans(said, way, "timeout")
        return hold(limits, *body, amount=amount, name=said.get("name"), **options) if not self.report.wrong(way) else None

    def _amount(self, said: Any, way: Way) -> Any:
        return said if isinstance(said, int) else self.value(said, way, ("data", "item"), "expression")

    def _during(self, said: Said, way: Way) -> Any:
        guard = self.condition(said["during"], (*way, "during"))
        body = self.body(said["body"], (*way, "body"))
        options = self.some(said, way, "otherwise")
        return during(guard, *body, name=said.get("name"), **options) if not self.report.wrong(way) else None

    def _spawn(self, said: Said, way: Way) -> Any:
        body = self.body(said["spawn"], (*way, "spawn"))
        options = self.some(said, way, "late")
        if "data" in said:
            options["data"] = self.own_data(said["data"], (*way, "data"))
        return spawn(*body, name=said.get("name"), **options) if not self.report.wrong(way) else None

    def _stop(self, said: Said, way: Way) -> Any:
        return stop(said["stop"], name=said.get("name"), **self.some(said, way, "how", "then"))

    def _add_items(self, said: Said, way: Way) -> Any:
        items = self.value(said["items"], (*way, "items"), ("data", "item"), "items")
        return add_items(said["add_items"], items, name=said.get("name")) if items is not None else None

    def _scope(self, said: Said, way: Way) -> Any:
        body = self.body(said["scope"], (*way, "scope"))
        ends = {n: self._ends(said[n], (*way, n)) for n in ("on", "after", "on_failure") if n in said}
        return scope(*body, **ends, name=said.get("name")) if not self.report.wrong(way) else None

    def _pick(self, said: Said, way: Way) -> Any:
        for n, each in enumerate(said["pick"]):
            if ("signal" in each) == ("after" in each):
                self.report.add("bad_value", (*way, "pick", n), "a signal, or a time", "{signal: Paid, do: ship}")
        ends = self._ends(said["pick"], (*way, "pick"))
        return pick(ends, name=said.get("name")) if not self.report.wrong(way) else None

    def _ends(self, said: Any, way: Way) -> dict[Any, Any]:
        """What may come, each with its body."""
        found: dict[Any, Any] = {}
        for n, each in enumerate(said):
            at = (*way, n)
            if "signal" in each:
                key = self.signal(each["signal"], (*at, "signal"))
            elif "error" in each:
                key = each["error"]
            else:
                key = timedelta(seconds=seconds(each.get("span", each.get("after"))))
            if key in found:
                self.report.add("key_twice", at, "the same stands before", "leave one of them out")
            found[key] = tuple(self.body(each["do"], (*at, "do")) if "do" in each else ())
        return found

    def _machine(self, said: Said, way: Way) -> Any:
        return self.inner_machine(said["machine"], (*way, "machine"), str(said["name"]))

    def inner_machine(self, said: Said, way: Way, name: str) -> Any:
        """States within a body."""
        raise NotImplementedError
