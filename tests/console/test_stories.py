"""What people do in the console, in a real browser, against a real server with a real database."""

from __future__ import annotations

import re

from tests.console.conftest import Shop
from tests.console.seeing import EVERYWHERE, Visit, asked, misses, sees, shows


@EVERYWHERE
def test_an_order_is_started_approved_by_another_and_seen_to_complete_without_a_reload(visit: Visit) -> None:
    starter = visit("operator", "/definitions/Ordering/1")
    starter.get_by_role("button", name="Start…").click()
    dialog = starter.get_by_role("dialog")
    dialog.get_by_label("name").fill("heron")
    dialog.get_by_label("Key").fill("order-1")
    dialog.get_by_role("button", name="Start", exact=True).click()
    shows(starter, "Waits at Waiting for approval")
    sees(starter.get_by_role("heading", name="order-1"))
    approver = visit("approver", "/tasks")
    approver.get_by_text("Mine", exact=True).click()
    sees(approver.get_by_text("Nothing waits for you"))
    approver.get_by_text("Nobody's", exact=True).click()
    approver.get_by_role("button", name=re.compile("Ship heron")).click()
    approver.get_by_role("button", name="Take it").click()
    misses(approver.get_by_role("button", name=re.compile("Ship heron")))
    approver.get_by_text("Mine", exact=True).click()
    approver.get_by_role("button", name=re.compile("Ship heron")).click()
    approver.get_by_role("textbox", name="Comment", exact=True).fill("fine")
    approver.get_by_role("button", name="Approve", exact=True).click()
    sees(approver.get_by_text("Approved", exact=True))
    shows(starter, "Completed in done")
    starter.get_by_role("tab", name="Tasks").click()
    sees(starter.get_by_role("cell", name="key:approver"))


@EVERYWHERE
def test_a_saga_that_failed_is_redriven_from_the_dead_letters(visit: Visit, shop: Shop) -> None:
    shop.mended.unlink(missing_ok=True)
    id = shop.start("Paying", "rent")
    shop.until(id, "failed")
    page = visit("operator", "/dead-letters")
    sees(page.get_by_text("the bank does not know that account"))
    page.get_by_role("link", name="look at it").first.click()
    sees(page.get_by_role("alert").filter(has_text="the bank does not know that account"))
    page.go_back()
    shop.mended.touch()
    page.get_by_role("button", name=re.compile("Redrive .* of Paying")).click()
    dialog = page.get_by_role("dialog")
    sees(dialog.get_by_text("that failed will go on from where they failed"))
    dialog.get_by_label("Reason").fill("the bank is back")
    dialog.get_by_role("button", name=re.compile(r"Redrive \d")).click()
    sees(dialog.get_by_text(re.compile("undone since")).first)
    dialog.get_by_text("From the beginning of paying").click()
    dialog.get_by_role("button", name=re.compile(r"Redrive \d")).click()
    sees(page.get_by_text("Nothing has failed"))
    shop.until(id, "completed")
    audit = visit("admin", f"/instances/{id}?tab=audit")
    sees(audit.get_by_role("cell", name="the bank is back"))


