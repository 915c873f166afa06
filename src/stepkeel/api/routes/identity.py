"""Who asks, and the keys by which programs are known."""

from __future__ import annotations

from typing import Annotated

from litestar.params import FromPath, JSONBody, QueryParameter

from stepkeel.access.access import Access
from stepkeel.access.identity import ANY_TENANT
from stepkeel.access.key import Key, Keys, NewKey
from stepkeel.access.role import roles_by_name
from stepkeel.api.asked import key_of
from stepkeel.api.caller import EVERYBODY, Asking, Caller, TheCore, caller_of
from stepkeel.api.credential import (
    CreateKey,
    MadeKey,
    Role,
    Roles,
    RotateKey,
    SignedIn,
    SignIn,
    SignIns,
    Tenants,
    Whoami,
)
from stepkeel.api.credential import (
    Keys as KeyList,
)
from stepkeel.api.route import get, post
from stepkeel.api.schema import Said
from stepkeel.engine.tenants import tenants
from stepkeel.errors import BadRequest, NotAllowed, NotFound
from stepkeel.model.instant import span_of

__all__ = ["ROUTES"]

AT = "/keys/{key_id:str}"
ONCE = "The same Idempotency-Key again makes none: 409, with the id of the one that was made"


def _access(request: Asking) -> Access | None:
    return request.app.state.access


def _keys(request: Asking, caller: Caller) -> Keys:
    """Those in sight of the caller."""
    access = _access(request)
    known = roles_by_name(()) if access is None else access.roles
    any_tenant = access is None or ANY_TENANT in caller.identity.tenants
    return Keys(lambda: caller.core, known, any_tenant=any_tenant)


def _refuse_more(request: Asking, caller: Caller, key: Key | CreateKey, *, any_tenant: bool) -> None:
    """Nobody gets by a key what they have not themselves. Raises NotAllowed."""
    access = _access(request)
    if access is None:
        return
    if any_tenant and ANY_TENANT not in caller.identity.tenants:
        raise NotAllowed("a key for any tenant is made by who reaches any", remedy="any_tenant: false")
    if not access.within(caller.identity, key.roles, key.scopes, request.app.state.tables.operations):
        raise NotAllowed("the key may more than who makes it", remedy="fewer roles, or scopes")


def _made(new: NewKey) -> MadeKey:
    return MadeKey(new.key, new.secret)


@get("/identity", summary="Who asks, and what they may")
async def get_identity(request: Asking) -> Whoami:
    caller, access = caller_of(request), _access(request)
    found = caller.identity
    names: tuple[str, ...] = request.app.state.tables.operations
    allowed = [n for n in names if access is None or n in EVERYBODY or access.permitted(found, n)]
    return Whoami(found.name, caller.actor, found.how, caller.core.tenant, [*found.tenants], [*found.roles], allowed)


@get("/sign-in", "Which credentials are taken, and at whose page one may sign in", security=[{}])
async def get_sign_in(request: Asking, core: TheCore) -> SignIns:
    access = _access(request)
    return SignIns(access is not None and access.keys, [] if access is None else await access.providers(core.clock))


@post("/sign-in", "A token for what an issuer's page came back with", "Or another one, for a refresh token", heeds=(),
      status_code=200, security=[{}])  # fmt: skip
async def sign_in(request: Asking, core: TheCore, data: JSONBody[SignIn]) -> SignedIn:
    access = _access(request)
    door = None if access is None else access.door(data.issuer)
    if door is None:
        raise NotFound(f"nobody signs in at {data.issuer!r} here", remedy="an issuer that GET /api/v1/sign-in lists")
    if data.refresh_token:
        form = {"grant_type": "refresh_token", "refresh_token": data.refresh_token}
    else:
        form = {"code": data.code, "code_verifier": data.verifier, "redirect_uri": data.redirect_uri}
        missing = [name for name, value in form.items() if not value]
        if missing:
            raise BadRequest(
                f"{missing[0].removeprefix('code_')} is missing", remedy="code, verifier, redirect_uri; or refresh_token"
            )
        form["grant_type"] = "authorization_code"
    found = await door.granted(form, core.clock, core.store.now())
    return SignedIn(found.token, found.refresh_token)


@get("/roles", "Roles, and what each permits")
async def list_roles(request: Asking) -> Roles:
    access = _access(request)
    known = roles_by_name(()) if access is None else access.roles
    operations: tuple[str, ...] = request.app.state.tables.operations
    return Roles([Role.of(role, known, operations) for role in known.values()])


@get("/tenants", "Tenants that one reaches: what each may use, and how many instances it has")
async def list_tenants(
    request: Asking,
    after: Annotated[str, QueryParameter(description="the last name of the page before")] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
) -> Tenants:
    caller = caller_of(request)
    reached = None if ANY_TENANT in caller.identity.tenants else caller.identity.tenants
    found = await tenants(caller.core, reached, after, limit)
    return Tenants(found, found[-1].name if len(found) == limit else None)


@get("/keys", summary="API keys", description="Without what is secret; those that have ended, too; oldest first")
async def list_keys(request: Asking) -> KeyList:
    return KeyList(await _keys(request, caller_of(request)).list())


@post("/keys", "Make an API key", f"The answer is the only one that shows it. {ONCE}", status_code=201)
async def create_key(request: Asking, data: JSONBody[CreateKey]) -> MadeKey:
    caller = caller_of(request)
    _refuse_more(request, caller, data, any_tenant=data.any_tenant)
    ends_in = None if data.ends_in is None else span_of(data.ends_in, "ends_in")
    made = await _keys(request, caller).create(
        data.name, roles=data.roles, scopes=data.scopes, ends_in=ends_in, any_tenant=data.any_tenant, actor=caller.actor,
        key=key_of(request, None),
    )  # fmt: skip
    return _made(made)


@post(f"{AT}/rotate", "Make another one like it", f"The old one is valid for the overlap, or a day. {ONCE}", status_code=201)
async def rotate_key(request: Asking, key_id: FromPath[str], data: JSONBody[RotateKey]) -> MadeKey:
    caller = caller_of(request)
    keys = _keys(request, caller)
    _refuse_more(request, caller, await keys.get(key_id), any_tenant=False)
    overlap = span_of(data.overlap, "overlap")
    return _made(await keys.rotate(key_id, overlap=overlap, actor=caller.actor, key=key_of(request, None)))


@post(f"{AT}/revoke", "It is refused from now on", heeds=(), status_code=200)
async def revoke_key(request: Asking, key_id: FromPath[str], data: JSONBody[Said]) -> Key:
    caller = caller_of(request)
    return await _keys(request, caller).revoke(key_id, actor=caller.actor, reason=data.reason)


ROUTES = [get_identity, get_sign_in, sign_in, list_roles, list_tenants, list_keys, create_key, rotate_key, revoke_key]
