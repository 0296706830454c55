"""Forwards over HTTP: success only by 200, retries, order, clean stop; with a real receiver."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from connector.sandbox.serve import serving
from connector.sandbox.strex.app import build

PHONE = "+4798079008"
AT_ONCE = 1e12  # Compresses two days of retries into nothing.
NEVER = 1e-9  # Stretches the first wait beyond any test.


class Receiver:
    """Keeps what it is sent, and answers with the statuses it was given, then 200."""

    def __init__(self):
        self.got = []
        self.statuses = []
        self.arrived = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.url = ""

    async def take(self, request):
        self.got.append((request.path_qs, request.headers.copy(), await request.read()))
        self.arrived.set()
        await self.may_answer.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    def bodies(self):
        return [json.loads(body) for _, _, body in self.got]


@pytest.fixture
async def receiver():
    kept = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", kept.take)
    async with serving(app) as kept.url:
        yield kept


@asynccontextmanager
async def strex_for(receiver, query="", **settings):
    urls = {"mo_url": f"{receiver.url}/hooks/MO{query}", "dlr_url": f"{receiver.url}/hooks/DLR{query}"}
    async with serving(build(**{**urls, "compress": AT_ONCE, **settings})) as url, aiohttp.ClientSession(url) as client:
        yield client


async def post(strex, call, **body):
    async with strex.post(f"/_sandbox/{call}", json=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def put(strex, **settings):
    async with strex.put("/_sandbox/config", json=settings) as answer:
        assert answer.status == 200, await answer.text()


async def forwards(strex, query="?wait=1"):
    async with strex.get(f"/_sandbox/forwards{query}") as answer:
        return await answer.json()


async def texted(strex, text="KATT", phone=PHONE):
    return await post(strex, "phone", **{"from": phone, "text": text})


async def test_signing_can_be_switched_off_and_basic_auth_on(receiver):
    async with strex_for(receiver, sign=False) as strex:
        await put(strex, basic_auth="strex:s3cret:x")
        await texted(strex, "hello")
        await forwards(strex)
    ((_, headers, _),) = receiver.got
    assert "X-ECDSA-Signature" not in headers
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"strex:s3cret:x"


@pytest.mark.parametrize("status", [201, 202, 204, 302, 400, 404, 500, 503])
async def test_anything_but_200_is_tried_again(receiver, status):
    receiver.statuses = [status]
    async with strex_for(receiver) as strex:
        await texted(strex, "hello")
        (forward,) = await forwards(strex)
    assert (forward["state"], forward["attempts"], forward["last_status"]) == ("delivered", 2, 200)
    assert len(receiver.got) == 2


async def test_a_retry_is_the_same_message_with_a_new_count_and_signature(receiver):
    receiver.statuses = [503, 503]
    times = iter(range(1_767_323_045, 1_767_400_000))
    async with strex_for(receiver, clock=lambda: next(times)) as strex:
        await texted(strex, "hello")
        await forwards(strex)
    first, second, third = receiver.bodies()
    assert first["transactionId"] == second["transactionId"] == third["transactionId"]
    assert [body["processAttempts"] for body in (first, second, third)] == [1, 2, 3]
    parts = [headers["X-ECDSA-Signature"].split(":") for _, headers, _ in receiver.got]
    assert len({timestamp for _, timestamp, _, _ in parts}) == 3
    assert len({nonce for _, _, nonce, _ in parts}) == 3


@pytest.mark.parametrize(("kind", "attempts"), [("mo", 6), ("dlr", 20)])
async def test_after_the_last_retry_a_forward_is_given_up(receiver, kind, attempts):
    receiver.statuses = [500] * 100
    async with strex_for(receiver) as strex:
        await post(strex, "emit", kind=kind, body={"any": "thing"})
        (forward,) = await forwards(strex)
    assert (forward["state"], forward["attempts"], forward["last_status"]) == ("given_up", attempts, 500)
    assert len(receiver.got) == attempts


async def test_an_unreachable_receiver_is_retried_as_often_and_listed_as_the_error(receiver):
    async with strex_for(receiver, mo_url="http://127.0.0.1:9/") as strex:
        await texted(strex, "hello")
        (forward,) = await forwards(strex)
    assert (forward["state"], forward["attempts"], forward["last_status"]) == ("given_up", 6, None)
    assert forward["last_error"] == "ClientConnectorError"


async def test_a_retry_goes_to_the_url_that_is_set_by_then(receiver):
    receiver.statuses = [503]
    receiver.may_answer.clear()
    async with strex_for(receiver) as strex:
        await texted(strex, "hello")
        await receiver.arrived.wait()
        await put(strex, mo_url=f"{receiver.url}/moved")
        receiver.may_answer.set()
        await forwards(strex)
    assert [path for path, _, _ in receiver.got] == ["/hooks/MO", "/moved"]


async def test_the_report_comes_after_the_message_and_a_waiting_retry_holds_up_nobody(receiver):
    receiver.statuses = [503]
    receiver.may_answer.clear()
    async with strex_for(receiver, compress=NEVER) as strex:
        await texted(strex)
        await texted(strex, "KATT STOP")
        await receiver.arrived.wait()
        assert [forward["attempts"] for forward in await forwards(strex, "")] == [1, 0, 0, 0]
        receiver.may_answer.set()
        while len(receiver.got) < 4:
            receiver.arrived.clear()
            await receiver.arrived.wait()
        states = [forward["state"] for forward in await forwards(strex, "") if forward["number"] == 1]
    assert states == ["under_way"]
    assert [
        body.get("content") or body["properties"]["SystemAction"] for body in receiver.bodies()
    ] == ["KATT", "Subscribe", "KATT STOP", "Unsubscribe"]  # fmt: skip


@pytest.mark.parametrize("body", [{"Properties": {"a": "æ"}}, [1, 2], "text", None, 1.5])
async def test_any_json_is_forwarded_as_it_is(receiver, body):
    async with strex_for(receiver) as strex:
        await post(strex, "emit", kind="dlr", body=body)
        await forwards(strex)
    assert receiver.bodies() == [body]


@pytest.mark.parametrize(("kind", "field"), [("mo", "sender"), ("dlr", "recipient")])
async def test_given_json_of_one_subscriber_is_sent_in_the_order_given(receiver, kind, field):
    receiver.may_answer.clear()
    async with strex_for(receiver) as strex:
        for phone in (PHONE, PHONE, "+4790000001"):
            await post(strex, "emit", kind=kind, body={field: phone})
        while len(receiver.got) < 2:
            receiver.arrived.clear()
            await receiver.arrived.wait()
        assert [forward["attempts"] for forward in await forwards(strex, "")] == [1, 0, 1]
        receiver.may_answer.set()
        await forwards(strex)
    assert len(receiver.got) == 3


async def test_any_text_is_forwarded_as_it_is(receiver):
    async with strex_for(receiver) as strex:
        await post(strex, "emit", kind="mo", raw='Properties: { "Keyword": "KATT" }')
        await forwards(strex)
    assert [(path, body) for path, _, body in receiver.got] == [("/hooks/MO", b'Properties: { "Keyword": "KATT" }')]


async def test_without_a_url_nothing_is_sent_and_the_list_says_so(receiver):
    async with strex_for(receiver, dlr_url=None) as strex:
        await texted(strex)
        states = [(forward["kind"], forward["state"]) for forward in await forwards(strex)]
    assert states == [("mo", "delivered"), ("dlr", "no_url")]


async def test_a_reset_cancels_and_deletes_running_forwards(receiver):
    receiver.statuses = [503]
    async with strex_for(receiver, compress=NEVER) as strex:
        await texted(strex, "hello")
        await receiver.arrived.wait()
        await post(strex, "reset")
        assert await forwards(strex) == []
    assert len(receiver.got) == 1


async def test_shutting_down_cancels_running_forwards_and_answers_their_waiters(receiver):
    receiver.statuses = [503]
    app = build(mo_url=receiver.url, compress=NEVER)
    asked = asyncio.Event()

    async def note(*_):
        asked.set()

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(note)
    async with aiohttp.ClientSession(trace_configs=[trace]) as client:
        async with serving(app) as url:
            async with client.post(f"{url}/_sandbox/phone", json={"from": PHONE, "text": "hello"}):
                await receiver.arrived.wait()
            asked.clear()
            waiting = asyncio.create_task(client.get(f"{url}/_sandbox/forwards?wait=1"))
            await asked.wait()
            # One more round trip on the same loop: the waiting request has been read by then.
            async with client.get(f"{url}/api/ping") as answer:
                assert await answer.json() == "pong"
        async with await waiting as answer:
            assert [forward["state"] for forward in await answer.json()] == ["stopped"]
