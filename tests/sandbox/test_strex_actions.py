"""Subscribers' actions and the resulting forwards, read from the sandbox's own list without a receiver."""

import uuid

import aiohttp
import pytest

from connector.sandbox.serve import serving
from connector.sandbox.strex.app import build

PHONE = "+4798079008"
NOW = 1_767_323_045.123456


@pytest.fixture
async def strex():
    async with serving(build(clock=lambda: NOW)) as url, aiohttp.ClientSession(url) as client:
        yield client


async def done(strex, call, **body):
    """Make a control call and return the bodies of the forwards that it caused."""
    async with strex.post(f"/_sandbox/{call}", json=body) as answer:
        assert answer.status == 200, await answer.text()
        numbers = (await answer.json())["forwards"]
    async with strex.get("/_sandbox/forwards?wait=1") as answer:
        return [each["body"] for each in await answer.json() if each["number"] in numbers]


async def texted(strex, text, phone=PHONE):
    return await done(strex, "phone", **{"from": phone, "to": "2002", "text": text})


async def subscribers(strex):
    async with strex.get("/_sandbox/subscribers") as answer:
        return {(each["phone"], each["keyword"]): each for each in await answer.json()}


def actions(bodies):
    return [body["properties"].get("SystemAction") for body in bodies]


async def test_the_first_text_is_forwarded_and_then_reported_as_subscribe(strex):
    message, report = await texted(strex, "mykeyword")
    assert message | {"transactionId": ""} == {
        "transactionId": "",
        "messageId": None,
        "keywordId": "12345680",
        "sender": PHONE,
        "recipient": "2002",
        "content": "mykeyword",
        "isStopMessage": False,
        "processAttempts": 1,
        "processed": None,
        "created": "2026-01-02T03:04:05.1234560+00:00",
        "tags": [],
        "properties": {
            "ServiceType": "Subscription",
            "ServiceId": "d2455b83-f471-4f8e-9332-2387b23adbhd",
            "Keyword": "MYKEYWORD",
            "AccountId": 4828,
            "myproperty": "custom value",
        },
    }
    assert report | {"transactionId": "", "smscTransactionId": "", "properties": {}} == {
        "transactionId": "",
        "correlationId": None,
        "sessionId": None,
        "keywordId": "12345680",
        "price": None,
        "sender": "2002",
        "recipient": PHONE,
        "operatorId": "no.telenor",
        "statusCode": "Ok",
        "detailedStatusCode": "Delivered",
        "statusDescription": None,
        "delivered": True,
        "billed": None,
        "smscTransactionId": "",
        "smscStatus": None,
        "smscMessageParts": 1,
        "received": "2026-01-02T03:04:00.0000000+00:00",
        "properties": {},
    }
    subscriber = (await subscribers(strex))[PHONE, "MYKEYWORD"]
    assert report["properties"] == {
        "ServiceType": "Subscription",
        "ServiceId": "d2455b83-f471-4f8e-9332-2387b23adbhd",
        "Keyword": "MYKEYWORD",
        "SystemAction": "Subscribe",
        "SubscriberTransactionId": subscriber["subscriber_transaction_id"],
        "ServiceSubType": "Donation",
        "AccountId": 4828,
        "myproperty": "custom value",
    }
    assert len({message["transactionId"], report["transactionId"]}) == 2


async def test_a_second_text_of_a_member_changes_nothing(strex):
    await texted(strex, "KATT")
    before = await subscribers(strex)
    assert actions(await texted(strex, "KATT")) == [None, "AlreadyRegistered"]
    assert await subscribers(strex) == before


@pytest.mark.parametrize("stop", ["KATT STOP", "STOPP KATT", "cat stopp"])
async def test_a_stop_ends_one_subscription_and_joining_again_gets_a_new_id(strex, stop):
    first = (await texted(strex, "KATT"))[1]["properties"]["SubscriberTransactionId"]
    await texted(strex, "HUND")
    message, report = await texted(strex, stop)
    assert message["isStopMessage"] is True
    assert report["properties"]["SystemAction"] == "Unsubscribe"
    assert report["properties"]["SubscriberTransactionId"] == first
    states = {keyword: each["active"] for (_, keyword), each in (await subscribers(strex)).items()}
    assert states == {"KATT": False, "HUND": True}
    again = (await texted(strex, "KATT"))[1]["properties"]
    assert again["SystemAction"] == "Subscribe"
    assert again["SubscriberTransactionId"] != first
    assert uuid.UUID(again["SubscriberTransactionId"])


async def test_a_plain_stop_ends_every_subscription_of_that_phone_alone(strex):
    for text in ("KATT", "HUND"):
        await texted(strex, text)
    await texted(strex, "KATT", phone="+4790000001")
    message, *reports = await texted(strex, "STOP")
    assert (message["isStopMessage"], message["keywordId"]) == (True, None)
    assert [(body["keywordId"], body["properties"]["SystemAction"]) for body in reports] == [
        ("12345678", "Unsubscribe"),
        ("12345679", "Unsubscribe"),
    ]
    assert [phone for (phone, _), each in (await subscribers(strex)).items() if each["active"]] == ["+4790000001"]
    assert len(await texted(strex, "STOP")) == 1


