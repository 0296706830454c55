"""The Strex sandbox's settings over HTTP: undocumented forms of forwards, lists, and rejections."""

import json
import re

import aiohttp
import pytest

from connector.sandbox.serve import serving
from connector.sandbox.strex.app import build

PHONE = "+4798079008"


@pytest.fixture
async def strex():
    async with serving(build()) as url, aiohttp.ClientSession(url) as client:
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


async def configure(strex, **settings):
    async with strex.put("/_sandbox/config", json=settings) as answer:
        assert answer.status == 200, await answer.text()


async def subscribers(strex):
    async with strex.get("/_sandbox/subscribers") as answer:
        return {(each["phone"], each["keyword"]): each for each in await answer.json()}


async def test_keyword_may_be_null_on_unsubscribe_alone(strex):
    await configure(strex, null_keyword=True)
    joined = (await texted(strex, "KATT"))[1]
    left = (await texted(strex, "KATT STOP"))[1]
    assert (joined["properties"]["Keyword"], left["properties"]["Keyword"]) == ("KATT", None)
    assert left["keywordId"] == "12345678"


async def test_keyword_may_be_an_alias_while_its_id_is_the_real_one(strex):
    await configure(strex, alias_keyword=True)
    message, report = await texted(strex, "KATT")
    assert {body["properties"]["Keyword"] for body in (message, report)} == {"CAT"}
    assert {body["keywordId"] for body in (message, report)} == {"12345678"}


async def test_look_up_data_sits_where_it_is_told_to(strex):
    await configure(strex, people={PHONE: {"lastName": "Åsen"}})
    found = []
    for place in ("nested", "text", "flat"):
        await configure(strex, lookup=place)
        (message,) = await texted(strex, "hello")
        found.append(message["properties"])
    nested, text, flat = found
    assert nested["Lookup"] == json.loads(text["Lookup"]) == flat
    assert (flat["firstName"], flat["lastName"], flat["msisdn"]) == ("Kari", "Åsen", PHONE)
    report = (await texted(strex, "KATT"))[1]
    assert report["properties"]["lastName"] == "Åsen"


async def test_keywords_can_be_replaced_with_their_own_properties(strex):
    await configure(
        strex, keywords=[{"name": "ULV", "id": "9", "service_id": "s", "properties": {"Campaign ID": "c 1"}}]
    )
    assert len(await texted(strex, "KATT")) == 1
    report = (await texted(strex, "ULV"))[1]
    assert (report["keywordId"], report["properties"]["Campaign ID"]) == ("9", "c 1")


async def test_subscribers_can_be_set_one_by_one(strex):
    given = [{"phone": PHONE, "keyword": "CAT", "active": False, "price": 77, "subscriber_transaction_id": "s-1"}]
    async with strex.put("/_sandbox/subscribers", json=given) as answer:
        assert await answer.json() == [
            {
                "phone": PHONE,
                "short_number": "2002",
                "keyword": "KATT",
                "active": False,
                "price": 77,
                "subscriber_transaction_id": "s-1",
            }
        ]


async def test_a_reset_forgets_what_happened_and_keeps_the_dials(strex):
    await configure(strex, compress=5)
    await texted(strex, "KATT")
    async with (
        strex.post("/_sandbox/faults", json={"fault": "forbidden"}),
        strex.post("/api/services/command", json={}),
    ):
        pass
    async with strex.post("/_sandbox/reset") as answer:
        assert answer.status == 200
    for gone in ("subscribers", "forwards", "commands", "faults"):
        async with strex.get(f"/_sandbox/{gone}") as answer:
            assert await answer.json() == [], gone
    async with strex.get("/_sandbox/config") as answer:
        assert (await answer.json())["compress"] == 5


@pytest.mark.parametrize(
    ("call", "body", "cure"),
    [
        ("phone", {"text": "KATT"}, "from is missing"),
        ("phone", {"from": PHONE, "text": "KATT", "keyword": "x"}, "the fields are from, to, text"),
        ("phone", {"from": PHONE, "text": "  "}, "text is missing"),
        ("phone", [], "a JSON object is expected"),
        ("signup", {"phone": PHONE, "keyword": "ULV"}, "its keywords are KATT, HUND, MYKEYWORD"),
        ("charge", {"phone": PHONE, "keyword": "KATT", "price": "much"}, "price must be a number"),
        ("action", {"action": "Subscribe", "phone": PHONE}, "keyword is missing"),
        ("action", {"action": "SfMcSMS", "phone": PHONE, "properties": 1}, "properties must be a JSON object"),
        ("emit", {"kind": "sms", "body": {}}, "kind must be one of mo, dlr"),
        ("emit", {"kind": "mo"}, "give either"),
        ("faults", {"fault": "earthquake"}, "the faults are"),
        ("faults", {"fault": "slow", "times": 0}, "times must be"),
        ("faults", {"fault": "slow", "path": "/"}, "path must begin with /api/"),
        ("keys", {}, "name is missing"),
        ("keys", {"name": "k", "seconds": 1e20}, "seconds must be at most a year"),
    ],
)
async def test_a_control_call_that_makes_no_sense_is_refused_with_the_cure(strex, call, body, cure):
    async with strex.post(f"/_sandbox/{call}", json=body) as answer:
        assert answer.status == 400
        assert re.search(re.escape(cure), (await answer.json())["Message"])
