"""Keys that instances are encrypted with, by name: new ones for what is written, old ones for what was."""

from __future__ import annotations

import base64
import hmac
import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from stepkeel.errors import BadRequest
from stepkeel.extra import needing
from stepkeel.ids import nonce
from stepkeel.model.sealed import MARK, NONCE, key_name, parted

__all__ = ["Keyring"]

SIZE = 32  # bytes of a key: AES-256
DERIVED = 10_000  # keys of instances that are kept ready
EVERYBODY = "*"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LINE = re.compile(r"(?:(?P<tenant>[^=:\s]+)=)?(?P<name>[^=:\s]+):(?P<key>[A-Za-z0-9+/_-]{43}=?)")
_HOW = "name:$(openssl rand -base64 32); the first one is current"
_log = logging.getLogger("stepkeel.store")


class Keyring:
    """What instances' data, history, signals, messages and results are encrypted with: `Engine(url, [...], keyring=...)`.

    keys     by name: 32 bytes each, or their base64 (`openssl rand -base64 32`)
    current  the name of the key that new bytes are written with: of all, or by tenant (`*`: all others)
    AES-256-GCM. No key encrypts for more than one instance: each instance has its own, derived by HMAC-SHA-256 of its id, so random
    nonces of 96 bits do not run out (NIST SP 800-38D, 8.3: 2^32 for a key). A key's name is readable in the database, what it
    encrypts is not, and cannot be moved to another instance or place. Raises BadRequest.
    """

    def __init__(self, keys: Mapping[str, bytes | str], current: str | Mapping[str, str]) -> None:
        with needing("cryptography", "encryption", "encryption"):
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        self._keys = {_checked(name): _key(name, key) for name, key in keys.items()}
        self._current: Mapping[str, str] = {EVERYBODY: current} if isinstance(current, str) else dict(current)
        for tenant, name in self._current.items():
            if name not in self._keys:
                raise BadRequest(
                    f"the current key {name!r} of {tenant} is not among the keys", remedy=f"there are: {self._names()}"
                )
        if EVERYBODY not in self._current:
            raise BadRequest("there is no current key for all other tenants", remedy='current={"*": "name", ...}')

        @lru_cache(DERIVED)
        def cipher(name: str, context: str) -> Any:
            """Raises KeyError."""
            return AESGCM(hmac.digest(self._keys[name], b"stepkeel/1/" + context.encode(), "sha256"))

        self._cipher = cipher
        self._misses = (KeyError, InvalidTag, ValueError)
        self._missed: set[str] = set()

    def __repr__(self) -> str:
        return f"Keyring({self._names()})"

    @staticmethod
    def read(text: str) -> Keyring:
        """`name:base64`, one or more, apart by commas or lines; the first is the current one. `tenant=name:base64`: of that tenant.

        Raises BadRequest, which tells no key.
        """
        keys: dict[str, str] = {}
        current: dict[str, str] = {}
        for n, each in enumerate(part for part in re.split(r"[,\s]+", text) if part):
            found = _LINE.fullmatch(each)
            if found is None:
                raise BadRequest(f"key {n + 1} is not name:base64 of {SIZE} bytes", remedy=_HOW)
            if keys.setdefault(found["name"], found["key"]) != found["key"]:
                raise BadRequest(f"the key {found['name']} is there twice, and differs", remedy="a name for each key")
            current.setdefault(found["tenant"] or EVERYBODY, found["name"])
        if not keys:
            raise BadRequest("there is no key", remedy=_HOW)
        return Keyring(keys, current)

    def seal(self, raw: bytes, tenant: str, context: str, place: str) -> bytes:
        """Encrypted for one `place` of one `context`, an instance. What is empty stays so."""
        if not raw:
            return raw
        name = self._current.get(tenant) or self._current[EVERYBODY]
        header = MARK + bytes((len(name),)) + name.encode()
        once = nonce(NONCE)
        return header + once + self._cipher(name, context).encrypt(once, raw, header + place.encode())

    def open(self, raw: bytes, context: str, place: str) -> bytes:
        """As it was; as it is, where it was never encrypted. What cannot be opened stays, and whoever decodes it says so."""
        name = key_name(raw)
        if name is None:
            return raw
        try:
            header, once, rest = parted(raw)
            return self._cipher(name, context).decrypt(once, rest, header + place.encode())
        except self._misses as error:
            if name not in self._missed:  # once: there may be many
                self._missed.add(name)
                known = "it is another one, or the bytes are not as they were"
                why = "it is not known here" if isinstance(error, KeyError) else known
                _log.error("%s of %s cannot be decrypted with the key %s: %s", place, context, name, why)
            return raw

    def _names(self) -> str:
        return ", ".join(sorted(self._keys)) or "none"


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadRequest(f"{name!r} is no name of a key", remedy="up to 63 letters, digits, and . _ -")
    return name


def _key(name: str, given: bytes | str) -> bytes:
    """Raises BadRequest, which does not tell it."""
    try:
        plain = given if isinstance(given, bytes) else given.replace("-", "+").replace("_", "/").rstrip("=") + "="
        found = plain if isinstance(plain, bytes) else base64.b64decode(plain, validate=True)
    except ValueError:
        found = b""
    if len(found) != SIZE:
        raise BadRequest(f"the key {name} is not one of {SIZE} bytes", remedy="openssl rand -base64 32")
    return found
