"""Secrets: data and inputs have references, `secret://env/SHOP_TOKEN`; the values are there while an attempt runs, nowhere else.

| where a reference stands | what becomes of it |
|---|---|
| in the input of an activity | its value takes its place just before the attempt; what is stored keeps the reference |
| in the data | nothing: `ctx.secret(reference)` tells the value |
| in what an attempt gives, its failure, its progress | a value it was given is replaced by `***` before anything is stored |
"""

from __future__ import annotations

import fnmatch
import inspect
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from stepkeel.errors import BadRequest, SecretMissing
from stepkeel.model.input import AttemptDeferred, AttemptEnded, HandedBack
from stepkeel.model.snapshot import NOTHING

__all__ = ["Opened", "Secrets"]

MARK = b"secret://"
REFERENCE = re.compile(r"secret://([a-z][a-z0-9-]*)/([A-Za-z0-9_][A-Za-z0-9_.\-/]*)")
HIDDEN = "***"
SHORTEST = 4  # characters: what is shorter is not looked for in texts, for it is in many

Provider = Callable[[str, str], str | Awaitable[str]]
Report = AttemptEnded | AttemptDeferred | HandedBack
R = TypeVar("R", bound=Report)


class Secrets:
    """Where values come from; a service: `Engine(url, [...], services={Secrets: Secrets(env=["SHOP_*"])})`.

    env        names of environment variables that may be asked for, `*` for any characters: secret://env/SHOP_TOKEN
    folder     of files, one secret each, as they are mounted; a line's end is cut off: secret://file/shop-token
    providers  by the name they have in references: functions of the secret's name and the tenant that asks, which may be async and
               raise LookupError where there is none: Secrets(vault=ask) for secret://vault/shop/token
    env and folder are the same for all tenants. Raises BadRequest.
    """

    def __init__(self, *, env: Sequence[str] = (), folder: str | Path | None = None, **providers: Provider) -> None:
        if isinstance(env, str):
            raise BadRequest(f"env={env!r}", remedy="a list of names")
        self._env = tuple(env)
        self._folder = None if folder is None else Path(folder)
        self._providers: Mapping[str, Provider] = {
            **({"env": self._from_env} if env else {}), **({"file": self._from_file} if folder is not None else {}), **providers,
        }  # fmt: skip

    def ask(self, reference: str, tenant: str) -> str | Awaitable[str]:
        """Raises SecretMissing, and what a provider raises."""
        place, name = _read(reference)
        provider = self._providers.get(place)
        if provider is None:
            known = ", ".join(sorted(self._providers)) or "none"
            raise SecretMissing(f"{reference}: nobody has secrets of {place}", remedy=f"Secrets({place}=...); there are: {known}")
        try:
            return provider(name, tenant)
        except LookupError:
            raise _missing(reference) from None

    async def value(self, reference: str, tenant: str) -> str:
        """Raises SecretMissing, and what a provider raises."""
        found = self.ask(reference, tenant)
        try:
            return _checked(reference, await found if inspect.isawaitable(found) else found)
        except LookupError:
            raise _missing(reference) from None

    def value_now(self, reference: str, tenant: str) -> str:
        """Raises SecretMissing, also where its provider is async."""
        found = self.ask(reference, tenant)
        if inspect.isawaitable(found):
            if inspect.iscoroutine(found):
                found.close()
            raise SecretMissing(f"{reference} has to be waited for", remedy="let the reference stand in the data, or in the input")
        return _checked(reference, found)

    def _from_env(self, name: str, tenant: str) -> str:
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in self._env):
            raise LookupError(name)
        return os.environ[name]

    def _from_file(self, name: str, tenant: str) -> str:
        assert self._folder is not None
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder.resolve()) or not path.is_file():
            raise LookupError(name)
        return path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")


class Opened:
    """The secrets of one attempt."""

    __slots__ = ("_errors", "_secrets", "_tenant", "_values")

    def __init__(self, secrets: Secrets | None, tenant: str) -> None:
        self._secrets = secrets
        self._tenant = tenant
        self._values: dict[str, str] = {}
        self._errors: dict[str, Exception] = {}

    async def look(self, data: msgspec.Raw) -> None:
        """Have the values of the references in the data at hand; what went wrong with one is told when it is asked for."""
        for reference in _found(data):
            try:
                await self._open(reference)
            except Exception as error:
                self._errors[reference] = error

    async def into(self, given: msgspec.Raw) -> msgspec.Raw:
        """The input with values for references. Raises SecretMissing, and what a provider raises."""
        found = _found(given)
        if not found:
            return given
        for reference in found:
            await self._open(reference)
        return msgspec.Raw(REFERENCE.sub(lambda m: _inner(self._values[m[0]]), bytes(given).decode()).encode())

    def value(self, reference: Any) -> str:
        """Raises SecretMissing, and what a provider raises."""
        if not isinstance(reference, str):
            raise SecretMissing(f"{type(reference).__name__} is no reference", remedy="secret://env/NAME")
        if reference in self._errors:
            raise self._errors[reference]
        if reference not in self._values:
            self._values[reference] = self._known().value_now(reference, self._tenant)
        return self._values[reference]

    def mask(self, text: str) -> str:
        for value in self._hidden():
            text = text.replace(value, HIDDEN)
        return text

    def mask_json(self, raw: bytes) -> bytes:
        for value in self._hidden():
            raw = raw.replace(_inner(value).encode(), HIDDEN.encode())
        return raw

    def mask_report(self, report: R) -> R:
        """What is told of the attempt, without the values it was given."""
        if not self._values or isinstance(report, HandedBack):
            return report
        if isinstance(report, AttemptDeferred):
            return replace(report, reason=self.mask(report.reason))
        failure = report.failure
        if failure is not None:
            failure = msgspec.json.decode(self.mask_json(msgspec.json.encode(failure)), type=type(failure))
        data = None if report.data is None else self.mask_json(report.data)
        result = report.result if report.result is NOTHING else msgspec.Raw(self.mask_json(bytes(report.result)))
        return replace(report, reason=self.mask(report.reason), failure=failure, data=data, result=result)

    def _hidden(self) -> list[str]:
        return sorted((v for v in self._values.values() if len(v) >= SHORTEST), key=len, reverse=True)

    def _known(self) -> Secrets:
        if self._secrets is None:
            raise SecretMissing("this engine was given no secrets", remedy="services={Secrets: Secrets(env=[...])}")
        return self._secrets

    async def _open(self, reference: str) -> None:
        if reference not in self._values:
            self._values[reference] = await self._known().value(reference, self._tenant)


def _found(raw: msgspec.Raw) -> list[str]:
    text = bytes(raw)
    return [m[0] for m in REFERENCE.finditer(text.decode())] if MARK in text else []


def _read(reference: str) -> tuple[str, str]:
    match = REFERENCE.fullmatch(reference)
    if match is None:
        raise SecretMissing(f"{reference!r} is no reference", remedy="secret://env/NAME")
    return match[1], match[2]


def _missing(reference: str) -> SecretMissing:
    return SecretMissing(f"there is no {reference}", remedy="is it spelled right, and may this engine ask for it?")


def _checked(reference: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise SecretMissing(f"{reference} is {'empty' if value == '' else 'no text'}", remedy="a text")
    return value


def _inner(value: str) -> str:
    """As it stands in JSON, between its quotes."""
    return msgspec.json.encode(value).decode()[1:-1]
