import pytest
from console.harness import DARK, IN_ONE_LOOP, NO_SCRIPT, PHONE, SECRET, fits, is_accessible, tab_to

pytestmark = IN_ONE_LOOP


@pytest.mark.parametrize("options", [DARK, PHONE | NO_SCRIPT], ids=["dark", "phone without scripts"])
async def test_signing_in_with_a_password_works_by_keyboard(visit, options):
    page = await visit(None, "/console/events", **options)
    visit.allow("403")
    assert await page.get_by_role("heading", level=1).inner_text() == "Sign in"
    assert await page.get_by_role("navigation").count() == 0
    await page.get_by_label("User").press_sequentially("vera")
    await page.keyboard.press("Tab")
    await page.keyboard.type("wrong")
    await page.keyboard.press("Enter")
    assert await page.get_by_role("alert").inner_text() == "User or password is wrong."
    if options is DARK:
        await fits(page)
        await is_accessible(page)
        await tab_to(page, "User")
    else:
        await page.get_by_label("User").focus()
    await page.keyboard.type("vera")
    await page.keyboard.press("Tab")
    await page.keyboard.type(SECRET)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/console/events")
    assert await page.get_by_text("vera (viewer)").count() == 1


async def test_the_last_hour_is_shown_first_on_a_phone(visit):
    page = await visit("viewer", **PHONE)
    box = await page.locator(".newest rect.bar").nth(23).bounding_box()
    assert box["x"] + box["width"] <= 390
