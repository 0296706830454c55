"""Results of sendings (SfMcSMS): the event record, the data extension, the journey event and the signed webhook."""

import json
import shutil
import time
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from flow.test_examples import envelope
from flow.world import CONFIG, ROOT, a_world
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook

from connector.sandbox.marketing_cloud import app as marketing_cloud
from connector.sandbox.serve import serving
from connector.sandbox.webhook import app as webhook
from connector.sinks.webhook.signature import read_secret, signatures
from connector.telemetry.log_events import Alarm

SECRET = "whsec_" + "c2FuZGJveC1zaWduaW5nLXNlY3JldC1vZi0zMmJ5dGU="
SINKS = """
sinks:
  mc:
    type: marketing_cloud
    auth_url: {mc}
    client_id: sandbox
    client_secret: {{env: MC_SECRET}}
    events: {{Sent from journey: SmsResult-Event}}
    strex_agreed: true
  result_hook:
    type: webhook
    url: {hook}/results
    secret: {{env: HOOK_SIGNING}}
    names: [default]
    allow_private: true
"""
EXTENSION = {
    "key": "TransactionId",
    "columns": ["TransactionId", "ContactKey", "JourneyId", "Name", "Result", "Status", "StatusDetail", "OccurredAt"],
}
STEP = timedelta(seconds=90)


class Results:
    """The world of a test, with both sinks."""

    def __init__(self, world, mc, hook):
        self.world, self.mc, self.hook = world, mc, hook

    async def report(self, contact, transaction="client-1", status="Ok", **properties):
        body = envelope(
            {
                "AccontId": "685",
                "SfContactId": contact,
                "SfEvent": "Sent from journey",
                "SfJourneyId": "7f8d9a10",
                "SfNameOnMessage": "Newsletter",
                "SfWebhook": "default",
                "SystemAction": "SfMcSMS",
                **properties,
            }
        )
        final = status not in {"Sent", "Queued"}
        body |= {"transactionId": transaction, "statusCode": status, "delivered": True if final else None}
        assert await self.world.callback("dlr", body) == 200

    async def state(self):
        return await self.world.get(f"{self.mc}/_sandbox/state")

    async def messages(self):
        return (await self.world.get(f"{self.hook}/_sandbox/messages"))["messages"]

    async def answers(self, *answers):
        await self.world.post(f"{self.hook}/_sandbox/answers", {"answers": list(answers)}, method="PUT")

    async def faults(self, *faults):
        await self.world.post(f"{self.mc}/_sandbox/config", {"faults": list(faults)}, method="PUT")

    async def until(self, condition):
        """Wait, and let the time of pauses pass."""

        async def there():
            self.world.clock.ahead += STEP
            for name in ("mc", "mc.events", "result_hook"):
                self.world.app.wake(name)
            return await condition()

        return await self.world.until(there)

    async def settled(self):
        async def over():
            return not {"pending", "delivering"} & self.world.counts().keys()

        await self.until(over)


@asynccontextmanager
async def results_world(directory, sinks=SINKS):
    """A world whose config and mappings send results, with Marketing Cloud and a receiver; the daemon is not started."""
    mappings = directory / "mappings"
    shutil.copytree(ROOT / "mappings", mappings, ignore=lambda *_: ["more", "npsp", "nonprofit-cloud", "dynamics"])
    for name in ("strex-results.yaml", "strex-journey-events.yaml"):
        shutil.copy(ROOT / "mappings" / "more" / name, mappings)
    async with serving(marketing_cloud.build()) as mc, serving(webhook.build(SECRET)) as hook:
        config = CONFIG + sinks.format(mc=mc, hook=hook).replace("{", "{{").replace("}", "}}")
        async with a_world(directory, mappings=mappings, config=config) as world:
            described = {
                "extensions": {"SMS_Results": EXTENSION},
                "events": {"SmsResult-Event": ["Result", "TransactionId"]},
            }
            await world.post(f"{mc}/_sandbox/config", described, method="PUT")
            yield Results(world, mc, hook)


@pytest.fixture
async def results(tmp_path, secrets, monkeypatch):
    monkeypatch.setenv("MC_SECRET", "sandbox")
    monkeypatch.setenv("HOOK_SIGNING", SECRET)
    async with results_world(tmp_path) as made, made.world.running():
        await made.world.poll()
        yield made


async def test_a_final_result_is_sent_once_to_record_row_event_and_webhook(results):
    contact = await results.world.person(LastName="Ås")
    await results.report(contact, status="Sent")
    await results.world.settled()
    assert ((await results.state())["events"], await results.messages()) == ([], [])

    await results.report(contact)
    await results.settled()
    (record,) = await results.world.records("SMS_Event__c")
    assert (record["Contact__c"], record["Journey__c"], record["Status_Detail__c"]) == (
        contact,
        "7f8d9a10",
        "Delivered",
    )
    state = await results.state()
    (row,) = state["rows"]["SMS_Results"]
    assert (row["TransactionId"], row["ContactKey"], row["Result"], row["Name"]) == (
        "client-1",
        contact,
        "ok",
        "Newsletter",
    )
    (event,) = state["events"]
    assert (event["contact"], event["event"], event["data"]["Result"]) == (contact, "SmsResult-Event", "ok")
    assert state["token_requests"] == 1
    (message,) = await results.messages()
    assert (message["verified"], message["path"]) == (True, "/results")
    data = message["body"]["data"]
    assert (data["result"], data["contact_key"], data["account_id"]) == ("ok", contact, "685")
    assert "+47" not in json.dumps(message)
    Draft202012Validator(json.loads((ROOT / "schema" / "sms.result.v1.schema.json").read_text())).validate(
        message["body"]
    )


