"""Every fault that can be switched on, its effect, and what it does not affect."""

import aiohttp
import pytest
from sandbox.test_salesforce_composite import upsert
from sandbox.test_salesforce_signin import CLIENT, V, signed_in

RECORD = {"SMS_Key__c": "k1", "LastName": "Ås"}


async def switch(org, fault, **more):
    status, body = await org.control("POST", "faults", {"fault": fault, **more})
    assert status == 200, body


async def fired(org):
    _, body = await org.control("GET", "faults")
    return {fault["fault"]: fault["fired"] for fault in body["faults"]}


async def raw(org, path="/limits"):
    headers = {"Authorization": f"Bearer {org.token}"}
    async with org.http.get(f"{org.url}{V}{path}", headers=headers) as answer:
        return answer.status, answer.content_type, await answer.text()


async def test_an_expired_session_ends_every_token_until_a_new_sign_in():
    async with signed_in() as org:
        await switch(org, "expired_session")
        status, body = await org.call("GET", "/limits")
        assert (status, body[0]["errorCode"]) == (401, "INVALID_SESSION_ID")
        await org.sign_in()
        assert (await org.call("GET", "/limits"))[0] == 200
        assert await fired(org) == {"expired_session": 1}


async def test_a_session_may_expire_again_and_again():
    async with signed_in() as org:
        await switch(org, "expired_session", times=3)
        for _ in range(2):
            await org.sign_in()
            assert (await org.call("GET", "/limits"))[0] == 401
        await org.sign_in()
        assert (await org.call("GET", "/limits"))[0] == 200


async def test_a_session_that_expires_at_a_later_request_stays_expired():
    async with signed_in() as org:
        await switch(org, "expired_session", after=1)
        assert [(await raw(org))[0] for _ in range(3)] == [200, 401, 401]


async def test_a_login_is_refused_once():
    async with signed_in() as org:
        await switch(org, "login_refused")
        async with org.http.post(f"{org.url}/services/oauth2/token", data=CLIENT) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"] == "invalid_grant"
        async with org.http.post(f"{org.url}/services/oauth2/token", data=CLIENT) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("fault", "status", "code", "message"),
    [
        ("limit_exceeded", 403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
        (
            "concurrent_limit",
            403,
            "REQUEST_LIMIT_EXCEEDED",
            "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
        ),
        ("server_error", 500, "UNKNOWN_EXCEPTION", None),
    ],
)
async def test_a_fault_that_refuses_writes_nothing_and_passes(fault, status, code, message):
    async with signed_in() as org:
        await switch(org, fault)
        answered, body = await org.upsert("Contact", "SMS_Key__c", RECORD)
        assert (answered, body[0]["errorCode"]) == (status, code)
        assert message is None or body[0]["message"] == message
        assert await org.rows("Contact") == []
        assert (await org.upsert("Contact", "SMS_Key__c", RECORD))[0] == 200


@pytest.mark.parametrize(("fault", "status"), [("unavailable", 503), ("html_401", 401)])
async def test_a_fault_may_answer_html(fault, status):
    async with signed_in() as org:
        await switch(org, fault)
        assert (await raw(org))[:2] == (status, "text/html")
        assert (await raw(org))[0] == 200


async def test_a_locked_row_is_refused_alone_and_not_written():
    async with signed_in() as org:
        await switch(org, "row_lock", records=["K1"])
        _, results = await org.upsert("Contact", "SMS_Key__c", RECORD, {"SMS_Key__c": "k2", "LastName": "Bø"})
        assert results[0]["errors"][0]["statusCode"] == "UNABLE_TO_LOCK_ROW"
        assert results[0]["errors"][0]["message"].startswith("unable to obtain exclusive access to this record")
        assert results[1]["success"]
        assert (await org.upsert("Contact", "SMS_Key__c", RECORD))[1][0]["success"]


async def test_a_share_of_the_rows_may_be_locked():
    async with signed_in() as org:
        await switch(org, "row_lock", records=0.25)
        rows = [{"SMS_Key__c": f"k{number}", "LastName": "x"} for number in range(200)]
        _, results = await org.upsert("Contact", "SMS_Key__c", *rows)
        assert sum(not result["success"] for result in results) == 50
        assert len(await org.rows("Contact")) == 150


