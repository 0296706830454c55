"""What needs a person, in a real browser: charges, and a suspended rule."""

import re
import shutil
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from console.harness import IN_ONE_LOOP, PHONE, fits, is_accessible
from console.test_needs import main_text, open_person
from contract.crms import SALESFORCE
from flow.world import CONFIG, ROOT, SECRETS, a_world

pytestmark = IN_ONE_LOOP

DONOR, CHARGED = "+4790000301", "+4790000303"
MESSAGECLOUD = """\
  messagecloud:
    path_secrets: [{{env: HOOK_SECRET}}]
    api: {{url: "http://127.0.0.1:9", campaign_name: sandbox, key: {{env: STREX_KEY}}}}
    offers:
      katt: {{service_id: s-1, keyword: KATT, price: 150, thank_you: "https://example.org/thanks", short_number: "2172",
        cancelled: "https://example.org/turned-back", recurring: {{day: anniversary}}}}
    charges: {{enabled: false}}
"""
LOG = """\
on: strex.delivery_report
rules:
  - name: every report
    do:
      - upsert: SMS_Event__c
        key: {Event_Key__c: "{key}"}
        set: {FIELD: "{action}"}
"""
AGREEMENT = """INSERT INTO agreements (id, provider, msisdn, service_id, short_number, keyword, subscription_id, amount,
    amount_event_id, event_id, began_at) VALUES (1, 'messagecloud', ?, 's-1', '2172', 'KATT', 's-9', '150', 1, 1, 0)"""
CHARGE = """INSERT INTO charges (id, agreement_id, provider, period, reference, state, due_day, last_day, detail, changed_at)
    VALUES (?, 1, 'messagecloud', ?, ?, 'in_doubt', '2026-11-01', '2026-11-08', 'the answer <b>was lost</b>', 0)"""
RUN = """INSERT INTO charge_runs (provider, day, size, state, why)
    VALUES ('messagecloud', ?, 1, 'waiting', 'it is the first one')"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory):
    """A daemon with a second provider, which charges donors, and a rule whose field the CRM does not have."""
    base = tmp_path_factory.mktemp("charges")
    mappings = SALESFORCE.mappings(base / "mappings")
    for name in ("messagecloud.yaml", "salesforce-to-messagecloud.yaml"):
        shutil.copy(ROOT / "mappings" / "more" / name, mappings)
    (mappings / "strex-log.yaml").write_text(LOG.replace("FIELD", "Missing__c"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        config = CONFIG.replace("crm:\n", f"{MESSAGECLOUD}crm:\n")
        async with a_world(base, config=config, mappings=mappings) as made, made.running():
            await made.poll()
            yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def waiting(world):
    """Charges in doubt and paused, and a suspended rule."""
    await world.phone(DONOR, "KATT")
    await world.until(world.app.store.suspensions.all)
    await world.until(lambda: world.app.store.suspensions.held("salesforce"))
    await world.until(lambda: not world.app.store.inbox.counts()["pending"])

    def work(connection):
        connection.execute(AGREEMENT, (CHARGED,))
        connection.execute(RUN, (datetime.now(ZoneInfo("Europe/Oslo")).date().isoformat(),))
        for number, period in ((1, "2026-10"), (2, "2026-11")):
            connection.execute(CHARGE, (number, period, f"r-{number}"))

    await world.app.store.writer.run(work)
    await world.app.store.charge_runs.pause("messagecloud", "Kari <b>asked</b>", world.clock.now())
    return world


async def test_charges_in_doubt_are_decided_and_paused_ones_resumed(visit, waiting):
    page = await visit("operator", "/console/needs", **PHONE)
    await fits(page)
    await is_accessible(page)
    shown = await main_text(page)
    assert "the answer <b>was lost</b>" in shown
    assert "Kari <b>asked</b>" in shown
    await page.get_by_role("button", name="Charge 1 was not taken").click()
    await page.get_by_text("Charge 1 is failed now").wait_for()
    assert await page.get_by_role("button", name="Charge 1 was not taken").count() == 0
    await page.get_by_role("textbox", name="Transaction at messagecloud").fill("t-77")
    await page.get_by_role("button", name="Charge 2 was taken").click()
    await page.get_by_text("Charge 2 is taken now").wait_for()
    assert waiting.app.store.charges.get(2).transaction_id == "t-77"
    await page.get_by_role("button", name="Resume the charges at messagecloud").click()
    await page.get_by_text("The charges at messagecloud are resumed").wait_for()
    await open_person(page, CHARGED)
    await fits(page)
    assert "150 each month" in await main_text(page)


async def test_a_run_of_charges_is_shown_before_it_is_approved(visit, waiting):
    page = await visit("operator", "/console/needs")
    await page.get_by_role("button", name=re.compile("^See what the run of")).click()
    assert "Charging is switched off in the config" in await main_text(page)
    await fits(page)
    await is_accessible(page)
    await page.get_by_role("button", name="Approve the run").click()
    await page.get_by_text("is approved, 1 new charge(s).").wait_for()
    assert await page.get_by_role("button", name=re.compile("^See what the run of")).count() == 0


async def test_a_suspended_rule_is_probed_after_its_cause_was_corrected(visit, waiting):
    (waiting.base / "mappings" / "strex-log.yaml").write_text(LOG.replace("FIELD", "Missing__c"))
    page = await visit("operator", "/console/needs")
    assert "strex-log.yaml: every report" in await main_text(page)
    await page.get_by_role("button", name=re.compile("^Try the rule again now")).click()
    assert "1 suspended rule is tried again" in await main_text(page)
    await page.get_by_role("button", name="Retry now").click()
    await page.get_by_text("under way").first.wait_for()
    assert await page.get_by_role("link", name="Look again").count() == 1


async def test_a_viewer_may_neither_approve_nor_resume(visit, waiting):
    page = await visit("viewer", "/console/needs")
    csrf = await page.locator("input[name=csrf]").first.get_attribute("value")
    for path in ("run", "approve", "resume", "charge"):
        form = {"csrf": csrf, "provider": "messagecloud", "id": "1", "decision": "again"}
        answer = await page.request.post(f"/console/needs/{path}", form=form, headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.status == 403, path
