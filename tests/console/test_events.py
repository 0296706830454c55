"""Screens 2 and 3 in a real browser: the events, and one event."""

import re
from datetime import timedelta

import pytest
import pytest_asyncio
from console.browserless import client
from console.harness import (
    DARK,
    HOSTILE,
    IN_ONE_LOOP,
    NO_SCRIPT,
    PHONE,
    fits,
    is_accessible,
    let_rules_take_less,
    message,
    refuse,
    report,
    tab_to,
)

from connector.store.inbox import Entry

pytestmark = IN_ONE_LOOP

DONOR, OTHER = "+4790000201", "+4790000202"
# A callback holds 64 KiB at most.
TEXTS = " ".join(HOSTILE.values())[:60_000]
UNREAD = 60  # bodies that could not be read: more than one page of them
UNMATCHED, REFUSED, JOINED = 1, 2, 3  # the ids of the other events


def unread(world, place):
    about = {"provider": "strex", "shape": "message", "msisdn": None, "event": None, "unreadable": "it is not JSON"}
    at = world.clock.now() - timedelta(days=1)
    return Entry(key=f"unread-{place}", received_at=at, raw=f"{TEXTS} {place} {DONOR[1:]}".encode(), **about)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def events(world):
    """An event that no rule takes, a dead letter, one that was delivered, and bodies that could not be read."""
    await let_rules_take_less(world)
    await refuse(world, OTHER)
    await world.callback("mo", message(DONOR, TEXTS, 1))
    await world.callback("dlr", report(OTHER, "Subscribe", 1))
    await world.callback("dlr", report(DONOR, "Subscribe", 1))
    await world.settled()
    await world.app.store.inbox.keep([unread(world, place) for place in range(UNREAD)])
    assert world.counts() == {"unmatched": 1, "dead": 1, "delivered": 1, "unreadable": UNREAD}
    world.clock.ahead += timedelta(seconds=2)  # all of them are older than a second
    return world


async def main_text(page):
    return await page.get_by_role("main").inner_text()


async def show(page):
    await page.get_by_role("button", name="Show", exact=True).click()


async def ids(page):
    return [int(text) for text in await page.get_by_role("rowheader").all_inner_texts()]


@pytest.mark.parametrize("options", [{}, {**DARK, **PHONE}], ids=["light", "dark phone"])
async def test_the_event_pages_are_accessible_and_escape_hostile_texts(visit, events, options):
    page = await visit("operator", "/console/events", **options)
    for path in ("events?state=unmatched", f"events/{UNMATCHED}", f"events/{JOINED + 1}"):
        await page.goto(f"/console/{path}")
        await fits(page)
        await is_accessible(page)
        await page.get_by_role("main").evaluate(
            "main => main.querySelectorAll('details').forEach(one => one.open = true)"
        )
        await fits(page)
        assert await page.get_by_role("main").locator("img, script, b, [hx-trigger=load]").count() == 0
        shown = await main_text(page)
        assert "<script>document.title" in shown
        assert not re.search(r"\b49\b", shown)
        assert "pwned" not in await page.title()
    assert "{{ 7 * 7 }} {% include" in shown
    assert await page.locator("bdi.donor").filter(has_text="\u202e").count()


async def test_filters_are_in_the_address_and_have_counts_beside_them(visit, events):
    page = await visit("viewer", "/console/events")
    assert (await ids(page))[:2] == [UNREAD + 3, UNREAD + 2]
    states = await page.get_by_role("combobox", name="State").inner_text()
    assert re.search(rf"unreadable \({UNREAD}\)", states)
    await page.get_by_role("combobox", name="State").select_option("delivered")
    await show(page)
    await page.wait_for_url("**/console/events?state=delivered")
    assert await ids(page) == [JOINED]
    assert re.search(r"dead \(1\)", await page.get_by_role("combobox", name="State").inner_text())
    await page.get_by_role("link", name="Remove all filters").click()
    await page.get_by_role("combobox", name="Keyword").select_option("KATT")
    await page.get_by_role("combobox", name="Rule").select_option("strex-subscription.yaml: donor opted in")
    await show(page)
    assert await ids(page) == [JOINED, REFUSED]
    address = page.url
    colleague = await visit("viewer", address[address.index("/console") :])
    assert await ids(colleague) == [JOINED, REFUSED]
    await colleague.get_by_role("textbox", name="Since").fill("sometime")
    await show(colleague)
    assert "since cannot be sometime: write a time span" in await colleague.get_by_role("alert").inner_text()


