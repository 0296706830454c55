"""Canary numbers, words and secrets in all parts of the running daemon: none appears in logs, metrics or error responses."""

import asyncio
import json

import pytest
from flow.world import SECRETS

DONOR = "+4790000321"
WORDS = "whispered-words"
# Whatever begins so is a canary, however it is spelled.
CANARIES = ("90000321", "900 00 321", "9000 0321", "90 00 03 21", WORDS, *SECRETS.values())
SANDBOX = {"sandbox"}  # a secret that is also the name of things: it proves nothing


def canaries(text):
    return [one for one in CANARIES if one not in SANDBOX and one in text]


def report(action, number=DONOR, **more):
    return {
        "transactionId": f"p-{action}-{len(str(more))}",
        "sender": "2002",
        "recipient": number,
        "statusCode": "Ok",
        "properties": {"Keyword": "KATT", "SystemAction": action},
        **more,
    }


HOOK = f"/hooks/strex/dlr/{SECRETS['HOOK_SECRET']}"
STRANGE = [
    f"POST /hooks/strex/dlr/{DONOR} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    f"POST /hooks/{DONOR}/dlr HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    f"GET {HOOK}?msisdn=%2B4790000321&text={WORDS} HTTP/1.1\r\nHost: x\r\n\r\n",
    f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nX-From: {DONOR}\r\nContent-Length: 900 00 321\r\n\r\n",
    f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {WORDS}\r\n\r\n",
    f"{WORDS} {DONOR}\r\n\r\n",
    f"POST {HOOK} HTTP/1.1\r\nHost: {DONOR}\r\nX\x00: {WORDS}\r\n\r\n",
    f"POST {HOOK} HTTP/{DONOR}\r\n\r\n",
]
UNREADABLE = [
    f"{DONOR} {WORDS}",
    f'{{"transactionId": "a", "sender": "{DONOR}", "transactionId": "{WORDS}"}}',
    f'{{"recipient": "{DONOR}", "properties": {{"Text": "{WORDS}"}}}}',
]
ASKED = [
    ("explain", {"event": "4790000321"}),
    ("explain", {"event": DONOR}),
    ("explain", {"phone": f"{DONOR} or +4790000322"}),
    ("explain", {DONOR: WORDS}),
    ("consents_show", {"phone": [DONOR, WORDS]}),
    ("dead_show", {"event": "90000321"}),
    ("dead_list", {"reason": DONOR}),
    ("dead_retry", {"ids": [4790000321]}),
    ("parked_release", {"ids": [DONOR]}),
    ("replay", {"id": DONOR}),
    (f"no-such-{DONOR}", {}),
]


@pytest.mark.parametrize("form", ["json", "text"])
async def test_no_number_no_words_and_no_secret_is_logged_counted_or_answered(world, service, form):
    config = world.base / "config.yaml"
    config.write_text(f"logs: {{level: debug, format: {form}}}\n{config.read_text()}")
    way_back = world.base / "mappings" / "salesforce-to-strex.yaml"
    way_back.write_text(way_back.read_text().replace("every: 30s", "every: 1s"))
    await service.start()
    await world.post(
        f"{world.strex}/_sandbox/config",
        {"mo_url": f"{service.url}/hooks/strex/mo/{SECRETS['HOOK_SECRET']}", "dlr_url": f"{service.url}{HOOK}"},
        method="PUT",
    )
    answers = [await what_arrives(world, service), await strangers(service), await what_fails(world, service)]
    answers.append(await asked_in_vain(world, service))
    async with world.http.get(f"{service.admin_url}/metrics") as response:
        answers.append(await response.text())
    assert await service.stop() == 0

    log = service.said.decode()
    assert [line for line in log.splitlines() if canaries(line)] == []
    assert [line for answer in answers for line in answer.splitlines() if canaries(line)] == []
    # The corners were really visited.
    for corner in (
        "received again",
        "could not read",
        "wrong path secret",
        "salesforce: dead",
        "strex: delivered",
    ):
        assert corner in log, corner


async def what_arrives(world, service):
    """A donor's life, a repeat, and what cannot be read."""
    joined = report(
        "Subscribe", properties={"Keyword": "KATT", "SystemAction": "Subscribe", "firstName": WORDS, "city": DONOR}
    )
    for body in (joined, joined, report("Recurring", price=200), report("AlterPrice", price=90000321)):
        await service.callback(body)
    await service.callback(
        {"transactionId": "m", "sender": DONOR, "recipient": "2002", "content": f"KATT {WORDS} {DONOR}"}, "mo"
    )
    await world.phone(DONOR, "KATT")
    await world.get(f"{world.strex}/_sandbox/forwards?wait=1")
    answers = ""
    for body in UNREADABLE:
        async with world.http.post(f"{service.url}{HOOK}", data=body) as response:
            answers += await response.text()
    await world.until(lambda: idle(service))
    return answers


def idle(service):
    return not service.asked("SELECT 1 FROM inbox WHERE state IN ('pending', 'delivering')")


async def strangers(service):
    """Requests that are not valid, and requests with a number where none belongs."""
    answers = b""
    for words in STRANGE:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rsplit(":", 1)[1]))
        writer.write(words.encode())
        writer.write_eof()
        answers += await reader.read()
        writer.close()
    return answers.decode()


async def what_fails(world, service):
    """What Salesforce and Strex refuse in words of their own, which repeat ours; and a command about a number."""
    for fault in ({"fault": "bad_record", "records": [DONOR]}, {"fault": "row_lock", "times": 1}, {"fault": "dropped"}):
        await world.fault(world.salesforce, **fault)
    too_much = {"Keyword": f"{DONOR} {WORDS} " * 20, "SystemAction": "Recurring"}
    await service.callback(report("Recurring", transactionId=f"{DONOR}", statusCode="Rebilled", properties=too_much))
    await service.callback(report("AlterPrice", number="+4790000321", price=5, statusCode="Rebilled"))
    await world.until(lambda: b"salesforce: dead" in service.said)
    await world.no_faults(world.salesforce)
    await world.until(lambda: idle(service))
    await world.fault(world.strex, fault="unavailable", times=1)
    contact = await world.contact(DONOR)
    await world.person(Id=contact["Id"], SMS_Opt_Out__c=True, SMS_Opt_Out_Source__c=WORDS)
    await world.until(lambda: b"pausing deliveries to strex" in service.said and b"strex: delivered" in service.said)
    await service.callback({"transactionId": "s", "sender": DONOR, "recipient": "2002", "content": "STOPP"}, "mo")
    await world.until(lambda: idle(service))
    return ""


async def asked_in_vain(world, service):
    token = (world.base / "admin-token").read_text().strip()
    answers = ""
    for right in (token, DONOR):
        for command, payload in ASKED:
            url = f"{service.admin_url}/admin/{command}"
            async with world.http.post(url, json=payload, headers={"Authorization": f"Bearer {right}"}) as response:
                assert response.status >= 400, (command, payload)
                answers += json.dumps(dict(response.headers)) + await response.text() + "\n"
    for headers in ({"Host": DONOR}, {"Host": f"{WORDS}.example"}):
        async with world.http.get(f"{service.admin_url}/{DONOR}", headers=headers) as response:
            answers += await response.text() + "\n"
    return answers
