"""Which instances a command is about: the filters of `list`, as options."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from stepkeel.cli.session import time_of
from stepkeel.engine.query import attributes_of

__all__ = ["Which", "filters_of"]


@Parameter(name="*")
@dataclass(frozen=True)
class Which:
    """Times are ISO 8601, from inclusive, to exclusive."""

    definition: str | None = None
    version: int | None = None
    status: Annotated[list[str] | None, Parameter(negative=(), help="several times: any of them")] = None
    state: str | None = None
    correlation_id: str | None = None
    key: str | None = None
    parent: Annotated[str | None, Parameter(help="the id of the instance that began them")] = None
    attribute: Annotated[list[str] | None, Parameter(negative=(), help="name=value; several must all hold")] = None
    fault: Annotated[bool | None, Parameter(help="set aside, or not")] = None
    created_from: str | None = None
    created_to: str | None = None
    updated_from: str | None = None
    updated_to: str | None = None
    completed_from: str | None = None
    completed_to: str | None = None

    def filters(self) -> dict[str, Any]:
        """As verbs take them. Raises BadRequest."""
        found = {k: v for k, v in asdict(self).items() if v is not None}
        if attributes := attributes_of(found.pop("attribute", None)):
            found["attributes"] = attributes
        for name in [n for n in found if n.endswith(("_from", "_to"))]:
            found[name] = time_of(found[name], f"--{name.replace('_', '-')}")
        return found


def filters_of(which: Which | None) -> dict[str, Any]:
    return {} if which is None else which.filters()
