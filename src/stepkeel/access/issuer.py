"""Tokens of identity providers: JSON Web Tokens (RFC 7519), checked as RFC 8725 advises, with keys found by OpenID discovery.

| a token is refused that | why |
|---|---|
| is not of three parts, or larger than 16 KB | it is none of ours, or encrypted |
| names another issuer | whose keys would hold? |
| has an algorithm that is not allowed; `none`, or a shared secret | anybody could have made it |
| is signed by a key that its issuer has not, or of another kind than the algorithm | it is forged |
| has expired, is not valid yet, or has no end | the leeway is a minute unless said |
| is for another audience | it was given to somebody else |
| has no name, or no tenant where one is asked for | who would it be? |
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from stepkeel.access.identity import MOST_NAME, Identity
from stepkeel.access.published import check_address, discovered, read_json
from stepkeel.access.signin import SignIn
from stepkeel.clock import Clock
from stepkeel.errors import BadRequest, NotAuthenticated, Unavailable
from stepkeel.extra import needing

__all__ = ["Issuer", "Tokens", "issuer_of"]

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
MOST_TOKEN = 16_384  # characters
FRESH = 600_000_000  # microseconds: so long its keys hold without asking again
AGAIN = 30_000_000  # nor is it asked more often than this for a key that it has not
SOON = 1_000_000  # nor more often than this while it has told none: who waits in line is told at once


@dataclass(frozen=True, slots=True)
class Issuer:
    """An identity provider whose tokens are taken.

    url            its issuer: `iss` of its tokens, and where its keys are found (OpenID Connect Discovery 1.0)
    audience       ours: one of `aud`
    algorithms     those allowed, of keys in pairs only; default RS256 and ES256
    jwks_url       where its keys are, for one without discovery
    leeway         seconds that its clock may differ; default 60
    name_claim     who they are; default `sub`
    roles_claim    their roles: a list, or names with spaces between; dots lead into objects; default `roles`
    roles          by its name of a role ours; those not in it keep their names. Empty: all do
    tenant_claim   whose instances they reach: a name, or a list of names; none: all reach `tenant`
    tenant         default "default"
    sign_in        how people sign in at its page in the console; None: they paste a token
    Raises BadRequest.
    """

    url: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    jwks_url: str = ""
    leeway: float = 60.0
    name_claim: str = "sub"
    roles_claim: str = "roles"
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    tenant_claim: str = ""
    tenant: str = "default"
    sign_in: SignIn | None = None

    def __post_init__(self) -> None:
        check_address(self.url)
        if self.jwks_url:
            check_address(self.jwks_url)
        if not self.audience:
            raise BadRequest(f"{self.url}: which audience?", remedy="the name that it gives tokens for this API")
        strange = sorted(set(self.algorithms) - set(ALGORITHMS))
        if strange or not self.algorithms:
            remedy = f"{', '.join(ALGORITHMS)}: of keys in pairs, for a shared secret would be known to whoever checks it"
            raise BadRequest(f"{self.url}: algorithms {strange}", remedy=remedy)
        if not 0 <= self.leeway <= 600:
            raise BadRequest(f"{self.url}: leeway={self.leeway}", remedy="0 to 600 seconds")
        if self.tenant_claim == "" and self.tenant in ("", "*"):
            raise BadRequest(f"{self.url}: tenant={self.tenant!r}", remedy="the name of one, or a tenant_claim")


def issuer_of(token: str) -> str:
    """Whom a token names as its issuer; nothing of it is trusted yet. Empty where it is no token."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > MOST_TOKEN:
        return ""
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims: object = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return ""
    found = cast("dict[str, object]", claims).get("iss") if isinstance(claims, dict) else None
    return found if isinstance(found, str) else ""


