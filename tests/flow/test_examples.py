"""The Strex document's examples, posted as Strex posts them, become the CRM updates of the shipped mappings.

The document shows only Properties; the envelope is that of Target365's DeliveryReport model.
"""

import asyncio
import json
from datetime import timedelta
from itertools import count

import pytest
from flow.world import ROOT, a_world

from connector.telemetry.log_events import Settled

DONOR = "+4798079008"
PEOPLE = 1000
MOST_CALLS = 2  # for the contacts and the event records of a thousand people
NUMBERS = count()
# "Properties sample from an MasterDLRForward when an end user has opted out", letter by letter.
OPTED_OUT = (
    '{ "ServiceType": "Subscription", "ServiceId": "d2455b83-f471-4f8e-9332-2387b23adbhd", "Keyword": "MYKEYWORD", '
    '"SystemAction": "Unsubscribe", "SubscriberTransactionId": "28738980- 328d-488f-a8ed-3570200500a1", '
    '"ServiceSubType": "Donation", "AccountId": 4828, "myproperty": "custom value" }'
)
FAILURES = {
    "SubscribePreAuthFailed",
    "RecurringPreAuthFailed",
    "ValidationFailed",
    "LookupFailed",
    "AlterPriceInvalid",
}
ACTIONS = {"Subscribe", "Unsubscribe", "Signup", "Recurring", "AlterPrice", "AlreadyRegistered", *FAILURES}
STATUSES = ("Ok", "Failed", "Sent", "Reversed")
JOINED = {"SMS_Opt_Out__c": False, "SMS_Keywords__c": "MYKEYWORD"}
LEFT = {"SMS_Opt_Out__c": True, "SMS_Opt_Out_Source__c": "Strex MYKEYWORD"}
# What else than an event record an action leaves on the contact.
EFFECTS = {
    ("Subscribe", "Ok"): JOINED,
    ("Signup", "Ok"): JOINED,
    **{("Unsubscribe", status): LEFT for status in STATUSES},
    ("AlterPrice", "Ok"): {"SMS_Monthly_Amount__c": 250},
}
NOTHING = {
    "SMS_Opt_Out__c": False,
    "SMS_Keywords__c": None,
    "SMS_Opt_Out_Source__c": None,
    "SMS_Monthly_Amount__c": None,
}
STAGES = {("Recurring", "Ok"): "Closed Won", ("Recurring", "Reversed"): "Closed Lost"}


def envelope(properties, **more):
    """A MasterDLRForward; the nulls are written out, as they are in the guide's sample."""
    return {
        "transactionId": f"client-{next(NUMBERS)}",
        "correlationId": None,
        "sessionId": None,
        "keywordId": "12345678",
        "price": None,
        "sender": "2002",
        "recipient": DONOR,
        "operatorId": "no.telenor",
        "statusCode": "Ok",
        "detailedStatusCode": "Delivered",
        "statusDescription": None,
        "delivered": True,
        "billed": None,
        "smscTransactionId": "16976c7448d",
        "smscMessageParts": 1,
        "properties": properties,
        **more,
    }


def action(name, **more):
    """A report of the document's service with another SystemAction."""
    return envelope({**json.loads(OPTED_OUT), "SystemAction": name}, **more)


async def test_the_documented_opt_out_sets_the_flag(world):
    assert await world.callback("dlr", envelope(json.loads(OPTED_OUT))) == 200
    await world.settled()
    assert world.counts() == {"delivered": 1}
    contact = await world.contact(DONOR)
    assert contact.items() >= {**LEFT, "MobilePhone": DONOR, "LastName": "Unknown"}.items()
    (event,) = await world.records("SMS_Event__c")
    assert event["Contact__c"] == contact["Id"]
    assert (event["Action__c"], event["Keyword__c"], event["Short_Number__c"]) == ("Unsubscribe", "MYKEYWORD", "2002")
    assert await world.orders() == []


