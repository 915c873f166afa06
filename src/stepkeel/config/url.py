"""What a database URL means."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from stepkeel.errors import BadRequest

__all__ = ["Database", "parse_url"]


@dataclass(frozen=True, slots=True)
class Database:
    """`kind` is memory, sqlite or postgresql; `place` a name or a path; `url` may hold a password."""

    kind: str
    place: str
    url: str


def parse_url(url: str) -> Database:
    """Raises BadRequest; a password in the URL is never part of the message."""
    if not isinstance(url, str) or "://" not in url:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadRequest(
            "that is no database URL", remedy="sqlite:///orders.db, sqlite:////abs/path.db, postgresql://host/database or memory://"
        )
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return Database("memory", parts.netloc + parts.path, url)
    if parts.scheme == "sqlite":
        path = url[len("sqlite://") :]
        if not path.startswith("/") or len(path) < 2:
            raise BadRequest(f"{url} names no file", remedy="three slashes, then the path: sqlite:///orders.db")
        if path == "/:memory:":
            raise BadRequest("a SQLite database in memory cannot be shared by connections", remedy="memory://")
        return Database("sqlite", path[1:], url)
    if parts.scheme in ("postgresql", "postgres"):
        return Database("postgresql", parts.path[1:], url)
    raise BadRequest(
        f"there is no store for {parts.scheme}://", remedy="memory://, sqlite:///file.db or postgresql://host/database"
    )
