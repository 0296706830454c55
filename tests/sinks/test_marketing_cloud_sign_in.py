"""The token of Marketing Cloud: how it is got, shared, renewed, and what no token is."""

import asyncio
from datetime import timedelta

import orjson
import pytest
from scripted_http import AnsweringHttp, ScriptedHttp
from sinks.test_marketing_cloud_answers import EVENT, NOW, PAGE, TOKEN, package, reply, row

from connector.model.http import Failure, HttpError, HttpReply
from connector.model.operation import SinkCall
from connector.model.outcome import Delivered, Reason
from connector.ports import Task
from connector.sinks.marketing_cloud.events import EventSink
from connector.sinks.marketing_cloud.rows import RowSink

REFUSED = {"message": "Not Authorized", "errorcode": 0, "documentation": ""}
ROWS_DONE, EVENT_DONE = reply(200, [{}]), reply(201, {"eventInstanceId": "7"})


async def write(*replies, of=None):
    http = ScriptedHttp(*replies)
    given = of or package()
    (outcome,) = await EventSink(name="mc.events", package=given, now=lambda: NOW).write(http, [EVENT])
    return outcome, http


@pytest.mark.parametrize(
    "token",
    [
        {},
        {"access_token": "t"},
        {"access_token": None, "rest_instance_url": "https://rest.example"},
        {"access_token": "", "rest_instance_url": "https://rest.example"},
        {"access_token": "a\nb", "rest_instance_url": "https://rest.example"},
        {"access_token": "tøken", "rest_instance_url": "https://rest.example"},
        {"access_token": "t", "rest_instance_url": ""},
        {"access_token": "t", "rest_instance_url": "rest.example"},
        {"access_token": "t", "rest_instance_url": "http://rest.example"},
        {"access_token": "t", "rest_instance_url": "ftp://rest.example"},
        {"access_token": "t", "rest_instance_url": "https://"},
        {"access_token": "t", "rest_instance_url": "https://user:word@rest.example"},
        {"access_token": "t", "rest_instance_url": "https://[::1"},
        {"access_token": "t", "rest_instance_url": ["https://rest.example"]},
    ],
    ids=range(14),
)
async def test_a_sign_in_without_a_usable_token_and_address_fires_no_event(token):
    outcome, http = await write(reply(200, token))
    assert (outcome.reason, outcome.in_doubt) == (Reason.UNEXPECTED_ANSWER, False)
    assert len(http.calls) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(200, PAGE), Reason.UNEXPECTED_ANSWER),
        (reply(200, b""), Reason.UNEXPECTED_ANSWER),
        (reply(302, b""), Reason.UNEXPECTED_ANSWER),
        (reply(404, PAGE), Reason.UNEXPECTED_ANSWER),
        (reply(400, {"error": "invalid_scope"}), Reason.CREDENTIALS),
        (reply(401, {"error": "invalid_client"}), Reason.CREDENTIALS),
        (reply(403, {"error": "ip_not_allowed"}), Reason.CREDENTIALS),
        (reply(429, REFUSED), Reason.RATE_LIMITED),
        (reply(500, b""), Reason.SERVER_ERROR),
        (reply(503, b""), Reason.UNAVAILABLE),
        (HttpError(Failure.REFUSED, "no connection"), Reason.UNAVAILABLE),
        (HttpError(Failure.TIMEOUT, "time-out"), Reason.TIMEOUT),
        (HttpError(Failure.LOST, "closed"), Reason.CONNECTION_LOST),
    ],
    ids=range(13),
)
async def test_a_sign_in_that_fails_leaves_no_event_in_doubt(answer, reason):
    outcome, http = await write(answer)
    assert (outcome.reason, outcome.in_doubt, len(http.calls)) == (reason, False, 1)


