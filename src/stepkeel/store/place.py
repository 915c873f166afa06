"""A database's URL, as it may be told."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

__all__ = ["shown"]


def shown(url: str) -> str:
    """The URL without its password."""
    parts = urlsplit(url)
    if parts.password is None and "password" not in parts.query:
        return url
    user, host = parts.username or "", parts.netloc.rpartition("@")[2]
    query = urlencode([(k, "***" if k == "password" else v) for k, v in parse_qsl(parts.query)])
    return urlunsplit((parts.scheme, f"{user}:***@{host}" if parts.password else parts.netloc, parts.path, query, ""))