async def test_a_bad_record_fails_every_request_with_it_until_the_fault_is_cleared():
    async with signed_in() as org:
        await switch(org, "bad_record", records=["k1"])
        good = {"SMS_Key__c": "k2", "LastName": "Bø"}
        for _ in range(2):
            status, body = await org.upsert("Contact", "SMS_Key__c", good, RECORD)
            assert (status, body[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
        parts = [
            upsert("Contact", "SMS_Key__c", RECORD, ref="bad"),
            upsert("Contact", "SMS_Key__c", good, ref="good"),
        ]
        _, body = await org.call("POST", "/composite", {"compositeRequest": parts})
        assert [part["httpStatusCode"] for part in body["compositeResponse"]] == [400, 200]
        assert (await org.upsert("Contact", "SMS_Key__c", good))[0] == 200
        assert await fired(org) == {"bad_record": 3}
        await org.control("DELETE", "faults?fault=bad_record")
        assert (await org.upsert("Contact", "SMS_Key__c", RECORD))[0] == 200


@pytest.mark.parametrize(("fault", "written"), [("dropped", 1), ("dropped_before", 0)])
async def test_a_dropped_connection_leaves_the_writer_in_doubt(fault, written):
    async with signed_in() as org:
        await switch(org, fault)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await org.upsert("Contact", "SMS_Key__c", RECORD)
        assert len(await org.rows("Contact")) == written
        assert (await org.upsert("Contact", "SMS_Key__c", RECORD))[1][0]["created"] is not bool(written)


async def test_the_fault_garbage_is_a_200_with_a_truncated_body():
    async with signed_in() as org:
        await switch(org, "garbage")
        status, kind, text = await raw(org)
        assert (status, kind) == (200, "application/json")
        assert text.startswith('{"DailyApiRequests"')
        assert not text.endswith("}}")


async def test_a_slow_answer_comes_after_the_given_seconds():
    async with signed_in() as org:
        await switch(org, "slow", seconds=30)
        with pytest.raises(TimeoutError):
            await org.http.get(
                f"{org.url}{V}/limits",
                headers={"Authorization": f"Bearer {org.token}"},
                timeout=aiohttp.ClientTimeout(total=0.1),
            )
        assert (await org.call("GET", "/limits"))[0] == 200


async def test_rows_that_commit_late_appear_with_a_stamp_that_a_poller_has_passed():
    async with signed_in() as org:
        await switch(org, "late_commit", seconds=90)
        await org.load("Contact", {"LastName": "Ås"})
        await org.upsert("Contact", "SMS_Key__c", RECORD)
        await org.control("DELETE", "faults")
        await org.load("Contact", {"LastName": "Late no more"})
        stamps = [row["SystemModstamp"] for row in await org.rows("Contact")]
        assert stamps[0] == stamps[1] < stamps[2]
        assert (await org.control("GET", "history"))[1]["history"][0]["time"] == org.clock.now


async def test_a_fault_may_begin_later_repeat_and_recur():
    async with signed_in() as org:
        await switch(org, "unavailable", after=1, times=2)
        assert [(await raw(org))[0] for _ in range(4)] == [200, 503, 503, 200]
        await org.control("DELETE", "faults")
        await switch(org, "unavailable", every=3)
        assert [(await raw(org))[0] for _ in range(6)] == [200, 200, 503, 200, 200, 503]


async def test_two_faults_that_end_a_request_alternate():
    async with signed_in() as org:
        await switch(org, "unavailable")
        await switch(org, "server_error")
        assert [(await raw(org))[0] for _ in range(3)] == [503, 500, 200]
        await org.control("DELETE", "faults")
        await switch(org, "unavailable", every=2)
        await switch(org, "server_error", every=2)
        assert [(await raw(org))[0] for _ in range(5)] == [200, 503, 500, 503, 500]


async def test_a_fault_for_writes_does_not_affect_reads():
    async with signed_in() as org:
        await switch(org, "unavailable", only="writes")
        query = {"method": "GET", "url": f"{V}/query?q=SELECT+Id+FROM+Contact", "referenceId": "q"}
        assert (await org.call("POST", "/composite", {"compositeRequest": [query]}))[0] == 200
        headers = {"Authorization": f"Bearer {org.token}"}
        async with org.http.post(f"{org.url}{V}/sobjects/Contact", json=RECORD, headers=headers) as answer:
            assert answer.status == 503


async def test_the_daily_limit_counts_data_requests_only_and_refuses_when_used_up():
    async with signed_in(api_limit=2) as org:
        await org.sign_in()
        await org.control("GET", "stats")
        headers = {"Authorization": f"Bearer {org.token}"}
        async with org.http.get(f"{org.url}{V}/limits", headers=headers) as answer:
            assert answer.headers["Sforce-Limit-Info"] == "api-usage=1/2"
            assert (await answer.json())["DailyApiRequests"] == {"Max": 2, "Remaining": 1}
        await org.call("GET", "/limits")
        status, body = await org.call("GET", "/limits")
        assert (status, body[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")
        org.clock.now += 86_400
        await org.sign_in()
        assert (await org.call("GET", "/limits"))[0] == 200


@pytest.mark.parametrize(
    "wish",
    [
        {"fault": "earthquake"},
        {"fault": "slow", "second": 3},
        {"fault": "slow", "seconds": -1},
        {"fault": "unavailable", "times": 0},
        {"fault": "unavailable", "every": "2"},
        {"fault": "row_lock", "records": 2},
        {"fault": "bad_record"},
        {"fault": "unavailable", "only": "mondays"},
        [],
    ],
)
async def test_an_invalid_fault_is_refused_with_the_cure(wish):
    async with signed_in() as org:
        status, body = await org.control("POST", "faults", wish)
        assert status == 400
        assert body["error"].endswith((".", "]."))
