"""Recurring charges end to end: a donor subscribes, a month passes, a person approves, and the CRM books the gift."""

import shutil
from datetime import UTC, datetime, time, timedelta

import pytest
from flow.sets import CONFIGS, copied
from flow.test_messagecloud import DONOR, KEY, MORE, OTHER, PAGES, PROVIDER, Donors, introduce
from flow.world import CONFIG, ROOT, SECRETS, a_world

from connector.application import Clock
from connector.sandbox.messagecloud import app as messagecloud
from connector.sandbox.serve import serving
from connector.telemetry.log_events import Charged

OFFER = 'katt: {{service_id: s-1, keyword: KATT, price: 150, thank_you: "{pages}/thanks", {more}}}'
RECURRING = OFFER.replace("{more}}}", "{more}, recurring: {{day: anniversary, retry: {{NO_CREDIT: [3d]}}}}}}")
CHARGES = '    charges: {{enabled: true, hours: {{from: "00:00", to: "23:59"}}}}\n    subscribe:'
MONTH = timedelta(days=31)
CHARGING = "charge messagecloud"


class Charging(Donors):
    """Donors who are charged."""

    async def ask(self, command, **payload):
        """A command to the daemon."""
        token = (self.world.app.store.path.with_name("admin-token")).read_text().strip()
        url = f"{self.world.app.admin_url}/admin/{command}"
        headers = {"Authorization": f"Bearer {token}"}
        async with self.world.http.post(url, json=payload, headers=headers) as answer:
            body = await answer.json()
            assert answer.status == 200, body
            return body

    async def taken(self):
        books = await self.world.get(f"{self.gateway}/_sandbox/taken")
        return [one for one in books if one["charge"]]

    async def a_month_later(self):
        """The run of the next month waits: the clock went far, and it may be the first one."""
        self.world.clock.ahead += MONTH
        await self.world.until(self.waiting)

    async def waiting(self):
        self.world.app.wake(CHARGING)
        run = (await self.ask("status"))["charging"][0]["run"]
        return run and run["state"] == "waiting"

    async def approved(self):
        """A person approves, and every charge of the run has its end."""
        before = len(self.world.emitted(Charged))
        await self.ask("charges_approve")
        await self.world.until(lambda: self.nudged() and len(self.world.emitted(Charged)) > before)
        await self.world.settled()

    def due(self):
        """The charges that are still to be sent."""
        return [one for one in self.world.app.store.charges.listed(limit=10) if one.state == "due"]

    async def steps(self, count):
        """Let the charge worker do some steps."""
        worker = self.world.app.workers[CHARGING]
        for _ in range(count):
            before = worker.ticked
            worker.wake()
            await self.world.until(lambda before=before: worker.resting and worker.ticked > before)

    def nudged(self):
        self.world.app.wake(CHARGING)
        return True


class NoonClock(Clock):
    """Begins at noon of a 10th, so that no test runs into midnight or the end of a month."""

    def __init__(self):
        real = super().now()
        noon = datetime.combine(real.date().replace(month=1, day=10), time(12), UTC)
        self.ahead = timedelta()
        self._begun = noon - real

    def now(self):
        return super().now() + self._begun + self.ahead

    def monotonic(self):
        return super().monotonic() + self.ahead.total_seconds()


async def a_place(base, monkeypatch, name="plain"):
    for secret, value in {**SECRETS, "MC_KEY": KEY}.items():
        monkeypatch.setenv(secret, value)
    mappings = base / "mappings"
    if name == "plain":
        mappings.mkdir()
        files = [*(ROOT / "mappings").glob("*.yaml"), *(ROOT / "mappings" / "more").glob("*messagecloud.yaml")]
    else:
        copied(mappings, name)
        files = [ROOT / "mappings" / "more" / name / "messagecloud.yaml"]
    for file in files:
        shutil.copy(file, mappings)
    # Nobody here gives through Strex. With both, a person is asked which one a new amount is for.
    to_strex = mappings / "salesforce-to-strex.yaml"
    to_strex.write_text(to_strex.read_text().replace("Amount__c: {above: 0}", "Amount__c: {above: 100000}"))
    worlds = []
    gateway = messagecloud.build(secret=SECRETS["HOOK_SECRET"], clock=lambda: worlds[0].clock.now().timestamp())
    async with serving(gateway) as there:
        text = PROVIDER.replace(OFFER, RECURRING).replace("    subscribe:", CHARGES)
        own = text.format(gateway=there, pages=PAGES, more=MORE, per_minute=1000)
        config = CONFIGS.get(name, CONFIG).replace("crm:\n", own.replace("{", "{{").replace("}", "}}") + "crm:\n")
        preset = {} if name == "plain" else {"preset": name}
        async with a_world(base, mappings=mappings, config=config, **preset) as world:
            world.clock = NoonClock()
            worlds.append(world)
            async with world.running():
                made = Charging(world, there)
                await introduce(made)
                yield made


@pytest.fixture
async def donors(tmp_path, monkeypatch):
    async for made in a_place(tmp_path, monkeypatch):
        await made.world.poll()
        yield made


