"""Unusual bytes, numbers and amounts in callbacks, and their values in the CRM."""

import asyncio
import json
import random

import pytest
from flow.world import SECRETS
from yarl import URL

from connector.telemetry.log_events import RequestRejected, WorkerFailed

SECRET = SECRETS["HOOK_SECRET"]
DONOR = "+4790000001"
ADDRESS = f"/hooks/strex/dlr/{SECRET}"
GIFT = {
    "transactionId": "t-1",
    "sender": "2002",
    "recipient": DONOR,
    "statusCode": "Ok",
    "received": "2026-01-02T03:04:05Z",
    "properties": {"SystemAction": "Recurring", "Keyword": "KATT"},
}


async def sent(world, body, path=ADDRESS, **more):
    url = URL(world.app.url + path, encoded=True)
    async with world.http.post(url, data=body, **more) as response:
        return response.status


@pytest.mark.parametrize(
    ("price", "amount"), [("199,50", 199.5), ("kr 1 234,-", 1234), ("1.234,50", 1234.5), (100, 100)]
)
async def test_the_amount_of_a_gift_is_read_in_any_spelling(world, price, amount):
    assert await world.callback("dlr", {**GIFT, "price": price}) == 200
    await world.settled()
    (gift,) = await world.records("Opportunity")
    assert (gift["StageName"], gift["Amount"]) == ("Closed Won", amount)


@pytest.mark.parametrize("price", ["1,234", "1.234", "much"])
async def test_a_gift_with_an_ambiguous_amount_waits_for_a_person(world, price):
    assert await world.callback("dlr", {**GIFT, "price": price}) == 200
    await world.settled()
    assert await world.records("Opportunity") == []
    (letter,) = world.app.store.dead_letters.listing(parked=True)
    assert "amount" in letter.detail


async def test_an_opt_out_with_an_ambiguous_price_does_not_wait(world):
    properties = {"SystemAction": "Unsubscribe", "Keyword": "KATT"}
    assert await world.callback("dlr", {**GIFT, "price": "1,234", "properties": properties}) == 200
    await world.settled()
    assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is True


async def test_no_control_character_reaches_the_crm(world):
    body = (
        r'{"transactionId":"t-2\u0000","recipient":"+4790000001","sender":"2002","statusCode":"Ok","properties":'
        r'{"SystemAction":"Subscribe","Keyword":"KA\u0000\u001bTT","firstName":"Ka\bri","lastName":"\u0001Ås\ud83d"}}'
    )
    assert await sent(world, body.encode()) == 200
    await world.settled()
    contact = await world.contact(DONOR)
    assert (contact["FirstName"], contact["LastName"], contact["SMS_Keywords__c"]) == ("Kari", "Ås\ufffd", "KATT")
    assert world.app.store.inbox.raw(1) == body.encode()


async def test_requests_that_are_not_valid_http_are_counted(world):
    address = ADDRESS.encode() + b"?a=\xc6"
    port = URL(world.app.url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST " + address + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"400"
    writer.close()
    assert [(fact.status, fact.why) for fact in world.emitted(RequestRejected)] == [(400, "bad address")]


def changed(chance, data):
    """The bytes with a few of them changed, lost, doubled or replaced by bytes that are often trouble."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(made) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            made[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        elif kind == 1:
            made[place:place] = chance.choice(
                [b"\x00", b"\\ud83d", b"\\u0000", b"\xf0\x9f", b"&amp;", b"%00", b'"', b"\n", b"1e999"]
            )
        elif kind == 2:
            made[place:place] = made[: chance.randrange(len(made) + 1)]
        else:
            del made[place:]
        if not made:
            break
    return bytes(made)


async def test_no_change_of_a_body_or_header_makes_the_daemon_fail(world):
    chance = random.Random(9)  # the same at each run
    body = json.dumps({**GIFT, "price": 199.5, "content": "blåbær 😢"}, ensure_ascii=False).encode()
    headers = f"POST {ADDRESS}?a=1&b=%C3%A5 HTTP/1.1\r\nHost: x\r\nContent-Encoding: utf-8\r\n".encode()
    port = URL(world.app.url).port
    for number in range(400):
        content = changed(chance, body)
        head = changed(chance, headers) if number % 4 == 0 else headers
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content)
        writer.write_eof()
        try:
            line = await asyncio.wait_for(reader.readline(), 20)
        except ConnectionError:
            line = b""
        writer.close()
        status = int(line.split()[1]) if line else 0
        assert status < 500 or status == 503, (head, content)
    await world.settled()
    assert world.emitted(WorkerFailed) == []
    assert world.balanced()
    assert not [letter for letter in world.app.store.dead_letters.listing() if letter.reason == "bug"]
