"""MessageCloud end to end: the daemon between its sandbox and a Salesforce sandbox, with the document's cases."""

import io
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from flow.world import CONFIG, ROOT, SECRETS, World, a_world
from yarl import URL

from connector.sandbox.messagecloud import app as messagecloud
from connector.sandbox.serve import serving
from connector.telemetry.log_events import CallbackReceived, EnricherCalled
from connector.telemetry.logs import Log

DONOR, OTHER = "+4790000001", "+4790000002"
SAMPLES = Path(__file__).parent.parent / "samples" / "messagecloud"
KEY = "sandbox-key"
PROVIDER = """\
  messagecloud:
    path_secrets: [{{env: HOOK_SECRET}}]
    api: {{url: {gateway}, campaign_name: sandbox, key: {{env: MC_KEY}}}}
    offers:
      katt: {{service_id: s-1, keyword: KATT, price: 150, thank_you: "{pages}/thanks", {more}}}
      hund: {{service_id: s-2, keyword: HUND, price: 50, thank_you: "{pages}/hund", {more}}}
    subscribe: {{per_minute: {per_minute}}}
"""
PAGES = "https://example.org"
MORE = f'short_number: "2172", cancelled: "{PAGES}/turned-back"'


@dataclass
class Donors:
    """Donors with their browsers and phones; what they do goes through MessageCloud, which knows our endpoints."""

    world: World
    gateway: str

    async def visit(self, path):
        """Open an address of ours in a browser: status, and where it leads."""
        url = path if "://" in path else f"{self.world.app.url}/hooks/messagecloud/{path}"
        async with self.world.http.get(URL(url, encoded=True), allow_redirects=False) as answer:
            return answer.status, answer.headers.get("Location"), await answer.text()

    async def window(self, offer="katt"):
        """Begin a subscription; the transaction's id."""
        status, window, _ = await self.visit(f"subscribe/{offer}")
        assert status == 302
        assert window.startswith(f"{self.gateway}/service?id=")
        return parse_qs(urlsplit(window).query)["id"][0]

    async def at_the_window(self, transaction_id, outcome="success", phone=DONOR, **more):
        """Complete the window or turn back; the address to which the browser is sent then."""
        body = {"transaction_id": transaction_id, "outcome": outcome, "phone": phone, **more}
        return (await self.world.post(f"{self.gateway}/_sandbox/window", body))["redirect"]

    async def subscribe(self, offer="katt", phone=DONOR):
        """All of it, to the thank-you page."""
        transaction_id = await self.window(offer)
        redirect = await self.at_the_window(transaction_id, phone=phone)
        assert (await self.visit(redirect))[0] == 302
        await self.answered()
        return transaction_id

    async def set_status(self, transaction_id, status):
        body = {"transaction_id": transaction_id, "status": status}
        await self.world.post(f"{self.gateway}/_sandbox/status", body)

    async def phone(self, text, number=DONOR, **more):
        body = {"from": number, "text": text, **more}
        sent = await self.world.post(f"{self.gateway}/_sandbox/phone", body)
        assert (sent["taken"], sent["tries"], sent["answer"]) == (True, 1, "OK")

    async def report(self, report, number=DONOR, message="1083545875", **more):
        body = {"id": message, "phone": number, "report": report, **more}
        sent = await self.world.post(f"{self.gateway}/_sandbox/report", body)
        assert sent["taken"]

    async def spoil(self, call, **how):
        await self.world.post(f"{self.gateway}/_sandbox/errors", {"call": call, **how})

    def asked(self, outcome):
        return [call for call in self.world.emitted(EnricherCalled) if call.outcome == outcome]

    async def asked_again(self, *, ahead=timedelta(hours=1)):
        """Let the time pass until the open question is due, and be asked."""
        before = len(self.world.emitted(EnricherCalled))
        self.world.clock.ahead += ahead
        self.world.app.wake("ask messagecloud")
        await self.world.until(lambda: len(self.world.emitted(EnricherCalled)) > before)

    async def answered(self):
        """Let the time pass until no question is open, and all is settled."""
        while self.world.app.store.questions.counts():
            await self.asked_again()
        await self.world.settled()

    async def gift(self, transaction_id):
        gifts = await self.world.records("Opportunity")
        return next((one for one in gifts if one["SMS_Transaction__c"] == transaction_id), None)