async def test_a_stop_of_a_person_without_a_subscription_is_a_message_and_no_report(strex):
    (message,) = await texted(strex, "KATT STOP")
    assert message["isStopMessage"] is True


async def test_an_amount_alters_the_price(strex):
    await texted(strex, "KATT")
    report = (await texted(strex, "KATT 200"))[1]
    assert (report["properties"]["SystemAction"], report["price"]) == ("AlterPrice", 200)
    assert (await subscribers(strex))[PHONE, "KATT"]["price"] == 200
    assert actions(await texted(strex, "KATT 0")) == [None, "AlterPriceInvalid"]
    assert (await subscribers(strex))[PHONE, "KATT"]["price"] == 200


async def test_an_amount_from_a_newcomer_subscribes_at_that_price(strex):
    assert actions(await texted(strex, "KATT 250")) == [None, "Subscribe"]
    assert (await subscribers(strex))[PHONE, "KATT"]["price"] == 250


async def test_an_unknown_keyword_is_a_plain_message(strex):
    (message,) = await texted(strex, "Hei på deg")
    assert (message["keywordId"], message["properties"], message["content"]) == (None, {}, "Hei på deg")


async def test_a_web_sign_up_is_signup_and_then_already_registered(strex):
    assert actions(await done(strex, "signup", phone=PHONE, keyword="KATT")) == ["Signup"]
    assert (await subscribers(strex))[PHONE, "KATT"]["active"] is True
    assert actions(await done(strex, "signup", phone=PHONE, keyword="KATT")) == ["AlreadyRegistered"]


@pytest.mark.parametrize(
    ("status", "detail", "billed"),
    [("Ok", "Delivered", True), ("Failed", "Undelivered", False), ("Sent", "Sent", None), ("Odd", "None", None)],
)
async def test_a_charge_is_a_recurring_report_with_its_status(strex, status, detail, billed):
    await texted(strex, "KATT 150")
    (report,) = await done(strex, "charge", phone=PHONE, keyword="KATT", status=status)
    assert report["properties"]["SystemAction"] == "Recurring"
    assert (report["price"], report["statusCode"], report["detailedStatusCode"]) == (150, status, detail)
    assert report["billed"] is billed


async def test_a_reversed_charge_has_the_id_of_the_charge_with_a_dash(strex):
    charge, reversal = await done(strex, "charge", phone=PHONE, keyword="KATT", status="Reversed", price=99)
    assert (charge["statusCode"], charge["price"]) == ("Ok", 99)
    assert (reversal["statusCode"], reversal["price"]) == ("Reversed", 99)
    assert reversal["transactionId"] == "-" + charge["transactionId"]


async def test_an_earlier_charge_is_reversed_by_its_id_with_its_own_price(strex):
    (charge,) = await done(strex, "charge", phone=PHONE, keyword="KATT", price=175, transaction_id="t-1")
    (reversal,) = await done(strex, "charge", phone=PHONE, keyword="KATT", status="Reversed", transaction_id="t-1")
    assert charge["transactionId"] == "t-1"
    assert (reversal["transactionId"], reversal["price"]) == ("-t-1", 175)


@pytest.mark.parametrize(
    "action",
    [
        "Subscribe",
        "Unsubscribe",
        "Signup",
        "Recurring",
        "AlterPrice",
        "SubscribePreAuthFailed",
        "RecurringPreAuthFailed",
        "ValidationFailed",
        "AlreadyRegistered",
        "LookupFailed",
        "AlterPriceInvalid",
    ],
)
async def test_any_action_can_be_reported_with_any_status(strex, action):
    (report,) = await done(
        strex,
        "action",
        action=action,
        phone=PHONE,
        keyword="HUND",
        status="Failed",
        detail="MissingPreAuth",
        properties={"SubscriberTransactionId": "old", "extra": 1},
    )
    assert report["properties"]["SystemAction"] == action
    assert (report["statusCode"], report["detailedStatusCode"]) == ("Failed", "MissingPreAuth")
    assert (report["properties"]["SubscriberTransactionId"], report["properties"]["extra"]) == ("old", 1)
    assert await subscribers(strex) == {}


async def test_an_sms_from_salesforce_has_its_own_properties(strex):
    (report,) = await done(strex, "action", action="SfMcSMS", phone=PHONE, properties={"SfContactId": "003X"})
    assert set(report["properties"]) == {
        "AccontId",
        "SfContactId",
        "SfEvent",
        "SfJourneyId",
        "SfNameOnMessage",
        "SfWebhook",
        "SystemAction",
    }
    assert (report["properties"]["SfContactId"], report["keywordId"]) == ("003X", None)


async def test_a_lone_surrogate_in_a_text_is_forwarded_as_its_escape(strex):
    (message,) = await texted(strex, "hi \ud83d")
    assert message["content"] == "hi \ud83d"


async def test_after_leaving_a_retired_keyword_a_plain_stop_still_works(strex):
    await texted(strex, "KATT")
    async with strex.put("/_sandbox/config", json={"keywords": []}) as answer:
        assert answer.status == 200
    assert len(await texted(strex, "STOP")) == 1