async def test_a_phone_number_is_never_in_the_address(visit, events):
    page = await visit("viewer", "/console/events")
    await page.get_by_role("textbox", name="Number").fill("900 00 201")
    await show(page)
    await page.wait_for_url(re.compile("/console/events.person=[0-9a-f]{24}$"))
    assert await ids(page) == [JOINED, UNMATCHED]
    assert await page.get_by_role("combobox", name="Person").inner_text() == "+47…201\nAny"
    assert "90000201" not in await page.content()
    await page.get_by_role("combobox", name="Person").select_option("")
    await page.get_by_role("textbox", name="Text").fill("ring 900 00 201")
    await show(page)
    assert "field Number" in await page.get_by_role("alert").inner_text()
    await page.get_by_role("textbox", name="Text").fill("{{ 7 * 7 }}")
    await page.get_by_role("combobox", name="Provider").select_option("strex")
    await show(page)
    assert UNMATCHED not in await ids(page)  # the newest 50 of all that have the text
    await page.get_by_role("link", name="Older").click()
    assert UNMATCHED in await ids(page)


async def test_an_address_with_a_phone_number_is_refused(world):
    async with client(world, "viewer") as asked:
        reply = await asked.get("/console/events?text=90000201&state=dead")
    assert (reply.status, "field Number" in reply.text) == (200, True)
    assert "text=9" not in reply.text


async def test_pages_are_linked_without_scripts(visit, events):
    page = await visit("viewer", "/console/events?state=unreadable", **NO_SCRIPT)
    first = await ids(page)
    assert len(first) == 50
    await page.get_by_role("link", name="Older").click()
    assert await ids(page) == list(range(first[-1] - 1, JOINED, -1))
    assert await page.get_by_role("link", name="Older").count() == 0
    await page.get_by_role("link", name="Newer").click()
    assert await ids(page) == first
    await page.get_by_role("link", name="Newest").click()
    assert page.url.endswith("?state=unreadable")
    await page.get_by_role("textbox", name="Number").fill("12")
    await show(page)
    assert "not a phone number" in await page.get_by_role("alert").inner_text()


async def test_an_event_shows_why_each_rule_matched_or_not_and_the_source_of_values(visit, events):
    page = await visit("viewer", f"/console/events/{JOINED}")
    shown = await main_text(page)
    assert "Not taken: donor opted out (line" in shown
    assert "verdict is opt_in, the rule wants opt_out" in shown
    assert "Taken: donor opted in" in shown
    assert "Not asked: gift received" in shown
    table = page.get_by_role("group", name=re.compile("Fields of upsert Contact"))
    row = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name="SMS_Keywords__c"))
    assert await row.get_by_role("cell").all_inner_texts() == ["KATT", "keyword (truncate)"]
    assert "salesforce: delivered" in shown
    contact = await events.contact(DONOR)
    link = page.get_by_role("link", name=f"record {contact['id']}").first
    assert await link.get_attribute("href") == f"{events.crm_url}/{contact['id']}"
    assert "90000201" not in await page.content()
    test = await page.get_by_role("textbox", name="The event as a test").input_value()
    assert 'rule: "donor opted in"' in test
    await page.get_by_role("button", name="Show this person").click()
    assert await page.get_by_role("heading", level=1).inner_text() == "+47…201"


