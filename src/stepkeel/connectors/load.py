"""load: documents that may name the activities that come with the engine, besides those they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from stepkeel.authoring.loading import load as loading
from stepkeel.authoring.view import AuthoredDefinition
from stepkeel.model.node import Activity

__all__ = ["activities_of", "load"]


def _built_in() -> tuple[Callable[..., Any], ...]:
    """Imported when a document is loaded: who writes in Python does not wait for it."""
    from stepkeel.connectors import files, http, mail, sql

    return http.request, mail.send, sql.query, sql.execute, files.read, files.write


def load(
    document: str | Path | Mapping[str, Any],
    activities: Iterable[Callable[..., Any] | Activity] = (),
    *,
    types: Iterable[type[Any]] = (),
    workflows: Iterable[Any] = (),
) -> AuthoredDefinition:
    """The definition that a document describes: the path of a YAML or JSON file, or what was read from one.

    activities   those that it may name, by their names (`@activity(name="inventory.reserve")`), besides http.request, email.send,
                 sql.query, sql.execute, file.read and file.write; one of the same name stands in for them
    types        Python types that `data`, signals and forms may name instead of a JSON Schema: a signal by its name
    workflows    those that may be its children: classes, or what other documents were loaded to
    It starts like a workflow class: `Engine(..., workflows=[load("order.yaml", activities)])`. Its data are a checked mapping,
    unless `data` names a type. Raises DefinitionError with every problem, each with line, column, path and remedy; BadRequest
    where there is no such file.
    """
    return loading.load(document, activities_of(activities), types, workflows)


def activities_of(given: Iterable[Callable[..., Any] | Activity]) -> dict[str, Activity]:
    """Activities by name, with those that come with the engine. Raises BadRequest where two that are given have one name."""
    return {**loading.activities_of(_built_in()), **loading.activities_of(given)}