@pytest.mark.parametrize("bare", [OPTED_OUT, f"Properties: {OPTED_OUT}", f'{{"Properties": {OPTED_OUT}}}'])
async def test_the_incomplete_example_of_the_document_is_stored_as_unreadable(world, bare):
    for endpoint in ("dlr", "mo"):
        assert await world.callback(endpoint, bare.encode()) == 200
    await world.settled()
    assert world.counts() == {"unreadable": 2}
    assert world.app.store.inbox.raw(1) == bare.encode()
    assert await world.records() == []


async def test_each_action_with_each_status_is_written_as_the_mappings_say(world):
    donors = {
        (name, status): f"+4790000{number:03}"
        for number, (name, status) in enumerate((name, status) for name in sorted(ACTIONS) for status in STATUSES)
    }
    assert len(donors) == 44
    for (name, status), donor in donors.items():
        body = action(name, recipient=donor, statusCode=status, price=250, transactionId=f"t{donor[1:]}")
        assert await world.callback("dlr", body) == 200
    await world.settled()
    contacts = {one["SMS_Key__c"]: one for one in await world.records()}
    events = {one["Transaction__c"]: one for one in await world.records("SMS_Event__c")}
    gifts = {one["SMS_Transaction__c"]: one["StageName"] for one in await world.records("Opportunity")}
    for (name, status), donor in donors.items():
        # A message that is under way says nothing yet; but an action that tells of a failure has failed already.
        emitted = status != "Sent" or name in FAILURES
        effect = EFFECTS.get((name, status))
        event, contact = events.get(f"t{donor[1:]}"), contacts.get(donor)
        assert (event is not None) == emitted, (name, status)
        assert (contact is not None) == (emitted or effect is not None), (name, status)
        assert gifts.get(f"t{donor[1:]}") == STAGES.get((name, status)), (name, status)
        if contact:
            assert contact.items() >= {**NOTHING, **(effect or {})}.items(), (name, status)
        if event:
            result = {"Ok": "ok", "Failed": "failed", "Reversed": "reversed"}.get(status, "failed")
            expected = (name, status, "failed" if name in FAILURES else result, contact["Id"])
            assert (event["Action__c"], event["Status__c"], event["Result__c"], event["Contact__c"]) == expected
    assert world.counts() == {"delivered": 44 - 5, "ignored": 5}
    assert await world.orders() == []


@pytest.mark.parametrize("order", [("Ok", "Reversed"), ("Reversed", "Ok")], ids="-".join)
async def test_a_reversed_gift_stays_lost_in_any_order_of_reports(world, order):
    bodies = {
        "Ok": action("Recurring", transactionId="t-1", price=200),
        "Reversed": action("Recurring", transactionId="-t-1"),
    }
    for each in order:
        assert await world.callback("dlr", bodies[each]) == 200
        await world.settled()
    (gift,) = await world.records("Opportunity")
    assert (gift["StageName"], gift["Amount"], gift["SMS_Transaction__c"]) == ("Closed Lost", 200, "t-1")


async def test_an_sms_sent_from_salesforce_is_recorded_on_its_contact(world):
    known = await world.person(LastName="Ås", MobilePhone=DONOR)
    properties = {
        "AccontId": 685,
        "SfContactId": known,
        "SfEvent": "00U000000000001",
        "SfJourneyId": "journey-1",
        "SfNameOnMessage": "Spring appeal",
        "SfWebhook": "hook-1",
        "SystemAction": "SfMcSMS",
    }
    assert await world.callback("dlr", envelope(properties)) == 200
    await world.settled()
    (event,) = await world.records("SMS_Event__c")
    expected = {"Contact__c": known, "Journey__c": "journey-1", "Text__c": "Spring appeal", "Action__c": "SfMcSMS"}
    assert event.items() >= expected.items()
    assert [one["Id"] for one in await world.records()] == [known]


