"""Marketing Cloud's answers, and those of something else at its address: what counts as done, as refused, and as neither."""

from datetime import UTC, datetime
from urllib.parse import unquote

import orjson
import pytest
from msgspec import structs
from pydantic import ValidationError
from scripted_http import AnsweringHttp, ScriptedHttp

from connector.model.http import Failure, HttpError, HttpReply
from connector.model.operation import SinkCall
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.ports import Task
from connector.sinks.marketing_cloud.client import Package
from connector.sinks.marketing_cloud.events import EventSink
from connector.sinks.marketing_cloud.rows import RowSink
from connector.sinks.marketing_cloud.settings import MarketingCloudSettings

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
TOKEN = {"access_token": "t", "rest_instance_url": "https://rest.example/"}
PAGE = b"<!DOCTYPE html><html><title>Page not found</title></html>"
REFUSAL = {"message": "Unable to save rows: column X does not exist.", "errorcode": 10006, "documentation": ""}


def reply(status, body):
    return HttpReply(status=status, headers={}, body=body if isinstance(body, bytes) else orjson.dumps(body))


def row(key):
    return Task(SinkCall(sink="mc", action="row", target="Results", key=key, keys={"Id": key}, values={"A": "b"}))


EVENT = Task(SinkCall(sink="mc", action="event", target="E", key="1", keys={"contact": "003"}, once=True))


def package():
    return Package(auth_url="https://auth.example", client_id="i", client_secret="s")


async def rows(*replies, keys="1"):
    http = ScriptedHttp(reply(200, TOKEN), *replies)
    return await RowSink(name="mc", package=package()).write(http, [row(key) for key in keys])


async def event(*replies):
    http = ScriptedHttp(reply(200, TOKEN), *replies)
    (outcome,) = await EventSink(name="mc", package=package(), now=lambda: NOW).write(http, [EVENT])
    return outcome


@pytest.mark.parametrize("status", [400, 404])
async def test_a_refusal_in_marketing_clouds_form_is_about_the_row_and_the_event(status):
    (outcome,) = await rows(reply(status, REFUSAL))
    assert (type(outcome), outcome.reason) == (Rejected, Reason.VALIDATION)
    assert "column X" in outcome.detail
    assert isinstance(await event(reply(status, REFUSAL)), Rejected)


@pytest.mark.parametrize("status", [400, 404, 405, 302])
@pytest.mark.parametrize("body", [PAGE, b"", b"[]", b'{"status": 404}'])
async def test_a_web_page_with_a_status_of_a_refusal_makes_no_dead_letter(status, body):
    first, second = await rows(reply(status, body), keys="12")
    for outcome in (first, second, await event(reply(status, body))):
        assert (type(outcome), outcome.reason, outcome.in_doubt) == (Retry, Reason.UNEXPECTED_ANSWER, False)


@pytest.mark.parametrize("body", [PAGE, b"", b"null", b"{}"])
async def test_a_success_that_does_not_have_marketing_clouds_form_is_in_doubt(body):
    (outcome,) = await rows(reply(200, body))
    for one in (outcome, await event(reply(201, body))):
        assert (one.reason, one.in_doubt) == (Reason.UNEXPECTED_ANSWER, True)


async def test_a_success_in_marketing_clouds_form_is_delivered():
    assert await rows(reply(200, [{}])) == [Delivered()]
    assert await event(reply(201, {"eventInstanceId": "7"})) == Delivered(record_id="7")


async def test_a_page_at_the_sign_in_is_no_refusal_of_the_credentials():
    for status, body, reason in (
        (400, PAGE, Reason.UNEXPECTED_ANSWER),
        (401, {"error": "invalid_client"}, Reason.CREDENTIALS),
    ):
        (outcome,) = await RowSink(name="mc", package=package()).write(ScriptedHttp(reply(status, body)), [row("1")])
        assert (outcome.reason, outcome.in_doubt) == (reason, False)


async def test_a_row_does_not_overtake_an_earlier_one_with_its_key_that_must_be_repeated():
    first, second, other = await rows(reply(500, REFUSAL), keys="112")
    assert (first.reason, other.reason) == (Reason.SERVER_ERROR, Reason.SERVER_ERROR)
    assert (second.reason, second.in_doubt) == (Reason.HALTED, False)


EVENT_ANSWERS = [
    (reply(200, {"eventInstanceId": "7"}), None),
    (reply(202, {"eventInstanceId": "7"}), None),
    (reply(201, {"eventInstanceId": ""}), True),
    (reply(201, {"EventInstanceId": "7"}), True),
    (reply(201, []), True),
    (reply(204, b""), True),
    (reply(201, b'{"eventInstanceId": "7'), True),
    (reply(302, b""), False),
    (reply(401, b""), False),
    (reply(403, REFUSAL), False),
    (reply(408, b""), False),
    (reply(413, PAGE), False),
    (reply(429, b""), False),
    (reply(503, PAGE), False),
    (reply(500, REFUSAL), True),
    (reply(502, PAGE), True),
    (reply(504, PAGE), True),
    (HttpError(Failure.REFUSED, "no connection"), False),
    (HttpError(Failure.TIMEOUT, "time-out"), True),
    (HttpError(Failure.LOST, "closed"), True),
    (HttpError(Failure.UNREADABLE, "too large"), True),
]


@pytest.mark.parametrize(("answer", "in_doubt"), EVENT_ANSWERS, ids=range(len(EVENT_ANSWERS)))
async def test_an_event_is_in_doubt_if_it_may_have_been_fired(answer, in_doubt):
    unauthorized = isinstance(answer, HttpReply) and answer.status == 401
    outcome = await event(answer, *([reply(200, TOKEN), answer] if unauthorized else []))
    assert (None if isinstance(outcome, Delivered) else outcome.in_doubt) == in_doubt


