"""`make screenshots`: every screen of the console at both widths and in both appearances, as PNG in a folder, to be looked at."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.console.conftest import Shop, browsing, serving, signed_in
from tests.console.test_axe import SCREENS, TABS

SIZES = ((1280, 800), (390, 844))


def fill(shop: Shop) -> dict[str, str]:
    """Enough of everything to judge the pages by."""
    for n in range(40):
        shop.start("Waiting", f"otter {n}", key=f"order-{n:03}", attributes={"region": ("north", "south")[n % 2]})
    for n in range(25):
        id = shop.start("Waiting", "quail", key=f"paid-{n:03}")
        shop.ask("admin", "POST", f"/instances/{id}/signals", {"name": "Paid", "payload": {"by": "ann"}})
    failed = [shop.start("Paying", f"rent {n}", key=f"rent-{n}") for n in range(6)]
    for id in failed:
        shop.until(id, "failed")
    paused = shop.start("Waiting", "heron", key="heron")
    shop.ask("operator", "POST", f"/instances/{paused}/pause", {"reason": "stocktaking"})
    names = ("crane", "swift", "wren", "a name that is rather long for a title")
    asked = [shop.start("Ordering", name, key=f"ship-{name}") for name in names]
    done = shop.start("Ordering", "plover", key="ship-plover")
    while not (tasks := shop.ask("admin", "GET", f"/tasks?instance_id={done}").json()["items"]):
        time.sleep(0.05)
    shop.ask("approver", "POST", f"/tasks/{tasks[0]['id']}/complete", {"payload": {"approved": True, "comment": "fine"}})
    shop.until(done, "completed")
    task = shop.ask("admin", "GET", "/tasks").json()["items"][0]["id"]
    return {"failed": failed[0], "asked": asked[0], "done": done, "task": task}


def take(browser: Any, shop: Shop, folder: Path) -> int:
    ids = fill(shop)
    paths = {(p.strip("/").replace("/", "-").replace("?", "-") or "overview"): p for p in SCREENS}
    paths |= {f"instance-{t}": f"/instances/{ids['done']}?tab={t}" for t in TABS}
    paths |= {"instance-failed": f"/instances/{ids['failed']}", "instance-waiting": f"/instances/{ids['asked']}"}
    paths |= {"task": f"/tasks?whose=all&task={ids['task']}", "start": "/definitions/Ordering/1?start=yes"}
    for width, height in SIZES:
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
            context.add_init_script(signed_in(shop.keys["admin"]))
            page = context.new_page()
            for name, path in paths.items():
                page.goto(f"{shop.at}{path}")
                page.get_by_role("main").wait_for()
                expect(page.get_by_label("Loading", exact=True)).to_have_count(0, timeout=15_000)
                page.wait_for_timeout(400)  # drawings and charts come after the page
                page.screenshot(path=folder / f"{name}-{width}-{scheme}.png")
            context.close()
    return len(paths) * len(SIZES) * 2


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with serving(folder) as shop, browsing() as browser:
        count = take(browser, shop, folder)
    print(f"{count} screenshots in {folder}")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots"))
