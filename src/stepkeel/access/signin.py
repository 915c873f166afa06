"""Signing in at an identity provider's own page: the authorization code flow with a proof key (OpenID Connect Core 1.0, RFC 7636).

| step | who |
|---|---|
| a verifier and a state are made, and kept in the tab | the browser |
| the page of the provider is gone to, with the verifier's digest | the browser |
| the code that it comes back with is exchanged for tokens, with the verifier | this process, which may have a secret for it |
| the first of access token and ID token that the issuer's rules take is the credential | this process |
| it is used as any token; before it ends it is renewed by the refresh token, if there is one | the browser asks this process |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlsplit

from stepkeel.access.published import check_address, discovered, post_form
from stepkeel.clock import Clock
from stepkeel.errors import BadRequest, NotAuthenticated, TooManyRequests, Unavailable

__all__ = ["Door", "Granted", "Provider", "SignIn"]

FRESH = 600_000_000  # microseconds: so long what a provider says of itself holds
AGAIN = 5_000_000  # nor is it asked more often than this while it does not answer
AT_ONCE = 16  # exchanges: nobody is known yet who could be counted
OURS = frozenset(
    {"response_type", "client_id", "redirect_uri", "state", "scope", "code_challenge", "code_challenge_method", "nonce"}
)


@dataclass(frozen=True, slots=True)
class SignIn:
    """How people sign in at the page of an issuer.

    client_id       by which the issuer knows us; its redirect address is `https://HOST/signed-in`
    client_secret   of a confidential client; empty: a public one
    scopes          asked for; default openid and profile. Many issuers give refresh tokens only for `offline_access`
    title           on the button; default the issuer's host
    parameters      more for its page, as some need: {"audience": "stepkeel"}
    Raises BadRequest.
    """

    client_id: str
    client_secret: str = field(default="", repr=False)
    scopes: tuple[str, ...] = ("openid", "profile")
    title: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        if not self.client_id:
            raise BadRequest("a sign-in without client_id", remedy="the name by which the issuer knows this server")
        taken = sorted(OURS & set(self.parameters))
        if taken:
            raise BadRequest(f"parameters of a sign-in: {', '.join(taken)} is said here", remedy="leave it out")


@dataclass(frozen=True, slots=True)
class Provider:
    """Where one may sign in. `authorize`: the address of its page; empty while it does not answer."""

    issuer: str
    title: str
    authorize: str
    client_id: str
    scopes: tuple[str, ...]
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Granted:
    """A credential. `refresh_token` empty: it cannot be renewed."""

    token: str
    refresh_token: str


class Door:
    """Of one issuer. `holds` checks a token; raises NotAuthenticated."""

    def __init__(self, issuer: str, how: SignIn, holds: Callable[[str, Clock, int], Awaitable[object]]) -> None:
        self._issuer, self._how, self._holds = issuer, how, holds
        self._told: dict[str, Any] | None = None
        self._asked: int | None = None
        self._busy = 0

    async def provider(self, clock: Clock) -> Provider:
        how = self._how
        try:
            place = await self._place("authorization_endpoint", clock)
        except Unavailable:
            place = ""
        title = how.title or urlsplit(self._issuer).hostname or self._issuer
        return Provider(self._issuer, title, place, how.client_id, how.scopes, how.parameters)

    async def granted(self, form: Mapping[str, str], clock: Clock, now: int) -> Granted:
        """What its token endpoint gives for a code, or a refresh token. Raises NotAuthenticated, Unavailable, TooManyRequests."""
        if self._busy >= AT_ONCE:
            raise TooManyRequests("many sign in just now", remedy="again in a second", retry_after=1)
        self._busy += 1
        try:
            place = await self._place("token_endpoint", clock)
            who, basic = self._shown()
            status, told = await post_form(place, {**form, **who}, basic)
        finally:
            self._busy -= 1
        if status >= 500:
            raise Unavailable(f"{self._issuer} answers {status}", remedy="again in a while")
        if status != 200:
            why = str(told.get("error_description") or told.get("error") or status)[:200]
            raise NotAuthenticated(f"{self._issuer} does not grant it: {why}", remedy="sign in again")
        return Granted(await self._taken(told, clock, now), _text(told.get("refresh_token")))

    def _shown(self) -> tuple[dict[str, str], tuple[str, str] | None]:
        """How this client shows who it is: in the form, or by HTTP Basic, which is what issuers take that say nothing of it."""
        how = self._how
        if not how.client_secret:
            return {"client_id": how.client_id}, None
        if "client_secret_post" in (self._told or {}).get("token_endpoint_auth_methods_supported", ()):
            return {"client_id": how.client_id, "client_secret": how.client_secret}, None
        return {}, (quote_plus(how.client_id), quote_plus(how.client_secret))

    async def _taken(self, told: Mapping[str, Any], clock: Clock, now: int) -> str:
        """The first of its tokens that holds here. Raises NotAuthenticated."""
        why: NotAuthenticated | None = None
        for token in filter(None, (_text(told.get("access_token")), _text(told.get("id_token")))):
            try:
                await self._holds(token, clock, now)
            except NotAuthenticated as error:
                why = why or error
            else:
                return token
        raise why or NotAuthenticated(f"{self._issuer} gives no token", remedy="is openid among the scopes?")

    async def _place(self, name: str, clock: Clock) -> str:
        """Raises Unavailable."""
        at = clock.monotonic()
        if self._asked is None or at - self._asked >= (AGAIN if self._told is None else FRESH):
            self._asked = at
            try:
                self._told = await discovered(self._issuer)
            except Unavailable:
                if self._told is None:
                    raise
        found = _text((self._told or {}).get(name))
        try:
            check_address(found)
        except BadRequest:
            raise Unavailable(f"{self._issuer} tells no {name} just now", remedy="is it reachable from here?") from None
        return found


def _text(told: object) -> str:
    return told if isinstance(told, str) else ""
