"""The provider's interface of the Strex sandbox: service commands, ping, faults, and its own process."""

import asyncio
import signal
import sys

import aiohttp
import pytest

from connector.sandbox.serve import serving
from connector.sandbox.strex.app import build

PHONE = "+4798079008"
NOW = 1_767_323_045.0
COMMAND = "/api/services/command"
KEY = {"Authorization": "sandbox-key"}


@pytest.fixture
async def strex():
    async with serving(build(clock=lambda: NOW)) as url, aiohttp.ClientSession(url) as client:
        yield client


async def command(strex, action="unsubscribe", headers=KEY, **fields):
    body = {"phone": PHONE, "shortNumber": "2002", "keyword": "KATT", "action": action, **fields}
    async with strex.post(COMMAND, json=body, headers=headers) as answer:
        await answer.read()
        return answer.status


async def put(strex, what, value):
    async with strex.put(f"/_sandbox/{what}", json=value) as answer:
        assert answer.status == 200, await answer.text()


async def fault(strex, name, **more):
    async with strex.post("/_sandbox/faults", json={"fault": name, **more}) as answer:
        assert answer.status == 200, await answer.text()


async def listed(strex, what):
    async with strex.get(f"/_sandbox/{what}") as answer:
        return await answer.json()


async def member(strex, *, active=True):
    await put(strex, "subscribers", [{"phone": PHONE, "keyword": "KATT", "active": active}])


async def is_active(strex):
    return [each["active"] for each in await listed(strex, "subscribers")]


async def reports(strex):
    return [each["body"] for each in await listed(strex, "forwards?wait=1")]


async def test_unsubscribe_is_200_then_204_and_404_for_a_stranger(strex):
    await member(strex)
    assert await command(strex) == 200
    assert await is_active(strex) == [False]
    assert await command(strex) == 204
    assert await command(strex, phone="+4790000001") == 404
    assert await command(strex, keyword="HUND") == 404
    assert await command(strex, keyword="UNKNOWN") == 404
    assert await command(strex, shortNumber="2003") == 404
    assert len(await reports(strex)) == 1


async def test_changesubscriberprice_is_200_then_204_when_inactive_and_404_for_a_stranger(strex):
    assert await command(strex, "changesubscriberprice", price=250) == 404
    await member(strex)
    assert await command(strex, "changesubscriberprice", price=250) == 200
    assert (await listed(strex, "subscribers"))[0]["price"] == 250
    assert await is_active(strex) == [True]
    await member(strex, active=False)
    assert await command(strex, "changesubscriberprice", price=250) == 204
    (report,) = await reports(strex)
    assert (report["properties"]["SystemAction"], report["price"]) == ("AlterPrice", 250)
    assert report["properties"]["ServiceCommand"] is True


async def test_stop_is_always_200(strex):
    assert await command(strex, "stop") == 200
    await member(strex)
    assert await command(strex, "stop") == 200
    assert await is_active(strex) == [False]
    assert await command(strex, "stop", keyword="UNKNOWN") == 200


@pytest.mark.parametrize(
    ("mark", "expected"),
    [("key", {"ServiceCommand": True}), ("value", {"Origin": "ServiceCommand"}), ("off", {})],
)
@pytest.mark.parametrize("action", ["stop", "unsubscribe"])
async def test_the_confirmation_of_a_command_is_a_marked_unsubscribe_report(strex, action, mark, expected):
    await put(strex, "config", {"mark": mark})
    await put(strex, "subscribers", [{"phone": PHONE, "keyword": "KATT", "subscriber_transaction_id": "s-1"}])
    assert await command(strex, action) == 200
    (report,) = await reports(strex)
    assert report["recipient"] == PHONE
    properties = report["properties"]
    assert (properties["SystemAction"], properties["SubscriberTransactionId"]) == ("Unsubscribe", "s-1")
    assert {name: properties[name] for name in ("ServiceCommand", "Origin") if name in properties} == expected


async def test_a_message_from_a_phone_has_no_mark(strex):
    async with strex.post("/_sandbox/phone", json={"from": PHONE, "text": "KATT"}):
        pass
    assert all("ServiceCommand" not in body["properties"] for body in await reports(strex))


async def test_without_a_confirmation_text_nothing_is_reported(strex):
    await put(strex, "config", {"confirm": False})
    await member(strex)
    assert await command(strex) == 200
    assert await reports(strex) == []


async def test_a_command_without_the_key_is_401_and_does_nothing(strex):
    await member(strex)
    for headers in ({}, {"Authorization": "wrong"}, {"Authorization": "Bearer sandbox-key"}):
        assert await command(strex, headers=headers) == 401
    async with strex.post(COMMAND, json={}) as answer:
        assert "Authorization" in (await answer.json())["Message"]
    assert await is_active(strex) == [True]


