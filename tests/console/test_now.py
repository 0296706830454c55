import pytest
from console.harness import DARK, IN_ONE_LOOP, NO_SCRIPT, PHONE, fits, is_accessible

pytestmark = IN_ONE_LOOP


@pytest.mark.parametrize("options", [{}, DARK, PHONE], ids=["light", "dark", "phone"])
async def test_now_is_readable(visit, options):
    page = await visit("viewer", **options)
    assert await page.get_by_role("heading", level=1).inner_text() == "Now"
    await fits(page)
    await is_accessible(page)


async def test_now_works_without_scripts(visit):
    page = await visit("viewer", **NO_SCRIPT)
    assert await page.get_by_text("Running").count() == 1
    await page.get_by_role("button", name="Sign out").click()
    assert await page.get_by_role("heading", level=1).inner_text() == "Sign in"