async def test_the_second_month_is_charged_after_a_person_approved_the_run(donors):
    await donors.subscribe()
    await donors.a_month_later()
    preview = await donors.ask("charges_preview")
    assert [(one["what"], one["phone"], one["amount"]) for one in preview["charges"]] == [("charge", "+47…001", "100")]
    assert (preview["waits"], preview["total"]) == ("it is the first run", "100")
    assert await donors.taken() == []
    await donors.approved()
    (taken,) = await donors.taken()
    gift = await donors.gift(taken["transaction_id"])
    assert (gift["Amount"], gift["StageName"]) == (100, "Closed Won")
    assert (await donors.world.contact(DONOR))["SMS_Next_Charge__c"]
    assert donors.world.balanced()


async def test_an_amount_changed_in_the_crm_is_charged_from_the_next_period(donors):
    await donors.subscribe()
    await donors.world.poll()
    await donors.world.person(Id=(await donors.world.contact(DONOR))["Id"], SMS_Monthly_Amount__c=275)
    await donors.world.poll()
    await donors.a_month_later()
    await donors.approved()
    assert [one["price"] for one in await donors.taken()] == [275]


async def test_charges_end_after_an_opt_out_in_the_crm_or_by_sms(donors):
    await donors.subscribe()
    await donors.subscribe(phone=OTHER)
    await donors.world.poll()
    await donors.world.person(Id=(await donors.world.contact(DONOR))["Id"], SMS_Opt_Out__c=True)
    await donors.world.poll()
    await donors.phone("STOP KATT", OTHER)
    await donors.world.settled()
    await donors.a_month_later()
    await donors.ask("charges_approve")
    await donors.world.until(
        lambda: donors.nudged() and len(donors.world.app.store.charges.listed(limit=10)) == 2
        and {one.state for one in donors.world.app.store.charges.listed(limit=10)} == {"skipped"}
    )  # fmt: skip
    assert await donors.taken() == []


async def test_nobody_is_charged_while_opt_outs_of_the_crm_cannot_be_read(donors):
    world = donors.world
    await donors.subscribe()
    await donors.subscribe(phone=OTHER)
    await world.poll()
    contact = (await world.contact(DONOR))["Id"]
    await world.fault(world.crm_url, fault="unavailable", times=1_000_000)
    await world.person(Id=contact, SMS_Opt_Out__c=True)
    await donors.a_month_later()
    await donors.ask("charges_approve")
    await world.until(lambda: donors.nudged() and world.app.store.charges.listed(limit=10))
    await donors.steps(3)
    assert await donors.taken() == []
    world.clock.ahead += timedelta(minutes=6)
    await world.until(lambda: donors.nudged() and "charges_not_sent" in world.alarms)
    await world.no_faults(world.crm_url)
    world.clock.ahead += timedelta(minutes=6)
    await world.until(lambda: donors.nudged() and len(world.emitted(Charged)) > 0 and not donors.due())
    assert [one["recipient"] for one in await donors.taken()] == [OTHER.strip("+")]
    assert world.cleared("charges_not_sent")


async def test_a_failed_charge_makes_an_event_record_and_is_tried_again(donors):
    await donors.subscribe()
    await donors.a_month_later()
    await donors.world.post(f"{donors.gateway}/_sandbox/charges", {"status": "NO_CREDIT"})
    await donors.approved()
    (record,) = [one for one in await donors.world.records("SMS_Event__c") if one["Action__c"] == "charge"]
    assert (record["Status__c"], record["Result__c"]) == ("NO_CREDIT", "failed")
    assert await donors.taken() == []


async def test_a_charge_without_a_reply_waits_for_a_person_whose_decision_records_the_gift(donors):
    await donors.subscribe()
    await donors.a_month_later()
    await donors.world.post(f"{donors.gateway}/_sandbox/charges", {"lost": "after"})
    await donors.approved()
    await donors.world.until(lambda: "charge_in_doubt" in donors.world.alarms)
    (taken,) = await donors.taken()
    listed = (await donors.ask("charges_list", state="in_doubt"))["charges"]
    shown = await donors.ask("charges_show", id=listed[0]["id"])
    assert f"connector charges resolve {listed[0]['id']} --as ask --transaction ID" in shown["decisions"]
    await donors.ask("charges_resolve", ids=[listed[0]["id"]], decision="ask", transaction=taken["transaction_id"])
    donors.world.clock.ahead += timedelta(seconds=10)
    charges = donors.world.app.store.charges
    await donors.world.until(lambda: donors.nudged() and charges.get(listed[0]["id"]).state == "taken")
    await donors.world.settled()
    assert donors.world.cleared("charge_in_doubt")
    assert (await donors.gift(taken["transaction_id"]))["Amount"] == 100
    assert len(await donors.taken()) == 1


@pytest.mark.parametrize(
    ("name", "parent", "gift", "amount"),
    [
        ("npsp", "npe03__Recurring_Donation__c", "npe01__OppPayment__c", "npe01__Payment_Amount__c"),
        ("nonprofit-cloud", "GiftCommitment", "GiftTransaction", "OriginalAmount"),
    ],
)
async def test_each_set_of_mappings_writes_the_gift_to_its_recurring_record(
    tmp_path, monkeypatch, name, parent, gift, amount
):
    async for donors in a_place(tmp_path, monkeypatch, name):
        await donors.subscribe()
        await donors.a_month_later()
        await donors.approved()
        (taken,) = await donors.taken()
        gifts = await donors.world.records(gift)
        assert [one[amount] for one in gifts] == [100, 100]
        assert taken["transaction_id"] in {one["SMS_Transaction__c"] for one in gifts}
        (recurring,) = await donors.world.records(parent)
        assert recurring["SMS_Next_Charge__c"]
