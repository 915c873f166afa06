"""Who asks: recognised by a credential, for a tenant, in somebody's name, and not too often."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from stepkeel.access.access import Access
from stepkeel.access.identity import ANY_TENANT, MOST_NAME, Identity
from stepkeel.api.limit import Limiter
from stepkeel.api.trace import request_id, text_of
from stepkeel.engine.core import Core, Who
from stepkeel.errors import BadRequest, NotAllowed, TooManyRequests

__all__ = ["EVERYBODY", "Asking", "Caller", "TheCore", "actor_of", "caller_of", "recognise", "refuse_too_many", "roles_of"]

EVERYBODY = ("get_identity", "get_sign_in", "sign_in")  # whom we know may ask who they are; who is not known, how to be
WRITES = ("POST", "PUT", "PATCH", "DELETE")
Asking = Request[Any, Any, Any]
TheCore = NamedDependency[SkipValidation[Core]]  # what a route calls its verbs with


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what they reach: `core` is the engine's, narrowed to their tenant. `trusted`: about roles of tasks."""

    identity: Identity
    core: Core
    actor: str
    trusted: bool


def caller_of(request: Asking) -> Caller:
    return request.state.caller


def actor_of(request: Asking) -> str:
    """Who acts, as the history keeps it."""
    return caller_of(request).actor


def roles_of(request: Asking) -> tuple[str, ...] | None:
    """The roles that count for tasks; None: whoever asks is trusted about them."""
    caller = caller_of(request)
    return None if caller.trusted else caller.identity.roles


async def recognise(request: Asking, core: Core, access: Access | None, operation: str) -> Caller:
    """Who asks, in whose name and for which tenant; they may do this. Raises NotAuthenticated, NotAllowed, BadRequest.

    Without `access` nobody is asked: whoever reaches this address is who they say.
    """
    said = text_of(request.headers.get("X-Actor", ""))
    if len(said) > MOST_NAME:
        raise BadRequest("X-Actor is too long", remedy=f"at most {MOST_NAME} characters")
    if access is None:
        identity = Identity(said, "development", ("admin",), (core.tenant,))
        return Caller(identity, _of_tenant(core, identity, request), said, trusted=True)
    identity = await access.identify(core, request.headers.get("Authorization", ""))
    if operation not in EVERYBODY and not access.permitted(identity, operation):
        raise NotAllowed(f"{identity.name} has no permission for {operation}", remedy=f"their roles: {', '.join(identity.roles)}")
    trusted = access.trusts(identity)
    if said not in ("", identity.name) and not trusted:
        raise NotAllowed(f"{identity.name} may not act in the name of {said}", remedy="without X-Actor, or act_for_others")
    return Caller(identity, _of_tenant(core, identity, request), said or identity.name, trusted)


def _of_tenant(core: Core, identity: Identity, request: Asking) -> Core:
    """A header only chooses among what the credential reaches. Raises NotAllowed."""
    first = core.tenant if identity.tenants[0] == ANY_TENANT else identity.tenants[0]
    tenant = request.headers.get("X-Tenant", first)
    if not identity.reaches(tenant) or tenant in ("", ANY_TENANT):
        raise NotAllowed(f"{identity.name} does not reach the tenant {tenant!r}", remedy="without X-Tenant, or another credential")
    store = core.store.within(tenant)
    if request.method in WRITES:
        key = f" ({identity.key})" if identity.key else ""
        return replace(core, store=store, tenant=tenant, who=Who(f"{identity.name}{key}", request_id(request.scope)))
    return core if tenant == core.tenant and store is core.store else replace(core, store=store, tenant=tenant)


def refuse_too_many(request: Asking, limiter: Limiter | None) -> None:
    """Raises TooManyRequests."""
    if limiter is None or request.method not in WRITES:
        return
    caller = caller_of(request)
    wait = limiter.wait(caller.identity.key or caller.identity.name, caller.core.clock.monotonic())
    if wait:
        seconds = math.ceil(wait / 1e6)
        text = f"{caller.identity.name} may write {limiter.per_minute} times a minute"
        raise TooManyRequests(text, remedy=f"again in {seconds} s", retry_after=seconds)
