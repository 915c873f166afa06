"""A definition as its author sees it: printed, drawn, exported."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from stepkeel.authoring.activity import activity_of
from stepkeel.document.diagram import mermaid
from stepkeel.document.dump import document_of
from stepkeel.document.svg import svg
from stepkeel.model.definition import Definition

__all__ = ["Authored", "AuthoredDefinition"]

D = TypeVar("D")


@dataclass(frozen=True, slots=True, eq=False)
class AuthoredDefinition(Definition):
    """`outline` is the definition as plain data (callables by name); `problems` lists the build's warnings."""

    outline: dict[str, Any] = field(default_factory=dict[str, Any])

    def mermaid(self) -> str:
        """The state diagram as Mermaid text."""
        return mermaid(self.outline)

    def svg(self) -> str:
        """The same as a picture that needs nothing else: states with all that is in them."""
        return svg(self.outline)

    def document(self) -> dict[str, Any]:
        """What `load` makes the same definition of, as plain data: conditions, mappings and values that were written as text.

        Activities appear by name. Raises DefinitionError naming every function of Python's, with its place.
        """
        return document_of(self, lambda each: activity_of(each.target))

    def __str__(self) -> str:
        lines = [f"{self.name} version {self.version} (fingerprint {self.fingerprint})"]
        for state in self.states.values():
            mark = "->" if state.name == self.initial else "  "
            ending = f" [{state.ending.status}]" if state.ending else ""
            lines.append(f"{mark} {state.name}{ending}: {', '.join(n.key for n in state.body) or '-'}")
        return "\n".join(lines)

    def _repr_markdown_(self) -> str:
        """Notebooks that know Mermaid draw it."""
        return f"```mermaid\n{self.mermaid()}\n```"


class Authored(Generic[D]):
    """What compiles to a definition besides a Workflow class: a Pipeline, a Saga. `D` is the type of its data."""

    @cached_property
    def definition(self) -> AuthoredDefinition:
        """What it compiles to. Raises DefinitionError with every problem found."""
        return self._compiled()

    def _compiled(self) -> AuthoredDefinition:
        raise NotImplementedError
