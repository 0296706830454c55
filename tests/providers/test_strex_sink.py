import json
from datetime import timedelta

import pytest
from scripted_http import ask

from connector.model.http import Failure, HttpError, HttpReply
from connector.model.operation import RecordWrite, ServiceCommand
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.model.phone import Phone
from connector.ports import Task
from connector.providers.strex.commands import StrexCommands

SINK = StrexCommands(name="strex")
PHONE = Phone("+4790000001")


def command(action="unsubscribe", *, keyword="KATT", phone=PHONE, **more):
    return Task(ServiceCommand(sink="strex", action=action, phone=phone, short_number="2002", keyword=keyword, **more))


def reply(status, body=b"", **headers):
    return HttpReply(
        status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=body
    )


PONG = reply(200, b'"pong"')


def write(tasks, *rounds):
    """The outcomes, and the calls of each round."""
    outcomes, http = ask(lambda http: SINK.write(http, tasks), *(reply for some in rounds for reply in some))
    assert [len(calls) for calls in http.together] == [len(some) for some in rounds]
    return outcomes, http.together


def outcome(answer, *ping, **more):
    outcomes, _ = write([command(**more)], [answer], *([one] for one in ping))
    return outcomes[0]


def test_a_command_equals_the_documented_request():
    _, ((call,),) = write([command()], [reply(200)])
    assert (call.method, call.path, call.repeatable) == ("POST", "/api/services/command", False)
    expected = {"phone": "+4790000001", "shortNumber": "2002", "keyword": "KATT", "action": "unsubscribe"}
    assert json.loads(call.body) == expected
    assert call.headers["Content-Type"].startswith("application/json")


def test_a_price_is_sent_as_a_number():
    _, ((call,),) = write([command("changesubscriberprice", price=150)], [reply(200)])
    assert json.loads(call.body)["price"] == 150
    assert b'"price":150}' in call.body


def test_commands_for_different_people_are_sent_together():
    tasks = [command(phone=Phone(f"+479000000{number}")) for number in range(8)]
    outcomes, sent = write(tasks, [reply(200)] * 8)
    assert outcomes == [Delivered()] * 8
    assert [len(calls) for calls in sent] == [8]


def test_commands_for_one_subscription_keep_their_order():
    tasks = [command("changesubscriberprice", price=5), command(keyword="HUND"), command(keyword="katt"), command()]
    outcomes, sent = write(tasks, [reply(200), reply(204)], [reply(500)], [reply(200)])
    assert [[json.loads(call.body)["keyword"] for call in calls] for calls in sent] == [
        ["KATT", "HUND"],
        ["katt"],
        ["KATT"],
    ]
    assert [type(one) for one in outcomes] == [Delivered, Delivered, Retry, Delivered]


def test_success_and_not_active_both_count_as_delivered():
    assert outcome(reply(200)) == Delivered()
    assert outcome(reply(204)) == Delivered(detail="was not active")


@pytest.mark.parametrize("known_active", [True, False])
@pytest.mark.parametrize("answers", [[reply(204)], [reply(404), PONG]], ids=["204", "404"])
def test_a_price_that_strex_has_not_changed_is_not_delivered(answers, known_active):
    refused = outcome(*answers, action="changesubscriberprice", price=275, known_active=known_active)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.PRICE_NOT_CHANGED
    assert "the price was not changed" in refused.detail


@pytest.mark.parametrize("action", ["stop", "unsubscribe"])
def test_a_404_means_an_unknown_subscription_if_strex_answers_the_ping(action):
    gone = outcome(reply(404), PONG, action=action)
    assert isinstance(gone, Delivered)
    assert gone.absent
    disagrees = outcome(reply(404), PONG, action=action, known_active=True)
    assert isinstance(disagrees, Rejected)
    assert disagrees.reason is Reason.PROVIDER_DISAGREES


@pytest.mark.parametrize("ping", [reply(404), reply(200, b"<html>"), reply(503, b'"pong"'), HttpError(Failure.TIMEOUT)])
@pytest.mark.parametrize("known_active", [True, False])
def test_a_404_without_a_pong_is_a_wrong_address(ping, known_active):
    lost = outcome(reply(404), ping, known_active=known_active)
    assert isinstance(lost, Retry)
    assert lost.reason is Reason.WRONG_ADDRESS


def test_one_ping_serves_all_the_404s_of_a_write():
    tasks = [
        command(phone=Phone("+4790000001")),
        command(phone=Phone("+4790000002")),
        command(phone=Phone("+4790000001")),
    ]
    outcomes, sent = write(tasks, [reply(404), reply(404)], [PONG], [reply(404)])
    assert all(one.absent for one in outcomes)
    assert [call.path for calls in sent for call in calls].count("/api/ping") == 1


@pytest.mark.parametrize(
    ("status", "reason", "in_doubt"),
    [
        (401, Reason.CREDENTIALS, False),
        (403, Reason.CREDENTIALS, False),
        (429, Reason.RATE_LIMITED, False),
        (500, Reason.SERVER_ERROR, True),
        (502, Reason.SERVER_ERROR, True),
        (503, Reason.UNAVAILABLE, False),
        (504, Reason.SERVER_ERROR, True),
        (202, Reason.UNEXPECTED_ANSWER, True),
        (302, Reason.UNEXPECTED_ANSWER, False),
        (409, Reason.UNEXPECTED_ANSWER, False),
    ],
)
def test_other_replies_are_retried(status, reason, in_doubt):
    again = outcome(reply(status))
    assert isinstance(again, Retry)
    assert (again.reason, again.in_doubt) == (reason, in_doubt)


