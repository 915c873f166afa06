"""What requests and answers about who asks hold: identities, sign-in, roles, tenants, API keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from stepkeel.access.key import Key as KeyRecord
from stepkeel.access.role import Role as RoleRecord
from stepkeel.access.role import permitted
from stepkeel.access.signin import Provider
from stepkeel.api.schema import Span, Text
from stepkeel.engine.tenants import Tenant

__all__ = ["CreateKey", "Keys", "MadeKey", "Role", "Roles", "RotateKey", "SignIn", "SignIns", "SignedIn", "Tenants", "Whoami"]

Secret = Annotated[str, Meta(max_length=16_384)]


# -- answers


class Whoami(Struct, frozen=True):
    """Who asks, as their credential says; `actor` and `tenant` are those of this request. `operations`: what they may."""

    name: str
    actor: str
    how: Literal["key", "token", "development"]
    tenant: str
    tenants: list[str]
    roles: list[str]
    operations: list[str]


class SignIns(Struct, frozen=True):
    """`keys`: API keys are taken. `providers`: at whose page one may sign in."""

    keys: bool
    providers: list[Provider]


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """What an issuer's page came back with, to which address, and the verifier whose digest it was told; or a refresh token."""

    issuer: Text
    code: Secret = ""
    verifier: Secret = ""
    redirect_uri: Annotated[str, Meta(max_length=2_000)] = ""
    refresh_token: Secret = ""


class SignedIn(Struct, frozen=True):
    """`token`: for `Authorization: Bearer`. `refresh_token` renews it; empty: it cannot be."""

    token: str
    refresh_token: str


class Keys(Struct, frozen=True):
    items: list[KeyRecord]


class MadeKey(Struct, frozen=True):
    """`secret` is the key itself: shown here and never again."""

    key: KeyRecord
    secret: str


class Role(Struct, frozen=True):
    """`operations`: what it permits, by itself."""

    name: str
    allow: list[str]
    deny: list[str]
    operations: list[str]

    @classmethod
    def of(cls, role: RoleRecord, known: Mapping[str, RoleRecord], operations: Collection[str]) -> Role:
        return cls(role.name, [*role.allow], [*role.deny], [o for o in operations if permitted(o, (role.name,), None, known)])


class Roles(Struct, frozen=True):
    items: list[Role]


class Tenants(Struct, frozen=True):
    """`cursor`: the last name, where there may be more behind it."""

    items: list[Tenant]
    cursor: str | None


# -- requests


class CreateKey(Struct, frozen=True, forbid_unknown_fields=True):
    """`scopes` narrow what its roles permit, as patterns of operations; `ends_in` is a span like `90d`."""

    name: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]
    roles: Annotated[list[Text], Meta(min_length=1, max_length=50)]
    scopes: Annotated[list[Text], Meta(max_length=200)] = []
    ends_in: Span | None = None
    any_tenant: bool = False


class RotateKey(Struct, frozen=True, forbid_unknown_fields=True):
    """The old one is valid for the `overlap`."""

    overlap: Span = "24h"
