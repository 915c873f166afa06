"""How encrypted bytes look: a mark that no JSON begins with, the name of the key, a nonce, what AES-GCM made of it.

| bytes | |
|---|---|
| 4 | NUL, `sk1` |
| 1 | length of the key's name |
| n | the key's name, ASCII |
| 12 | nonce |
| rest | ciphertext, tag of 16 bytes |
"""

from __future__ import annotations

__all__ = ["MARK", "NONCE", "key_name", "parted"]

MARK = b"\0sk1"
NONCE = 12


def key_name(raw: bytes) -> str | None:
    """The key that these bytes were encrypted with; None where they were not."""
    if not raw.startswith(MARK) or len(raw) <= len(MARK):
        return None
    begin = len(MARK) + 1
    return raw[begin : begin + raw[len(MARK)]].decode("ascii", "replace")


def parted(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """Header (mark and key), nonce, ciphertext with its tag."""
    end = len(MARK) + 1 + raw[len(MARK)]
    return raw[:end], raw[end : end + NONCE], raw[end + NONCE :]
