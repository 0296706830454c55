"""Marketing Cloud's answers, and those of something else at its address: what counts as done, as refused, and as neither."""

from datetime import UTC, datetime

import orjson
import pytest
from scripted_http import ScriptedHttp

from connector.model.http import HttpReply
from connector.model.operation import SinkCall
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.ports import Task
from connector.sinks.marketing_cloud.client import Package
from connector.sinks.marketing_cloud.events import EventSink
from connector.sinks.marketing_cloud.rows import RowSink

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
async def test_a_page_with_such_a_status_spends_no_row_and_no_event(status, body):
    first, second = await rows(reply(status, body), keys="12")
    for outcome in (first, second, await event(reply(status, body))):
        assert (type(outcome), outcome.reason, outcome.in_doubt) == (Retry, Reason.UNEXPECTED_ANSWER, False)


@pytest.mark.parametrize("body", [PAGE, b"", b"null", b"{}"])
async def test_a_success_that_is_not_theirs_is_in_doubt(body):
    (outcome,) = await rows(reply(200, body))
    for one in (outcome, await event(reply(201, body))):
        assert (one.reason, one.in_doubt) == (Reason.UNEXPECTED_ANSWER, True)


async def test_their_success_is_one():
    assert await rows(reply(200, [{}])) == [Delivered()]
    assert await event(reply(201, {"eventInstanceId": "7"})) == Delivered(record_id="7")


async def test_a_page_at_the_sign_in_is_no_refusal_of_the_credentials():
    for status, body, reason in (
        (400, PAGE, Reason.UNEXPECTED_ANSWER),
        (401, {"error": "invalid_client"}, Reason.CREDENTIALS),
    ):
        (outcome,) = await RowSink(name="mc", package=package()).write(ScriptedHttp(reply(status, body)), [row("1")])
        assert (outcome.reason, outcome.in_doubt) == (reason, False)
