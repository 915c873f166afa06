"""Roles: what an operation of the API asks of whoever calls it. The names of operations are those of the OpenAPI document.

| the operation | may they? |
|---|---|
| a `deny` of any of their roles matches it | no |
| their credential has scopes, and none matches it | no |
| an `allow` of any of their roles matches it | yes |
| anything else; also where a role is not known here | no |
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from stepkeel.errors import BadRequest

__all__ = ["ACT_FOR_OTHERS", "BUILT_IN", "Role", "check_pattern", "permitted", "roles_by_name"]

ACT_FOR_OTHERS = "act_for_others"  # no operation of its own: to say with X-Actor in whose name one acts
_PATTERN = re.compile(r"[a-z0-9_*]{1,100}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")


@dataclass(frozen=True, slots=True)
class Role:
    """A name for what one may do.

    allow, deny   operation ids, `*` in them stands for any characters: `get_*`, `*_task`. A deny wins, whichever role it is of
    Raises BadRequest.
    """

    name: str
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadRequest(f"{self.name!r} is no name of a role", remedy="letters, digits and . _ : -, at most 100")
        for each in (*self.allow, *self.deny):
            check_pattern(each)


def check_pattern(text: str) -> None:
    """Raises BadRequest."""
    if not _PATTERN.fullmatch(text):
        raise BadRequest(f"{text!r} is no pattern of operations", remedy="like get_instance, get_* or *")


_READ = (
    "get_instance", "get_data", "get_history", "get_signals", "get_timers", "get_children", "get_explanation", "get_diagram",
    "wait_instance",
    "get_definition", "get_definition_document", "get_definition_diagram", "get_task", "list_instances", "list_definitions",
    "list_tasks",
    "get_metrics", "get_throughput", "list_dead_letters", "stream_history", "stream_events",
)  # fmt: skip
_OPERATE = (
    "start_instance", "signal_instance", "pause_instance", "resume_instance", "cancel_instance", "terminate_instance",
    "redrive_instance", "fork_instance", "archive_instance", "release_instance", "fire_timer", "cancel_node", "complete_node",
    "add_items", "set_data", "set_state", "reassign_task", "comment_task",
    "start_instances", "signal_instances", "pause_instances", "resume_instances", "cancel_instances", "terminate_instances",
    "redrive_instances", "archive_instances", "list_workers", "list_limits", "list_breakers", "close_breaker", "list_messages",
    "forget_cached",
    "get_prometheus",
)  # fmt: skip
_APPROVE = ("claim_task", "release_task", "complete_task", "reassign_task", "comment_task")

BUILT_IN: Mapping[str, Role] = {
    role.name: role
    for role in (
        Role("viewer", _READ),
        Role("operator", (*_READ, *_OPERATE)),
        Role("approver", (*_READ, *_APPROVE)),
        Role("designer", (*_READ, "start_instance", "*_definition")),
        Role("admin", ("*",)),
    )
}


def roles_by_name(own: Iterable[Role]) -> Mapping[str, Role]:
    """The built-in ones and those; one with the name of another takes its place. Raises BadRequest for a name given twice."""
    found: dict[str, Role] = {}
    for role in own:
        if role.name in found:
            raise BadRequest(f"the role {role.name} is given twice", remedy="one of them")
        found[role.name] = role
    return {**BUILT_IN, **found}


def permitted(operation: str, roles: Collection[str], scopes: Collection[str] | None, known: Mapping[str, Role]) -> bool:
    """What the table above says. `scopes` None: the credential is not narrowed."""
    found = [known[name] for name in roles if name in known]
    if any(_matches(operation, role.deny) for role in found):
        return False
    if scopes is not None and not _matches(operation, scopes):
        return False
    return any(_matches(operation, role.allow) for role in found)


def _matches(operation: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(operation, each) for each in patterns)
