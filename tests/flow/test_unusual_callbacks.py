"""Stops of all providers in unusual requests: another form of body, another endpoint, no id. Each opts its donor out."""

import base64
import hashlib
import hmac
import json
import shutil
from urllib.parse import urlencode

import pytest
from flow.world import ROOT, SECRETS, a_world

CONFIG = """
store: {{path: c.db, ballast: 1MiB, free_space_floor: 1MiB}}
listen: {{port: 0}}
admin: {{port: 0}}
mappings: {mappings}
default_region: "NO"
providers:
  strex:
    path_secrets: [{{env: HOOK_SECRET}}]
    api: {{url: {strex}, key: {{env: STREX_KEY}}}}
  sumotext: {{path_secrets: [{{env: HOOK_SECRET}}], short_number: "84700"}}
  messagecloud: {{path_secrets: [{{env: HOOK_SECRET}}]}}
  twilio: {{auth_tokens: [{{env: HOOK_SECRET}}], path_secrets: [{{env: HOOK_SECRET}}]}}
crm:
  salesforce:
    url: {salesforce}
    consent: one_way
    sign_in: {{client_id: sandbox, client_secret: {{env: SF_SECRET}}}}
    consent_fields:
      Contact: {{flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}}
"""
SECRET = SECRETS["HOOK_SECRET"]
OURS = "+15005550009"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


def multipart(fields):
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    return ("".join(parts) + "--x--\r\n").encode()


# Each makes a body and its headers of the fields.
BODIES = {
    "form": lambda fields: (urlencode(fields).encode(), FORM),
    "multipart": lambda fields: (multipart(fields), MULTIPART),
    "json": lambda fields: (json.dumps(fields).encode(), JSON),
}


def strex_message(number):
    return {"transactionId": f"t-{number}", "sender": number, "recipient": "2002", "content": "STOPP"}


def strex_report(number):
    properties = {"SystemAction": "Unsubscribe", "Keyword": "KATT"}
    return {"transactionId": f"t-{number}", "sender": "2002", "recipient": number, "statusCode": "Ok"} | {
        "properties": properties
    }


def flat_strex_report(number):
    nested = strex_report(number)
    return {**without("properties", strex_report)(number), **nested["properties"]}


def messagecloud(number):
    return {"action": "mpush_ir_message", "id": number, "number": number[1:], "message": "STOP", "shortcode": "2172"}


def sumotext(number):
    return {"country": "United States", "mobile": number[2:], "key": "FB1", "msg": "STOP"}


def twilio(number):
    return {"MessageSid": f"SM{number}", "From": number, "To": OURS, "Body": "STOP", "SmsStatus": "received"}


def without(name, make):
    return lambda number: {key: value for key, value in make(number).items() if key != name}


CASES = [
    ("strex/dlr", "json", strex_message),
    ("strex/mo", "json", strex_report),
    ("strex/dlr", "json", without("transactionId", strex_report)),
    ("strex/dlr", "json", flat_strex_report),
    ("messagecloud/mo", "multipart", messagecloud),
    ("messagecloud/mo", "json", messagecloud),
    ("messagecloud/mo", "form", without("id", messagecloud)),
    ("messagecloud/dlr", "form", without("action", messagecloud)),
    ("sumotext/crm", "multipart", sumotext),
    ("sumotext/text4info", "json", sumotext),
    ("twilio/mo", "json", twilio),
    ("twilio/dlr", "form", twilio),
    ("twilio/mo", "form", without("MessageSid", twilio)),
]


def signature(url, fields, body, headers):
    """Twilio's signature. Its JSON requests have the hash of the body in their address; see docs/twilio.md."""
    if headers is JSON:
        url += f"?bodySHA256={hashlib.sha256(body).hexdigest()}"
        signed = url
    else:
        signed = url + "".join(name + value for name, value in sorted(fields.items()))
    return url, base64.b64encode(hmac.digest(SECRET.encode(), signed.encode(), "sha1")).decode()


@pytest.fixture
async def world(tmp_path, secrets):
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    for name in ("strex-messages", "strex-subscription", "more/messagecloud", "more/sumotext", "more/twilio"):
        shutil.copy(ROOT / "mappings" / f"{name}.yaml", mappings)
    async with a_world(tmp_path, mappings=mappings, config=CONFIG) as made, made.running():
        yield made


async def send(world, endpoint, form, fields):
    url = f"{world.app.url}/hooks/{endpoint}/{SECRET}"
    body, headers = BODIES[form](fields)
    if endpoint.startswith("twilio"):
        url, signed = signature(url, fields, body, headers)
        headers = {**headers, "X-Twilio-Signature": signed}
    async with world.http.post(url, data=body, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_a_stop_in_an_unusual_request_opts_the_donor_out(world):
    numbers = [
        f"+1212555{n:04}" if case[0].startswith("sumotext") else f"+47900000{n:02}" for n, case in enumerate(CASES)
    ]
    for number, (endpoint, form, make) in zip(numbers, CASES, strict=True):
        answer = "<Response/>" if endpoint.startswith("twilio") else "OK"
        assert await send(world, endpoint, form, make(number)) == (200, answer)
    await world.settled()
    opted_out = {one["SMS_Key__c"]: one["SMS_Opt_Out__c"] for one in await world.records()}
    assert opted_out == dict.fromkeys(numbers, True)
    assert world.balanced()


async def test_a_status_at_twilios_address_for_messages_makes_no_contact(world):
    status = {"MessageSid": "SM1", "MessageStatus": "delivered", "From": OURS, "To": "+4790000001"}
    assert await send(world, "twilio/mo", "form", status) == (200, "<Response/>")
    await world.settled()
    assert (await world.records(), world.counts()) == ([], {"ignored": 1})
