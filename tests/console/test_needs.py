"""Screens 4 and 5 in a real browser: a person, and what needs a person."""

import re
from pathlib import Path

import pytest
import pytest_asyncio
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

from connector.model.outcome import Reason

pytestmark = IN_ONE_LOOP

DONOR, OTHER, THIRD, FOURTH, FIFTH, SIXTH = (f"+479000010{number}" for number in range(1, 7))
# A callback holds 64 KiB at most.
TEXTS = " ".join(HOSTILE.values())[:60_000]
QUESTION = "stopp <b>ulven</b> {{7*7}} \u202e!"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def waiting(world):
    """Dead letters of one cause, questions about stops, and an event that no rule takes."""
    await let_rules_take_less(world)
    await refuse(world, DONOR, OTHER)
    await world.callback("dlr", report(DONOR, "Subscribe", 1))
    await world.callback("dlr", report(OTHER, "Subscribe", 1))
    await world.callback("mo", message(THIRD, QUESTION, 1))
    await world.callback("mo", message(THIRD, "please halt everything stop now", 2))
    await world.callback("mo", message(THIRD, TEXTS, 3))
    await world.settled()
    assert world.counts() == {"dead": 4, "unmatched": 1}
    return world


async def open_person(page, number):
    await page.goto("/console/people")
    await page.get_by_role("textbox", name="Phone number").fill(number)
    await page.get_by_role("button", name="Show", exact=True).click()
    await page.wait_for_url(re.compile("/console/people/[0-9a-f]{24}$"))


def read(path):
    return Path(path).read_text()


async def main_text(page):
    return await page.get_by_role("main").inner_text()


@pytest.mark.parametrize("options", [DARK, PHONE], ids=["dark", "light phone"])
async def test_the_needs_and_person_pages_are_accessible_and_escape_hostile_texts(visit, waiting, options):
    page = await visit("operator", "/console/needs", **options)
    await fits(page)
    await is_accessible(page)
    shown = await main_text(page)
    assert "2 dead letters: validation" in shown
    assert "Ask <b>Kari</b> first" in shown
    assert "{{7*7}}" in shown
    await open_person(page, THIRD)
    await fits(page)
    await is_accessible(page)
    assert "<img src=x onerror" in await main_text(page)
    assert (await page.title()).startswith("A person ")
    assert await page.get_by_role("main").locator("img, script, b, [hx-trigger=load]").count() == 0


async def test_a_person_is_found_by_any_spelling_of_the_number_which_is_not_in_the_address(visit, waiting):
    page = await visit("viewer")
    addresses = set()
    for written in (THIRD, "90 00 01 03", "0047 90000103"):
        await open_person(page, written)
        addresses.add(page.url)
        assert await page.get_by_role("heading", level=1).inner_text() == "+47…103"
    assert len(addresses) == 1
    assert "90000103" not in await page.content()
    await page.goto("/console/people")
    await page.get_by_role("textbox", name="Phone number").fill("12")
    await page.get_by_role("button", name="Show", exact=True).click()
    await is_accessible(page)
    assert "this is not a phone number" in await page.get_by_role("alert").inner_text()


async def test_numbers_are_shown_to_an_operator_on_request_and_audited(visit, waiting):
    page = await visit("operator")
    await open_person(page, DONOR)
    address = page.url
    await page.get_by_role("button", name="Show numbers").click()
    assert await page.get_by_role("heading", level=1).inner_text() == DONOR
    looks = [(one.action, one.about) for one in waiting.app.store.audit.listing(limit=5)]
    assert ("look at numbers", "/" + address.partition("//")[2].partition("/")[2]) in looks
    assert DONOR[1:] not in str(looks)


async def test_the_page_after_a_retry_shows_each_outcome(visit, waiting):
    page = await visit("operator", "/console/needs")
    await waiting.no_faults(waiting.crm_url)
    await refuse(waiting, OTHER)
    await page.get_by_role("button", name=re.compile("^Retry group")).click()
    assert "2 events are concerned" in await main_text(page)
    await is_accessible(page)
    assert waiting.counts()["dead"] == 4  # nothing was done yet
    await page.get_by_role("textbox", name=re.compile("^Why")).fill("Kari was asked")
    await page.get_by_role("button", name="Retry now").click()
    await page.get_by_text("1 of 2 done, 1 refused again, because FIELD_CUSTOM_VALIDATION").wait_for()
    assert re.search("/console/needs/actions/[0-9]+$", page.url)
    assert await page.get_by_role("row").count() == 3
    await fits(page)
    await is_accessible(page)
    (entry,) = [one for one in waiting.app.store.audit.listing(limit=5) if one.why]
    assert (entry.action, entry.why) == ("act on what waits", "Kari was asked")