async def test_the_key_can_be_wanted_in_another_header_and_form(strex):
    await put(strex, "config", {"auth_header": "X-ApiKey", "auth_form": "Key {key}"})
    await member(strex)
    assert await command(strex) == 401
    assert await command(strex, headers={"X-ApiKey": "Key sandbox-key"}) == 200


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"phone": "+4798079008"}',
        b'{"phone": 4798079008, "shortNumber": "2002", "keyword": "KATT", "action": "stop"}',
        b'{"phone": "+4798079008", "shortNumber": "2002", "keyword": "KATT", "action": "halt"}',
        b'{"phone": "+4798079008", "shortNumber": "2002", "keyword": "KATT", "action": "changesubscriberprice"}',
        b'{"phone": "+47", "shortNumber": "2002", "keyword": "K", "action": "changesubscriberprice", "price": NaN}',
        b'{"phone": "+47", "shortNumber": "2002", "keyword": "K", "action": "changesubscriberprice", "price": 0}',
    ],
)
async def test_a_malformed_command_is_400_with_a_message(strex, content):
    async with strex.post(COMMAND, data=content, headers=KEY) as answer:
        assert answer.status == 400
        assert (await answer.json())["Message"]


async def test_every_command_is_logged_with_its_answer(strex):
    await command(strex, headers={})
    await fault(strex, "unavailable")
    await command(strex)
    await member(strex)
    await command(strex)
    async with strex.post(COMMAND, data=b"nonsense", headers=KEY):
        pass
    commands = await listed(strex, "commands")
    assert [(each["status"], each["fault"]) for each in commands] == [
        (401, None),
        (503, "unavailable"),
        (200, None),
        (400, None),
    ]
    assert commands[2]["command"] == {"phone": PHONE, "shortNumber": "2002", "keyword": "KATT", "action": "unsubscribe"}
    assert commands[3]["command"] == "nonsense"
    assert {each["time"] for each in commands} == {NOW}


async def test_the_ping_is_answered_with_pong(strex):
    async with strex.get("/api/ping") as answer:
        assert await answer.json() == "pong"


@pytest.mark.parametrize(
    ("name", "status"),
    [("unauthorized", 401), ("forbidden", 403), ("too_many", 429), ("server_error", 500), ("unavailable", 503)],
)
async def test_a_fault_fails_the_given_number_of_commands_which_have_no_effect(strex, name, status):
    await member(strex)
    await fault(strex, name, times=2)
    async with strex.get("/api/ping") as answer:
        assert answer.status == 200
    assert [await command(strex) for _ in range(2)] == [status, status]
    assert await is_active(strex) == [True]
    assert await command(strex) == 200
    (state,) = await listed(strex, "faults")
    assert (state["fault"], state["fired"]) == (name, 2)


async def test_the_fault_too_many_has_a_retry_after_header(strex):
    await fault(strex, "too_many", seconds=7)
    async with strex.post(COMMAND, json={}, headers=KEY) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")


async def test_a_slow_command_is_done_even_if_its_caller_has_gone(strex):
    await member(strex)
    await fault(strex, "slow", seconds=0.2)
    body = {"phone": PHONE, "shortNumber": "2002", "keyword": "KATT", "action": "unsubscribe"}
    with pytest.raises(TimeoutError):
        await strex.post(COMMAND, json=body, headers=KEY, timeout=aiohttp.ClientTimeout(sock_read=0.05))
    # The second waits longer from a later start, so its answer comes after the first is done.
    await fault(strex, "slow", seconds=0.25)
    assert await command(strex) == 204
    assert [each["status"] for each in await listed(strex, "commands")] == [200, 204]


async def test_a_dropped_command_is_done_but_not_answered(strex):
    await member(strex)
    await fault(strex, "dropped")
    with pytest.raises(aiohttp.ClientError):
        await command(strex)
    assert await is_active(strex) == [False]
    assert [(each["status"], each["fault"]) for each in await listed(strex, "commands")] == [(200, "dropped")]
    assert len(await reports(strex)) == 1
    assert await command(strex) == 204


async def test_the_fault_wrong_address_answers_404_until_it_is_cleared(strex):
    await member(strex)
    await fault(strex, "wrong_address")
    assert [await command(strex), await command(strex, "stop")] == [404, 404]
    for path in ("/api/ping", "/api/server/public-keys/2026-01-01"):
        async with strex.get(path) as answer:
            assert answer.status == 404
    async with strex.delete("/_sandbox/faults") as answer:
        assert await answer.json() == []
    assert await command(strex) == 200


async def test_a_fault_can_affect_another_path(strex):
    await fault(strex, "server_error", path="/api/server/public-keys/")
    assert await command(strex) == 404
    async with strex.get("/api/server/public-keys/2026-01-01") as answer:
        assert answer.status == 500


async def test_the_sandbox_runs_as_a_process_and_ends_on_sigterm():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "connector", "sandbox", "strex", "--port", "0", "--dlr-url", "http://127.0.0.1:9/dlr",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    line = (await process.stdout.readline()).decode()
    assert line.startswith("listening on http://127.0.0.1:")
    async with aiohttp.ClientSession(line.split()[-1]) as client:
        assert (await listed(client, "config"))["dlr_url"] == "http://127.0.0.1:9/dlr"
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_an_invalid_url_ends_the_process_with_the_cure():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "connector", "sandbox", "strex", "--mo-url", "somewhere", stderr=asyncio.subprocess.PIPE
    )
    _, error = await process.communicate()
    assert process.returncode == 2
    assert b"mo_url must be null or an absolute http or https URL" in error