async def test_a_webhook_is_called_with_the_same_id_until_it_accepts(results):
    await results.answers({"status": 500}, {"lost": True}, {"status": 204})
    await results.report(await results.world.person(LastName="Ås"))
    await results.settled()
    messages = await results.messages()
    assert len(messages) == 3
    assert len({one["id"] for one in messages}) == 1
    assert results.world.counts() == {"delivered": 1}


async def test_a_redirect_is_never_followed(results):
    await results.answers(*[{"status": 302, "headers": {"Location": f"{results.hook}/elsewhere"}}] * 2)
    await results.report(await results.world.person(LastName="Ås"))
    await results.settled()
    assert {one["path"] for one in await results.messages()} == {"/results"}
    assert "wrong_address" in [alarm.kind for alarm in results.world.emitted(Alarm)]


async def test_a_webhook_that_is_gone_is_not_called_again_and_delays_nothing_else(results):
    await results.answers({"status": 410})
    contact = await results.world.person(LastName="Ås")
    await results.report(contact)
    await results.until(results.messages)
    await results.report(contact, transaction="client-2")

    async def rest_is_done():
        state, records = await results.state(), await results.world.records("SMS_Event__c")
        return len(state["rows"]["SMS_Results"]) == len(state["events"]) == len(records) == 2

    await results.until(rest_is_done)
    assert len(await results.messages()) == 1
    (alarm,) = [one for one in results.world.emitted(Alarm) if one.about == "result_hook"]
    assert "change `url`" in alarm.cure


async def test_an_unknown_webhook_name_is_a_dead_letter(results):
    await results.report(
        await results.world.person(LastName="Ås"), SfWebhook="https://169.254.169.254/", SfEvent="Unknown"
    )
    await results.until(lambda: _dead(results))
    letters = results.world.app.store.dead_letters.listing()
    assert {one.reason.value for one in letters} == {"unknown_name"}
    assert await results.messages() == []


async def _dead(results):
    return results.world.counts().get("dead")


async def test_a_journey_event_without_a_reply_is_not_sent_again_and_waits_for_a_person(results):
    contact = await results.world.person(LastName="Ås")

    async def row_is_written():
        return (await results.state())["rows"]["SMS_Results"]

    await results.report(contact)
    await results.world.until(row_is_written)
    await results.faults({"lost": True})
    await results.until(lambda: _dead(results))
    state = await results.state()
    assert (len(state["events"]), len(state["rows"]["SMS_Results"]), len(await results.messages())) == (1, 1, 1)
    (letter,) = results.world.app.store.dead_letters.listing(parked=True)
    assert (letter.sink, letter.reason.value) == ("mc.events", "needs_person")


async def test_a_refused_row_is_found_among_the_others(results):
    contact = await results.world.person(LastName="Ås")
    await results.faults({"status": 429, "code": 50100, "headers": {"Retry-After": "5"}})
    narrow = {"SMS_Results": {**EXTENSION, "lengths": {"Name": 20}}}
    await results.world.post(f"{results.mc}/_sandbox/config", {"extensions": narrow}, method="PUT")
    for number in range(5):
        await results.report(contact, f"client-{number}", SfNameOnMessage="x" * (30 if number == 3 else 5))
    await results.until(lambda: _dead(results))
    await results.settled()
    rows = (await results.state())["rows"]["SMS_Results"]
    assert {row["TransactionId"] for row in rows} == {"client-0", "client-1", "client-2", "client-4"}


async def test_an_expired_token_is_renewed_once(results):
    contact = await results.world.person(LastName="Ås")
    await results.report(contact)
    await results.settled()
    await results.world.post(f"{results.mc}/_sandbox/config", {"expire_tokens": True}, method="PUT")
    await results.report(contact, "client-2")
    await results.settled()
    state = await results.state()
    assert (state["token_requests"], len(state["rows"]["SMS_Results"]), len(state["events"])) == (2, 2, 2)


async def test_a_standard_verifier_accepts_the_signature():
    now, body = int(time.time()), b'{"type": "sms.result.v1"}'
    old = read_secret("whsec_" + "ZWFybGllci1zaWduaW5nLXNlY3JldC1vZi0zMmJ5dGU=", "x")
    header = signatures([read_secret(SECRET, "x"), old], "msg_1", now, body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": header}
    assert Webhook(SECRET).verify(body, headers) == {"type": "sms.result.v1"}
