import pytest
from console.browserless import client
from console.harness import DARK, HOSTILE, IN_ONE_LOOP, NO_SCRIPT, PHONE, fits, is_accessible

from connector.store.audit import AuditEntry

pytestmark = IN_ONE_LOOP


@pytest.mark.parametrize("options", [DARK, PHONE, NO_SCRIPT], ids=["dark", "phone", "no script"])
async def test_the_audit_log_is_readable_and_paged(visit, world, options):
    for number in range(60):
        text = list(HOSTILE.values())[number % len(HOSTILE)][:200]
        entry = AuditEntry(
            at=world.clock.now(), who=f"user {number}", role="admin", action="replay", about=text, why=text
        )
        await world.app.store.audit.add(entry)
    page = await visit("admin", "/console/audit", **options)
    rows = page.get_by_role("row")
    assert await rows.count() == 51
    assert "sign in by link" in await rows.nth(1).inner_text()
    assert HOSTILE["script"] in await page.get_by_role("main").inner_text()
    if options is not NO_SCRIPT:
        await fits(page)
        await is_accessible(page)
    newest = await rows.nth(50).inner_text()
    await page.get_by_role("link", name="Older").click()
    assert int((await rows.nth(1).inner_text()).split()[0]) == int(newest.split()[0]) - 1
    await page.get_by_role("link", name="Newest").click()
    assert await rows.count() == 51


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_only_an_admin_sees_the_audit_log(world, role):
    async with client(world, role) as browser:
        assert (await browser.get("/console/audit")).status == 403
        assert "Audit log" not in (await browser.get("/console/now")).text
