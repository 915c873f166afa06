"""Every screen, at both widths and in both appearances: what axe finds wrong by WCAG 2.2 AA, and nothing beside the page."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.console.conftest import ROOT, Shop

Visit = Callable[..., Any]
AXE = ROOT / "console/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
DIALOG = RULES[:-1]  # best practice minds a header within a dialog, which the library has
RUN = "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}, resultTypes: ['violations']})"
TABS = ("diagram", "timeline", "history", "data", "signals", "tasks", "children", "audit")
SCREENS = (
    "/", "/instances", "/instances?status=failed", "/tasks?whose=all", "/dead-letters", "/definitions", "/definitions/Ordering/1",
    "/fleet", "/access", "/access?tab=roles", "/access?tab=tenants", "/audit", "/nowhere",
)  # fmt: skip


def wrong(page: Any, where: str, rules: list[str] = RULES) -> list[str]:
    from playwright.sync_api import expect

    expect(page.get_by_label("Loading", exact=True)).to_have_count(0, timeout=15_000)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(RUN, rules)["violations"]
    told = [f"{where}: {v['id']}: {v['help']}: {v['nodes'][0]['html'][:300]} {v['nodes'][0]['failureSummary']}" for v in found]
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [*told, *([f"{where}: {wide} px lie beside the page"] if wide > 0 else [])]


@pytest.fixture
def filled(shop: Shop) -> str:
    """An instance with a task, and one of each fate beside it."""
    shop.mended.unlink(missing_ok=True)
    failed = shop.start("Paying", "rent", key="rent")
    shop.until(failed, "failed")
    shop.start("Waiting", "otter")
    return shop.start("Ordering", "crane", key="crane", attributes={"region": "north"})


LOOKS = [(1280, "light"), (390, "dark"), *([(1280, "dark"), (390, "light")] if os.environ.get("CI") else [])]  # all: in CI


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_screen_can_be_used_by_everybody(visit: Visit, shop: Shop, filled: str, width: int, scheme: str) -> None:
    page = visit("admin", "/", width=width, scheme=scheme)
    told: list[str] = []
    for path in (*SCREENS, *(f"/instances/{filled}?tab={t}" for t in TABS)):
        page.goto(f"{shop.at}{path}")
        page.get_by_role("main").wait_for()
        page.wait_for_load_state()
        told += wrong(page, f"{path} at {width} px, {scheme}")
    assert told == [], "\n".join(told)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dialogs_and_forms_can_be_used_by_everybody(visit: Visit, shop: Shop, filled: str, scheme: str) -> None:
    page = visit("admin", "/definitions/Ordering/1?start=yes", scheme=scheme)
    page.get_by_role("dialog").get_by_label("name").wait_for()
    told = wrong(page, "start", DIALOG)
    page.goto(f"{shop.at}/instances/{filled}")
    page.get_by_role("button", name="Signal…").click()
    page.get_by_role("dialog").wait_for()
    told += wrong(page, "signal", DIALOG)
    page.goto(f"{shop.at}/tasks?whose=all")
    page.get_by_role("button", name="Ship crane").first.click()
    page.get_by_role("button", name="Approve", exact=True).wait_for()
    told += wrong(page, "task")
    page.goto(f"{shop.at}/")
    page.get_by_role("heading", name="Overview").wait_for()
    page.keyboard.press("Control+k")
    page.get_by_placeholder("A page, a key or the id of an instance").wait_for()
    told += wrong(page, "palette", DIALOG)
    signing = visit("", "/", scheme=scheme)
    signing.get_by_role("button", name="Sign in", exact=True).wait_for()
    told += wrong(signing, "sign-in")
    assert told == [], "\n".join(told)
