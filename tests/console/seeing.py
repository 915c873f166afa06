"""What stories of the console have in common: looking until it is there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["EVERYWHERE", "Visit", "asked", "misses", "sees", "shows"]

Visit = Callable[..., Any]
EVERYWHERE = pytest.mark.parametrize("shop", ["sqlite", "postgresql"], indirect=True)  # the others: on SQLite alone


def shows(page: Any, text: str | re.Pattern[str], *, role: str = "status", name: str = "What it waits for") -> None:
    from playwright.sync_api import expect

    expect(page.get_by_role(role, name=name)).to_contain_text(text, timeout=15_000)


def sees(place: Any) -> None:
    from playwright.sync_api import expect

    expect(place).to_be_visible(timeout=15_000)


def misses(place: Any) -> None:
    from playwright.sync_api import expect

    expect(place).to_have_count(0, timeout=15_000)


def asked(page: Any, verb: str) -> Any:
    """The dialog of what may be asked of the instance, from the menu beside the first."""
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name=verb).click()
    return page.get_by_role("dialog")
