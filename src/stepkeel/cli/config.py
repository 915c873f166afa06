"""`stepkeel config show`: every setting, its value, and who says so."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from stepkeel.cli.output import print_json, print_table
from stepkeel.cli.session import JsonOption
from stepkeel.config.known import KNOWN, Known
from stepkeel.config.read import read_config
from stepkeel.store.place import shown

__all__ = ["add_to"]


def add_to(app: App) -> None:
    group = App(name="config", help="Settings: flags, environment, stepkeel.toml, defaults.", result_action="return_value")
    group.command(show)
    app.command(group)


def show(
    *,
    origin: Annotated[bool, Parameter(negative=(), help="who says so, instead of what it means")] = False,
    json: JsonOption = False,
) -> None:
    """Every setting and its value. What is secret is not told."""
    config = read_config()
    told = [(known, _told(known, config.get(name)), config.said[name].origin) for name, known in KNOWN.items()]
    if json:
        print_json({k.name: {"value": v, "origin": whence, "variable": k.variable, "means": k.means} for k, v, whence in told})
        return
    last = "from" if origin else "means"
    rows = [(k.name, "" if value is None else value, whence if origin else k.means) for k, value, whence in told]
    print_table(("setting", "value", last), rows)


def _told(known: Known, value: Any) -> Any:
    if value is None and known.never:
        return "never"
    if known.secret and value:
        return "***"
    return shown(value) if known.name == "database" and value else value
