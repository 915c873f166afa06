"""API keys: made, listed, rotated, revoked, and known again. A key is shown once; the database has its digest alone.

`stepkeel_` says to scanners of leaked secrets what it is, the id says which it is, the rest are 256 bits of chance: no
salt and no slow digest is needed for what nobody can guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from stepkeel.access.identity import ANY_TENANT, MOST_NAME, Identity
from stepkeel.access.role import Role, check_pattern
from stepkeel.engine.audit import act_of, check_key
from stepkeel.engine.core import Core
from stepkeel.errors import BadRequest, ConflictError, NotFound
from stepkeel.ids import secret
from stepkeel.model.instant import from_micros, to_span
from stepkeel.model.key import KeyRow

__all__ = ["PREFIX", "Key", "Keys", "NewKey", "identity_of_key"]

PREFIX = "stepkeel_"
USED_EVERY = 60_000_000  # microseconds: more often its last use is not written
_KEY = re.compile(PREFIX + r"([0-9a-f]{16})_[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Key:
    """An API key without what is secret. `ended`: it is refused by now."""

    id: str
    name: str
    tenant: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    made_by: str
    made_at: datetime
    ends_at: datetime | None
    used_at: datetime | None
    ended: bool


@dataclass(frozen=True, slots=True)
class NewKey:
    """`secret` is the key itself, shown here and never again."""

    key: Key
    secret: str

    def __repr__(self) -> str:
        return f"NewKey({self.key!r})"


class Keys:
    """The keys of one tenant, and those that reach any. Whoever has this may make any; the API asks what its caller may.

    `known`: the roles there are; None: any name is taken. `any_tenant` False: those that reach any tenant are out of sight.
    """

    def __init__(self, core: Callable[[], Core], known: Mapping[str, Role] | None = None, *, any_tenant: bool = True) -> None:
        self._core = core
        self._known = known
        self._any_tenant = any_tenant

    async def create(
        self,
        name: str,
        *,
        roles: Collection[str],
        scopes: Collection[str] = (),
        ends_in: timedelta | None = None,
        any_tenant: bool = False,
        actor: str = "",
        key: str | None = None,
    ) -> NewKey:
        """Make a key.

        name        who it is for; `key:` and the name is the actor of what is done with it
        roles       names of roles; scopes: operations it is narrowed to, as patterns; none: not narrowed
        ends_in     how long it is valid; None: until it is revoked
        any_tenant  it reaches every tenant, which a request names with X-Tenant
        key         under the same one is made, however often that is asked; None: another one each time
        Raises BadRequest; ConflictError, where this actor has made one under this `key`: its secret is not shown again.
        """
        core = self._core()
        if not name.strip() or len(name) > MOST_NAME:
            raise BadRequest(f"{name!r} is no name of a key", remedy=f"1 to {MOST_NAME} characters: who it is for")
        if not roles or isinstance(roles, str) or isinstance(scopes, str):
            raise BadRequest(f"roles={roles!r}, scopes={scopes!r}", remedy="a list of names, at least one role")
        if self._known is not None and (strange := sorted(set(roles) - set(self._known))):
            raise BadRequest(f"there is no role {strange[0]!r}", remedy=f"known: {', '.join(sorted(self._known))}")
        for each in scopes:
            check_pattern(each)
        now = core.store.now()
        span = None if ends_in is None else to_span(ends_in)
        if span is not None and span <= 0:
            raise BadRequest(f"ends_in={ends_in}", remedy="a time to come")
        tenant = ANY_TENANT if any_tenant else core.tenant
        ends_at = None if span is None else now + span
        row = KeyRow("", tenant, name, "", _texts(roles), _texts(scopes), actor, now, ends_at)
        return await self._add(core, row, "make", key)

    async def list(self) -> list[Key]:
        """All that there are, those that have ended too, oldest first."""
        core = self._core()
        now = core.store.now()
        rows = [row for tenant in self._reached(core) for row in await core.store.keys(tenant)]
        return [_key(row, now) for row in sorted(rows, key=lambda r: (r.made_at, r.id))]

    async def get(self, id: str) -> Key:
        """Raises NotFound."""
        core = self._core()
        return _key(await self._row(core, id), core.store.now())

    async def rotate(self, id: str, *, overlap: timedelta = timedelta(hours=24), actor: str = "", key: str | None = None) -> NewKey:
        """Make another one like it, valid as long anew; the old one is for the `overlap` only, so that its holder can change over.

        `key` as for a new one. Raises NotFound, ConflictError, BadRequest for one that has ended.
        """
        core = self._core()
        row, now = await self._row(core, id), core.store.now()
        if row.ends_at is not None and row.ends_at <= now:
            raise BadRequest(f"the key {id} has ended", remedy="make another one")
        span = to_span(overlap)
        if span < 0:
            raise BadRequest(f"overlap={overlap}", remedy="a span, or zero")
        ends_at = None if row.ends_at is None else now + row.ends_at - row.made_at
        another = msgspec.structs.replace(row, made_by=actor, made_at=now, ends_at=ends_at, used_at=None)
        made = await self._add(core, another, "rotate", key, old=id)
        await core.store.end_key(row.tenant, id, now + span)
        return made

    async def revoke(self, id: str, *, actor: str = "", reason: str = "") -> Key:
        """From now on it is refused. Raises NotFound."""
        core = self._core()
        row = await self._row(core, id)
        act = act_of(core, "revoke", "key", id, actor=actor, reason=reason, detail={"name": row.name})
        await core.store.end_key(row.tenant, id, core.store.now(), act)
        return await self.get(id)

    def _reached(self, core: Core) -> tuple[str, ...]:
        return (core.tenant, ANY_TENANT) if self._any_tenant else (core.tenant,)

    async def _row(self, core: Core, id: str) -> KeyRow:
        row = await core.store.key(id)
        if row is None or row.tenant not in self._reached(core):
            raise NotFound(f"there is no key {id}", remedy="an id as the list of keys gives it")
        return row

    async def _add(self, core: Core, row: KeyRow, verb: str, key: str | None, **told: str) -> NewKey:
        check_key(key=key)
        given = [core.tenant, row.made_by, verb, told.get("old", ""), key]
        # The id is no secret. Out of what was asked it is the same again: whoever comes second finds it there.
        id = secret()[:16] if key is None else _digest(msgspec.json.encode(given).decode())[:16]
        whole = f"{PREFIX}{id}_{secret()}"
        row = msgspec.structs.replace(row, id=id, digest=_digest(whole))
        lists = {"roles": list(_read(row.roles)), "scopes": list(_read(row.scopes))}
        act = act_of(core, verb, "key", id, actor=row.made_by, detail={"name": row.name, "tenant": row.tenant, **lists, **told})
        await core.store.add_key(row, act)
        if key is not None:
            kept = await core.store.key(id)
            if kept is None or kept.digest != row.digest:
                remedy = "rotate it for another one, or ask with another idempotency key"
                raise ConflictError(f"the key {id} was made so, and is shown once", remedy=remedy, key=id)
        return NewKey(_key(row, row.made_at), whole)


async def identity_of_key(core: Core, given: str) -> Identity | None:
    """Whose key it is; None for one that is not known, or has ended. Its use is noted, once a minute at most."""
    found = _KEY.fullmatch(given)
    row = await core.store.key(found[1]) if found else None
    now = core.store.now()
    if row is None or not hmac.compare_digest(row.digest, _digest(given)) or (row.ends_at is not None and row.ends_at <= now):
        return None
    if row.used_at is None or row.used_at + USED_EVERY <= now:
        await core.store.use_key(row.id, now)
    scopes = _read(row.scopes)
    return Identity(f"key:{row.name}", "key", _read(row.roles), (row.tenant,), scopes or None, row.id)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _texts(names: Collection[str]) -> bytes:
    return msgspec.json.encode(sorted(set(names)))


def _read(raw: bytes) -> tuple[str, ...]:
    return tuple(msgspec.json.decode(raw, type=list[str]))


def _key(row: KeyRow, now: int) -> Key:
    ends = None if row.ends_at is None else from_micros(row.ends_at)
    used = None if row.used_at is None else from_micros(row.used_at)
    ended = row.ends_at is not None and row.ends_at <= now
    return Key(
        row.id, row.name, row.tenant, _read(row.roles), _read(row.scopes), row.made_by, from_micros(row.made_at), ends, used, ended
    )