def test_the_diagram_tells_where_it_stands_and_what_happened_at_each_box(visit: Visit, shop: Shop) -> None:
    shop.mended.unlink(missing_ok=True)
    id = shop.start("Paying", "diagram")
    shop.until(id, "failed")
    page = visit("viewer", f"/instances/{id}")
    diagram = page.get_by_role("region", name="Diagram of Paying")
    sees(diagram.get_by_label("take, undone by give_back, undone"))
    diagram.get_by_label("charge, failed").click()
    told = page.get_by_role("region", name="What happened at paying/charge")
    sees(told.get_by_text("the bank does not know that account"))
    told.get_by_role("link", name="what it was given").click()
    sees(page.get_by_label("Compare with revision"))
    page.go_back()
    diagram.get_by_label("take, undone by give_back").focus()
    page.keyboard.press("Enter")
    told = page.get_by_role("region", name="What happened at paying/take")
    sees(told.get_by_text("activity completed").first)
    sees(told.get_by_text("compensation completed"))
    told.get_by_role("combobox", name="Of").click()
    page.get_by_role("option", name="undo/", exact=False).click()
    misses(told.get_by_text("activity completed").nth(1))
    waiting = shop.start("Waiting", "live")
    page.goto(f"{shop.at}/instances/{waiting}")
    sees(page.get_by_label("Waiting for money, it is here"))
    shop.ask("admin", "POST", f"/instances/{waiting}/signals", {"name": "Paid", "payload": {"by": "x"}})
    sees(page.get_by_label("done, completed, done"))
    rings = shop.start("Ringing", "bell")
    shop.until(rings, "waiting")
    shop.ask("admin", "POST", f"/instances/{rings}/signals", {"name": "Paid", "payload": {"by": "x"}})
    shop.until(rings, "completed")
    page.goto(f"{shop.at}/instances/{rings}")
    sees(page.get_by_label("Paid, on the way"))
    page.get_by_label("ring, done").click()
    sees(page.get_by_role("region", name="What happened at listening!Paid/ring").get_by_text("activity completed"))
    sees(page.get_by_label("finally, however it ends"))
    sees(page.get_by_label("tidy, done"))
    page.goto(f"{shop.at}/definitions/Waiting/1")
    page.get_by_label("Waiting for money").click()
    sees(page.get_by_role("heading", name="Instances"))
    assert "state=waiting" in page.url


def test_an_instance_is_paused_and_resumed_with_a_reason_that_everybody_sees(visit: Visit, shop: Shop) -> None:
    id = shop.start("Waiting", "otter")
    page = visit("operator", f"/instances/{id}")
    shows(page, "Waits at Waiting for money")
    dialog = asked(page, "Pause")
    dialog.get_by_label("Reason").fill("stocktaking")
    sees(dialog.get_by_text(f"stepkeel pause {id} --reason"))
    dialog.get_by_role("button", name="Pause", exact=True).click()
    shows(page, "Paused at Waiting for money")
    asked(page, "Resume").get_by_role("button", name="Resume", exact=True).click()
    shows(page, "Waits at Waiting for money")
    page.get_by_role("button", name="Signal…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Signal").click()
    page.get_by_role("option", name="Paid").click()
    dialog.get_by_label("by").fill("ann")
    dialog.get_by_role("button", name="Signal", exact=True).click()
    shows(page, "Completed in done")
    page.get_by_role("tab", name="History").click()
    sees(page.get_by_text("paused", exact=True))


def test_what_a_role_may_not_do_is_not_offered_and_the_server_refuses_it(visit: Visit, shop: Shop) -> None:
    id = shop.start("Waiting", "quail")
    page = visit("viewer", f"/instances/{id}")
    shows(page, "Waits at Waiting for money")
    for name in ("Signal…", "More", "Pause…"):
        misses(page.get_by_role("button", name=name))
    misses(page.get_by_role("link", name="Keys and roles"))
    page.goto(f"{shop.at}/definitions/Waiting/1")
    sees(page.get_by_role("heading", name=re.compile("Waiting")))
    misses(page.get_by_role("button", name="Start…"))
    assert shop.ask("viewer", "POST", f"/instances/{id}/pause", {}).status_code == 403


def test_what_is_filtered_stands_in_the_address_and_outlives_a_reload(visit: Visit, shop: Shop) -> None:
    shop.start("Waiting", "a", key="kept-1")
    shop.start("Ordering", "b", key="kept-2")
    page = visit("viewer", "/instances")
    sees(page.get_by_role("link", name="kept-2"))
    bar = page.get_by_label("Filter", exact=True)
    bar.fill("wait")
    page.get_by_role("option", name="definition: Waiting").click()
    misses(page.get_by_role("link", name="kept-2"))
    sees(page.get_by_role("link", name="kept-1"))
    assert "definition=Waiting" in page.url
    page.reload()
    sees(page.get_by_role("link", name="kept-1"))
    misses(page.get_by_role("link", name="kept-2"))


