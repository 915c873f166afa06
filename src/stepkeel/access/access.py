"""Which credentials are taken, and what their holders may.

| `Authorization: Bearer` and then | they are |
|---|---|
| `stepkeel_...` | the holder of that API key, where keys are taken |
| a token that names one of the issuers | whom its issuer says |
| anything else, or nothing | nobody: refused |
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from stepkeel.access.identity import Identity
from stepkeel.access.issuer import Issuer, Tokens, issuer_of
from stepkeel.access.key import PREFIX, identity_of_key
from stepkeel.access.role import ACT_FOR_OTHERS, Role, permitted, roles_by_name
from stepkeel.access.signin import Door, Provider
from stepkeel.clock import Clock
from stepkeel.engine.core import Core
from stepkeel.errors import BadRequest, NotAuthenticated

__all__ = ["Access"]


class Access:
    """What an API asks of its callers: `engine.asgi(access=Access())`.

    keys      API keys of the database are taken; default True
    issuers   identity providers whose tokens are taken
    roles     besides the built-in ones (viewer, operator, approver, designer, admin), or in place of them
    Raises BadRequest.
    """

    def __init__(self, *, keys: bool = True, issuers: Sequence[Issuer] = (), roles: Sequence[Role] = ()) -> None:
        if len({i.url for i in issuers}) < len(issuers):
            raise BadRequest("an issuer is given twice", remedy="one Issuer for each url")
        if not keys and not issuers:
            raise BadRequest("nobody could be recognised", remedy="keys, or issuers")
        self.keys = keys
        self.roles = roles_by_name(roles)
        self._issuers = {i.url: Tokens(i) for i in issuers}
        self._doors = {i.url: Door(i.url, i.sign_in, self._issuers[i.url].identity) for i in issuers if i.sign_in is not None}

    async def identify(self, core: Core, authorization: str) -> Identity:
        """Who a request is from. Raises NotAuthenticated; Unavailable where an issuer does not tell its keys."""
        kind, _, given = authorization.partition(" ")
        given = given.strip()
        if kind.lower() != "bearer" or not given:
            raise NotAuthenticated("nobody says who asks", remedy=f"Authorization: Bearer, and {self._takes()}")
        if self.keys and given.startswith(PREFIX):
            found = await identity_of_key(core, given)
            if found is None:
                raise NotAuthenticated("the key is not known, or has ended", remedy="another one: `stepkeel key create`")
            return found
        tokens = self._issuers.get(issuer_of(given))
        if tokens is None:
            raise NotAuthenticated("the credential is none that is taken here", remedy=self._takes())
        return await tokens.identity(given, core.clock, core.store.now())

    async def providers(self, clock: Clock) -> list[Provider]:
        """Where people may sign in."""
        return await asyncio.gather(*(door.provider(clock) for door in self._doors.values()))

    def door(self, issuer: str) -> Door | None:
        return self._doors.get(issuer)

    def permitted(self, identity: Identity, operation: str) -> bool:
        return permitted(operation, identity.roles, identity.scopes, self.roles)

    def trusts(self, identity: Identity) -> bool:
        """They may act in anybody's name, and so whatever is asked of a role about a task."""
        return self.permitted(identity, ACT_FOR_OTHERS)

    def within(self, identity: Identity, roles: Collection[str], scopes: Collection[str], operations: Collection[str]) -> bool:
        """A credential of these roles and scopes may nothing that the identity may not."""
        wanted = [o for o in (*operations, ACT_FOR_OTHERS) if permitted(o, roles, tuple(scopes) or None, self.roles)]
        return all(self.permitted(identity, each) for each in wanted)

    def _takes(self) -> str:
        return " or ".join([*(["an API key"] if self.keys else []), *(["a token of an issuer"] if self._issuers else [])])
