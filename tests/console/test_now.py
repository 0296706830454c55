import pytest
from console.browserless import ahead, audit_of
from console.harness import DARK, HOSTILE, IN_ONE_LOOP, NO_SCRIPT, PHONE, fits, is_accessible, tab_to

from connector.telemetry.log_events import Alarm, Cleared

pytestmark = IN_ONE_LOOP
EVERY = 5000  # milliseconds between two polls of the page


@pytest.fixture
def hostile(world):
    """An alarm for each text that a stranger may write."""
    for name, text in HOSTILE.items():
        world.app.emit(Alarm(kind="needs_person", about=name, message=text, cure=f"cure: {text}"))
    yield
    for name in HOSTILE:
        world.app.emit(Cleared(kind="needs_person", about=name))


@pytest.mark.parametrize("options", [{}, DARK, PHONE], ids=["light", "dark", "phone"])
async def test_the_now_page_is_accessible(visit, options):
    page = await visit("viewer", **options)
    assert await page.get_by_role("heading", level=1).all_inner_texts() == ["Now"]
    assert await page.get_by_text("Running", exact=True).count() == 1
    assert await page.get_by_text("Nothing is wrong.").count() == 1
    row = page.get_by_role("row", name="salesforce")
    assert await row.get_by_text("Works").count() == 1
    assert await page.get_by_role("img").count() == 3
    await fits(page)
    await is_accessible(page)
    background = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is (options is not DARK)


async def test_the_now_page_works_without_scripts(visit, world):
    page = await visit("admin", **NO_SCRIPT)
    await page.get_by_role("button", name="Reload mappings").click()
    assert await page.get_by_role("status").inner_text() == "The mappings were reloaded. Rules: no change."
    await page.get_by_role("link", name="Now").click()
    assert await page.get_by_role("status").inner_text() == ""
    assert audit_of(world)[0] == ("tester", "reload mappings", "")
    await page.get_by_role("button", name="Sign out").click()
    assert await page.get_by_role("heading", level=1).inner_text() == "Sign in"


async def test_everything_on_the_now_page_is_reachable_by_keyboard(visit):
    page = await visit("admin")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.innerText") == "Skip to the content"
    await page.keyboard.press("Enter")
    await tab_to(page, "Reload mappings")
    await page.keyboard.press("Enter")
    await page.get_by_text("The mappings were reloaded.").wait_for()
    await tab_to(page, "Sign out")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Sign in").wait_for()


async def test_the_counts_update_while_the_tab_is_visible(visit, world):
    page = await visit("viewer")
    await page.clock.install()
    await page.reload()
    before = world.app.store.inbox.received()
    await world.phone("+4790000001", "MYKEYWORD")
    await world.settled()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    await page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    await page.clock.run_for(3 * EVERY)
    assert asked == []
    await page.evaluate("Object.defineProperty(document, 'hidden', {value: false})")
    await page.get_by_role("group", name="The flow").focus()
    await page.clock.run_for(EVERY)
    await page.get_by_text(f"{before + 2} events received").wait_for()
    assert await page.get_by_role("row", name="salesforce").get_by_role("cell").nth(3).inner_text() == "0"
    assert [url.rpartition("/")[2] for url in asked] == ["summary"]


async def test_a_refused_reload_shows_the_line_of_the_error(visit, world):
    file = next((world.base / "mappings").glob("*.yaml"))
    good = file.read_text()
    try:
        file.write_text(good.replace("rules:", "rulez:", 1))
        page = await visit("admin")
        visit.allow("422")
        await page.get_by_role("button", name="Reload mappings").click()
        await page.get_by_text("The files have problems.").wait_for()
        assert await page.get_by_text(f"{file.name}:").count() >= 1
        await is_accessible(page)
        await page.get_by_role("link", name="Now").click()
        await page.get_by_text("mapping files are refused").first.wait_for()
    finally:
        file.write_text(good)
        await world.app.reload()


async def test_a_paused_crm_is_shown_with_reason_and_cure(visit, world):
    await world.fault(world.salesforce, fault="unavailable", times=1_000_000)
    try:
        await world.phone("+4790000002", "MYKEYWORD")
        await world.until(lambda: world.app.sink_channels["salesforce"].breaker.cause)
        page = await visit("viewer")
        row = page.get_by_role("row", name="salesforce Paused")
        assert await row.count() == 1
        assert await page.get_by_text("salesforce: Deliveries are paused").count() == 1
        assert await page.get_by_text("What to do:").count() >= 1
        assert await page.locator("rect.paused").count() == 1
        await is_accessible(page)
    finally:
        await world.no_faults(world.salesforce)
        ahead(world, minutes=10)
        world.app.wake("salesforce")
        await world.settled()


async def test_late_opt_outs_are_shown_first(visit, world):
    await world.phone("+4790000003", "MYKEYWORD")
    await world.settled()
    await world.fault(world.salesforce, fault="unavailable", times=1_000_000)
    try:
        await world.phone("+4790000003", "STOPP MYKEYWORD")
        await world.until(lambda: world.app.store.consents.open_opt_outs(world.clock.now()))
        ahead(world, minutes=6)
        page = await visit("viewer", **PHONE)
        headings = await page.get_by_role("heading", level=2).all_inner_texts()
        assert headings[:2] == ["Late opt-outs", "What is wrong"]
        assert await page.get_by_text("is not confirmed by salesforce").count() >= 1
        await fits(page)
        await is_accessible(page)
    finally:
        await world.no_faults(world.salesforce)
        ahead(world, minutes=10)
        world.app.wake("salesforce")
        await world.settled()


@pytest.mark.parametrize("options", [{}, PHONE, NO_SCRIPT], ids=["wide", "phone", "no script"])
async def test_hostile_texts_are_escaped_on_the_now_page(visit, hostile, options):
    page = await visit("viewer", **options)
    shown = await page.locator(".donor").all_inner_texts()
    for text in (HOSTILE["script"], HOSTILE["template"], HOSTILE["image"], HOSTILE["htmx"]):
        assert text in shown
    assert await page.title() == "Now \u2013 Connector"
    assert await page.locator("#summary img, #summary script, #summary [onload]").count() == 0
    if options is not NO_SCRIPT:
        await fits(page)
        await is_accessible(page)
