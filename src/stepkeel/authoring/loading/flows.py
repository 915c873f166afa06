"""Flows of documents: steps with their arcs, splits and joins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from stepkeel.authoring.flow import PartialJoin, ThreadMerge, ThreadSplit, flow
from stepkeel.authoring.loading.steps import OF_ACTIVITY, Steps
from stepkeel.authoring.node import Step
from stepkeel.document.form import near
from stepkeel.document.source import Way

__all__ = ["Flows"]

Said = Mapping[str, Any]


class Flows(Steps):
    """Reads the steps of flows."""

    def flow_steps(self, entries: list[Any], way: Way) -> list[Step[Any]]:
        """All of them; what is wrong with one does not hide what is wrong with another."""
        names = _names(entries)
        found: list[Step[Any]] = []
        for n, entry in enumerate(entries):
            if isinstance(entry, dict) and (made := self._flow_step(cast("Said", entry), (*way, n), names)) is not None:
                found.append(made)
        return found

    def _flow_step(self, entry: Said, way: Way, names: list[str]) -> Step[Any] | None:
        options = self._routes(entry, way, names)
        name = str(entry.get("name", ""))
        first = names.index(name) if name in names else way[-1]
        if first != way[-1]:
            text = f"there is a step {name} already, at {self.source.place((*way[:-1], first))}"
            self.report.add("step_twice", (*way, "name"), text, "give it another name")
        made = self._does(entry, way, name)
        if made is None or self.report.wrong(way):
            return None
        return replace(made, options={**made.options, **options}, origin=way)

    def _does(self, entry: Said, way: Way, name: str) -> Step[Any] | None:
        """What runs when it fires."""
        if "uses" in entry and "body" not in entry:
            return self.call(entry, way, name, graph=False)
        body: list[Any] = self.body_of(entry, way, name) if "body" in entry else []
        if "body" not in entry and (said := sorted(entry.keys() & OF_ACTIVITY)):
            self.report.add("bad_step", (*way, said[0]), f"{said[0]} of the step {name}, which has no activity", "uses: its name")
        return Step(name, tuple(body), None, self.some(entry, way, "tags"), way)

    # -- arcs

    def _routes(self, entry: Said, way: Way, names: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.good(entry, "to", way):
            said = entry["to"]
            several: list[Any] = cast("list[Any]", said) if isinstance(said, list) else [said]
            found["to"] = {}
            for n, each in enumerate(several):
                target, guard = self._arc(each, (*way, "to", n) if isinstance(said, list) else (*way, "to"), names)
                if target in found["to"]:
                    self.report.add("arc_twice", (*way, "to", n), f"two arcs lead to {target}", "one, where either holds: ||")
                found["to"][target] = guard
        if self.good(entry, "split", way):
            times = self._number(entry["split"]["times"], (*way, "split", "times")) if isinstance(entry["split"], dict) else None
            found["split"] = (
                entry["split"] if times is None else self.asked({"": lambda: ThreadSplit(times)}, (*way, "split")).get("")
            )
        if self.good(entry, "join", way):
            found["join"] = self._join(entry["join"], (*way, "join"), names)
        return found

    def _arc(self, said: Any, way: Way, names: list[str]) -> tuple[str, Any]:
        """Where it leads, and its guard."""
        if not isinstance(said, dict):
            self._known(said, way, names)
            return str(said), None
        told = cast("dict[str, Any]", said)
        self._known(told["step"], (*way, "step"), names)
        return str(told["step"]), self.condition(told["when"], (*way, "when")) if "when" in told else None

    def _known(self, name: Any, way: Way, names: list[str]) -> None:
        if name not in names:
            self.report.add("unknown_step", way, f"there is no step {name}", near(str(name), names))

    def _join(self, said: Any, way: Way, names: list[str]) -> Any:
        if not isinstance(said, dict):
            return said
        told = cast("dict[str, Any]", said)
        if ("n" in told) == ("count" in told):
            self.report.add("bad_value", way, "tokens of n arcs, or count tokens of one", "{n: 2}, or {count: 3}")
            return None
        if "count" in told:
            for extra in sorted(told.keys() & {"rest", "region"}):
                self.report.add("bad_value", (*way, extra), f"{extra} is for {{n: ...}}: no token is late here", "leave it out")
            count = self._number(told["count"], (*way, "count"))
            return self.asked({"": lambda: ThreadMerge(count)}, way).get("")
        for k, name in enumerate(told.get("region", ())):
            self._known(name, (*way, "region", k), names)
        n, rest = self._number(told["n"], (*way, "n")), told.get("rest", "swallow")
        return self.asked({"": lambda: PartialJoin(n, rest, tuple(told.get("region", ())))}, way).get("")

    def _number(self, said: Any, way: Way) -> Any:
        return said if isinstance(said, int) else self.value(said, way, ("data", "item"), "expression")

    def read_flow(self, said: Said, way: Way) -> Any:
        steps = self.flow_steps(said["flow"], (*way, "flow"))
        start = said.get("start", ())
        names = _names(said["flow"])
        for n, name in enumerate([start] if isinstance(start, str) else start):
            self._known(name, (*way, "start") if isinstance(start, str) else (*way, "start", n), names)
        if self.report.wrong(way):
            return None
        return flow(*steps, start=start, name=said.get("name"), **self.some(said, way, "max_tokens", "leftover"))


def _names(entries: list[Any]) -> list[str]:
    """Of all steps, in their order; nothing in the place of one that has none."""
    found = (cast("Said", e).get("name") if isinstance(e, dict) else None for e in entries)
    return [name if isinstance(name, str) else "" for name in found]
