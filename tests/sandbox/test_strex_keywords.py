"""The REST API of the Strex sandbox: keywords and number look-ups, and the adapter against them."""

import aiohttp
import pytest

from connector.delivery.http_client import FixedCredentials, Transport
from connector.model.errors import ConnectorError
from connector.model.outcome import Reason, Rejected
from connector.model.phone import Phone
from connector.providers.strex.keywords import StrexKeywords
from connector.providers.strex.number_lookup import StrexLookups
from connector.providers.strex.rest import RestApi
from connector.sandbox.serve import serving
from connector.sandbox.strex.app import build

KEY = {"X-ApiKey": "sandbox-key"}
PATH = "/api/keywords"
NEW = {
    "shortNumberId": "NO-2002",
    "keywordText": "HELLO",
    "mode": "Text",
    "forwardUrl": "https://your-site.net/api/receive-sms",
    "enabled": True,
}


@pytest.fixture
async def url():
    async with serving(build()) as url:
        yield url


@pytest.fixture
async def strex(url):
    async with aiohttp.ClientSession(url, headers=KEY) as client:
        yield client


async def call(strex, method, path, body=None, **more):
    async with strex.request(method, path, json=body, **more) as answer:
        text = await answer.text()
        return answer.status, (await answer.json() if text else None), answer.headers


async def made(strex, **changed):
    status, said, headers = await call(strex, "POST", PATH, NEW | changed)
    assert status == 201, said
    return "/api/" + headers["Location"].split("/api/")[1]


async def test_the_user_guides_example_makes_a_keyword_that_texts_reach(strex):
    path = await made(strex)
    _, shown, _ = await call(strex, "GET", path)
    assert {name: shown[name] for name in NEW} == NEW
    _, listed, _ = await call(strex, "GET", PATH)
    assert [each["keywordText"] for each in listed] == ["KATT", "HUND", "MYKEYWORD", "HELLO"]
    await call(strex, "PUT", "/_sandbox/config", {"mo_url": "http://127.0.0.1:1/none"})
    await call(strex, "POST", "/_sandbox/phone", {"from": "+4790000001", "text": "HELLO"})
    _, (forward, *_), _ = await call(strex, "GET", "/_sandbox/forwards")
    assert forward["body"]["keywordId"] == shown["keywordId"]


async def test_a_list_is_filtered(strex):
    await made(strex, tags=["winter"])
    for query, words in {
        "keywordText=A": ["KATT"],
        "tag=winter": ["HELLO"],
        "mode=Text": ["HELLO"],
        "shortNumberId=NO-2003": [],
    }.items():
        _, listed, _ = await call(strex, "GET", f"{PATH}?{query}")
        assert [each["keywordText"] for each in listed] == words, query


async def test_a_put_replaces_the_whole_keyword(strex):
    path = await made(strex, customProperties={"a": 1}, aliases=["HI"], preAuthSettings={"active": True})
    _, before, _ = await call(strex, "GET", path)
    assert (before["customProperties"], before["aliases"]) == ({"a": 1}, ["HI"])
    assert (await call(strex, "PUT", path, NEW | {"enabled": False}))[0] == 204
    _, after, _ = await call(strex, "GET", path)
    assert (after["enabled"], after["customProperties"], after["aliases"]) == (False, {}, [])
    assert after["preAuthSettings"] is None


async def test_texts_do_not_reach_a_keyword_that_is_off(strex):
    _, listed, _ = await call(strex, "GET", PATH)
    katt = listed[0]
    await call(strex, "PUT", f"{PATH}/{katt['keywordId']}", katt | {"enabled": False})
    await call(strex, "PUT", "/_sandbox/config", {"mo_url": "http://127.0.0.1:1/none"})
    await call(strex, "POST", "/_sandbox/phone", {"from": "+4790000001", "text": "KATT"})
    _, (forward, *_), _ = await call(strex, "GET", "/_sandbox/forwards")
    assert forward["body"]["keywordId"] is None
    assert (await call(strex, "GET", "/_sandbox/subscribers"))[1] == []


async def test_a_deleted_keyword_is_gone_and_one_with_subscribers_stays(strex):
    path = await made(strex)
    await call(strex, "PUT", "/_sandbox/subscribers", [{"phone": "+4790000001", "keyword": "HELLO"}])
    assert (await call(strex, "DELETE", path))[0] == 409
    await call(strex, "PUT", "/_sandbox/subscribers", [{"phone": "+4790000001", "keyword": "HELLO", "active": False}])
    assert (await call(strex, "DELETE", path))[0] == 204
    for method in ("GET", "PUT", "DELETE"):
        assert (await call(strex, method, path, NEW))[0] == 404


