"""Diagrams of definitions and instances; and bench."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from stepkeel.authoring.view import AuthoredDefinition
from stepkeel.cli.document import ActivitiesOption, definition_in, is_document
from stepkeel.cli.output import print_json, print_table, say
from stepkeel.cli.session import DatabaseOption, JsonOption, PlaceOption, TenantOption, load_object, on_engine
from stepkeel.cli.watching import alerts, dashboard
from stepkeel.config.read import read_config
from stepkeel.document.compare import differences
from stepkeel.document.source import to_yaml
from stepkeel.errors import BadRequest

__all__ = ["add_to"]


def add_to(app: App) -> None:
    app.command(graph)
    app.command(diff)
    app.command(export)
    app.command(diagram)
    app.command(bench)


def _load(target: str, activities: list[str] | None) -> AuthoredDefinition:
    """The definition of a document, or of `module:Class`, looked for in the working directory first. Raises BadRequest."""
    if is_document(target):
        return definition_in(target, activities)
    found = load_object(target, "workflow", "module:Class, for example shop.orders:OrderApproval")
    definition: Any = getattr(found, "definition", found)
    if not isinstance(definition, AuthoredDefinition):
        raise BadRequest(f"{target} is no workflow", remedy="a class that derives from Workflow[...]")
    return definition


def graph(
    target: Annotated[str, Parameter(help="a document, or module:Class")],
    /,
    *,
    format: Literal["mermaid", "svg", "json"] = "mermaid",
    activities: ActivitiesOption = None,
    json: JsonOption = False,
) -> None:
    """Print the diagram of a document or of module:Class, as Mermaid or SVG; json (or --json) is the definition's outline."""
    definition = _load(target, activities)
    if json or format == "json":
        print_json(definition.outline)
    else:
        say(definition.svg() if format == "svg" else definition.mermaid())


def diff(
    before: Annotated[str, Parameter(help="a document, or module:Class")],
    after: str,
    /,
    *,
    activities: ActivitiesOption = None,
    json: JsonOption = False,
) -> int:
    """Print what is different between two definitions, and whether instances may go on. Exit code 1 if anything is."""
    old, new = _load(before, activities), _load(after, activities)
    found = differences(old.outline, new.outline)
    same = old.fingerprint.shape == new.fingerprint.shape
    if json:
        print_json({"same_shape": same, "same_code": old.fingerprint.code == new.fingerprint.code, "differences": found})
    else:
        for each in found:
            say(str(each))
        if found:
            say("the shape is the same: it may replace the other" if same else "another shape: give it another version")
        else:
            say("no difference" + ("" if old.fingerprint.code == new.fingerprint.code else " but in the code of its functions"))
    return 1 if found else 0


def export(
    target: Annotated[str, Parameter(help="a document, or module:Class; or grafana, alerts")],
    /,
    *,
    activities: ActivitiesOption = None,
    json: JsonOption = False,
) -> None:
    """Print a definition as a document, YAML or (--json) JSON. What is only Python, a lambda, is told with its place.

    `grafana` prints a dashboard for it (JSON), `alerts` rules for Prometheus (YAML).
    """
    watching: dict[str, Callable[[], dict[str, Any]]] = {"grafana": dashboard, "alerts": alerts}
    document = watching[target]() if target in watching else _load(target, activities).document()
    if json or target == "grafana":
        print_json(document)
    else:
        say(to_yaml(document).rstrip())


def diagram(
    id: str,
    /,
    *,
    format: Literal["mermaid", "svg"] = "svg",
    database: PlaceOption = None,
    tenant: TenantOption = None,
) -> None:
    """Print the diagram of an instance: where it stands, the way it took, what failed."""
    say(on_engine(database, lambda engine: engine.diagram(id, format), tenant))


def bench(
    name: Annotated[str, Parameter(help="order, latency, signal, start, sleepers, items or branches")],
    /,
    *,
    instances: int | None = None,
    concurrency: Annotated[int | None, Parameter(help="instances in flight")] = None,
    workers: Annotated[int, Parameter(help="worker processes on the one database (order)")] = 1,
    database: DatabaseOption = None,
    json: JsonOption = False,
) -> None:
    """Measure this machine. The database must be new: everything in it of the bench is verified afterwards."""
    from stepkeel.cli.bench import run_bench

    result = run_bench(name, read_config().database(database), instances, concurrency, workers=workers)
    print_json(result) if json else print_table(("figure", "value"), list(result.items()))