@asynccontextmanager
async def a_place(base, monkeypatch, *, per_minute=1000):
    for name, value in {**SECRETS, "MC_KEY": KEY}.items():
        monkeypatch.setenv(name, value)
    mappings = base / "mappings"
    mappings.mkdir()
    for path in (*(ROOT / "mappings").glob("*.yaml"), *(ROOT / "mappings" / "more").glob("*messagecloud.yaml")):
        shutil.copy(path, mappings)
    worlds = []
    gateway = messagecloud.build(secret=SECRETS["HOOK_SECRET"], clock=lambda: worlds[0].clock.now().timestamp())
    async with serving(gateway) as there:
        own = PROVIDER.format(gateway=there, pages=PAGES, more=MORE, per_minute=per_minute)
        config = CONFIG.replace("crm:\n", own.replace("{", "{{").replace("}", "}}") + "crm:\n")
        async with a_world(base, mappings=mappings, config=config) as world:
            worlds.append(world)
            yield Donors(world, there)


async def introduce(donors):
    hooks = {"hooks": f"{donors.world.app.url}/hooks/messagecloud"}
    await donors.world.post(f"{donors.gateway}/_sandbox/config", hooks, method="PUT")


@pytest.fixture
async def donors(tmp_path, monkeypatch):
    async with a_place(tmp_path, monkeypatch) as made, made.world.running():
        await introduce(made)
        await made.world.poll()
        yield made


async def test_a_completed_subscription_makes_a_contact_a_monthly_gift_and_a_first_payment(donors):
    transaction_id = await donors.window()
    assert await donors.world.contact(DONOR) is None
    redirect = await donors.at_the_window(transaction_id)
    assert (await donors.visit(redirect))[:2] == (302, f"{PAGES}/thanks")
    await donors.answered()
    contact = await donors.world.contact(DONOR)
    assert (contact["MobilePhone"], contact["SMS_Opt_Out__c"], contact["SMS_Keywords__c"]) == (DONOR, False, "KATT")
    assert contact["SMS_Monthly_Amount__c"] == 100, "View Status has the last word on the price"
    gift = await donors.gift(transaction_id)
    assert (gift["Amount"], gift["StageName"], gift["SMS_Donor__c"]) == (100, "Closed Won", contact["Id"])
    assert donors.world.counts() == {"delivered": 1}
    assert donors.world.balanced()


async def test_a_subscription_is_completed_although_the_donor_does_not_return(donors):
    transaction_id = await donors.window()
    await donors.at_the_window(transaction_id)
    await donors.answered()
    assert await donors.gift(transaction_id)
    assert len(donors.asked("answered")) == 1


async def test_a_return_from_the_payment_page_proves_no_subscription(donors):
    transaction_id = await donors.window()
    (own,) = await donors.world.get(f"{donors.gateway}/_sandbox/transactions")
    _, page, _ = await donors.visit(f"return?id={own['own_id']}&status=success")
    assert page == f"{PAGES}/thanks"
    await donors.asked_again()
    await donors.world.until(lambda: donors.asked("not_yet"))
    assert await donors.world.records("Opportunity") == []
    assert donors.world.counts() == {"pending": 1}
    await donors.at_the_window(transaction_id)
    await donors.answered()
    assert await donors.gift(transaction_id)


async def test_a_return_from_the_payment_page_makes_the_question_due(donors):
    transaction_id = await donors.window()
    for _ in range(6):
        await donors.asked_again()
    redirect = await donors.at_the_window(transaction_id)
    # The next time would come after five minutes; with the hint it comes after the least gap.
    await donors.visit(redirect)
    donors.world.clock.ahead += timedelta(seconds=6)
    donors.world.app.wake("ask messagecloud")
    await donors.world.until(lambda: donors.asked("answered"))


