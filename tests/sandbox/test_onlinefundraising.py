"""The OnlineFundraising sandbox: its interface, its retries, and the control interface."""

import hashlib
import json

import aiohttp
import pytest
from aiohttp import web

from connector.sandbox.onlinefundraising import app as onlinefundraising
from connector.sandbox.onlinefundraising.sender import WAITS
from connector.sandbox.serve import serving

KEY = {"Authorization": "sandbox-key"}
NOW = 1_571_315_846.0  # 2019-10-17 14:37:26 in Denmark


@pytest.fixture
async def account():
    async with serving(onlinefundraising.build(clock=lambda: NOW)) as url, aiohttp.ClientSession(url) as client:
        yield client


async def ask(account, method, path, body=None, headers=None):
    content = b"" if body is None else json.dumps(body).encode()
    checksum = {"Content-MD5": hashlib.md5(content).hexdigest().upper()} if method == "POST" else {}
    async with account.request(method, path, data=content, headers={**KEY, **checksum, **(headers or {})}) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text else None


async def test_the_documented_requests_get_the_documented_answers(account):
    status, made = await ask(account, "POST", "/keyword/Reserve", {"keyword": "tifo", "channel": "1217"})
    assert (status, made) == (
        201,
        {
            "keywordGuid": made["keywordGuid"],
            "createdTs": "2019-10-17 14:37:26 +0200",
            "channel": "1217",
            "keyword": "tifo",
        },
    )
    status, sub = await ask(
        account, "POST", "/keyword/Reserve", {"keyword": "tifo", "subKeyword": "100", "channel": "1217"}
    )
    assert (status, sub["subKeyword"]) == (201, "100")
    assert (await ask(account, "GET", "/keyword/Check?channel=1217&keyword=TIFO"))[1] == {
        "keywordStatus": "unavailable"
    }
    assert (await ask(account, "GET", "/keyword/Check?channel=1217&keyword=mad"))[1] == {"keywordStatus": "free"}
    assert len((await ask(account, "GET", "/keywords"))[1]) == 2
    assert (await ask(account, "GET", f"/keyword/{made['keywordGuid']}/subkeywords"))[1][0]["keywordGuid"] == sub[
        "keywordGuid"
    ]
    assert (await ask(account, "POST", f"/keyword/{made['keywordGuid']}/Deactivate"))[0] == 200
    assert (await ask(account, "GET", f"/keyword/{made['keywordGuid']}"))[1]["active"] is False
    assert (await ask(account, "POST", f"/keyword/{made['keywordGuid']}/Reactivate"))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/keywords", None, {"Authorization": "Bearer sandbox-key"}, 401),
        ("POST", "/keyword/Reserve", {"keyword": "tifo", "channel": "1217"}, {"Content-MD5": "d41d8cd98f00b204"}, 400),
        ("POST", "/keyword/Reserve", {"keyword": "tifo"}, None, 400),
        ("POST", "/keyword/Reserve", ["tifo"], None, 400),
        ("POST", "/keyword/Reserve", {"keyword": "mad", "subKeyword": "nu", "channel": "1217"}, None, 400),
        ("GET", "/keyword/nobody", None, None, 404),
        ("GET", "/keyword/nobody/subkeywords", None, None, 404),
        ("POST", "/keyword/nobody/Deactivate", None, None, 404),
        ("POST", "/keyword/nobody/Reactivate", None, None, 404),
        ("GET", "/SmsMO/nobody", None, None, 404),
        ("GET", "/SmsMO?pageNumber=0", None, None, 400),
    ],
)
async def test_a_refusal_has_the_providers_form(account, method, path, body, headers, status):
    answered, got = await ask(account, method, path, body, headers)
    assert answered == status
    assert set(got) == {"errorCode", "errorDescription"}


async def test_a_text_becomes_a_message_in_the_list(account):
    for number in range(3):
        async with account.post("/_sandbox/phone", json={"from": "+4790000001", "text": f"tifo {number}"}) as answer:
            message = await answer.json()
    assert (message["msisdn"], message["channel"], message["keyword"]) == ("4790000001", "1217", "tifo")
    assert (await ask(account, "GET", f"/SmsMO/{message['messageGuid']}"))[1] == message
    _, page = await ask(account, "GET", "/SmsMO?pageNumber=2&pageSize=2")
    assert [one["receivedText"] for one in page.pop("list")] == ["tifo 0"]
    assert page == {"pageNumber": 2, "pageSize": 2}


@pytest.mark.parametrize(("good_at", "state"), [(1, "delivered"), (4, "delivered"), (99, "given_up")])
async def test_a_webhook_is_repeated_until_it_is_answered_with_200_exactly(account, good_at, state):
    bodies = []

    async def take(request):
        bodies.append(await request.json())
        return web.Response(status=200 if len(bodies) >= good_at else 202)

    ours = web.Application()
    ours.router.add_post("/hook", take)
    async with serving(ours) as here:
        await account.put("/_sandbox/config", json={"webhook_url": f"{here}/hook", "compress": 1e9})
        await account.post("/_sandbox/phone", json={"from": "+4790000001", "text": "tifo stop"})
        async with account.get("/_sandbox/webhooks?wait=1") as answer:
            (webhook,) = await answer.json()
    assert webhook["state"] == state
    assert len(bodies) == min(good_at, 11)
    assert all(body == bodies[0] for body in bodies)
    assert (len(bodies[0]), bodies[0][0]["subKeyword"]) == (1, "stop")


def test_the_repeats_are_those_of_the_document():
    assert (len(WAITS), sum(WAITS)) == (10, 81_010)  # 22.5 hours


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "phone", {"text": "tifo"}),
        ("POST", "phone", []),
        ("PUT", "keywords", {}),
        ("PUT", "config", {"speed": 1}),
        ("POST", "faults", {"fault": "rain"}),
        ("POST", "webhook", {}),
    ],
)
async def test_an_invalid_control_request_is_refused_with_the_reason(account, method, path, body):
    async with account.request(method, f"/_sandbox/{path}", json=body) as answer:
        assert answer.status == 400
        assert " " in (await answer.json())["Message"]
