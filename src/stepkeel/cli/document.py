"""Documents from the command line: check them, run one, list what they may name; and the schema that editors check them by."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from stepkeel.authoring.activity import input_of, is_activity
from stepkeel.authoring.loading.fitting import named
from stepkeel.authoring.view import AuthoredDefinition
from stepkeel.cli.output import print_json, print_table, say
from stepkeel.cli.session import DatabaseOption, JsonOption, load_object, read_json
from stepkeel.connectors.load import activities_of, load
from stepkeel.document.workflow import document_schema
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.facade import Engine
from stepkeel.model.node import Activity

__all__ = ["ActivitiesOption", "add_to", "definition_in", "is_document"]

ActivitiesOption = Annotated[
    list[str] | None, Parameter(name=["--activities", "-a"], negative=(), help="module with activities that the document may name")
]


def add_to(app: App) -> None:
    app.command(validate)
    app.command(run)
    app.command(schema)
    app.command(activities)


def _activities(modules: list[str] | None) -> list[Callable[..., Any]]:
    """Everything in these modules that is marked as an activity. Raises BadRequest."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    found: list[Callable[..., Any]] = []
    for name in modules or ():
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise BadRequest(f"{name} cannot be imported: {error}", remedy="run it where the module lies") from None
        found += [each for each in vars(module).values() if is_activity(each)]
    return found


def is_document(target: str) -> bool:
    """A file, not module:name."""
    return target.endswith((".yaml", ".yml", ".json"))


def definition_in(file: str, modules: list[str] | None) -> AuthoredDefinition:
    """What a document describes. Raises DefinitionError, BadRequest."""
    return load(file, _activities(modules))


def validate(*files: str, activities: ActivitiesOption = None, json: JsonOption = False) -> int:
    """Check documents: everything that is wrong, with line, column and remedy. Exit code 1 if anything is."""
    if not files:
        raise BadRequest("no file is named", remedy="stepkeel validate payment.yaml --activities shop.activities")
    known = _activities(activities)
    found: dict[str, list[Mapping[str, Any]]] = {}
    for file in files:
        try:
            definition = load(file, known)
        except BadRequest as error:
            found[file] = [{"code": error.code, "place": file, "message": error.message, "remedy": error.remedy}]
            if not json:
                say(f"{error.message} [{error.code}] -> {error.remedy}")
            continue
        except DefinitionError as error:
            found[file] = [{"code": p.code, "place": p.place, "message": p.message, "remedy": p.remedy} for p in error.problems]
            if not json:
                say("\n".join(str(p) for p in error.problems))
            continue
        found[file] = []
        if not json:
            say(f"{file}: {definition.name} version {definition.version}, nothing is wrong")
    if json:
        print_json(found)
    return 1 if any(found.values()) else 0


def run(
    file: str,
    /,
    *,
    input: Annotated[str | None, Parameter(help="JSON, or @file")] = None,
    activities: ActivitiesOption = None,
    services: Annotated[str | None, Parameter(help="module:name of a mapping of services by type")] = None,
    timeout: Annotated[float, Parameter(help="seconds to wait for its end")] = 60.0,
    database: DatabaseOption = None,
    json: JsonOption = False,
) -> int:
    """Run a document once, in memory unless --database is given. Exit code 1 unless it completes."""
    definition = definition_in(file, activities)
    given: Any = load_object(services, "mapping of services", "module:name") if services else {}
    data: Any = read_json(input, "--input") or {}

    async def main() -> Any:
        async with Engine(database or "memory://", [definition], given) as engine:
            instance = await engine.start(definition, data)
            return await instance.wait(timeout)

    result = asyncio.run(main())
    failure = result.failure
    told = {"id": result.id, "status": result.status, "state": result.state, "data": result.data}
    if failure is not None:
        told["failure"] = {"code": failure.code, "message": failure.message, "path": failure.path}
    if json:
        print_json(told)
    else:
        why = f": {failure.code}: {failure.message} (at {failure.path})" if failure is not None else ""
        say(f"{definition.name} {result.status}{' (timed out)' if result.timed_out else ''}{why}")
        print_json(result.data)
    return 0 if result.status == "completed" else 1


def schema() -> None:
    """Print the JSON Schema of documents, for editors: `stepkeel schema > stepkeel.schema.json`."""
    print_json(document_schema())


def activities(activities: ActivitiesOption = None, /, *, json: JsonOption = False) -> None:
    """List what documents may name: each activity, what it is given, what it is for; --json with the JSON Schema of that."""
    known = activities_of(_activities(activities))
    rows = [_described(record) for _, record in sorted(known.items())]
    if json:
        print_json(rows)
    else:
        print_table(("name", "given", "for"), [[row["name"], row["given"], row["for"]] for row in rows])


def _described(activity: Activity) -> dict[str, Any]:
    kind = input_of(activity)
    found: dict[str, Any] = {"name": activity.name, "given": "" if kind is None else named(kind)}
    found["for"] = (activity.target.__doc__ or "").strip().split("\n")[0]
    try:
        found["input"] = {} if kind is None else msgspec.json.schema(kind)
    except TypeError:
        found["input"] = {}  # a type that JSON Schema cannot say
    return found
