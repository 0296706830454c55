"""Strex's keywords and number look-ups: the requests, and the meaning of each response."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from scripted_http import ask

from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.http import Failure, HttpError, HttpReply
from connector.model.outcome import Reason, Rejected, Retry
from connector.model.phone import Phone
from connector.providers.strex.keywords import StrexKeywords, as_keyword
from connector.providers.strex.number_lookup import StrexLookups
from connector.providers.strex.rest import RestApi

API = RestApi(url="https://test.target365.io", header="X-ApiKey", key="the-key")
KEYWORDS = StrexKeywords(api=API, endpoint="mo", secret="s3cret")
LOOKUPS = StrexLookups(api=API)
HOOK = "https://sms.example.org/hooks/strex/mo"
WHOLE = {
    "keywordId": "12345678",
    "shortNumberId": "NO-2002",
    "keywordText": "KATT",
    "mode": "Startswith",
    "forwardUrl": "https://crm.example.org/in",
    "enabled": True,
    "created": "2026-01-02T03:04:05.1234567+00:00",
    "customProperties": {"myproperty": "custom value"},
    "aliases": ["CAT"],
    "preAuthSettings": {"active": True, "delay": 1.5},
    "someday": [1, None],
}
PHONE = Phone("+4798079008")


def reply(status, content=b"", **headers):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(status=status, headers=named, body=body)


PONG = reply(200, "pong")


def run(question, *replies):
    """The result, and the calls that were made."""
    result, http = ask(question, *replies)
    return result, http.calls


def refused(question, *replies, kind=ConnectorError):
    with pytest.raises(kind) as caught:
        run(question, *replies)
    return str(caught.value)


def test_a_call_has_the_api_key_in_its_header_and_goes_to_the_base_address():
    _, (call,) = run(KEYWORDS.listing, reply(200, []))
    assert (call.method, call.path, call.base) == ("GET", "/api/keywords", "https://test.target365.io")
    assert call.headers == {"X-ApiKey": "the-key"}
    assert call.repeatable
    assert "the-key" not in repr(KEYWORDS)
    assert "s3cret" not in repr(KEYWORDS)


def test_a_keyword_is_read_with_its_webhook_aliases_and_properties():
    (found,), _ = run(KEYWORDS.listing, reply(200, [WHOLE]))
    assert (found.id, found.word, found.short_number, found.active) == ("12345678", "KATT", "2002", True)
    assert (found.webhook, found.mode, found.aliases) == ("https://crm.example.org/in", "Startswith", ("CAT",))
    assert found.properties == {"myproperty": "custom value"}
    assert found.created == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)


def test_field_names_are_read_in_any_letter_case_and_missing_ones_are_unknown():
    found = as_keyword({"KeywordId": 12345678, "KeywordText": "KATT", "ShortNumberId": "SE-72456", "Enabled": False})
    assert (found.id, found.short_number, found.active) == ("12345678", "SE-72456", False)
    bare = as_keyword({"keywordId": "1", "keywordText": "KATT", "aliases": None, "customProperties": None})
    assert (bare.active, bare.webhook, bare.aliases, bare.properties) == (None, None, (), {})
    assert as_keyword({"keywordText": "KATT"}) is None
    assert as_keyword("KATT") is None


def test_one_keyword_is_asked_for_by_its_id():
    found, (call,) = run(lambda http: KEYWORDS.show(http, "a/b?c"), reply(200, WHOLE))
    assert call.path == "/api/keywords/a%2Fb%3Fc"
    assert found.word == "KATT"
    for nothing in ("", ".", ".."):
        assert "not an id" in refused(lambda http, nothing=nothing: KEYWORDS.show(http, nothing))


def test_a_reserved_keyword_is_active_and_forwards_to_the_endpoint():
    found, (call,) = run(
        lambda http: KEYWORDS.reserve(http, "2002", "HUND", None, HOOK),
        reply(201, location="https://test.target365.io/api/keywords/5466-ab?x=1"),
    )
    assert (call.method, call.path, call.repeatable) == ("POST", "/api/keywords", False)
    assert call.headers["Content-Type"].startswith("application/json")
    assert json.loads(call.body) == {
        "shortNumberId": "NO-2002",
        "keywordText": "HUND",
        "mode": "Startswith",
        "forwardUrl": f"{HOOK}/s3cret",
        "enabled": True,
    }
    assert (found.id, found.words, found.short_number, found.active) == ("5466-ab", "HUND", "2002", True)


def test_a_short_number_of_another_country_is_sent_unchanged():
    _, (call,) = run(
        lambda http: KEYWORDS.reserve(http, "SE-72456", "HUND", None, HOOK), reply(201, location="/api/keywords/7")
    )
    assert json.loads(call.body)["shortNumberId"] == "SE-72456"


def test_without_a_path_secret_the_forward_address_has_no_secret():
    bare = StrexKeywords(api=API, endpoint="mo")
    _, (call,) = run(
        lambda http: bare.reserve(http, "2002", "HUND", None, HOOK), reply(201, location="/api/keywords/7")
    )
    assert json.loads(call.body)["forwardUrl"] == HOOK


def test_a_reservation_without_an_id_in_the_reply_is_an_error():
    assert "keywords list" in refused(lambda http: KEYWORDS.reserve(http, "2002", "HUND", None, HOOK), reply(201))


def test_a_reservation_needs_our_public_address():
    assert "public_url" in refused(lambda http: KEYWORDS.reserve(http, "2002", "HUND", None, None))


@pytest.mark.parametrize(
    ("order", "changed"),
    [
        (lambda http: KEYWORDS.deactivate(http, "12345678"), {"enabled": False}),
        (lambda http: KEYWORDS.reactivate(http, "12345678"), {"enabled": True}),
        (lambda http: KEYWORDS.set_address(http, "12345678", HOOK), {"forwardUrl": f"{HOOK}/s3cret"}),
    ],
)
def test_a_change_keeps_all_other_fields_of_the_keyword(order, changed):
    _, (read, written) = run(order, reply(200, WHOLE), reply(204))
    assert (read.method, written.method, written.path) == ("GET", "PUT", "/api/keywords/12345678")
    assert json.loads(written.body) == WHOLE | changed
    assert not written.repeatable


def test_a_change_keeps_the_letter_case_of_field_names():
    _, (_, written) = run(
        lambda http: KEYWORDS.deactivate(http, "1"), reply(200, {"KeywordId": "1", "Enabled": True}), reply(204)
    )
    assert json.loads(written.body) == {"KeywordId": "1", "Enabled": False}


def test_a_keyword_is_deleted():
    _, (call,) = run(lambda http: KEYWORDS.delete(http, "12345678"), reply(204))
    assert (call.method, call.path, call.body) == ("DELETE", "/api/keywords/12345678", None)


def test_commands_that_strex_does_not_have_are_refused_without_a_call():
    assert "no sub keywords" in refused(lambda http: KEYWORDS.subkeywords(http, "12345678"))
    assert "reserve HUND --channel 2002" in refused(lambda http: KEYWORDS.is_free(http, "2002", "HUND"))
    assert "no sub keywords" in refused(lambda http: KEYWORDS.reserve(http, "2002", "HUND", "MAT", HOOK))


@pytest.mark.parametrize(
    ("status", "cure"),
    [
        (400, "Not so. Really; see the spelling"),
        (401, "api.rest_header"),
        (403, "api.rest_header"),
        (404, "api.url"),
        (409, "Not so. Really; it already exists"),
        (302, "HTTP 302"),
    ],
)
def test_a_refusal_says_the_cure(status, cure):
    emitted = refused(
        lambda http: KEYWORDS.reserve(http, "2002", "HUND", None, HOOK), reply(status, {"Message": "Not so.\nReally"})
    )
    assert str(status) in emitted
    assert cure in emitted


def test_a_404_means_an_unknown_keyword_only_if_strex_answers_the_ping():
    for order in (KEYWORDS.show, KEYWORDS.deactivate, KEYWORDS.delete):
        assert "no keyword with the id 77" in refused(lambda http, order=order: order(http, "77"), reply(404), PONG)
        assert "api.url" in refused(lambda http, order=order: order(http, "77"), reply(404), reply(404))


@pytest.mark.parametrize("answer", [reply(500), reply(503), reply(429), *(HttpError(one) for one in Failure)])
def test_a_call_without_a_reply_may_be_tried_again_later(answer):
    assert "try again later" in refused(KEYWORDS.listing, answer, kind=PeerUnavailable)
    assert "done or not" in refused(lambda http: KEYWORDS.delete(http, "77"), answer, kind=PeerUnavailable)


@pytest.mark.parametrize("answer", [b"", b"<html>", b"{}", b'"KATT"'])
def test_an_undocumented_reply_is_an_error(answer):
    assert "not what it documents" in refused(KEYWORDS.listing, reply(200, answer))
    if answer != b"{}":
        assert "not what it documents" in refused(lambda http: KEYWORDS.deactivate(http, "77"), reply(200, answer))


def test_a_look_up_asks_for_the_number_percent_encoded():
    found, (call,) = run(
        lambda http: LOOKUPS.look_up(http, PHONE), reply(200, {"FirstName": "Kari", "landline": None, "other": 1})
    )
    assert (call.method, call.path) == ("GET", "/api/lookup?msisdn=%2B4798079008")
    assert call.headers == {"X-ApiKey": "the-key"}
    assert not call.repeatable
    assert found == {"firstName": "Kari"}


def test_a_404_means_an_unregistered_number_only_if_strex_answers_the_ping():
    assert run(lambda http: LOOKUPS.look_up(http, PHONE), reply(404), PONG)[0] is None
    wrong, _ = run(lambda http: LOOKUPS.look_up(http, PHONE), reply(404), reply(200, b"<html>"))
    assert wrong.reason is Reason.WRONG_ADDRESS


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(401), Reason.CREDENTIALS),
        (reply(403), Reason.CREDENTIALS),
        (reply(500), Reason.SERVER_ERROR),
        (reply(503), Reason.UNAVAILABLE),
        (reply(302), Reason.UNEXPECTED_ANSWER),
        (reply(200, b"<html>"), Reason.UNEXPECTED_ANSWER),
        (reply(200, []), Reason.UNEXPECTED_ANSWER),
        (HttpError(Failure.TIMEOUT), Reason.TIMEOUT),
        (HttpError(Failure.REFUSED), Reason.UNAVAILABLE),
    ],
)
def test_a_look_up_without_a_reply_is_retried(answer, outcome):
    said, _ = run(lambda http: LOOKUPS.look_up(http, PHONE), answer)
    assert isinstance(said, Retry)
    assert said.reason is outcome


def test_a_look_up_obeys_the_retry_after_of_strex():
    said, _ = run(lambda http: LOOKUPS.look_up(http, PHONE), reply(429, retry_after="7"))
    assert (said.reason, said.not_before) == (Reason.RATE_LIMITED, timedelta(seconds=7))


def test_a_number_that_strex_refuses_is_rejected_and_masked():
    said, _ = run(lambda http: LOOKUPS.look_up(http, PHONE), reply(400, {"Message": "+4798079008 is not a mobile"}))
    assert said == Rejected(reason=Reason.BAD_VALUE, detail="… is not a mobile")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"foo": 1},
        {"msisdn": "+4790000009", "firstName": "Kari"},
        {"msisdn": "", "error": "no"},
        [{"firstName": "Kari"}, {"firstName": "Ola"}],
    ],
)
def test_a_look_up_of_another_number_is_an_unexpected_answer(answer):
    said, _ = run(lambda http: LOOKUPS.look_up(http, PHONE), reply(200, answer))
    assert said.reason is Reason.UNEXPECTED_ANSWER


@pytest.mark.parametrize("emitted", ["98079008", "+4798079008", "4798079008", "+47 980 79 008"])
def test_a_look_up_may_return_the_number_in_any_spelling(emitted):
    found, _ = run(lambda http: LOOKUPS.look_up(http, PHONE), reply(200, {"msisdn": emitted, "firstName": "Kari"}))
    assert found["firstName"] == "Kari"


def test_a_web_page_or_another_keyword_in_the_reply_stops_the_change():
    for answer in (reply(200, b"<html>"), reply(200, {**WHOLE, "keywordId": "another"})):
        assert "not what it documents" in refused(lambda http: KEYWORDS.deactivate(http, "77"), answer)
