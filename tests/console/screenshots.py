"""`make screenshots`: the six screens as pictures for README and docs, of made-up donors with numbers +4790000xxx."""

import asyncio
import random
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from console.harness import Visits, chromium, console_world, message, refuse, report

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZE = {"viewport": {"width": 1200, "height": 820}, "locale": "en-GB"}
HOURS = 24
REFUSED, ASKED = "+4790000101", "+4790000102"


async def a_day(world):
    """Some hundred events over a day, more of them in the afternoon."""
    dice = random.Random(2002)
    for hour in range(HOURS):
        for turn in range(dice.randint(1, 4) + (6 if hour > HOURS / 2 else 0)):
            number = f"+4790000{dice.randint(200, 299)}"
            action = dice.choice(("Subscribe", "Subscribe", "Subscribe", "Unsubscribe"))
            await world.callback("dlr", report(number, action, f"{hour}-{turn}"))
        await world.settled()
        world.clock.ahead += timedelta(hours=1)
    # The workers rest by the real clock: they look again before anything is called stuck.
    for name in world.app.workers:
        world.app.wake(name)
    await world.until(lambda: not world.app.health.unhealthy())


async def what_needs_a_person(world):
    """Dead letters that the CRM refused, a question, and a late hour."""
    await refuse(world, REFUSED, "+4790000103", message="Mobile: enter 8 digits")
    await world.callback("dlr", report(REFUSED, "Subscribe", "late"))
    await world.callback("dlr", report("+4790000103", "Subscribe", "late"))
    await world.callback("dlr", report(ASKED, "Subscribe", "first"))
    await world.settled()
    await world.callback("mo", message(ASKED, "stopp krigen!", "question"))
    await world.settled()


async def take_pictures(browser, base, images):
    """Take them of a day's events; the daemon's files are in `base`."""

    async def take(page, name, *, whole=False):
        await page.evaluate("document.fonts.ready")
        await page.screenshot(path=images / f"console-{name}.png", full_page=whole)

    async with console_world(base) as world:
        await a_day(world)
        await what_needs_a_person(world)
        visits = Visits(browser, world)
        page = await visits("admin", **SIZE)
        await take(page, "now", whole=True)
        await page.goto("/console/events")
        await take(page, "events")
        await page.get_by_role("row").filter(has_text="dead").last.get_by_role("link").first.click()
        await page.get_by_role("heading", name="What came").wait_for()
        await take(page, "event")
        await page.goto("/console/people")
        await page.get_by_role("textbox", name="Phone number").fill(ASKED)
        await page.get_by_role("button", name="Show", exact=True).click()
        await page.wait_for_url("**/console/people/*")
        await take(page, "person")
        await page.goto("/console/needs")
        await take(page, "needs")
        await page.goto("/console/mappings/strex-subscription.yaml")
        text = page.get_by_role("textbox", name="The text of the file")
        await text.fill((await text.input_value()).replace("LastName: ", "Title: Donor\n      LastName: ", 1))
        await page.get_by_role("button", name="Check, test and compare with the last month").click()
        await page.get_by_role("button", name="Use the checked text").wait_for()
        await take(page, "mappings")
        await visits.close()


async def main():
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as base:
        async with chromium() as browser:
            await take_pictures(browser, Path(base), IMAGES)
    sys.stdout.write(f"the pictures are in {IMAGES}\n")


if __name__ == "__main__":
    asyncio.run(main())
