"""Who asks, as every credential ends: a name, roles, and the tenants they reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ANY_TENANT", "MOST_NAME", "Identity"]

ANY_TENANT = "*"
MOST_NAME = 200  # characters of who it is


@dataclass(frozen=True, slots=True)
class Identity:
    """How somebody was recognised, and as whom.

    name      kept as the actor of what they do
    how       the kind of the credential; `development`: none, for nobody is asked
    roles     names; a task for a role is done by who has it
    tenants   those they reach, the first unless a request says otherwise; `*`: any
    scopes    operations the credential is narrowed to, as patterns; None: it is not
    key       the id of the API key
    """

    name: str
    how: Literal["key", "token", "development"]
    roles: tuple[str, ...]
    tenants: tuple[str, ...]
    scopes: tuple[str, ...] | None = None
    key: str = ""

    def reaches(self, tenant: str) -> bool:
        return tenant in self.tenants or ANY_TENANT in self.tenants
