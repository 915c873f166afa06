"""What operators mend by hand in the console: in a real browser, against a real server with a real database."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

from tests.console.conftest import ROOT, Shop
from tests.console.seeing import Visit, asked, misses, sees, shows


def test_the_data_of_one_that_failed_are_mended_and_it_is_redriven_with_them(visit: Visit, shop: Shop) -> None:
    shop.mended.unlink(missing_ok=True)
    id = shop.start("Paying", "wrong name")
    shop.until(id, "failed")
    page = visit("operator", f"/instances/{id}")
    dialog = asked(page, "Set data")
    dialog.get_by_label("name").fill("right name")
    sees(dialog.get_by_text(f"stepkeel set-data {id}"))
    dialog.get_by_role("button", name="Set data", exact=True).click()
    misses(dialog)
    assert shop.ask("viewer", "GET", f"/instances/{id}").json()["data"]["name"] == "right name"
    shop.mended.touch()
    page.get_by_role("button", name="Redrive…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("From the beginning of paying").click()
    dialog.get_by_role("button", name="Redrive", exact=True).click()
    shows(page, "Completed in done")
    page.get_by_role("tab", name="Data").click()
    page.get_by_label("Compare with revision").fill("1")
    sees(page.get_by_role("row").filter(has_text="wrong name").filter(has_text="right name"))


def test_a_timer_is_fired_and_a_state_is_set_by_hand(visit: Visit, shop: Shop) -> None:
    id = shop.start("Waiting", "timer")
    page = visit("admin", f"/instances/{id}")
    shows(page, "Waits at Waiting for money")
    dialog = asked(page, "Fire a timer")
    dialog.get_by_label("Of").fill("waiting!after")
    sees(dialog.get_by_text(f"stepkeel fire-timer {id} waiting!after"))
    dialog.get_by_role("button", name="Fire a timer").click()
    shows(page, "Completed in done")
    other = shop.start("Waiting", "state")
    page.goto(f"{shop.at}/instances/{other}")
    dialog = asked(page, "Set state")
    dialog.get_by_role("combobox", name="state").click()
    page.get_by_role("option", name="done").click()
    dialog.get_by_label("Reason").fill("paid in cash")
    dialog.get_by_role("button", name="Set state", exact=True).click()
    shows(page, "Completed in done")


def test_one_of_a_group_of_dead_letters_is_mended_and_redriven_in_one_go(visit: Visit, shop: Shop) -> None:
    shop.mended.unlink(missing_ok=True)
    ids = [shop.start("Paying", f"wrong {n}") for n in range(2)]
    for id in ids:
        shop.until(id, "failed")
    page = visit("operator", "/dead-letters")
    page.get_by_role("button", name=re.compile("The newest of .* of Paying")).click()
    sees(page.get_by_role("link", name=ids[0]))
    line = page.get_by_role("listitem").filter(has=page.get_by_role("link", name=ids[1]))
    line.get_by_role("link", name="Edit its data and redrive").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("name").fill("right")
    dialog.get_by_label("Reason").fill("a typing error")
    dialog.get_by_text("From the beginning of paying").click()
    shop.mended.touch()
    dialog.get_by_role("button", name="Set data and redrive").click()
    shows(page, "Completed in done")
    assert "do=" not in page.url
    assert shop.ask("viewer", "GET", f"/instances/{ids[1]}").json()["data"]["name"] == "right"
    assert shop.ask("viewer", "GET", f"/instances/{ids[0]}").json()["status"] == "failed", "the other one was not asked for"


def test_another_instance_begins_from_one_with_other_data(visit: Visit, shop: Shop) -> None:
    id = shop.start("Waiting", "first", key="fork-1")
    shop.until(id, "waiting")
    page = visit("operator", f"/instances/{id}")
    dialog = asked(page, "Fork")
    dialog.get_by_label("name").fill("second")
    dialog.get_by_label("From").click()
    page.get_by_role("option", name="waiting").click()
    dialog.get_by_label("Key").fill("fork-2")
    sees(dialog.get_by_text(f"""stepkeel fork {id} '{{"name":"second"}}' --from waiting --key 'fork-2'"""))
    dialog.get_by_role("button", name="Fork", exact=True).click()
    sees(page.get_by_role("heading", name="fork-2"))
    shows(page, "Waits")
    made = page.url.partition("/instances/")[2].partition("?")[0]
    assert made != id
    assert shop.ask("viewer", "GET", f"/instances/{made}").json()["data"]["name"] == "second"
    assert shop.ask("viewer", "GET", f"/instances/{id}").json()["data"]["name"] == "first"


def test_items_are_added_to_a_for_each_that_is_open(visit: Visit, shop: Shop) -> None:
    id = shop.start("Packing", "parcels")
    shop.until(id, "waiting")
    page = visit("operator", f"/instances/{id}?tab=tasks")
    misses(page.get_by_role("cell", name="Pack it?").nth(1))
    dialog = asked(page, "Add items")
    dialog.get_by_label("Node").click()
    page.get_by_role("option", name="packing/for_each", exact=True).click()
    dialog.get_by_label("Items").fill('["b", "c"]')
    dialog.get_by_role("button", name="Add items", exact=True).click()
    sees(page.get_by_role("cell", name="Pack it?").nth(2))


def typed(shop: Shop, command: str, role: str) -> str:
    """What it says, typed into a shell."""
    env = {**os.environ, "STEPKEEL_SERVER": shop.at, "STEPKEEL_KEY": shop.keys[role], "PYTHONPATH": str(ROOT)}
    stepkeel = f"{sys.executable} -c 'from stepkeel.cli.main import run; run()'"
    line = command.replace("stepkeel ", f"{stepkeel} ", 1) if command.startswith("stepkeel ") else command
    done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def test_what_is_shown_as_a_command_or_as_curl_does_the_same(visit: Visit, shop: Shop) -> None:
    name = "o'hare"
    id = shop.start("Waiting", name, key="typed-1", attributes={"region": "far"}, correlation_id="typed")
    shop.until(id, "waiting")
    page = visit("operator", f"/instances/{id}")

    def shown(verb: str, tab: str, reason: str) -> str:
        dialog = asked(page, verb)
        dialog.get_by_label("Reason").fill(reason)
        dialog.get_by_role("tab", name=tab).click()
        text = str(dialog.locator("pre:visible").inner_text())
        page.keyboard.press("Escape")
        misses(dialog)
        return text

    typed(shop, shown("Pause", "Command", "it's late"), "operator")
    shop.until(id, "paused")
    sees(page.get_by_text("paused", exact=True))
    typed(shop, shown("Resume", "curl", "it's early"), "operator")
    shop.until(id, "waiting")
    page.goto(f"{shop.at}/instances?correlation_id=typed&attribute=region%3Dfar&status=waiting")
    page.get_by_role("button", name="With all of these…").click()
    page.get_by_role("menuitem", name="Pause").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("all of them")
    command = dialog.locator("pre:visible").inner_text()
    assert "--attribute region=far" in command
    typed(shop, command, "operator")
    shop.until(id, "paused")
    dialog.get_by_role("tab", name="curl").click()
    answer = json.loads(typed(shop, dialog.locator("pre:visible").inner_text().replace("curl ", "curl -s ", 1), "operator"))
    assert answer["items"] == [], "none of them waits any more"