@pytest.mark.parametrize(
    "changed",
    [
        {"shortNumberId": "NO-2003"},
        {"shortNumberId": "2002"},
        {"mode": "Sometimes"},
        {"forwardUrl": ""},
        {"enabled": "yes"},
        {"tags": "winter"},
        {"other": 1},
    ],
)
async def test_a_payload_that_does_not_fit_is_400(strex, changed):
    status, said, _ = await call(strex, "POST", PATH, NEW | changed)
    assert status == 400
    assert said["Message"]
    for name in NEW:
        assert (await call(strex, "POST", PATH, {**NEW, name: None}))[0] == 400


async def test_a_word_is_taken_once_on_a_number(strex):
    for word in ("katt", "Cat"):
        assert (await call(strex, "POST", PATH, NEW | {"keywordText": word}))[0] == 409
    path = await made(strex)
    assert (await call(strex, "PUT", path, NEW | {"keywordText": "KATT"}))[0] == 409


async def test_the_key_is_wanted_in_the_header_of_the_rest_api(strex):
    for path in (PATH, "/api/keywords/12345678", "/api/lookup?msisdn=%2B4790000001"):
        assert (await call(strex, "GET", path))[0] == 200
        wrong = {"X-ApiKey": "other", "Authorization": "sandbox-key"}
        assert (await call(strex, "GET", path, headers=wrong))[0] == 401
    await call(strex, "PUT", "/_sandbox/config", {"rest_header": "Authorization"})
    assert (await call(strex, "GET", PATH, headers={"Authorization": "sandbox-key"}))[0] == 200


async def test_a_look_up_tells_who_has_a_number_and_is_written_down(strex):
    await call(
        strex, "PUT", "/_sandbox/config", {"people": {"+4790000002": {"lastName": "Hansen"}, "+4790000003": None}}
    )
    _, anybody, _ = await call(strex, "GET", "/api/lookup?msisdn=%2B4790000001")
    _, hansen, _ = await call(strex, "GET", "/api/lookup?msisdn=%2B4790000002")
    assert (anybody["lastName"], hansen["lastName"], hansen["msisdn"]) == ("Nordmann", "Hansen", "+4790000002")
    assert (await call(strex, "GET", "/api/lookup?msisdn=%2B4790000003"))[0] == 404
    for bad in ("?msisdn=+4790000001", "?msisdn=2002", ""):
        assert (await call(strex, "GET", f"/api/lookup{bad}"))[0] == 400, bad
    assert (await call(strex, "GET", "/_sandbox/lookups"))[1] == ["+4790000001", "+4790000002", "+4790000003"]
    await call(strex, "POST", "/_sandbox/reset")
    assert (await call(strex, "GET", "/_sandbox/lookups"))[1] == []


async def test_nobody_is_in_no_forward(strex):
    people = {"people": {"+4790000003": None}, "lookup": "flat", "mo_url": "http://127.0.0.1:1/none"}
    await call(strex, "PUT", "/_sandbox/config", people)
    await call(strex, "POST", "/_sandbox/phone", {"from": "+4790000003", "text": "hello"})
    _, (forward, *_), _ = await call(strex, "GET", "/_sandbox/forwards")
    assert forward["body"]["properties"] == {}


@pytest.fixture
async def adapter(url):
    """A client with other credentials than the REST API's, and the API."""
    api = RestApi(url=url, header="X-ApiKey", key="sandbox-key")
    async with Transport() as transport:
        yield transport.client(FixedCredentials(url, {"Authorization": "for the commands"})), api


async def test_the_adapter_makes_changes_and_deletes_a_keyword(adapter):
    http, api = adapter
    keywords = StrexKeywords(api=api, endpoint="mo", secret="s3cret")
    hook = "https://sms.example.org/hooks/strex/mo"
    found = await keywords.reserve(http, "2002", "HELLO", None, hook)
    await keywords.deactivate(http, found.id)
    shown = await keywords.show(http, found.id)
    assert (shown.active, shown.webhook) == (False, f"{hook}/s3cret")
    await keywords.reactivate(http, found.id)
    await keywords.set_address(http, "12345680", hook)
    by_word = {one.word: one for one in await keywords.listing(http)}
    assert (by_word["HELLO"].active, by_word["MYKEYWORD"].webhook) == (True, f"{hook}/s3cret")
    assert by_word["MYKEYWORD"].properties == {"myproperty": "custom value"}
    await keywords.delete(http, found.id)
    with pytest.raises(ConnectorError, match="no keyword with the id"):
        await keywords.show(http, found.id)


async def test_the_adapter_looks_up_a_number(strex, adapter):
    http, api = adapter
    await call(strex, "PUT", "/_sandbox/config", {"people": {"+4790000003": None}})
    lookups = StrexLookups(api=api)
    assert (await lookups.look_up(http, Phone("+4790000001")))["lastName"] == "Nordmann"
    assert await lookups.look_up(http, Phone("+4790000003")) is None
    assert isinstance(await lookups.look_up(http, Phone("+1")), Rejected)
    await call(strex, "POST", "/_sandbox/faults", {"fault": "too_many", "path": "/api/lookup"})
    assert (await lookups.look_up(http, Phone("+4790000001"))).reason is Reason.RATE_LIMITED
