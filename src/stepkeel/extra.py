"""What comes with an extra is imported when it is needed; where it is not installed, the error says what to install."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from stepkeel.errors import BadRequest

__all__ = ["needing"]


@contextmanager
def needing(module: str, what: str, extra: str) -> Generator[None]:
    """Within it something is imported that comes with an extra. Raises BadRequest where it is not installed."""
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != module:
            raise
        raise BadRequest(f"{what} needs an extra that is not installed", remedy=f"pip install 'stepkeel[{extra}]'") from None