def test_a_line_with_completion_says_which_instances(visit: Visit, shop: Shop) -> None:
    shop.start("Waiting", "a", key="line-1", attributes={"region": "west", "desk": 7})
    shop.start("Waiting", "b", key="line-2", attributes={"region": "east"})
    page = visit("viewer", "/instances")
    sees(page.get_by_role("link", name="line-2"))
    bar = page.get_by_label("Filter", exact=True)
    bar.fill("region=w")
    page.get_by_role("option", name="region=west").click()
    misses(page.get_by_role("link", name="line-2"))
    sees(page.get_by_role("link", name="line-1"))
    bar.fill("started before: 24h")
    bar.press("Enter")
    sees(page.get_by_text("No instance matches"))
    assert "created_to=" in page.url
    page.get_by_role("button", name=re.compile("Without started before")).click()
    sees(page.get_by_role("link", name="line-1"))
    page.get_by_role("button", name="Without region=west").click()
    sees(page.get_by_role("link", name="line-2"))
    bar.fill("started after: soon")
    sees(page.get_by_text("Not a time"))
    bar.fill("line-2")
    bar.press("Enter")
    misses(page.get_by_role("link", name="line-1"))
    bar.press("Backspace")
    bar.press("s")
    bar.press("ArrowDown")
    bar.press("Escape")
    assert page.url == f"{shop.at}/instances", "nothing is taken that was not chosen"


def test_a_history_is_searched_and_grouped_by_node(visit: Visit, shop: Shop) -> None:
    shop.mended.unlink(missing_ok=True)
    id = shop.start("Paying", "rent")
    shop.until(id, "failed")
    page = visit("viewer", f"/instances/{id}?tab=history")
    page.get_by_label("With", exact=True).fill("activity failed")
    sees(page.get_by_text(re.compile(r"^1 of \d+ commits")))
    page.get_by_label("With", exact=True).fill("")
    page.get_by_text("By node", exact=True).click()
    group = page.get_by_role("button", name="paying/charge")
    sees(group.get_by_text("activity failed"))
    misses(group.get_by_text("state entered"))
    group.click()
    sees(page.get_by_role("region", name="Nodes").get_by_text("raw").first)


def test_a_long_list_goes_on_as_one_goes_down_and_keeps_only_what_is_in_sight(visit: Visit, shop: Shop) -> None:
    items = [{"data": {"name": str(n)}, "key": f"long-{n:04}", "correlation_id": "long"} for n in range(700)]
    assert shop.ask("admin", "POST", "/bulk/start", {"definition": "Waiting", "items": items}).status_code == 200
    page = visit("viewer", "/instances?correlation_id=long")
    sees(page.get_by_role("link", name="long-0699"))
    for _ in range(400):  # until a deadline, on however slow a machine
        page.mouse.wheel(0, 4_000)
        if page.get_by_text("700 shown, that is all").count() and page.get_by_role("link", name="long-0000").count():
            break
        page.wait_for_timeout(50)
    sees(page.get_by_role("link", name="long-0000"))
    assert page.get_by_role("row").count() < 150


def test_filters_are_saved_under_a_name_and_found_again(visit: Visit, shop: Shop) -> None:
    shop.start("Waiting", "v", key="viewed")
    page = visit("viewer", "/instances?key=viewed")
    page.get_by_role("button", name="Views").click()
    page.get_by_label("Save this view as").fill("my own")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto(f"{shop.at}/instances")
    page.get_by_role("button", name="Views").click()
    page.get_by_role("menuitem", name="my own").click()
    page.wait_for_url("**/instances?key=viewed")
    sees(page.get_by_text("1 shown, that is all"))


