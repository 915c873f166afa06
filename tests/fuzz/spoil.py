"""Bytes spoilt by chance: as a disk, a bug, a newer release or a person with an SQL prompt would."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 7, 2**62, 2**70, -(2**70), 1.5, 1e308, "", "x", "nowhere/at/all", "\x00", [], [1], {}, {"a": {}}, {"x": 1},
)  # fmt: skip
DEEP = b"[" * 100_000


ANYWHERE = st.integers(0, 999_999)  # wrapped round what there is: how much that is may differ from run to run


def spoilt(raw: bytes) -> st.SearchStrategy[bytes]:
    """Cut off, with a byte changed, replaced by junk, or JSON still and with one value of it changed, removed or added."""
    size = max(1, len(raw))
    return st.one_of(
        ANYWHERE.map(lambda n: raw[: n % size]),
        st.tuples(ANYWHERE, st.integers(0, 255)).map(lambda t: raw[: t[0] % size] + bytes([t[1]]) + raw[t[0] % size + 1 :]),
        st.sampled_from([b"", b"null", b"{}", b"[]", b"\x00\xff", b'{"schema":99}', DEEP]),
        *[st.tuples(ANYWHERE, st.sampled_from(("put", "drop", "add")), st.sampled_from(JUNK)).map(lambda t: _edited(raw, *t))] * 3,
    )


def _edited(raw: bytes, where: int, how: str, junk: Any) -> bytes:
    places = list(_places(json.loads(raw), ())) if raw else [()]
    return _edit(raw or b"{}", places[where % len(places)], how, junk)


def _places(value: Any, at: tuple[Any, ...]) -> Any:
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*at, key))


def _edit(raw: bytes, place: tuple[Any, ...], how: str, junk: Any) -> bytes:
    top: list[Any] = [json.loads(raw)]
    at: Any = top
    *outer, last = (0, *place)
    for key in outer:
        at = at[key]
    if how == "drop" and place:
        del at[last]
    elif how == "add" and isinstance(at[last], dict):
        at[last]["nobody knows"] = junk
    else:
        at[last] = junk
    return json.dumps(top[0]).encode()