@pytest.mark.parametrize(
    ("failure", "reason", "in_doubt"),
    [
        (Failure.REFUSED, Reason.UNAVAILABLE, False),
        (Failure.TIMEOUT, Reason.TIMEOUT, True),
        (Failure.LOST, Reason.CONNECTION_LOST, True),
        (Failure.CREDENTIALS, Reason.CREDENTIALS, False),
    ],
)
def test_a_call_without_a_reply_is_retried(failure, reason, in_doubt):
    again = outcome(HttpError(failure))
    assert (again.reason, again.in_doubt) == (reason, in_doubt)


def test_every_failure_has_its_outcome():
    for failure in Failure:
        assert isinstance(outcome(HttpError(failure)), Retry)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"Message": "Bad keyword"}', "Bad keyword"),
        (b'{"message": "no user +4790000001 here"}', "no user … here"),
        (b"<html>\n  no </html>", "<html> no </html>"),
        (b'{"Message": 5}', '{"Message": 5}'),
        (b"\xff", "\ufffd"),
        (b"", "HTTP 400"),
        (b"[" * 5000, "[" * 200),
    ],
)
def test_a_bad_command_is_rejected_with_the_message_of_strex(body, words):
    assert outcome(reply(400, body)) == Rejected(reason=Reason.BAD_COMMAND, detail=words)


DATE = "Fri, 02 Jan 2026 03:04:05 GMT"


@pytest.mark.parametrize(
    ("headers", "breaker"),
    [
        ({"retry_after": "30"}, timedelta(seconds=30)),
        ({"retry_after": "999999999"}, timedelta(hours=1)),
        ({"retry_after": "9" * 5000}, timedelta(hours=1)),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "Fri, 02 Jan 2026 03:05:05 GMT", "date": DATE}, timedelta(minutes=1)),
        ({"retry_after": "Fri, 02 Jan 2026 03:00:00 GMT", "date": DATE}, timedelta()),
        ({"retry_after": "Fri, 02 Jan 2099 03:00:00 GMT", "date": DATE}, timedelta(hours=1)),
        ({"retry_after": "Fri, 02 Jan 2026 03:05:05 GMT"}, None),
        ({"retry_after": "Fri, 02 Jan 2026 03:05:05 -0000", "date": DATE}, None),
        ({"retry_after": "soon", "date": "never"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_of_strex_is_obeyed(status, headers, breaker):
    assert outcome(reply(status, **headers)).not_before == breaker


@pytest.mark.parametrize(
    "task",
    [
        command("reactivate"),
        command("changesubscriberprice"),
        Task(RecordWrite(sink="strex", object="Contact", key_field="SMS_Key__c", key="x")),
    ],
)
def test_an_operation_without_a_strex_command_is_never_sent(task):
    outcomes, sent = write([task, command()], [reply(200)])
    assert isinstance(outcomes[0], Rejected)
    assert outcomes[0].reason is Reason.BAD_COMMAND
    assert outcomes[1] == Delivered()
    assert len(sent[0]) == 1


def test_a_batch_without_valid_commands_makes_no_call():
    outcomes, sent = write([command("reactivate")])
    assert (len(outcomes), sent) == (1, [])


PAGE = b"<!DOCTYPE html><html><title>Service maintenance</title></html>"


@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b"null", b'"Ok"', b'{"message": "done"}', b"\xef\xbb\xbf{}"])
@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "text/plain", None])
def test_a_200_with_nothing_or_json_is_a_success_without_a_ping(body, kind):
    more = {"content_type": kind} if kind else {}
    assert outcome(reply(200, body, **more)) == Delivered()


@pytest.mark.parametrize("body", [b"Ok", b"NaN", b'{"a": ', b"[" * 100_000, b"\xff\xfe{}", b"%PDF-1.4"])
def test_another_200_is_a_success_only_if_strex_answers_the_ping(body):
    assert outcome(reply(200, body), PONG) == Delivered()
    for no_pong in (reply(200, PAGE), reply(404), HttpError(Failure.REFUSED)):
        again = outcome(reply(200, body), no_pong)
        assert (again.reason, again.in_doubt) == (Reason.UNEXPECTED_ANSWER, True)
        assert "no pong" in again.detail


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, PAGE),
        reply(200, PAGE, content_type="application/json"),
        reply(200, b'<?xml version="1.0"?><ok/>', content_type="text/xml"),
        reply(200, b"{}", content_type="text/html; charset=utf-8"),
        reply(200, b"Please log in", content_type="text/html"),
    ],
)
def test_a_web_page_is_no_success_even_if_strex_answers_the_ping(answer):
    for ping in (PONG, reply(200, PAGE)):
        again = outcome(answer, ping)
        assert (again.reason, again.in_doubt) == (Reason.UNEXPECTED_ANSWER, True)
        assert "answers with a web page" in again.detail
        assert "`url:`" in again.cure
        assert "proxy or a firewall" in again.cure
        assert "html" not in again.network.lower()


def test_the_detail_of_a_connection_error_is_kept():
    again = outcome(HttpError(Failure.REFUSED, "no connection (connection refused)"))
    assert (again.reason, again.detail, again.network) == (
        Reason.UNAVAILABLE,
        "no connection (connection refused)",
        "no connection (connection refused)",
    )


def test_an_unreadable_reply_leaves_the_command_in_doubt():
    again = outcome(HttpError(Failure.UNREADABLE, "the answer is larger than 1 MiB"))
    assert (again.reason, again.in_doubt, again.network) == (
        Reason.UNEXPECTED_ANSWER,
        True,
        "the answer is larger than 1 MiB",
    )
    assert "`url:`" in again.cure
