"""The webhook sink: its messages, its answers, its settings and its secrets."""

import asyncio
import json
import time

import pytest
from scripted_http import ScriptedHttp
from standardwebhooks import Webhook

from connector.config.validation import load
from connector.config.yaml_document import parse
from connector.model.errors import ConnectorError
from connector.model.http import Failure, HttpError, HttpReply
from connector.model.operation import SinkCall
from connector.model.outcome import Delivered, Reason, Retry
from connector.model.problem import ProblemsFound
from connector.ports import Task
from connector.sinks.webhook.settings import WebhookSettings
from connector.sinks.webhook.signature import new_secret, read_secret
from connector.sinks.webhook.sink import WebhookSink

SECRET = new_secret()
MESSAGE = SinkCall(
    sink="hook", action="post", target="sms.result.v1", key="e1\nsms.result.v1", values={"result": "ok", "name": "Ås"},
    at="2026-11-28T12:00:00Z",
)  # fmt: skip


def sink():
    return WebhookSink(name="hook", url="https://example.org/hooks", secrets=[read_secret(SECRET, "x")])


def send(made, *replies, message=MESSAGE):
    http = ScriptedHttp(*replies)
    outcomes = asyncio.run(made.write(http, [Task(message)] * max(1, len(replies))))
    return outcomes, http.calls


def reply(status, **headers):
    return HttpReply(status=status, headers=headers, body=b"")


def test_a_message_is_signed_over_the_very_bytes_and_a_verifier_accepts_it():
    outcomes, (call,) = send(sink(), reply(204))
    assert outcomes == [Delivered()]
    assert (call.method, call.base, call.path) == ("POST", "https://example.org/hooks", "")
    document = Webhook(SECRET).verify(call.body, dict(call.headers))
    assert document == {
        "type": "sms.result.v1",
        "timestamp": "2026-11-28T12:00:00Z",
        "data": {"result": "ok", "name": "Ås"},
    }
    assert json.loads(call.body) == document
    assert abs(int(call.headers["webhook-timestamp"]) - time.time()) < 60


def test_a_repeat_has_the_same_message_id_and_another_event_or_sink_a_different_one():
    def of(made, message):
        return send(made, reply(204), message=message)[1][0].headers["webhook-id"]

    other = SinkCall(sink="hook", action="post", target="sms.result.v1", key="e2\nsms.result.v1")
    elsewhere = WebhookSink(name="second", url="https://example.org", secrets=[b"x" * 24])
    assert of(sink(), MESSAGE) == of(sink(), MESSAGE)
    assert len({of(sink(), MESSAGE), of(sink(), other), of(elsewhere, MESSAGE)}) == 3
    assert "." not in of(sink(), MESSAGE)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(301, location="https://elsewhere.example"), Reason.WRONG_ADDRESS),
        (reply(401), Reason.CREDENTIALS),
        (reply(404), Reason.NOT_ACCEPTED),
        (reply(429), Reason.RATE_LIMITED),
        (reply(500), Reason.NOT_ACCEPTED),
        (reply(503), Reason.UNAVAILABLE),
        (HttpError(Failure.REFUSED, "no connection"), Reason.UNAVAILABLE),
        (HttpError(Failure.TIMEOUT, ""), Reason.TIMEOUT),
        (HttpError(Failure.UNREADABLE, ""), Reason.NOT_ACCEPTED),
        (HttpError(Failure.NOT_PUBLIC, "the address is private or local"), Reason.WRONG_ADDRESS),
    ],
)
def test_an_answer_that_is_no_success_is_tried_again(answer, reason):
    (outcome,), _ = send(sink(), answer)
    assert isinstance(outcome, Retry)
    assert outcome.reason is reason


def test_a_wait_that_the_receiver_asks_for_is_kept():
    (outcome,), _ = send(sink(), reply(429, **{"retry-after": "30"}))
    assert outcome.not_before.total_seconds() == 30


def test_after_410_nothing_more_is_sent():
    made = sink()
    (first,), calls = send(made, reply(410))
    assert (first.reason, len(calls)) == (Reason.SINK_REFUSES, 1)
    (second,), calls = send(made)
    assert (second, calls) == (first, [])


@pytest.mark.parametrize(
    "text", ["c2hvcnQ=", "whsec_c2hvcnQ=", "whsec_" + "A" * 120, "whsec_not base64", "whsec_" + "é" * 40, ""]
)
def test_an_invalid_signing_secret_is_refused_with_the_cure(text):
    with pytest.raises(ConnectorError, match="connector sinks secret"):
        read_secret(text, "file key")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.org/hook", "unencrypted"),
        ("https://user:secret@example.org/hook", "user name or password"),
        ("ftp://example.org", "not an address"),
        ("https:///hook", "not an address"),
        ("example.org", "not an address"),
    ],
)
def test_an_address_that_must_not_be_called_is_refused(url, why):
    with pytest.raises(ProblemsFound, match=why):
        load(parse(f"url: {url}\nsecret: {{env: X}}", "c.yaml"), WebhookSettings)
