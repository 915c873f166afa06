"""Data of every supported kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import attrs
import msgspec
import pydantic


@dataclass
class Tagged:
    tags: set[str]


@dataclass
class AsDataclass:
    name: str
    n: int = 0


class AsStruct(msgspec.Struct):
    name: str
    n: int = 0


class AsTypedDict(TypedDict):
    name: str
    n: int


@attrs.define
class AsAttrs:
    name: str
    n: int = 0


class AsPydantic(pydantic.BaseModel):
    name: str
    n: int = 0