async def sent_from_salesforce(world, **properties):
    """The report of an SMS that was sent from Salesforce; the event record that came of it."""
    body = envelope({"SystemAction": "SfMcSMS", "SfNameOnMessage": "Spring appeal", **properties})
    assert await world.callback("dlr", body) == 200
    await world.settled()
    return next(iter(await world.records("SMS_Event__c")), None)


@pytest.mark.parametrize("name", [2026, 12.5, True])
async def test_a_name_that_is_a_number_is_kept_as_text(world, name):
    known = await world.person(LastName="Ås", MobilePhone=DONOR)
    event = await sent_from_salesforce(world, SfContactId=known, SfNameOnMessage=name)
    assert event["Text__c"] == str(name).lower()
    assert world.counts() == {"delivered": 1}


@pytest.mark.parametrize("gone", ["deleted", "in no org", "no id"])
async def test_the_phone_number_finds_the_person_if_the_contact_of_an_sms_is_deleted(world, gone):
    deleted = await world.person(LastName="Deleted", MobilePhone="+4790000009")
    await world.bin(deleted)
    known = await world.person(LastName="Ås", MobilePhone=DONOR, SMS_Key__c=DONOR)
    named = {"deleted": deleted, "in no org": "003000000000009AAA", "no id": "Sent from journey"}[gone]
    event = await sent_from_salesforce(world, SfContactId=named)
    assert event["Contact__c"] == known
    assert world.counts() == {"delivered": 1}


async def test_an_sms_to_an_unknown_person_is_a_dead_letter_with_the_reason(world):
    assert (
        await world.callback("dlr", envelope({"SystemAction": "SfMcSMS", "SfContactId": "003000000000009AAA"})) == 200
    )
    for _ in range(20):
        if world.counts() == {"dead": 1}:
            break
        world.clock.ahead += timedelta(minutes=6)
        world.app.wake("salesforce")
        before = len(world.emitted(Settled))
        await world.until(lambda before=before: len(world.emitted(Settled)) > before or world.counts() == {"dead": 1})
    (letter,) = world.app.store.dead_letters.listing()
    assert letter.reason == "parent_missing"
    # The printed cure works: the contact is made, and the letter tries again.
    known = await world.person(LastName="Ås", MobilePhone=DONOR, SMS_Key__c=DONOR)
    await world.app.store.dead_letters.retry([letter.event_id], now=world.clock.now())
    world.app.wake("salesforce")
    await world.settled()
    assert [one["Contact__c"] for one in await world.records("SMS_Event__c")] == [known]


@pytest.mark.parametrize(
    ("price", "properties", "amount"),
    [
        (0, {"NewPrice": 250}, 250),
        (0, {"Price": "250"}, 250),
        (None, {"newprice": "250"}, 250),
        (250, {}, 250),
        (1, {"NewPrice": 250}, 250),
        (0, {}, 100),
        (0, {"NewPrice": 0}, 100),
        (None, {}, 100),
    ],
)
async def test_the_price_of_a_free_message_does_not_change_the_amount(world, price, properties, amount):
    report = action("AlterPrice", price=price)
    report["properties"] |= properties
    for body in (action("AlterPrice", price=100), report):
        assert await world.callback("dlr", body) == 200
        await world.settled()
    assert (await world.contact(DONOR))["SMS_Monthly_Amount__c"] == amount
    assert world.counts() == {"delivered": 2}


@pytest.mark.parametrize(
    "reversal",
    [{"transactionId": "-gift-1"}, {"statusCode": "Reversed"}, {"transactionId": "-gift-1", "statusCode": "Reversed"}],
)
async def test_a_monthly_gift_becomes_an_opportunity_and_its_reversal_closes_the_same_one(world, reversal):
    charged = action("Recurring", price=200, transactionId="gift-1", received="2026-01-02T03:04:00+00:00")
    assert await world.callback("dlr", charged) == 200
    await world.settled()
    (gift,) = await world.records("Opportunity")
    expected = {"StageName": "Closed Won", "Amount": 200, "CloseDate": "2026-01-02", "SMS_Transaction__c": "gift-1"}
    assert gift.items() >= expected.items()
    assert gift["SMS_Donor__c"] == (await world.contact(DONOR))["Id"]
    assert await world.callback("dlr", {**charged, **reversal}) == 200
    await world.settled()
    (lost,) = await world.records("Opportunity")
    changed = {name for name in gift if gift[name] != lost[name]}
    assert lost["StageName"] == "Closed Lost"
    assert changed - {"LastModifiedDate", "SystemModstamp"} == {"StageName"}
    assert len(await world.records("SMS_Event__c")) == 2


