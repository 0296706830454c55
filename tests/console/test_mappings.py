"""Screen 6 in a real browser: the mapping files, an edited text tried, and put in use."""

import re

import pytest
import pytest_asyncio
from console.harness import DARK, HOSTILE, IN_ONE_LOOP, NO_SCRIPT, PHONE, fits, is_accessible, tab_to
from console.test_needs import main_text, message, report

pytestmark = IN_ONE_LOOP

DONOR = "+4790000201"
FILE = "strex-messages.yaml"
CHECK = "Check, test and compare with the last month"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def past(world):
    """A stop, and a subscription, of the last month."""
    await world.callback("dlr", report(DONOR, "Subscribe", 1))
    await world.callback("mo", message(DONOR, "STOPP", 1))
    await world.settled()
    return world


def on_disk(world, name=FILE):
    return (world.base / "mappings" / name).read_text()


async def edit(page, change, name=FILE):
    await page.goto(f"/console/mappings/{name}")
    entry = page.get_by_role("textbox", name="The text of the file")
    await entry.fill(change(await entry.input_value()))
    await page.get_by_role("button", name=CHECK).click()


async def checked(page):
    await page.get_by_role("heading", name="What was found").wait_for(timeout=60_000)  # a process starts for the first


def source(text, word):
    """The shipped text, with another source of opt-outs."""
    return text.replace("SMS_Opt_Out_Source__c: SMS", f"SMS_Opt_Out_Source__c: {word}")


async def test_the_mapping_pages_are_accessible_and_escape_hostile_texts(visit, past):
    page = await visit("admin", "/console/mappings", **PHONE)
    await fits(page)
    await is_accessible(page)
    text = "on: strex.message\nrules:\n" + "".join(f"  - {one!r}\n" for one in HOSTILE.values())
    before = on_disk(past)
    await edit(page, lambda _: text)
    await checked(page)
    for shown in (page, await visit("admin", page.url, **DARK)):
        await fits(shown)
        await is_accessible(shown)
        assert "this text cannot be used" in await main_text(shown)
        assert (await shown.title()).startswith(FILE)
        assert await shown.get_by_role("main").locator("img, script, b, svg, [hx-trigger=load]").count() == 0
    assert on_disk(past) == before


async def test_an_error_is_found_by_keyboard_with_line_and_caret(visit, past):
    page = await visit("admin", f"/console/mappings/{FILE}")
    await tab_to(page, lambda text: text.startswith("The text of the file"))
    await page.keyboard.press("Control+Home")
    for _ in range(10):
        await page.keyboard.press("ArrowDown")
    await page.keyboard.press("End")
    await page.keyboard.type("x")
    await tab_to(page, CHECK)
    await page.keyboard.press("Enter")
    await checked(page)
    shown = await page.get_by_label("Line 11").inner_text()
    assert shown.splitlines()[0] == "    11 |     when: {verdict: opt_out}x"
    assert shown.splitlines()[1].endswith("^")
    assert await page.get_by_role("button", name="Use the checked text").count() == 0


async def test_an_edited_file_is_previewed_on_the_last_month_and_then_used(visit, past):
    page = await visit("admin")
    before, version = on_disk(past), past.app.pipeline.rules.version
    await edit(page, lambda text: source(text, "Text"))
    await checked(page)
    shown = await main_text(page)
    assert re.search(r"No errors\. \d+ tests pass\.", shown)
    assert "1 of 2 events would have another result; 1 of them concern an opt-out" in shown
    assert "Event 2: SMS → Text" in shown
    assert on_disk(past) == before
    await page.get_by_role("textbox", name="Why").fill("a new word")
    await page.get_by_role("button", name="Use the checked text").click()
    await page.get_by_text(f"{FILE} is in use now").wait_for()
    assert on_disk(past) == source(before, "Text")
    assert past.app.pipeline.rules.version != version
    (kept,) = (past.base / "mappings" / ".replaced").iterdir()
    assert kept.read_text() == before
    (entry,) = [one for one in past.app.store.audit.listing(limit=5) if one.why]
    assert (entry.action, entry.why) == ("use a mapping", "a new word")