@pytest.mark.parametrize("way", [{"as_numbers": True}, {"table_names": True}])
async def test_each_documented_form_of_the_reply_is_read(donors, way):
    await donors.world.post(f"{donors.gateway}/_sandbox/config", way, method="PUT")
    transaction_id = await donors.subscribe()
    assert await donors.gift(transaction_id)


@pytest.mark.parametrize("status", ["ACKNOWLEDGED", "UNKNOWN"])
async def test_a_status_that_is_not_final_is_asked_for_with_growing_gaps(donors, status):
    transaction_id = await donors.window()
    await donors.at_the_window(transaction_id, status=status)
    for _ in range(4):
        await donors.asked_again()
    assert await donors.world.records("Opportunity") == []
    await donors.set_status(transaction_id, "DELIVERED")
    await donors.answered()
    assert await donors.gift(transaction_id)


@pytest.mark.parametrize("status", ["REJECTED", "VALIDITY_EXPIRED", "INVALID_MSISDN", "NO_CREDIT", "FAILED"])
async def test_a_failed_subscription_makes_no_contact(donors, status):
    transaction_id = await donors.window()
    await donors.at_the_window(transaction_id, status=status)
    await donors.answered()
    assert await donors.world.contact(DONOR) is None
    assert donors.world.counts() == {"ignored": 1}


async def test_a_donor_who_cancels_is_redirected_to_that_page(donors):
    redirect = await donors.at_the_window(await donors.window(), "cancelled")
    assert (await donors.visit(redirect))[1] == f"{PAGES}/turned-back"
    await donors.answered()
    assert await donors.world.contact(DONOR) is None


async def test_an_abandoned_window_ends_at_the_deadline_and_can_be_replayed(donors):
    transaction_id = await donors.window()
    await donors.asked_again()
    await donors.asked_again(ahead=timedelta(hours=49))
    await donors.world.settled()
    assert donors.world.counts() == {"ignored": 1}
    assert "unanswered" not in donors.world.alarms, "a donor who turned back is not an alarm"
    await donors.at_the_window(transaction_id)
    (event,) = donors.world.emitted(CallbackReceived)
    await replay(donors.world, event.event)
    await donors.answered()
    assert await donors.gift(transaction_id)


async def replay(world, key):
    token = (world.app.store.path.with_name("admin-token")).read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with world.http.post(f"{world.app.admin_url}/admin/replay", json={"id": key}, headers=headers) as answer:
        assert answer.status == 200, await answer.text()


@pytest.mark.parametrize("how", [{"code": code} for code in (1, 2, 3, 4, 77)] + [{"http": 500}, {"http": 404}])
async def test_a_temporary_error_loses_no_subscription(donors, how):
    transaction_id = await donors.window()
    await donors.at_the_window(transaction_id)
    await donors.spoil("view", times=2, **how)
    await donors.asked_again()
    await donors.asked_again()
    failed = donors.asked("not_yet")
    assert len(failed) == 2
    assert all(call.reason for call in failed)
    await donors.answered()
    assert await donors.gift(transaction_id)


async def test_a_refused_key_and_an_unanswered_question_raise_one_alarm_each(donors):
    await donors.window()
    await donors.spoil("view", code=2, times=1000)
    await donors.asked_again()
    await donors.asked_again()
    await donors.world.until(lambda: donors.world.alarms == ["credentials"])
    await donors.asked_again(ahead=timedelta(hours=49))
    await donors.world.until(lambda: donors.world.alarms == ["credentials", "unanswered"])
    await donors.world.settled()
    assert donors.world.counts() == {"ignored": 1}


@pytest.mark.parametrize("how", [{"code": 1}, {"code": 2}, {"code": 3}, {"code": 4}, {"http": 500}])
async def test_a_visit_without_a_window_gets_503_and_is_not_stored(donors, how):
    await donors.spoil("new", **how)
    status, location, _ = await donors.visit("subscribe/katt")
    assert (status, location) == (503, None)
    assert donors.world.counts() == {}
    await donors.subscribe()


