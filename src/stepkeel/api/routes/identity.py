"""Who asks, and the keys by which programs are known."""

from __future__ import annotations

from litestar.params import FromPath, JSONBody

from stepkeel.access.access import Access
from stepkeel.access.identity import ANY_TENANT
from stepkeel.access.key import Key, Keys, NewKey
from stepkeel.access.role import roles_by_name
from stepkeel.api import schema
from stepkeel.api.asked import key_of
from stepkeel.api.caller import EVERYBODY, Asking, Caller, caller_of
from stepkeel.api.route import get, post
from stepkeel.errors import NotAllowed
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


def _refuse_more(request: Asking, caller: Caller, key: Key | schema.CreateKey, *, any_tenant: bool) -> None:
    """Nobody gets by a key what they have not themselves. Raises NotAllowed."""
    access = _access(request)
    if access is None:
        return
    if any_tenant and ANY_TENANT not in caller.identity.tenants:
        raise NotAllowed("a key for any tenant is made by who reaches any", remedy="any_tenant: false")
    if not access.within(caller.identity, key.roles, key.scopes, request.app.state.tables.operations):
        raise NotAllowed("the key may more than who makes it", remedy="fewer roles, or scopes")


def _made(new: NewKey) -> schema.MadeKey:
    return schema.MadeKey(new.key, new.secret)


@get("/identity", summary="Who asks, and what they may")
async def get_identity(request: Asking) -> schema.Whoami:
    caller, access = caller_of(request), _access(request)
    found = caller.identity
    names: tuple[str, ...] = request.app.state.tables.operations
    allowed = [n for n in names if access is None or n in EVERYBODY or access.permitted(found, n)]
    return schema.Whoami(found.name, caller.actor, found.how, caller.core.tenant, [*found.tenants], [*found.roles], allowed)


@get("/keys", summary="API keys", description="Without what is secret; those that have ended, too; oldest first")
async def list_keys(request: Asking) -> schema.Keys:
    return schema.Keys(await _keys(request, caller_of(request)).list())


@post("/keys", "Make an API key", f"The answer is the only one that shows it. {ONCE}", status_code=201)
async def create_key(request: Asking, data: JSONBody[schema.CreateKey]) -> schema.MadeKey:
    caller = caller_of(request)
    _refuse_more(request, caller, data, any_tenant=data.any_tenant)
    ends_in = None if data.ends_in is None else span_of(data.ends_in, "ends_in")
    made = await _keys(request, caller).create(
        data.name, roles=data.roles, scopes=data.scopes, ends_in=ends_in, any_tenant=data.any_tenant, actor=caller.actor,
        key=key_of(request, None),
    )  # fmt: skip
    return _made(made)


@post(f"{AT}/rotate", "Make another one like it", f"The old one is valid for the overlap, or a day. {ONCE}", status_code=201)
async def rotate_key(request: Asking, key_id: FromPath[str], data: JSONBody[schema.RotateKey]) -> schema.MadeKey:
    caller = caller_of(request)
    keys = _keys(request, caller)
    _refuse_more(request, caller, await keys.get(key_id), any_tenant=False)
    overlap = span_of(data.overlap, "overlap")
    return _made(await keys.rotate(key_id, overlap=overlap, actor=caller.actor, key=key_of(request, None)))


@post(f"{AT}/revoke", "It is refused from now on", heeds=(), status_code=200)
async def revoke_key(request: Asking, key_id: FromPath[str], data: JSONBody[schema.Said]) -> Key:
    caller = caller_of(request)
    return await _keys(request, caller).revoke(key_id, actor=caller.actor, reason=data.reason)


ROUTES = [get_identity, list_keys, create_key, rotate_key, revoke_key]