REGISTERED = {"firstName": "Kari", "lastName": "Nordmann", "zipCode": "0150", "city": "OSLO"}
LOOKUPS = {
    "nested": {"Lookup": REGISTERED},
    "JSON text": {"LookupResult": json.dumps(REGISTERED)},
    "flat": {name[0].upper() + name[1:]: value for name, value in REGISTERED.items()},
}


@pytest.mark.parametrize("name", LOOKUPS)
async def test_lookup_data_names_a_new_contact_and_does_not_change_a_known_one(world, name):
    joined = action("Subscribe")
    joined["properties"] |= LOOKUPS[name]
    assert await world.callback("dlr", joined) == 200
    await world.settled()
    contact = await world.contact(DONOR)
    assert (contact["FirstName"], contact["LastName"]) == ("Kari", "Nordmann")
    await world.person(Id=contact["Id"], FirstName="Kari Anne")
    assert await world.callback("dlr", {**joined, "transactionId": "later"}) == 200
    await world.settled()
    assert (await world.contact(DONOR))["FirstName"] == "Kari Anne"


WITHOUT_CREATE = """
on: [strex.message, strex.delivery_report]
rules:
  - name: out
    when: {verdict: opt_out}
    do:
      - upsert: Contact
        key: {SMS_Key__c: "{msisdn}"}
        set: {LastName: Unknown, SMS_Opt_Out__c: true}
    consent: opt_out
  - name: all
    do:
      - upsert: Contact
        key: {SMS_Key__c: "{msisdn}"}
        set: {LastName: Unknown, MobilePhone: "{msisdn}"}
      - upsert: SMS_Event__c
        key: {Event_Key__c: "{key}"}
        set:
          Contact__r: {SMS_Key__c: "{msisdn}"}
          Action__c: "{action}"
"""


async def calls_for_a_thousand_people(world):
    """The API calls that Salesforce counts when all is planned before the first of it is delivered."""
    await world.fault(world.salesforce, fault="unavailable", times=1_000_000)

    async def sender(share):
        for number in range(share, PEOPLE, 16):
            assert await world.callback("dlr", action("AlreadyRegistered", recipient=f"+4790000{number:03}")) == 200

    async with asyncio.TaskGroup() as senders:
        for share in range(16):
            senders.create_task(sender(share))
    await world.until(lambda: world.counts() == {"delivering": PEOPLE})
    await world.no_faults(world.salesforce)
    before = await world.api_calls()
    world.clock.ahead += timedelta(hours=1)
    await world.settled()
    assert world.counts() == {"delivered": PEOPLE}
    assert len(await world.records()) == len(await world.records("SMS_Event__c")) == PEOPLE
    return await world.api_calls() - before


async def test_a_thousand_events_of_new_people_need_at_most_two_calls(world):
    assert await calls_for_a_thousand_people(world) <= MOST_CALLS


async def test_a_thousand_events_without_create_fields_need_no_more_calls(tmp_path, secrets):
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    (mappings / "all.yaml").write_text(WITHOUT_CREATE)
    (mappings / "back.yaml").write_text((ROOT / "mappings" / "salesforce-to-strex.yaml").read_text())
    async with a_world(tmp_path, mappings=mappings) as world, world.running():
        assert await calls_for_a_thousand_people(world) <= MOST_CALLS