async def test_a_dead_letter_is_discarded_without_scripts(visit, waiting):
    # A retry may have delivered one of them by now.
    left = len(waiting.app.store.dead_letters.listing(Reason.VALIDATION))
    page = await visit("operator", "/console/needs", **NO_SCRIPT)
    await page.get_by_role("button", name=re.compile("^Discard group")).click()
    assert "Nothing more is sent" in await main_text(page)
    await page.get_by_role("button", name="Discard now").click()
    assert f"{left} of {left} discarded" in await main_text(page)
    await page.get_by_role("link", name="Back to what needs you").click()
    assert ": validation" not in await main_text(page)


async def test_a_question_is_answered_by_keyboard(visit, waiting):
    page = await visit("operator")
    await open_person(page, THIRD)
    await tab_to(page, lambda text: text.startswith("It was a stop: event 3"))
    await page.keyboard.press("Enter")
    await page.get_by_text("Answer for 1 event: it was a stop.").wait_for()
    await waiting.settled()
    await page.reload()
    shown = await main_text(page)
    assert "Opted out" in shown
    assert "It was a stop (answered" in shown
    await page.get_by_role("link", name="Answer for 1 event: it was a stop").click()
    await page.get_by_text("1 of 1 done").wait_for()


async def test_unmatched_events_are_replayed(visit, waiting):
    page = await visit("operator", "/console/needs")
    await page.get_by_role("button", name="Replay unmatched events of strex.message").click()
    assert "nothing will be planned again" in await main_text(page)
    await page.get_by_role("button", name="Replay now").click()
    await page.get_by_text("1 of 1 with nothing to do").wait_for()


async def test_a_question_about_a_number_is_decided_after_a_preview(visit, waiting):
    await waiting.phone(FIFTH, "KATT")
    await waiting.settled()
    await waiting.poll()
    contact = (await waiting.contact(FIFTH))["id"]
    await waiting.person(id=contact, mobile=SIXTH, opted_out=True)
    await waiting.poll()
    page = await visit("operator", "/console/needs")
    assert "Whose number is it?" in await main_text(page)
    await page.get_by_role("button", name=re.compile("^I have seen it: event")).click()
    assert "Nothing more is sent" in await main_text(page)
    await page.get_by_role("button", name="Discard now").click()
    await page.get_by_text("1 of 1 discarded").wait_for()
    await page.get_by_role("link", name="Back to what needs you").click()
    assert "Whose number is it?" not in await main_text(page)


async def test_a_viewer_sees_no_button_and_every_action_is_refused(visit, waiting):
    page = await visit("viewer", "/console/needs")
    main = page.get_by_role("main")
    assert await main.get_by_role("button").count() == 0
    await open_person(page, THIRD)
    assert await main.get_by_role("button").count() == 0
    csrf = await page.locator("input[name=csrf]").first.get_attribute("value")
    headers = {"Sec-Fetch-Site": "same-origin"}
    before = waiting.counts()
    for path in ("/console/needs/preview", "/console/needs/act", "/console/needs/charge", f"{page.url}/answer"):
        form = {"csrf": csrf, "what": "was", "id": "4"}
        answer = await page.request.post(path, form=form, headers=headers)
        assert answer.status == 403, path
    assert waiting.counts() == before
    for path in ("export", "forget", "forget-for-good"):
        answer = await page.request.post(f"{page.url}/{path}", form={"csrf": csrf}, headers=headers)
        assert answer.status == 403, path


async def test_an_admin_exports_a_person_and_forgets_them_after_a_preview(visit, waiting):
    await waiting.callback("dlr", report(FOURTH, "Subscribe", 1))
    await waiting.settled()
    page = await visit("admin")
    await open_person(page, FOURTH)
    address = page.url
    for button, ending in (("Export as JSON", ".json"), ("Export as a page for the person", ".html")):
        async with page.expect_download() as started:
            await page.get_by_role("button", name=button).click()
        saved = await started.value
        assert saved.suggested_filename.endswith(ending)
        assert FOURTH in read(await saved.path())
    await page.get_by_role("button", name="Forget this person").click()
    shown = await main_text(page)
    assert "events with text, body, and what the CRM answered" in shown
    assert "continues to charge" in shown  # the subscription runs
    await is_accessible(page)
    assert waiting.app.store.inbox.of_phone(FOURTH)
    await page.get_by_role("button", name="Erase for good").click()
    await page.get_by_text("All data of this person is erased").wait_for()
    assert waiting.app.store.inbox.of_phone(FOURTH) == []
    visit.allow("404")
    await page.goto(address)
    assert "there is no such person, or the person was forgotten" in await page.content()
    done = [(one.who, one.action) for one in waiting.app.store.audit.listing(limit=10)]
    assert [one for one in done if "person" in one[1]] == [
        ("tester", "forget a person"),
        ("tester", "export a person"),
        ("tester", "export a person"),
    ]