async def test_an_unknown_offer_creates_no_window(donors):
    for path in ("subscribe", "subscribe/", "subscribe/fugl", "subscribe/%2e%2e"):
        assert (await donors.visit(path))[0] == 404
    assert await donors.world.get(f"{donors.gateway}/_sandbox/calls") == []


async def test_an_opted_out_donor_can_subscribe_again(donors):
    await donors.subscribe()
    await donors.phone("STOP KATT")
    await donors.world.settled()
    assert (await donors.world.contact(DONOR))["SMS_Opt_Out__c"] is True
    donors.world.clock.ahead += timedelta(hours=1)
    transaction_id = await donors.subscribe()
    assert await donors.gift(transaction_id)
    assert (await donors.world.contact(DONOR))["SMS_Opt_Out__c"] is False


@pytest.mark.parametrize("text", ["STOP KATT", "KATT STOPP", "STOP", "ask sandbox stop"])
async def test_a_stop_ends_the_subscription_and_sets_the_flag(donors, text):
    await donors.subscribe()
    await donors.phone(text)
    await donors.world.settled()
    assert (await donors.world.contact(DONOR))["SMS_Opt_Out__c"] is True
    assert await donors.world.orders() == []


async def test_a_stop_of_one_of_two_subscriptions_leaves_the_other_and_the_flag(donors):
    await donors.subscribe("katt")
    await donors.subscribe("hund")
    await donors.phone("STOP KATT", method="GET")
    await donors.world.settled()
    contact = await donors.world.contact(DONOR)
    assert contact["SMS_Opt_Out__c"] is False
    # Whoever charges donors sees which keyword has ended.
    (trace,) = await donors.world.records("SMS_Event__c")
    ended = {"Contact__c": contact["Id"], "Action__c": "STOP", "Keyword__c": "KATT", "Text__c": "STOP KATT"}
    assert trace.items() >= ended.items()
    await donors.phone("HUND STOP")
    await donors.world.settled()
    assert (await donors.world.contact(DONOR))["SMS_Opt_Out__c"] is True
    assert {one["Keyword__c"] for one in await donors.world.records("SMS_Event__c")} == {"KATT", "HUND"}


async def test_a_stop_holds_against_a_late_status(donors):
    transaction_id = await donors.window()
    await donors.at_the_window(transaction_id, status="UNKNOWN")
    donors.world.clock.ahead += timedelta(minutes=5)
    await donors.phone("STOP KATT")
    await donors.world.until(lambda: "delivered" in donors.world.counts())
    await donors.set_status(transaction_id, "DELIVERED")
    donors.world.clock.ahead += timedelta(hours=1)
    await donors.answered()
    assert (await donors.world.contact(DONOR))["SMS_Opt_Out__c"] is True
    assert donors.world.counts() == {"delivered": 1, "superseded": 1}


async def test_an_opt_out_in_salesforce_is_delivered_without_a_call(donors):
    await donors.subscribe()
    await donors.world.poll()
    contact = await donors.world.contact(DONOR)
    before = await donors.world.get(f"{donors.gateway}/_sandbox/calls")
    await donors.world.person(Id=contact["Id"], SMS_Opt_Out__c=True)
    await donors.world.poll()
    assert donors.world.app.store.outbox.counts("messagecloud")["delivered"] == 1
    assert donors.world.app.store.consents.open_opt_outs(donors.world.clock.now()) == []
    entries = donors.world.app.store.consents.of(DONOR)
    assert any(entry.sink == "messagecloud" and "no such call" in (entry.detail or "") for entry in entries)
    assert await donors.world.get(f"{donors.gateway}/_sandbox/calls") == before