async def test_unmatched_unreadable_and_refused_events_have_a_page(visit, events):
    page = await visit("viewer", f"/console/events/{UNMATCHED}")
    assert "add a rule for it" in await main_text(page)
    assert "Nothing was to be written." in await main_text(page)
    assert "no rule takes event 1" in await main_text(page)
    await page.goto(f"/console/events/{JOINED + 1}")
    assert "No rule was asked, because the body could not be read." in await main_text(page)
    await page.get_by_text("The body as it was received").first.click()
    body = await page.get_by_label("The body as it was received").inner_text()
    assert "90000201" not in body
    await page.goto(f"/console/events/{REFUSED}")
    assert "salesforce says: validation: FIELD_CUSTOM_VALIDATION_EXCEPTION: Ask <b>Kari</b> first" in await main_text(
        page
    )
    assert await page.get_by_role("button", name="Retry").count() == 0  # a viewer's page
    await page.goto("/console/events/999")
    visit.allow("404")
    assert "there is no event" in await main_text(page)


async def test_numbers_are_shown_to_an_operator_on_request_and_audited(visit, events):
    page = await visit("operator", f"/console/events/{JOINED}")
    assert DONOR not in await page.content()
    await page.get_by_role("button", name="Show numbers").click()
    assert DONOR in await main_text(page)
    await page.goto("/console/events?state=delivered")
    assert DONOR in await main_text(page)
    looks = [one.about for one in events.app.store.audit.listing(limit=5) if one.action == "look at numbers"]
    assert looks[:2] == ["/console/events", f"/console/events/{JOINED}"]


async def test_selected_events_are_replayed_by_keyboard_after_a_preview(visit, events):
    page = await visit("operator", "/console/events?state=unmatched")
    await tab_to(page, f"Choose event {UNMATCHED}")
    await page.keyboard.press("Space")
    await tab_to(page, "Replay")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="What will happen").wait_for()
    assert "nothing will be planned again" in await main_text(page)
    assert events.counts()["unmatched"] == 1
    await tab_to(page, "Back, and change nothing")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/console/events?state=unmatched")


async def test_selected_events_with_a_dead_letter_are_retried(visit, events):
    page = await visit("operator", "/console/events?until=1s&provider=strex&keyword=KATT", **NO_SCRIPT)
    await page.get_by_role("link", name="Choose all on this page").click()
    assert await page.get_by_role("checkbox", checked=True).count() == 2
    await page.get_by_role("button", name="Retry", exact=True).click()
    assert "Retry 1 event: 1 event is concerned." in await main_text(page)
    assert "1 of the chosen events stays as it is, because it has no dead letter." in await main_text(page)
    await events.no_faults(events.crm_url)
    await page.get_by_role("button", name="Retry now").click()
    await events.settled()
    await page.reload()
    assert "1 of 1 done" in await main_text(page)
    assert events.counts()["delivered"] == 2


async def test_all_filtered_events_are_replayed_at_once(visit, events):
    page = await visit("operator", "/console/events?state=unreadable")
    await page.get_by_role("button", name="Replay all events that these filters select").click()
    assert f"Replay {UNREAD} events" in await main_text(page)
    await page.get_by_role("button", name="Replay now").click()
    await page.get_by_text(f"{UNREAD} of {UNREAD} still not readable").wait_for()


async def test_an_event_without_a_dead_letter_is_not_discarded(visit, events):
    page = await visit("operator", "/console/events?state=unmatched")
    await page.get_by_role("checkbox").check()
    visit.allow("409")
    await page.get_by_role("button", name="Discard", exact=True).click()
    assert "none of the chosen events has a dead letter" in await main_text(page)
    assert events.counts()["unmatched"] == 1


async def test_a_viewer_cannot_select_events_and_every_action_is_refused(visit, events):
    page = await visit("viewer", "/console/events")
    assert await page.get_by_role("checkbox").count() == 0
    assert await page.get_by_role("button", name="Replay").count() == 0
    csrf = await page.locator("input[name=csrf]").first.get_attribute("value")
    for what in ("replay", "retry", "discard"):
        form = {"csrf": csrf, "what": what, "id": str(UNMATCHED)}
        for path in ("/console/needs/preview", "/console/needs/act"):
            answer = await page.request.post(path, form=form, headers={"Sec-Fetch-Site": "same-origin"})
            assert answer.status == 403