class Tokens:
    """Checks the tokens of one issuer, and keeps its keys for a while."""

    def __init__(self, issuer: Issuer) -> None:
        with needing("joserfc", "tokens of identity providers", "server"):
            import joserfc  # noqa: F401  # pyright: ignore[reportUnusedImport]
        self.issuer = issuer
        self._keys: Any = None
        self._asked: int | None = None
        self._got = 0
        self._one_asks = asyncio.Lock()

    async def identity(self, token: str, clock: Clock, now: int) -> Identity:
        """`now`: microseconds since 1970. Raises NotAuthenticated; Unavailable where the issuer does not tell its keys."""
        from joserfc import jws, jwt
        from joserfc.errors import JoseError

        issuer = self.issuer
        try:
            header = jws.extract_compact(token.encode()).headers()
            if header.get("alg") not in issuer.algorithms:
                raise NotAuthenticated("the algorithm of the token is not allowed", remedy=", ".join(issuer.algorithms))
            key = await self._key(header.get("kid"), clock)
            claims = jwt.decode(token, key, algorithms=[*issuer.algorithms]).claims
            registry = jwt.JWTClaimsRegistry(
                now=now // 1_000_000,
                leeway=round(issuer.leeway),
                iss={"essential": True, "value": issuer.url},
                aud={"essential": True, "value": issuer.audience},
                exp={"essential": True},
            )
            registry.validate(claims)
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise NotAuthenticated("the token is not valid", remedy=str(error)[:200] or "another one") from None
        return self._read(claims)

    def _read(self, claims: Mapping[str, Any]) -> Identity:
        issuer = self.issuer
        name = _claim(claims, issuer.name_claim)
        if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME or name.startswith("key:"):
            raise NotAuthenticated("the token names nobody", remedy=f"its claim {issuer.name_claim}")
        roles = tuple(issuer.roles.get(each, each) for each in _texts(_claim(claims, issuer.roles_claim)))
        tenants = (issuer.tenant,)
        if issuer.tenant_claim:
            told = _claim(claims, issuer.tenant_claim)
            tenants = (told,) if isinstance(told, str) and told else tuple(_texts(told) if isinstance(told, list) else ())
            if not tenants or "*" in tenants:
                raise NotAuthenticated("the token names no tenant", remedy=f"its claim {issuer.tenant_claim}")
        return Identity(name, "token", roles, tenants)

    async def _key(self, kid: Any, clock: Clock) -> Any:
        """The key it says it was signed with; without a name, the only one there is. Raises NotAuthenticated, Unavailable."""
        found = None
        if self._keys is not None and clock.monotonic() - self._got < FRESH:
            found = _find(self._keys, kid)
        if found is None:
            async with self._one_asks:
                await self._ask(clock)
            found = _find(self._keys, kid)
        if found is None:
            raise NotAuthenticated("the token is signed by a key that its issuer has not", remedy="another token")
        return found

    async def _ask(self, clock: Clock) -> None:
        """Keys that are known hold on while the issuer does not answer."""
        just_now = self._asked is not None and clock.monotonic() - self._asked < (SOON if self._keys is None else AGAIN)
        if just_now and self._keys is None:
            raise Unavailable(f"{self.issuer.url} did not tell its keys just now", remedy="is it reachable from here?")
        if just_now:
            return
        try:
            self._keys, self._got = await _fetch(self.issuer), clock.monotonic()
        except Unavailable:
            if self._keys is None:
                raise
        finally:
            self._asked = clock.monotonic()


async def _fetch(issuer: Issuer) -> Any:
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    place = issuer.jwks_url
    try:
        if not place:
            place = str((await discovered(issuer.url)).get("jwks_uri", ""))
        return KeySet.import_key_set(_usable(await read_json(place)))  # pyright: ignore[reportArgumentType]
    except (ValueError, JoseError, BadRequest) as error:
        raise Unavailable(f"{issuer.url} does not tell its keys: {error}", remedy="is it reachable from here?") from None


def _usable(document: Mapping[str, Any]) -> dict[str, Any]:
    """Its public keys for signatures, of the kinds we know; others need not keep those from working."""
    keys = document.get("keys")
    told = cast("list[Any]", keys) if isinstance(keys, list) else []
    found = [k for k in told if isinstance(k, dict) and k.get("kty") in ("RSA", "EC", "OKP") and k.get("use", "sig") == "sig"]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return {"keys": found}


def _find(keys: Any, kid: Any) -> Any:
    if kid is None:
        return keys.keys[0] if len(keys.keys) == 1 else None
    return next((k for k in keys.keys if k.as_dict().get("kid") == kid), None)


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """What a claim says; one whose own name has dots goes before a path through objects."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = cast("dict[str, Any]", found).get(part) if isinstance(found, dict) else None
    return found


def _texts(told: Any) -> list[str]:
    parts = told.split() if isinstance(told, str) else cast("list[Any]", told) if isinstance(told, list) else []
    return [p for p in parts if isinstance(p, str) and p]
