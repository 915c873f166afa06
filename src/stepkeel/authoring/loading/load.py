"""Reading a document: a state machine or a saga. Everything that is wrong is told at once, with line, column and remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from stepkeel.authoring.activity import activity_of
from stepkeel.authoring.check import refused
from stepkeel.authoring.loading.machine import Machines
from stepkeel.authoring.loading.reader import Known
from stepkeel.authoring.saga import Saga
from stepkeel.authoring.signal import signal_name
from stepkeel.authoring.view import AuthoredDefinition
from stepkeel.document.source import SourceInvalid, read_source
from stepkeel.document.workflow import MACHINE, SAGA
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.model.definition import Definition
from stepkeel.model.node import Activity

__all__ = ["activities_of", "load"]


def load(
    document: str | Path | Mapping[str, Any],
    activities: Mapping[str, Activity],
    types: Iterable[type[Any]],
    workflows: Iterable[Any],
) -> AuthoredDefinition:
    """The definition that a document describes (connectors/load.py). Raises DefinitionError, BadRequest."""
    try:
        source = read_source(Path(document) if isinstance(document, str) else document)
    except SourceInvalid as error:
        raise refused(str(document), [error.problem]) from None
    definitions = [w if isinstance(w, Definition) else w.definition for w in workflows]
    known = Known(activities, {signal_name(t): t for t in types}, {d.name: d for d in cast("list[Definition]", definitions)})
    return _Loader(source, known).definition()


def activities_of(given: Iterable[Callable[..., Any] | Activity]) -> dict[str, Activity]:
    """Activities by name. Raises BadRequest where two of them have one name."""
    found: dict[str, Activity] = {}
    for each in given:
        record = each if isinstance(each, Activity) else activity_of(each)
        known = found.setdefault(record.name, record)
        if known.target is not record.target:
            text = f"two activities are called {record.name}: {_where(known)} and {_where(record)}"
            raise BadRequest(text, remedy="give one of them another name: @activity(name=...)")
    return found


def _where(activity: Activity) -> str:
    return f"{activity.target.__module__}.{activity.target.__qualname__}"


class _Loader(Machines):
    def definition(self) -> AuthoredDefinition:
        """Raises DefinitionError."""
        said: Any = self.source.data
        is_machine = isinstance(said, Mapping) and "states" in said
        (MACHINE if is_machine else SAGA).check(said, (), self.report)
        self.broken = self.report.ways
        found: AuthoredDefinition | None = None
        if isinstance(said, Mapping):
            written = cast("Mapping[str, Any]", said)
            found = self.workflow(written) if is_machine else self._saga(written)
        if any(not p.warning for p in self.report.problems) or found is None:
            raise refused(self.source.name, self.report.in_order())
        return found

    def _saga(self, said: Mapping[str, Any]) -> AuthoredDefinition | None:
        if self.good(said, "input"):
            self.use_data(self.typed(said["input"], ("input",), str(said.get("name", "input"))) or dict)
        options = self.some(said, (), "mode", "max_concurrency", "compensation", "version")
        options |= self.spans(said, (), "timeout", "compensation_timeout")
        entries = said.get("steps")
        if not isinstance(entries, list):
            return None
        entries = cast("list[Any]", entries)
        with self.graph(entries, ("steps",)):
            if self.good(said, "output"):
                options["into"] = self.output(said["output"], ("output",))
            steps = self.steps(entries, ("steps",))
        saga = Saga(str(said.get("name")), self.data, **options)
        for each in steps:
            saga.add(each)
            self.origins[f"saga/steps:{each.key}"] = each.origin or ()
        if not all(isinstance(e, dict) for e in entries) or not entries:
            return None
        try:
            return saga.definition
        except DefinitionError as error:
            for problem in error.problems:
                self.placed(problem)
        except BadRequest:
            pass  # no step is left of those that were wrong
        return None
