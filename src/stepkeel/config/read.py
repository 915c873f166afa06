"""Where settings come from, the first that says it: a flag, the environment, a file that the environment names, stepkeel.toml,

the default. Files and variables are read once a command.

| said | is |
|---|---|
| `STEPKEEL_SERVE_PORT=8080` | `serve.port` |
| `STEPKEEL_DATABASE_FILE=/run/secrets/database` | `database`, from that file, without the line's end: how secrets are mounted |
| `[serve]`, `port = 8080` in ./stepkeel.toml, or in the file that STEPKEEL_CONFIG names | `serve.port` |
| anything else in the file | refused, with what may have been meant |
| a variable STEPKEEL_... that is nearly one of ours | refused: it was meant to be one |
| any other | left alone: Kubernetes, say, makes STEPKEEL_SERVICE_HOST for a service of this name |
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from stepkeel.config.known import KNOWN, PREFIX, Known
from stepkeel.errors import BadRequest
from stepkeel.model.instant import read_span
from stepkeel.runtime.settings import Settings
from stepkeel.store.keyring import Keyring

__all__ = ["FILE", "FILE_VARIABLE", "Config", "Said", "read_config"]

FILE, FILE_VARIABLE, FROM_FILE = "stepkeel.toml", "STEPKEEL_CONFIG", "_FILE"
OURS = frozenset({FILE_VARIABLE, "STEPKEEL_DEV_TARGET", "STEPKEEL_DEV_DATABASE"})
NEAR = 0.8
_KUBERNETES = re.compile(r"SERVICE_(HOST|PORT)|PORT(_|$)")
_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Said:
    """A value, and who says so: `default`, a variable, or a file."""

    value: Any
    origin: str = "default"


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, by name."""

    said: Mapping[str, Said]

    def get(self, name: str, flag: Any = None) -> Any:
        """What the flag says, else what is said elsewhere."""
        return self.said[name].value if flag is None else flag

    def place(self, flag: str | None = None) -> str:
        """Where commands find instances: what the flag says, else the server, else the database. Raises BadRequest."""
        return flag or self.get("server") or self.database()

    def database(self, flag: str | None = None) -> str:
        """Raises BadRequest where nobody says which."""
        url = self.get("database", flag or None)
        if not url:
            raise BadRequest("which database?", remedy="--database sqlite:///orders.db, or set STEPKEEL_DATABASE")
        return url

    def keyring(self) -> Keyring | None:
        """Raises BadRequest."""
        text = self.get("keyring")
        return Keyring.read(text) if text else None

    def settings(self, base: Settings, concurrency: int | None = None) -> Settings:
        """A worker's settings: those of `base` that nobody says otherwise."""
        own = {f.name: s.value for f in fields(Settings) if (s := self.said.get(f"worker.{f.name}")) and s.origin != "default"}
        if concurrency is not None:
            own["concurrency"] = concurrency
        return replace(base, **own)


def read_config(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Config:
    """Raises BadRequest for what cannot be read, is not known, or does not fit."""
    environ = os.environ if environ is None else environ
    found = {name: Said(known.default) for name, known in KNOWN.items()}
    found |= _of_file(environ.get(FILE_VARIABLE, ""), Path.cwd() if folder is None else folder)
    found |= _of_environment(environ)
    return Config(found)


# -- the file


def _of_file(named: str, folder: Path) -> dict[str, Said]:
    path = Path(named) if named else folder / FILE
    if not named and not path.is_file():
        return {}
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRequest(f"{path}: {error.strerror}", remedy=f"{FILE_VARIABLE} names a readable file") from None
    except UnicodeDecodeError:
        raise BadRequest(f"{path} is no UTF-8", remedy="save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise BadRequest(f"{path}: {error}", remedy="TOML: name = value, under [tables]") from None
    origin = f"{named} ({FILE_VARIABLE})" if named else FILE
    return {name: Said(_typed(_known(name, origin), value, origin), origin) for name, value in _flat(read).items()}


def _flat(table: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= _flat(cast("dict[str, Any]", value), f"{before}{key}.")
        else:
            found[before + key] = value
    return found


def _known(name: str, origin: str) -> Known:
    known = KNOWN.get(name)
    if known is None:
        near = difflib.get_close_matches(name, tuple(KNOWN), 1, 0.6)
        remedy = f"did you mean {near[0]}?" if near else "`stepkeel config show`, elsewhere, lists all"
        raise BadRequest(f"{origin}: there is no setting {name}", remedy=remedy)
    return known


# -- the environment


def _of_environment(environ: Mapping[str, str]) -> dict[str, Said]:
    variables = {known.variable: known for known in KNOWN.values()}
    found: dict[str, Said] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in OURS:
            continue
        known, from_file = variables.get(variable), variables.get(variable.removesuffix(FROM_FILE))
        if known is not None:
            found[known.name] = Said(_typed(known, text, variable), variable)
        elif from_file is not None and variable.endswith(FROM_FILE):
            if from_file.variable in environ:
                raise BadRequest(f"{variable} and {from_file.variable} are two", remedy="one of them")
            found[from_file.name] = Said(_typed(from_file, _content(variable, text), variable), f"{variable} ({text})")
        else:
            _refuse_near(variable, tuple(variables))
    return found


def _content(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise BadRequest(f"{variable}: {path}: {why}", remedy="a readable file") from None


def _refuse_near(variable: str, variables: tuple[str, ...]) -> None:
    own = variable.removeprefix(PREFIX)
    names = tuple(v.removeprefix(PREFIX) for v in variables)
    near = difflib.get_close_matches(own, names, 1, NEAR)
    if near and not _KUBERNETES.match(own):
        raise BadRequest(f"there is no setting {variable}", remedy=f"did you mean {PREFIX}{near[0]}?")


# -- values


def _typed(known: Known, value: Any, origin: str) -> Any:
    """The value as its kind has it; what comes from the environment is a text. Raises BadRequest, without a secret."""
    made: Any = None
    if known.kind == "text" and isinstance(value, str):
        made = value if not known.choices else value.lower() if value.lower() in known.choices else None
    elif known.kind == "flag":
        made = value if isinstance(value, bool) else _FLAGS.get(value.lower()) if isinstance(value, str) else None
    elif known.kind == "number" and not isinstance(value, bool):
        text = str(value) if isinstance(value, str | int) else ""
        made = int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None
    elif known.kind == "span" and not isinstance(value, bool):
        if value == "never" and known.never:
            return None
        number = isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", value)
        span = read_span(float(value) if number else value)
        made = None if span is None else span / 1e6
    if made is None:
        told = "its value" if known.secret or known.name == "database" else repr(value)
        raise BadRequest(f"{origin}: {known.name}: {told} is no {_called(known)}", remedy=_example(known))
    return made


def _called(known: Known) -> str:
    return {"text": "text", "flag": "flag", "number": "whole number", "span": "span"}[known.kind] if not known.choices else "choice"


def _example(known: Known) -> str:
    if known.choices:
        return ", ".join(known.choices)
    span = "seconds, or 90d, 12h, 1h30m, 45s" + (", or never" if known.never else "")
    return {"text": "a text", "flag": "true or false", "number": "0, 1, 2 ...", "span": span}[known.kind]