async def test_the_documented_message_is_ignored_and_its_repeat_recognised(donors):
    url = f"{donors.world.app.url}/hooks/messagecloud/mo/{SECRETS['HOOK_SECRET']}"
    body = (SAMPLES / "message.form").read_bytes().strip()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for _ in range(2):
        async with donors.world.http.post(url, data=body, headers=form) as answer:
            assert (answer.status, await answer.text()) == (200, "OK")
    status, _, text = await donors.visit(f"{url}?{body.decode()}")
    assert (status, text) == (200, "OK")
    await donors.world.settled()
    assert donors.world.counts() == {"ignored": 1}
    stored = donors.world.app.store.inbox.get("messagecloud-mo-1083545875")
    assert stored.event.text == "hello world"
    assert donors.world.app.store.inbox.raw(stored.id) == body


async def test_an_alias_of_a_number_is_stored_and_matches_nobody(donors):
    await donors.phone("STOP", number="#288123")
    await donors.world.settled()
    (event,) = donors.world.emitted(CallbackReceived)
    stored = donors.world.app.store.inbox.get(event.event)
    assert stored.event.msisdn is None
    assert stored.event.properties["number"] == "#288123"
    assert await donors.world.records() == []
    assert donors.world.balanced()


async def test_reports_in_any_order_leave_the_final_status(donors):
    await donors.report("DELIVERED")
    await donors.report("ACKNOWLEDGED", method="GET")
    await donors.report("DELIVERED", method="GET")
    await donors.world.settled()
    (record,) = await donors.world.records("SMS_Event__c")
    assert (record["Status__c"], record["Result__c"], record["Transaction__c"]) == ("DELIVERED", "ok", "1083545875")
    assert donors.world.counts() == {"delivered": 1, "ignored": 1}


async def test_only_donors_are_served_without_the_secret(donors):
    for path in ("mo?id=1&message=STOP", "dlr?id=1&report=DELIVERED", "mo/wrong?id=1"):
        assert (await donors.visit(path))[0] == 401
    assert donors.world.counts() == {}
    assert (await donors.visit("return?id=x&status=success"))[:2] == (200, None)
    assert (await donors.visit("return?id=%FF%00&status=%zz"))[0] == 200
    assert donors.world.counts() == {}


async def test_an_open_question_does_not_delay_events_of_others(donors):
    await donors.window()
    await donors.phone("hello", number=OTHER)
    await donors.world.until(lambda: donors.world.counts().get("ignored") == 1)
    assert donors.world.counts() == {"pending": 1, "ignored": 1}


async def test_too_many_windows_from_one_address_are_refused(tmp_path, monkeypatch):
    async with a_place(tmp_path, monkeypatch, per_minute=2) as donors, donors.world.running():
        await introduce(donors)
        assert [(await donors.visit("subscribe/katt"))[0] for _ in range(3)] == [302, 302, 429]
        assert donors.world.counts() == {"pending": 2}


async def test_a_restarted_daemon_asks_again(tmp_path, monkeypatch):
    async with a_place(tmp_path, monkeypatch) as donors:
        async with donors.world.running():
            await introduce(donors)
            transaction_id = await donors.window()
            await donors.asked_again()
        async with donors.world.running():
            await introduce(donors)
            await donors.at_the_window(transaction_id)
            await donors.answered()
            assert await donors.gift(transaction_id)


async def test_no_log_line_contains_the_api_key_or_the_number(tmp_path, monkeypatch):
    lines = io.StringIO()
    async with a_place(tmp_path, monkeypatch) as donors:
        log, emitted = Log(level="debug", form="text", stream=lines), donors.world.emit
        donors.world.emit = lambda fact: (log(fact), emitted(fact))[1]
        async with donors.world.running():
            await introduce(donors)
            await donors.spoil("view", http=500)
            await donors.subscribe()
            await donors.spoil("new", code=2)
            assert (await donors.visit("subscribe/katt"))[0] == 503
            await donors.phone("STOP KATT")
            await donors.world.settled()
    text = lines.getvalue()
    assert "asked messagecloud" in text
    assert KEY not in text
    assert "api_key" not in text
    assert DONOR.lstrip("+") not in text
