"""The only maker of ids and of chance.

Ids are UUIDv7 (RFC 9562): time-ordered, because random keys spread every write over the whole tree.
`fraction` and `id_of` are the kernel's only sources of chance: pure functions of the seed it was given.
"""

from __future__ import annotations

import os
import threading
import weakref

__all__ = ["IdMaker", "fraction", "id_of", "nonce", "secret"]

_MASK64 = (1 << 64) - 1


_makers: weakref.WeakSet[IdMaker] = weakref.WeakSet()


def _after_fork() -> None:
    for maker in _makers:
        maker.reseed()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class IdMaker:
    """Makes UUIDv7 text that grows strictly within a process: 48 bits of ms, 12 bits of the rest of it, 62 random."""

    def __init__(self, entropy: int | None = None) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._state = int.from_bytes(os.urandom(8), "big") if entropy is None else entropy
        if entropy is None:
            _makers.add(self)

    def _draw(self) -> int:
        """64 bits of chance: SplitMix64 (Steele, Lea, Flood 2014) over a state seeded from the system."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK64
        return _mix(self._state)

    def id(self, now: int) -> str:
        """A new id. `now` is in microseconds since 1970."""
        with self._lock:
            ticks = self._last = max(_ticks(now), self._last + 1)
            return _text(ticks, self._draw())

    def seed(self) -> int:
        """63 bits of chance for one decision."""
        with self._lock:
            return self._draw() >> 1

    def reseed(self) -> None:
        """Forget the state shared with a parent process, or two workers would make the same ids."""
        self._state = int.from_bytes(os.urandom(8), "big")


def _mix(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return value ^ (value >> 31)


def fraction(seed: int, n: int = 0) -> float:
    """A number in [0, 1) that depends on `seed` and `n` alone."""
    return _mix((seed + (n + 1) * 0x9E3779B97F4A7C15) & _MASK64) / (1 << 64)


def id_of(now: int, seed: int, n: int = 0) -> str:
    """An id as `IdMaker` makes them, that depends on its arguments alone: `now` in microseconds, the n-th of this seed.

    Those of one seed grow with n.
    """
    return _text(_ticks(now) + n, _mix((seed + (n + 1) * 0x9E3779B97F4A7C15) & _MASK64))


def _ticks(now: int) -> int:
    return (now // 1000 << 12) | (now % 1000 * 4096 // 1000)


def _text(ticks: int, chance: int) -> str:
    low = (chance & 0x3FFFFFFFFFFFFFFF) | 0x8000000000000000
    text = f"{ticks >> 12:012x}7{ticks & 0xFFF:03x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def secret() -> str:
    """256 bits that nobody can guess, in hex: for what is known to its holder alone."""
    return os.urandom(32).hex()


def nonce(size: int) -> bytes:
    """Bytes that nobody can guess, and that do not come again."""
    return os.urandom(size)
