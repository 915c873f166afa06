"""The pytest fixture `harness`: comes with the package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stepkeel.testing.harness import Harness

__all__ = ["harness"]


@pytest.fixture
def harness() -> Iterator[Harness]:
    """Workflows under a virtual clock, a fresh store for each test."""
    from stepkeel.testing.harness import Harness

    found = Harness()
    yield found
    found.discard()
