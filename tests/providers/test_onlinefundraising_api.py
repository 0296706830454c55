"""Calls to OnlineFundraising's API with scripted replies: the document's keywords, and lists in any order."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from scripted_http import AnsweringHttp, ask

from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.http import Failure, HttpError, HttpReply
from connector.model.outcome import Reason, Retry
from connector.providers.onlinefundraising.keywords import OnlineFundraisingKeywords
from connector.providers.onlinefundraising.poller import ChangedKeywords, MissedMessages
from connector.providers.onlinefundraising.webhook import Reader

SAMPLES = Path(__file__).parents[1] / "samples" / "onlinefundraising"
NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
KEYWORDS = OnlineFundraisingKeywords(endpoint="sms")
GUID = "b8a26c17-55f7-4e80-a144-xxxxxxxxxxxx"


def sample(name):
    return (SAMPLES / f"{name}.json").read_bytes()


def ok(content, status=200):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return HttpReply(status=status, headers={}, body=body)


def drive(question, *replies):
    """The calls that were made, and the result."""
    result, http = ask(question, *replies)
    return http.calls, result


def md5(body):
    return hashlib.md5(body).hexdigest().upper()


# Keywords.


def test_the_documented_keywords_and_sub_keywords_are_read():
    (call,), (sub,) = drive(KEYWORDS.listing, ok(sample("keywords")))
    assert (call.method, call.path) == ("GET", "/keywords")
    assert (sub.words, sub.short_number, sub.active) == ("tifo 100", "1217", True)
    (call,), (sub,) = drive(lambda http: KEYWORDS.subkeywords(http, GUID), ok(sample("subkeywords")))
    assert call.path == f"/keyword/{GUID}/subkeywords"
    assert (sub.words, sub.idle_text, sub.webhook) == ("tifo 100", "Not understood", None)


@pytest.mark.parametrize(("name", "free"), [("check-free", True), ("check-unavailable", False)])
def test_both_documented_answers_to_a_check_are_read(name, free):
    (call,), found = drive(lambda http: KEYWORDS.is_free(http, "1217", "støt & mad"), ok(sample(name)))
    assert (call.path, found) == ("/keyword/Check?channel=1217&keyword=st%C3%B8t%20%26%20mad", free)


@pytest.mark.parametrize(
    ("asked", "created", "sub"),
    [("reserve-request", "reserve-created", None), ("reserve-sub-request", "reserve-sub-created", "100")],
)
def test_a_reservation_equals_the_documented_request_and_has_a_checksum(asked, created, sub):
    (call,), made = drive(lambda http: KEYWORDS.reserve(http, "1217", "tifo", sub), ok(sample(created), 201))
    assert (call.method, call.path, call.repeatable) == ("POST", "/keyword/Reserve", False)
    assert json.loads(call.body) == json.loads(sample(asked))
    assert call.headers["Content-MD5"] == md5(call.body)
    assert (made.word, made.sub_word) == ("tifo", sub)


@pytest.mark.parametrize(("order", "verb"), [("deactivate", "Deactivate"), ("reactivate", "Reactivate")])
def test_a_request_without_a_body_has_the_checksum_of_an_empty_body(order, verb):
    (call,), _ = drive(lambda http: getattr(KEYWORDS, order)(http, "a/b?c"), ok(b""))
    assert (call.method, call.path) == ("POST", f"/keyword/a%2Fb%3Fc/{verb}")
    assert (call.body, call.headers["Content-MD5"]) == (b"", "D41D8CD98F00B204E9800998ECF8427E")


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (
            ok({"errorCode": "10001", "errorDescription": "Bad channel"}, 400),
            ConnectorError,
            r"\(400\): 10001 Bad channel; see",
        ),
        (ok(b"", 400), ConnectorError, r"\(400\); see the spelling"),
        (ok(b"<html>", 401), ConnectorError, "api.key"),
        (ok(b"", 403), ConnectorError, "addresses named for it"),
        (ok(b"", 404), ConnectorError, f"no keyword with the id {GUID}"),
        (ok(b"", 405), ConnectorError, "ask OnlineFundraising's support"),
        (ok(b"", 429), PeerUnavailable, "rate_limited"),
        (ok(b"", 500), PeerUnavailable, "try again later"),
        (ok(b"", 302), ConnectorError, "undocumented answer"),
        (ok(b"not json"), ConnectorError, "is not what it documents"),
        (ok([]), ConnectorError, "is not what it documents"),
        (ok({"keyword": "tifo"}), ConnectorError, "is not what it documents"),
        (ok(b"\xff"), ConnectorError, "is not what it documents"),
        (ok(b"[" * 100_000), ConnectorError, "is not what it documents"),
        (HttpError(Failure.REFUSED), PeerUnavailable, "unavailable"),
        (HttpError(Failure.CREDENTIALS), ConnectorError, "undocumented answer"),
    ],
)
def test_each_refusal_has_its_cure(reply, kind, said):
    with pytest.raises(ConnectorError, match=said) as caught:
        drive(lambda http: KEYWORDS.show(http, GUID), reply)
    assert type(caught.value) is kind


# Missed messages.


def missed(**more):
    made = {"every": timedelta(minutes=15), "overlap": timedelta(hours=1), "page_size": 2}
    return MissedMessages(reader=Reader(provider="of"), endpoint="sms", **{**made, **more})


def message(number, minutes):
    """A message that came so many minutes after NOW."""
    return {
        "messageGuid": f"m-{number}",
        "createdTs": (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def page_number(call):
    return int(call.path.partition("pageNumber=")[2].partition("&")[0])


def rounds(catch_up, listed, *, start=NOW, now=NOW + timedelta(days=1), most=50):
    """One round over a list; the ids that were taken, the pages that were asked for, and the position behind it."""
    _, first = drive(lambda http: catch_up.ask(http, None, start))
    position, taken, pages = first.position, [], []
    for _ in range(most):
        http = AnsweringHttp(lambda call: listed(page_number(call), catch_up.page_size))
        page = asyncio.run(catch_up.ask(http, position, now))
        (call,) = http.calls
        pages.append(page_number(call))
        assert call.path.endswith(f"&pageSize={catch_up.page_size}")
        assert not isinstance(page, Retry), page
        taken += [part.event.transaction_id for part in page.parts if part.event]
        position = page.position
        if page.last:
            return taken, pages, position
    raise AssertionError("the round does not end")


def pager(messages):
    def page(number, size):
        return ok({"pageNumber": number, "pageSize": size, "list": messages[(number - 1) * size : number * size]})

    return page


def test_the_first_poll_makes_no_request():
    calls, page = drive(lambda http: missed().ask(http, None, NOW))
    assert (calls, page.parts, page.last) == ([], (), True)


def test_a_list_with_the_newest_first_is_read_back_to_known_messages():
    old = [message(number, -61 - number) for number in range(1000)]
    new = [message(f"n{number}", 10 - number) for number in range(5)]
    taken, pages, position = rounds(missed(), pager(new + old))
    assert taken == ["m-n0", "m-n1", "m-n2", "m-n3", "m-n4"]
    assert pages == [1, 2, 3, 4]
    assert json.loads(position)["since"] == (NOW + timedelta(minutes=10)).isoformat()


def test_a_list_with_the_oldest_first_is_read_to_its_end():
    old = [message(number, -200 + number) for number in range(9)]
    new = [message(f"n{number}", number) for number in range(5)]
    taken, pages, _ = rounds(missed(), pager(old + new))
    assert taken == ["m-n0", "m-n1", "m-n2", "m-n3", "m-n4"]
    assert pages == [1, 2, 3, 4, 5, 6, 7, 8]


def test_late_messages_within_the_overlap_are_read():
    taken, _, _ = rounds(missed(), pager([message(1, 5), message(2, -59), message(3, -61)]))
    assert taken == ["m-1", "m-2"]


def test_a_list_with_smaller_pages_than_requested_is_read_to_its_end():
    messages = [message(number, 9 - number) for number in range(9)]
    taken, _, _ = rounds(missed(page_size=100), lambda number, _: pager(messages)(number, 2))
    assert len(taken) == 9


@pytest.mark.parametrize("end", [ok({"list": []}), ok([]), ok(b"", 404)])
def test_a_list_ends_with_an_empty_or_missing_page(end):
    messages = [message(1, 2), message(2, 1)]
    taken, pages, _ = rounds(missed(), lambda number, size: pager(messages)(number, size) if number == 1 else end)
    assert (taken, pages) == (["m-1", "m-2"], [1, 2])


def test_a_provider_that_repeats_the_same_page_is_not_polled_for_ever():
    messages = [message(1, 2), message(2, 1)]
    taken, pages, _ = rounds(missed(), lambda _, size: pager(messages)(1, size))
    assert (taken, pages) == (["m-1", "m-2"], [1, 2])


def test_a_message_with_a_future_time_does_not_move_the_position_past_now():
    now = NOW + timedelta(hours=2)
    _, _, position = rounds(missed(), pager([message(1, 60 * 24 * 365)]), now=now)
    assert json.loads(position)["since"] == now.isoformat()


def test_a_message_without_a_time_is_read_and_does_not_move_the_position():
    taken, _, position = rounds(missed(), pager([{"messageGuid": "m-1"}, {"messageGuid": "m-2", "createdTs": "soon"}]))
    assert taken == ["m-1", "m-2"]
    assert json.loads(position)["since"] == NOW.isoformat()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (ok(b"", 401), Reason.CREDENTIALS),
        (ok(b"", 403), Reason.CREDENTIALS),
        (ok(b"", 404), Reason.WRONG_ADDRESS),
        (ok(b"", 429), Reason.RATE_LIMITED),
        (ok(b"", 500), Reason.SERVER_ERROR),
        (ok(b"", 503), Reason.UNAVAILABLE),
        (ok(b"", 302), Reason.UNEXPECTED_ANSWER),
        (ok(b"nonsense"), Reason.UNEXPECTED_ANSWER),
        (ok({"messages": []}), Reason.UNEXPECTED_ANSWER),
        (HttpError(Failure.TIMEOUT), Reason.TIMEOUT),
        (HttpError(Failure.LOST), Reason.CONNECTION_LOST),
    ],
)
def test_a_reply_that_is_no_list_is_retried(reply, reason):
    _, first = drive(lambda http: missed().ask(http, None, NOW))
    for question in (
        lambda http: missed().ask(http, first.position, NOW),
        lambda http: ChangedKeywords(provider="of", endpoint="sms", every=timedelta(hours=1)).ask(http, None, NOW),
    ):
        _, answer = drive(question, reply)
        assert answer.reason is reason


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": "999999999999"}, 3600),
        ({"retry-after": "Fri, 02 Jan 2026 12:01:00 GMT", "date": "Fri, 02 Jan 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Fri, 02 Jan 2026 12:01:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_a_retry_after_header_is_obeyed(headers, seconds):
    _, first = drive(lambda http: missed().ask(http, None, NOW))
    _, answer = drive(
        lambda http: missed().ask(http, first.position, NOW), HttpReply(status=503, headers=headers, body=b"")
    )
    assert (answer.not_before.total_seconds() if answer.not_before else None) == seconds


# Keywords that are new or changed.


CHANGED = ChangedKeywords(provider="of", endpoint="sms", every=timedelta(hours=1))


def test_many_keywords_are_read_in_steps_and_each_once():
    listed = [{"keywordGuid": f"k-{number}", "keyword": "tifo", "active": True} for number in range(50)]

    def answer(call):
        return ok(listed if call.path == "/keywords" else {**listed[int(call.path[11:])], "channel": "1217"})

    position, keys, steps = None, [], 0
    while True:
        http = AnsweringHttp(answer)
        page = asyncio.run(CHANGED.ask(http, position, NOW))
        assert max(len(calls) for calls in http.together) <= 8
        keys += [part.event.key for part in page.parts]
        position, steps = page.position, steps + 1
        if page.last:
            break
    assert (len(keys), len(set(keys)), steps) == (50, 50, 2)
    calls, page = drive(lambda http: CHANGED.ask(http, position, NOW + timedelta(hours=1)), ok(listed))
    assert (len(calls), page.parts) == (1, ())


def test_a_keyword_that_changes_back_is_a_new_event():
    position, keys = None, []
    for active in (True, False, True):
        entry = {"keywordGuid": "k-1", "keyword": "tifo", "active": active}
        _, page = drive(lambda http, position=position: CHANGED.ask(http, position, NOW), ok([entry]), ok(entry))
        keys += [part.event.key for part in page.parts]
        position = page.position
    assert len(set(keys)) == 3


def test_a_keyword_without_its_own_page_is_read_from_the_list():
    entry = {"keywordGuid": "k-1", "keyword": "tifo", "active": False, "webhookEndpointUrl": "https://x/secret"}
    _, page = drive(lambda http: CHANGED.ask(http, None, NOW), ok([entry, "x", {}]), ok(b"", 404))
    (part,) = page.parts
    assert (part.event.keyword, part.event.status, part.event.source) == ("tifo", "inactive", "of.keyword")
    assert b"secret" not in part.raw


def test_a_page_without_a_reply_leaves_the_position_unchanged():
    entry = {"keywordGuid": "k-1", "keyword": "tifo"}
    _, answer = drive(lambda http: CHANGED.ask(http, None, NOW), ok([entry]), HttpError(Failure.TIMEOUT))
    assert answer.reason is Reason.TIMEOUT


PAGE = b"<!DOCTYPE html><html>log in</html>"


@pytest.mark.parametrize(
    "answer",
    [
        ok(PAGE),
        ok(b"\xef\xbb\xbf <html>"),
        ok(b"done"),
        ok({}),
        ok([1, 2]),
        ok([["a"]]),
        ok(b"[" * 100_000),
        ok(b"[{}"),
    ],
)
def test_an_invalid_page_of_messages_or_keywords_is_an_unexpected_answer(answer):
    _, first = drive(lambda http: missed().ask(http, None, NOW))
    for question in (
        lambda http: missed().ask(http, first.position, NOW),
        lambda http: ChangedKeywords(provider="of", endpoint="sms", every=timedelta(hours=1)).ask(http, None, NOW),
    ):
        _, said = drive(question, answer)
        assert said.reason is Reason.UNEXPECTED_ANSWER
        assert "`url:`" in said.cure


@pytest.mark.parametrize("answer", [ok(PAGE), ok({"keywordGuid": "k-2", "keyword": "tifo"}), ok([]), ok("k-1")])
def test_the_page_of_a_keyword_must_be_about_this_keyword(answer):
    _, said = drive(lambda http: CHANGED.ask(http, None, NOW), ok([{"keywordGuid": "k-1", "keyword": "tifo"}]), answer)
    assert said.reason is Reason.UNEXPECTED_ANSWER


@pytest.mark.parametrize("answer", [ok(PAGE), ok(b"done")])
def test_a_change_of_a_keyword_succeeds_only_with_an_empty_reply_json_or_ok(answer):
    for order in (KEYWORDS.deactivate, KEYWORDS.reactivate):
        with pytest.raises(ConnectorError, match=r"not what it documents|undocumented answer"):
            drive(lambda http, order=order: order(http, "k-1"), answer)
    for fine in (ok(b""), ok({}), ok(b"OK"), ok(b'"Ok"')):
        drive(lambda http: KEYWORDS.deactivate(http, "k-1"), fine)


def test_a_reply_about_another_keyword_is_an_error():
    with pytest.raises(ConnectorError, match="not what it documents"):
        drive(lambda http: KEYWORDS.show(http, "k-1"), ok({"keywordGuid": "k-2", "keyword": "tifo"}))
    with pytest.raises(ConnectorError, match="not what it documents"):
        drive(
            lambda http: KEYWORDS.reserve(http, "1217", "hjerte", None),
            ok({"keywordGuid": "k-2", "keyword": "tifo"}, 201),
        )