async def test_an_expired_token_is_renewed_and_the_event_fired_once():
    outcome, http = await write(reply(200, TOKEN), reply(401, REFUSED), reply(200, TOKEN), EVENT_DONE)
    assert outcome == Delivered(record_id="7")
    assert [call.path for call in http.calls] == ["/v2/token", "/interaction/v1/events"] * 2


async def test_a_second_401_is_a_failure_of_the_credentials():
    outcome, http = await write(*[reply(200, TOKEN), reply(401, REFUSED)] * 2)
    assert (outcome.reason, outcome.in_doubt, len(http.calls)) == (Reason.CREDENTIALS, False, 4)
    assert "scopes" in outcome.cure


async def test_a_renewal_that_fails_is_the_outcome_of_the_refused_calls_only():
    http = ScriptedHttp(reply(200, TOKEN), ROWS_DONE, reply(401, REFUSED), reply(500, b""))
    other = Task(SinkCall(sink="mc", action="row", target="Other", key="2", keys={"Id": "2"}))
    outcomes = await RowSink(name="mc", package=package()).write(http, [row("1"), other])
    assert outcomes[0] == Delivered()
    assert (outcomes[1].reason, outcomes[1].in_doubt) == (Reason.SERVER_ERROR, False)


async def test_rows_and_events_share_one_token_also_when_they_begin_together_and_when_it_expires():
    given, life = package(), {"tokens": 0, "refuse": 2}

    def answer(call):
        if call.path == "/v2/token":
            life["tokens"] += 1
            return reply(200, {**TOKEN, "access_token": f"t{life['tokens']}"})
        if call.headers["Authorization"] == "Bearer t1" and life["refuse"]:
            life["refuse"] -= 1
            return reply(401, REFUSED)
        return EVENT_DONE if "events" in call.path and "data" not in call.path else ROWS_DONE

    http = AnsweringHttp(answer)
    rows, events = RowSink(name="mc", package=given), EventSink(name="mc.events", package=given, now=lambda: NOW)
    (row_outcomes, event_outcomes) = await asyncio.gather(rows.write(http, [row("1")]), events.write(http, [EVENT]))
    assert (*row_outcomes, *event_outcomes) == (Delivered(), Delivered(record_id="7"))
    assert life["tokens"] == 2, "one at first, and one for both when the first was refused"


async def test_a_token_is_asked_for_again_after_twenty_minutes_and_not_earlier():
    given, seconds = package(), [0.0]
    given.clock = lambda: seconds[0]
    for now, tokens in ((0, 1), (1199, 0), (1200, 1), (2399, 0)):
        seconds[0] = float(now)
        _, http = await write(*[reply(200, TOKEN)] * tokens, EVENT_DONE, of=given)
        assert len(http.calls) == 1 + tokens, now


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"retry-after": "5"}, {"errorcode": 50100}, 5),
        ({}, {"errorcode": 50100, "retryAfter": 9}, 9),
        ({"retry-after": "5"}, {"errorcode": 50100, "retryAfter": 900}, 5),
        ({}, {"errorcode": 50100, "retryAfter": "soon"}, None),
        ({}, {"errorcode": 50100, "retryAfter": -5}, None),
        ({}, {"errorcode": 50100, "retryAfter": True}, None),
        ({}, {"errorcode": 50100, "retryAfter": 10**15}, 3600),
        ({"retry-after": "999999"}, {"errorcode": 50100}, 3600),
        ({"retry-after": "-1"}, {}, None),
        ({}, {"errorcode": 50200}, 900),
        ({}, [], None),
    ],
    ids=range(11),
)
async def test_after_a_429_the_sink_waits_as_long_as_the_answer_asks(headers, body, wait):
    document = {"message": "busy"} | body if isinstance(body, dict) else body
    outcome, _ = await write(reply(200, TOKEN), HttpReply(status=429, headers=headers, body=orjson.dumps(document)))
    assert (outcome.reason, outcome.in_doubt) == (Reason.RATE_LIMITED, False)
    assert outcome.not_before == (None if wait is None else timedelta(seconds=wait))