def test_a_tasks_own_form_is_filled_and_what_it_begins_is_seen_down_to_the_grandchildren(visit: Visit, shop: Shop) -> None:
    id = shop.start("Trunk", "stork")
    page = visit("approver", "/tasks")
    page.get_by_role("button", name=re.compile("Where does stork live")).click()
    form = page.get_by_role("region", name="Where does stork live?")
    form.get_by_label("street").fill("Mill Lane")
    form.get_by_label("number").fill("7")
    form.get_by_role("button", name="Complete").click()
    sees(page.get_by_text("Done", exact=True).last)
    page.goto(f"{shop.at}/instances/{id}?tab=children")
    page.get_by_role("button", name="Children of Branch").click()
    sees(page.get_by_role("link", name="Leaf"))
    assert shop.ask("viewer", "GET", f"/instances/{id}").json()["data"]["log"] == ["Mill Lane 7"]


def test_who_works_and_what_is_limited_is_told(visit: Visit) -> None:
    page = visit("admin", "/fleet")
    sees(page.get_by_role("row").filter(has_text="alive").filter(has_text="Ordering@1"))
    sees(page.get_by_role("row").filter(has_text="bank").filter(has_text="Paying"))


def test_a_connection_that_was_lost_comes_back_and_misses_nothing(visit: Visit, shop: Shop) -> None:
    id = shop.start("Waiting", "swift")
    page = visit("viewer", f"/instances/{id}")
    shows(page, "Waits at Waiting for money")
    page.context.set_offline(True)
    sees(page.get_by_text("reconnecting"))
    assert shop.ask("admin", "POST", f"/instances/{id}/signals", {"name": "Paid", "payload": {"by": "x"}}).status_code in (200, 202)
    shop.until(id, "completed")
    page.context.set_offline(False)
    shows(page, "Completed in done")
    misses(page.get_by_text("reconnecting"))


def test_many_are_paused_after_one_was_told_how_many(visit: Visit, shop: Shop) -> None:
    ids = [shop.start("Waiting", "herd", correlation_id="herd") for _ in range(3)]
    page = visit("operator", "/instances?correlation_id=herd")
    sees(page.get_by_role("link", name=ids[0]))
    page.get_by_role("button", name="With all of these…").click()
    page.get_by_role("menuitem", name="Pause").click()
    dialog = page.get_by_role("dialog")
    sees(dialog.get_by_text("3 instances will begin nothing more until they are resumed."))
    dialog.get_by_role("button", name="Pause 3").click()
    for id in ids:
        shop.until(id, "paused")


def test_nothing_is_done_to_live_ones_where_archived_ones_are_shown(visit: Visit, shop: Shop) -> None:
    shop.start("Waiting", "live", correlation_id="aside")
    page = visit("operator", "/instances?correlation_id=aside&archived=true")
    sees(page.get_by_text("No instance matches"))
    assert page.get_by_role("button", name="With all of these…").is_disabled()
    page.goto(f"{shop.at}/instances?correlation_id=aside")
    sees(page.get_by_text("1 shown, that is all"))
    assert page.get_by_role("button", name="With all of these…").is_enabled()


def test_the_overview_tells_what_ended_over_the_time_that_is_chosen(visit: Visit, shop: Shop) -> None:
    id = shop.start("Waiting", "over")
    shop.until(id, "waiting")
    shop.ask("admin", "POST", f"/instances/{id}/signals", {"name": "Paid", "payload": {"by": "x"}})
    shop.until(id, "completed")
    page = visit("viewer", "/")
    sees(page.get_by_role("img", name=re.compile(r"Instances that ended, a minute: lately \d")))
    page.get_by_text("7 d", exact=True).click()
    sees(page.get_by_role("img", name=re.compile(r"How long they took, seconds: lately \d")))
    page.get_by_role("link", name=re.compile(r"^\d+ waiting$")).first.click()
    sees(page.get_by_role("button", name="Without status: waiting"))


def test_what_is_overdue_is_counted_and_led_to(visit: Visit, shop: Shop) -> None:
    shop.start("Late", "the train")
    shop.start("Ordering", "in time")
    page = visit("approver", "/")
    page.get_by_role("link", name=re.compile("tasks overdue")).click()
    sees(page.get_by_role("button", name=re.compile("Is the train late")))
    misses(page.get_by_role("button", name=re.compile("Ship in time")))
    page.get_by_text("Open", exact=True).click()
    sees(page.get_by_role("button", name=re.compile("Ship in time")))