async def test_each_event_has_an_outcome_of_its_own():
    http = ScriptedHttp(
        reply(200, TOKEN), reply(201, {"eventInstanceId": "7"}), reply(400, REFUSAL), HttpError(Failure.LOST, "closed")
    )
    fired, refused, lost = await EventSink(name="mc", package=package(), now=lambda: NOW).write(http, [EVENT] * 3)
    assert (type(fired), type(refused), lost.in_doubt) == (Delivered, Rejected, True)


@pytest.mark.parametrize(
    ("not_before", "left"),
    [
        ("", None),
        ("2026-11-28T11:59:00Z", None),
        ("2026-11-28T12:00:00Z", None),
        ("2026-11-28T12:00:01Z", 1),
        ("2026-11-28T18:00:00Z", 6 * 3600),
        # The clock was wrong when the event was planned, and was set back.
        ("2026-11-28T18:00:01Z", None),
        ("2027-11-28T12:00:00Z", None),
    ],
)
async def test_an_event_waits_for_its_time_and_never_longer_than_a_delay_can_be(not_before, left):
    task = Task(structs.replace(EVENT.operation, not_before=not_before))
    http = ScriptedHttp(reply(200, TOKEN), reply(201, {"eventInstanceId": "7"}))
    (outcome,) = await EventSink(name="mc", package=package(), now=lambda: NOW).write(http, [task])
    waits = None if isinstance(outcome, Delivered) else outcome.not_before.total_seconds()
    assert waits == left
    assert len(http.calls) == (0 if left else 2)


async def test_a_missing_data_extension_is_refused_in_one_call_however_many_rows():
    outcomes = await rows(reply(404, REFUSAL), keys="123456789")
    assert {type(one) for one in outcomes} == {Rejected}


async def test_bad_rows_are_found_and_the_others_are_written():
    def answer(call):
        if call.path == "/v2/token":
            return reply(200, TOKEN)
        sent = [one["keys"]["Id"] for one in orjson.loads(call.body)]
        return reply(400, REFUSAL) if {"3", "7"} & set(sent) else reply(200, [{}] * len(sent))

    tasks = [row(str(number)) for number in range(60)]
    outcomes = await RowSink(name="mc", package=package()).write(AnsweringHttp(answer), tasks)
    assert [place for place, one in enumerate(outcomes) if isinstance(one, Rejected)] == [3, 7]


async def test_rows_with_one_key_are_written_one_after_another_in_their_order():
    def answer(call):
        return reply(200, TOKEN if call.path == "/v2/token" else [{}])

    http = AnsweringHttp(answer)
    await RowSink(name="mc", package=package()).write(http, [row("1"), row("2"), row("1"), row("1")])
    sent = [[one["keys"]["Id"] for one in orjson.loads(call.body)] for call in http.calls[1:]]
    assert sent == [["1", "2"], ["1"], ["1"]]


@pytest.mark.parametrize(
    "name", ["Results", "SMS Results", "æøå", "a/b", "a?b#c", "key:x", "../../v2/token", "A" * 200, "ß%2F"]
)
async def test_the_key_of_a_data_extension_stays_one_part_of_the_path(name):
    http = ScriptedHttp(reply(200, TOKEN), reply(200, [{}]))
    task = Task(SinkCall(sink="mc", action="row", target=name, key="1", keys={"Id": "1"}))
    await RowSink(name="mc", package=package()).write(http, [task])
    parts = http.calls[1].path.split("/")
    assert (parts[:4], parts[5:]) == (["", "hub", "v1", "dataevents"], ["rowset"])
    assert unquote(parts[4]) == f"key:{name}"
    assert "?" not in http.calls[1].path


def settings(**changed):
    given = {"type": "marketing_cloud", "auth_url": "https://mc1.auth.marketingcloudapis.com", "client_id": "i"}
    return MarketingCloudSettings.model_validate(given | {"client_secret": {"env": "X"}} | changed)


@pytest.mark.parametrize("end", ["", "/", "/v2/token", "/v2/token/"])
def test_the_sign_in_address_may_be_copied_in_any_of_its_forms(end):
    given = settings(auth_url="https://mc1.auth.marketingcloudapis.com" + end)
    assert given.auth_url == "https://mc1.auth.marketingcloudapis.com"


@pytest.mark.parametrize(
    "changed",
    [
        {"auth_url": "http://mc1.auth.marketingcloudapis.com"},
        {"auth_url": "mc1.auth.marketingcloudapis.com"},
        {"auth_url": ""},
        {"auth_url": "https://"},
        {"auth_url": "https://mc1.auth.marketingcloudapis.com?x=1"},
        {"auth_url": "https://mc1.auth.marketingcloudapis.com#x"},
        {"auth_url": "https://user@mc1.auth.marketingcloudapis.com"},
        {"auth_url": "https://mc1.auth.marketingcloudapis.com /x"},
        {"auth_url": "https://[::1"},
        {"client_id": ""},
        {"account_id": "MID7"},
        {"account_id": ""},
        {"events": {"": "K"}},
        {"events": {"Sent": "a.b"}},
        {"events": {"Sent": "a b"}},
        {"events": {"Sent": ""}},
        {"event_delay": "7h"},
        {"event_delay": "-1s"},
    ],
    ids=range(18),
)
def test_settings_that_cannot_work_are_refused(changed):
    with pytest.raises(ValidationError):
        settings(**changed)
