"""Who may look at what in the console, and how they sign in: in a real browser, against a real server with a real database."""

from __future__ import annotations

import re

from tests.console.conftest import Shop
from tests.console.seeing import Visit, misses, sees


def test_who_is_of_one_tenant_sees_nothing_of_another(visit: Visit, shop: Shop) -> None:
    own = shop.start("Waiting", "of default")
    answer = shop.ask(
        "everywhere",
        "POST",
        "/instances",
        {"definition": "Waiting", "data": {"name": "x"}, "key": "of acme"},
        **{"X-Tenant": "acme"},
    )
    theirs = answer.json()["id"]
    acme = visit("everywhere", "/instances", tenant="acme")
    sees(acme.get_by_role("link", name="of acme"))
    misses(acme.get_by_role("link", name=own))
    page = visit("admin", f"/instances/{theirs}")
    sees(page.get_by_role("alert").filter(has_text=f"there is no instance {theirs}"))
    page.goto(f"{shop.at}/instances?key=of+acme")
    sees(page.get_by_text("No instance matches"))


def test_who_has_no_key_is_asked_for_one_and_a_wrong_one_is_told(visit: Visit, shop: Shop) -> None:
    page = visit("", "/instances")
    page.get_by_label("API key or token").fill("stepkeel_wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    sees(page.get_by_role("alert"))
    page.get_by_label("API key or token").fill(shop.keys["viewer"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    sees(page.get_by_role("heading", name="Instances"))
    page.get_by_role("button", name=re.compile("Signed in as")).click()
    page.get_by_role("menuitem", name="Sign out").click()
    sees(page.get_by_role("button", name="Sign in", exact=True))


def test_a_key_is_shown_once_and_refused_once_it_is_revoked(visit: Visit, shop: Shop) -> None:
    page = visit("admin", "/access")
    page.get_by_role("button", name="Make a key…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("robot")
    dialog.get_by_role("button", name="Make it").click()
    secret = page.get_by_role("dialog").locator("pre").inner_text()
    shop.keys["robot"] = secret
    assert shop.ask("robot", "GET", "/identity").status_code == 200
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Revoke robot").click()
    misses(page.get_by_role("button", name="Revoke robot"))
    assert shop.ask("robot", "GET", "/identity").status_code == 401
    assert secret not in page.content()


def test_who_may_everywhere_sees_the_tenants_there_are_and_goes_to_one(visit: Visit, shop: Shop) -> None:
    shop.ask("everywhere", "POST", "/instances", {"definition": "Waiting", "data": {"name": "x"}}, **{"X-Tenant": "globex"})
    page = visit("everywhere", "/access?tab=tenants")
    row = page.get_by_role("row").filter(has_text="globex")
    sees(row.get_by_text("1 waiting").or_(row.get_by_text("1 created")))
    sees(row.get_by_text("5 instances at once"))
    row.get_by_role("button", name="Look at globex").click()
    sees(page.get_by_role("row").filter(has_text="globex").get_by_text("you look at it"))
    page.get_by_role("link", name="Instances").click()
    sees(page.get_by_text("1 shown, that is all"))
    own = visit("admin", "/access?tab=tenants")
    sees(own.get_by_role("cell", name="default", exact=True))
    misses(own.get_by_role("cell", name="globex", exact=True))
    own.get_by_role("tab", name="Roles").click()
    starts = own.get_by_role("row").filter(has=own.get_by_role("cell", name="start_instance", exact=True))
    sees(starts.get_by_label("operator may"))
    misses(starts.get_by_label("viewer may"))


def test_people_sign_in_at_the_page_of_their_provider_and_stay_signed_in(visit: Visit, shop: Shop) -> None:
    provider = shop.provider
    provider.lasts = 20  # seconds: less than what a token is renewed before
    page = visit("", "/instances?status=failed&status=paused")
    page.get_by_role("button", name="Sign in with the house").click()
    sees(page.get_by_role("heading", name="Instances"))
    assert page.url == f"{shop.at}/instances?status=failed&status=paused", "where they wanted to go, without the code"
    sees(page.get_by_role("button", name="Signed in as ann"))
    page.get_by_role("link", name="Tasks").click()
    sees(page.get_by_role("heading", name="Tasks"))
    renewed = [form for form in provider.forms if form["grant_type"] == "refresh_token"]
    assert renewed, "before it ends, a token is renewed"
    provider.refresh = "nothing that was given"
    page.goto(f"{shop.at}/definitions")
    sees(page.get_by_role("button", name="Sign in with the house"))
    provider.lasts = 300
    page.get_by_role("button", name="Sign in with the house").click()
    sees(page.get_by_role("heading", name="Definitions"))


def test_a_way_back_that_nobody_set_out_on_signs_nobody_in(visit: Visit, shop: Shop) -> None:
    page = visit("", "/signed-in?code=stolen&state=guessed")
    sees(page.get_by_role("alert").filter(has_text="no answer to a sign-in from this tab"))
    assert page.url == f"{shop.at}/"


def test_it_is_seen_who_holds_the_slots_of_a_limit_and_who_waits(visit: Visit, shop: Shop) -> None:
    first = shop.start("Till", "first")
    shop.until(first, "waiting")
    second = shop.start("Till", "second")
    page = visit("operator", "/fleet")
    row = page.get_by_role("row").filter(has_text="definition/Till")
    sees(row.get_by_text("1 of 1"))
    sees(row.get_by_text("holds"))
    sees(row.get_by_text("waits"))
    sees(row.get_by_role("link", name=second[-12:]))
    row.get_by_role("link", name=first[-12:]).click()
    sees(page.get_by_role("heading", name="Till"))
