"""State machines: the states of a document as those of a class, with the ways between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from stepkeel.authoring.build import Policies, build
from stepkeel.authoring.check import Problems
from stepkeel.authoring.loading.nodes import Nodes
from stepkeel.authoring.nested import machine
from stepkeel.authoring.state import Anywhere, State, Way, Written
from stepkeel.authoring.view import AuthoredDefinition
from stepkeel.document import source
from stepkeel.document.form import near
from stepkeel.errors import DefinitionError
from stepkeel.model.outcome import Cancel, Complete, Fail, Terminate
from stepkeel.model.reaction import Ending

__all__ = ["Machines"]

Said = Mapping[str, Any]
_TRIGGERS: dict[str, Any] = {"on": "signal", "after": "timeout", "on_failure": "failure"}
_HANDLERS = ("on_failure", "on_cancel", "finally")
_ENDS: dict[str, Any] = {"completed": Complete, "cancelled": Cancel, "terminated": Terminate}


class Machines(Nodes):
    """Reads states."""

    def workflow(self, said: Said) -> AuthoredDefinition | None:
        """The definition of a whole document."""
        self.calendars = self._mapping(said, "calendars")
        if self.good(said, "data"):
            self.use_data(self.typed(said["data"], ("data",), str(said.get("name", "data"))) or dict)
        for name, schema in self._mapping(said, "signals").items():
            self.signals[name] = self.typed(schema, ("signals", name), name)
        self.own_name = str(said.get("name", ""))
        found: list[AuthoredDefinition] = []
        self.own = lambda: found[0]
        members = self._members(said, ())
        bodies = {f"{n}_" if n == "finally" else n: self.body(said[n], (n,)) for n in _HANDLERS if n in said}
        span = self.spans(said, (), "compensation_timeout")
        policies = Policies(
            said.get("version", 1) if self.good(said, "version") or "version" not in said else 1,
            said.get("unhandled_signals", "reject"),
            said.get("compensation", "continue_then_fail"),
            limits=self.limits(said["limits"], ("limits",)) if "limits" in said else (),
            compensation_timeout=span.get("compensation_timeout"),
            **bodies,
        )
        made = self._built(members, self.own_name, policies, ()) if members else None
        found += [made] if made else []
        return made

    def _mapping(self, said: Said, name: str) -> dict[str, Any]:
        found = said.get(name)
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def inner_machine(self, said: Said, way: source.Way, name: str) -> Any:
        outer = self.states
        members = self._members(said, way)
        self.states = outer
        policies = Policies(1, "reject", "continue_then_fail")
        made = self._built(members, name, policies, way) if members and not self.report.wrong(way) else None
        return machine(made) if made is not None else None

    def _built(self, members: Said, name: str, policies: Policies, way: source.Way) -> AuthoredDefinition | None:
        """The definition that states make; what is wrong with them is told at their lines."""
        if any(not p.warning for p in self.report.problems):
            return None
        problems = Problems()
        problems.origins = {f"{name}.{n}": (*way, "states", n) for n in members}
        problems.origins |= {n: (*way, "states", n) for n in members} | {name: (*way, "states")}
        problems.origins |= {f"{name} {n}": (n,) for n in _HANDLERS} | {f"!{n}": (n,) for n in _HANDLERS}
        cls = type("".join(c if c.isalnum() else "_" for c in name), (), dict(members))
        try:
            return build(cls, self.data, name, policies, problems)
        except DefinitionError as error:
            self.origins = problems.origins
            for problem in error.problems:
                self.placed(problem)
            return None

    def _members(self, said: Said, way: source.Way) -> dict[str, Any]:
        """States, and what holds in all of them, by name."""
        written = self._mapping(said, "states")
        self.states = {n: self._state(n, cast("Said", each)) for n, each in written.items() if isinstance(each, dict)}
        for name, state in self.states.items():
            each = written[name]
            at = (*way, "states", name)
            state.written.body = tuple(self.body(each["body"], (*at, "body"))) if "body" in each else ()
            state.written.ways += self._automatic(each, at)
            for kind in _TRIGGERS:
                state.written.ways += self._ways(each, at, kind)
        members: dict[str, Any] = dict(self.states)
        if isinstance(said.get("anywhere"), dict):
            everywhere = Anywhere[Any]()
            for kind in _TRIGGERS:
                everywhere.ways += self._ways(said["anywhere"], (*way, "anywhere"), kind)
            members["anywhere " if "anywhere" in members else "anywhere"] = everywhere
        return members

    def _state(self, name: str, said: Said) -> State[Any]:
        ending: Ending | None = None
        if isinstance(said.get("end"), str):
            code = said.get("code", "failed") if said["end"] == "failed" else ""
            ending = Ending(cast("Any", said["end"]), said.get("reason", ""), code, bool(said.get("at_once")))
        state: State[Any] = State(name=name)
        state.written = Written((), said.get("label", ""), bool(said.get("initial")), "", ending, said.get("settable") is not False)
        return state

    # -- ways out

    def _automatic(self, said: Said, way: source.Way) -> list[Way]:
        found: list[Way] = []
        given = said.get("to")
        for n, each in enumerate(cast("list[Any]", given) if isinstance(given, list) else [given] if given else []):
            at = (*way, "to", n) if isinstance(given, list) else (*way, "to")
            options: dict[str, Any] = cast("dict[str, Any]", each) if isinstance(each, dict) else {"state": each}
            guard = self.condition(options["when"], (*at, "when")) if self.good(options, "when", at) else None
            to = self._target(options.get("state"), (*at, "state") if isinstance(each, dict) else at)
            found.append(Way("automatic", to, "", {"when": guard}))
        return found

    def _target(self, name: Any, way: source.Way) -> State[Any] | None:
        found = self.states.get(name) if isinstance(name, str) else None
        if found is None and isinstance(name, str):
            self.report.add("bad_target", way, f"there is no state {name}", near(name, [*self.states]))
        return found

    def _ways(self, said: Said, way: source.Way, kind: str) -> list[Way]:
        given = said.get(kind)
        found: list[Way] = []
        for n, each in enumerate(cast("list[Any]", given) if isinstance(given, list) else []):
            if isinstance(each, dict) and self.intact((*way, kind, n)):
                found.append(self._reaction(cast("dict[str, Any]", each), (*way, kind, n), kind))
        return found

    def _reaction(self, said: Said, way: source.Way, kind: str) -> Way:
        options: dict[str, Any] = {"name": said.get("name"), "origin": way}
        also: dict[str, Any] = {}
        if kind == "on":
            options["signal"] = self.signal(said.get("signal"), (*way, "signal"))
            also = {"signal": options["signal"]}
        elif kind == "after":
            options["span"] = self._span(said, way)
            if self.good(said, "calendar", way):
                options["calendar"] = self.calendar(said["calendar"], (*way, "calendar"))
        else:
            options["errors"] = tuple(said.get("errors", ()))
            also = {"failure": None}
        if self.good(said, "when", way):
            options["when"] = self.condition(said["when"], (*way, "when"), also)
        if self.good(said, "into", way):
            options["into"] = self.into(said["into"], (*way, "into"), next(iter(also), "nothing"), options.get("signal"))
        if self.good(said, "do", way):
            options["do"] = self.body(said["do"], (*way, "do"))
        options |= self.some(said, way, "interrupt", "go_on", "cancel", "complete", "undo", "otherwise")
        if self.good(said, "end", way):
            options["end"] = self._end(said["end"])
        to = self._target(said["to"], (*way, "to")) if self.good(said, "to", way) else None
        return Way(_TRIGGERS[kind], to, "", options)

    def _span(self, said: Said, way: source.Way) -> Any:
        span = self.maybe(said.get("span"), (*way, "span"), "span", ("data",))
        if isinstance(span, str):
            self.report.add("bad_value", (*way, "span"), f"{span!r} is no span of time", "30s, 10m, 2h, 3d, or {{ ... }}")
            return 0.0
        return span

    def _end(self, said: Any) -> Any:
        if isinstance(said, str):
            return said
        status, reason = str(said["status"]), str(said.get("reason", ""))
        return Fail(str(said.get("code", "failed")), reason) if status == "failed" else _ENDS.get(status, Complete)(reason)