async def test_a_new_file_is_created(visit, past):
    page = await visit("admin", "/console/mappings")
    await page.get_by_role("link", name="Make a new file").click()
    await is_accessible(page)
    text = "on: strex.message\nrules:\n  - name: greetings\n    when: {text: hei}\n    ignore: true\n"
    await page.get_by_role("textbox", name="Name of the file").fill("greetings.yaml")
    await page.get_by_role("textbox", name="The text of the file").fill(text)
    await page.get_by_role("button", name=CHECK).click()
    await checked(page)
    assert "Rules added: greetings.yaml: greetings." in await main_text(page)
    await page.get_by_role("button", name="Use the checked text").click()
    await page.get_by_text("greetings.yaml is in use now").wait_for()
    assert on_disk(past, "greetings.yaml") == text
    await page.get_by_role("link", name="greetings.yaml").click()
    assert "Rules in use: greetings (line 3)." in await main_text(page)
    (past.base / "mappings" / "greetings.yaml").unlink()
    await page.goto("/console/mappings")
    assert "In use, but no longer on disk" in await main_text(page)
    await past.app.reload()


async def test_a_file_changed_meanwhile_is_not_overwritten_and_both_texts_are_shown(visit, past):
    page = await visit("admin")
    await edit(page, lambda text: text + "# mine\n")
    await checked(page)
    theirs = on_disk(past) + "# theirs\n"
    (past.base / "mappings" / FILE).write_text(theirs)
    await page.get_by_role("button", name="Use the checked text").click()
    await page.get_by_role("heading", name="Nothing was changed").wait_for()
    assert on_disk(past) == theirs
    difference = await page.get_by_label("The difference").inner_text()
    assert "-# theirs" in difference
    assert "+# mine" in difference
    assert "# theirs" in await page.get_by_label("The file on disk now").inner_text()
    await is_accessible(page)
    assert "# mine" in await page.get_by_role("textbox", name="The text of the file").input_value()


async def test_a_refused_reload_restores_the_previous_file(visit, past):
    page = await visit("admin")
    before, version = on_disk(past), past.app.pipeline.rules.version
    await edit(page, lambda text: text + "# more\n")
    await checked(page)
    other = past.base / "mappings" / "strex-log.yaml"
    good = other.read_text()
    other.write_text(good + "\nwhne: x\n")
    await page.get_by_role("button", name="Use the checked text").click()
    await page.get_by_text("The reload was refused, and the file from before was put back").wait_for()
    assert "unknown key whne" in await main_text(page)
    assert (on_disk(past), past.app.pipeline.rules.version) == (before, version)
    await page.get_by_role("link", name="Back to the files").click()
    assert "The files on disk were refused" in await main_text(page)
    other.write_text(good)
    await page.get_by_role("button", name="Reload the files from disk").click()
    await page.get_by_text("The mappings were reloaded").wait_for()
    assert "were refused" not in await main_text(page)


async def test_a_callback_is_tried_without_scripts(visit, past):
    page = await visit("admin", f"/console/mappings/{FILE}", **NO_SCRIPT)
    await page.locator("summary").click()
    await page.get_by_role("combobox", name="Endpoint").select_option("strex/mo")
    body = '{"transactionId": "x-1", "sender": "+4790000999", "recipient": "2002", "content": "STOPP"}'
    await page.get_by_role("textbox", name="Body").fill(body)
    await page.get_by_role("button", name="Try the event with this text").click()
    await until_tried(page)
    shown = await main_text(page)
    assert "The mappings in use do the same" in shown
    assert "donor asks to stop" in shown
    assert "+47…999" in shown
    assert "upsert Contact at salesforce" in shown
    assert "set SMS_Opt_Out__c: true" in shown
    assert "90000999" not in shown
    assert past.app.store.inbox.received() == 2


async def until_tried(page):
    for _ in range(2000):
        if await page.get_by_role("heading", name="It is being checked").count() == 0:
            return
        await page.get_by_role("link", name="Look again").click()
    pytest.fail("the event is not tried")


async def test_only_an_admin_may_try_and_use_texts(visit, past):
    page = await visit("operator", f"/console/mappings/{FILE}")
    await is_accessible(page)
    main = page.get_by_role("main")
    assert await main.get_by_role("textbox").count() == 0
    assert await main.get_by_role("button").count() == 0
    assert "donor asks to stop" in await page.get_by_label("The text of the file").inner_text()
    csrf = await page.locator("input[name=csrf]").first.get_attribute("value")
    before = on_disk(past)
    for path in ("check", "try", "check-files", "reload", "drafts/0/use"):
        form = {"csrf": csrf, "name": FILE, "text": "x", "opened": ""}
        answer = await page.request.post(
            f"/console/mappings/{path}", form=form, headers={"Sec-Fetch-Site": "same-origin"}
        )
        assert answer.status == 403, path
    assert (await page.request.get("/console/mappings/drafts/0")).status == 403
    # Only the forms with a mapping may be long.
    long = {"csrf": csrf, "text": "#" * 200_000}
    for path, status in (("mappings/check", 403), ("needs/act", 413)):
        answer = await page.request.post(f"/console/{path}", form=long, headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.status == status, path
    assert on_disk(past) == before
