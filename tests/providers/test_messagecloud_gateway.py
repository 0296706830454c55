"""Messages and delivery reports from MessageCloud's gateway, as events."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from providers.messagecloud_requests import NOW, request

from connector.consent.opt_out_words import STANDARD
from connector.model.errors import Unreadable
from connector.model.event import Part, Result, Scope, Verdict
from connector.model.phone import Phone
from connector.ports import AuthResult
from connector.providers.form_endpoint import FormEndpoint
from connector.providers.messagecloud.gateway import Reader
from connector.store.documents import event_from_json, event_to_json

SAMPLE = Path(__file__).parent.parent / "samples" / "messagecloud" / "message.form"
READER = Reader(provider="messagecloud", keywords={"katt": "KATT", "hund": "Hund"})


def message(text="hello world", **more):
    fields = {"id": "7", "number": "4790000001", "shortcode": "2172", "message": text, **more}
    return READER.read("mo", request(body=urlencode(fields).encode()))


def report(status, **more):
    fields = {"id": "7", "number": "4790000001", "report": status, **more}
    return READER.read("dlr", request(endpoint="dlr", body=urlencode(fields).encode()))


def test_the_documented_message_is_read_from_a_form_and_from_a_query():
    body = SAMPLE.read_bytes()
    event = READER.read("mo", request(body=body))
    assert READER.read("mo", request(method="GET", query=body.decode().strip())) == event
    assert event.key == "messagecloud-mo-1083545875"
    assert event.source == "messagecloud.message"
    assert (event.action, event.text, event.short_number) == ("mpush_ir_message", "hello world", "68899")
    assert (event.msisdn, event.verdict, event.transaction_id) == (Phone("+4790000001"), Verdict.NONE, "1083545875")
    assert event.properties["country"] == "UK"
    assert event.properties["network"] == "THREE14UK"
    assert event.properties["billing"] == "MT"


def test_form_and_query_are_read_together():
    event = READER.read("mo", request(query="id=7&number=4790000001", body=b"message=hei"))
    assert (event.transaction_id, event.msisdn, event.text) == ("7", Phone("+4790000001"), "hei")


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("STOP KATT", "KATT"),
        ("stopp katt!", "KATT"),
        ("KATT STOP", "KATT"),
        ("Hund stopp", "Hund"),
        ("STOP FUGL", "fugl"),
        ("STOP", None),
        ("  Stopp. ", None),
        ("STOP ALLE", None),
        ("ask puregaming stop", None),
        ("ASK PureGaming STOPP", None),
        ("STOP%20KATT", "KATT"),
    ],
)
def test_a_stop_is_an_opt_out_and_names_its_keyword(text, keyword):
    event = message(text)
    assert (event.verdict, event.keyword) == (Verdict.OPT_OUT, keyword)


@pytest.mark.parametrize("text", ["don't stop", "stop by", "KATT", "", "ask me", "ask NAME something"])
def test_a_text_that_is_no_stop_says_nothing_about_consent(text):
    assert message(text).verdict is Verdict.NONE


@pytest.mark.parametrize("text", ["please stop now", "stop it at once", "STOP\u00ad", "stop 😢"])
def test_a_stop_without_a_keyword_is_an_opt_out(text):
    assert (message(text).verdict, message(text).keyword) == (Verdict.OPT_OUT, None)


@pytest.mark.parametrize(
    ("text", "keyword", "scope"),
    [
        ("FUGL STOP", None, Scope.SHORT_NUMBER),
        ("stop the war", None, Scope.SHORT_NUMBER),
        ("KATT stopp dette tullet", "KATT", Scope.SUBSCRIPTION),
    ],
)
def test_a_text_that_may_be_a_stop_waits_for_a_person(text, keyword, scope):
    event = message(text)
    assert (event.verdict, event.keyword, event.opt_out_scope) == (Verdict.MAYBE_STOP, keyword, scope)


def test_a_stop_that_is_the_keyword_of_an_empty_message_is_an_opt_out():
    assert message("", keyword="STOP").verdict is Verdict.OPT_OUT
    assert message("", keyword="KATT").verdict is Verdict.NONE


def test_a_stop_at_the_general_gateway_is_for_the_whole_provider():
    assert message("ask mycampaign stop").opt_out_scope is Scope.PROVIDER


def test_the_keyword_of_the_gateway_is_recognised_in_the_text():
    event = message("FUGL STOP", keyword="Fugl")
    assert (event.verdict, event.keyword) == (Verdict.OPT_OUT, "Fugl")


def test_the_keyword_stop_of_the_gateway_does_not_narrow_a_stop():
    assert message("STOP", keyword="STOP").keyword is None


def test_stop_words_of_the_config_are_opt_outs():
    reader = Reader(provider="messagecloud", words=STANDARD.with_more(stop=["basta"]))
    assert reader.read("mo", request(body=b"id=7&message=BASTA")).verdict is Verdict.OPT_OUT


def test_the_first_word_is_the_keyword_if_it_is_known():
    assert message("Katt ja takk").keyword == "KATT"
    assert message("Fugl ja takk").keyword is None
    assert message("ja takk", keyword="KATT").keyword == "KATT"


def test_the_time_of_a_message_is_its_arrival():
    assert message("STOP").occurred_at == NOW


@pytest.mark.parametrize(
    ("number", "country", "phone"),
    [
        ("4790000001", "NO", "+4790000001"),
        ("+4790000001", "", "+4790000001"),
        ("004790000001", "NO", "+4790000001"),
        ("07400123456", "UK", "+447400123456"),
        ("07400123456", "", None),
        ("07400123456", "XX", None),
        ("#288123", "UK", None),
        ("", "NO", None),
    ],
)
def test_numbers_are_international_without_a_plus(number, country, phone):
    event = message(number=number, country=country)
    assert event.msisdn == (Phone(phone) if phone else None)
    assert event.properties["number"] == number


def test_an_empty_short_code_is_missing():
    assert message(shortcode="").short_number is None


def test_both_names_of_the_id_are_read():
    assert READER.read("mo", request(body=b"message_id=8&message=x")).key == "messagecloud-mo-8"


@pytest.mark.parametrize(
    ("body", "why"),
    [(b"", "empty"), (b"&&", "empty"), (b"message=x", "no id"), (b"id=7&keyword=KATT&text=STOP", "no message")],
)
def test_an_invalid_callback_is_unreadable_with_its_reason(body, why):
    with pytest.raises(Unreadable) as unreadable:
        READER.read("mo", request(body=body))
    assert unreadable.value.why == why


def test_documented_parameters_are_read_among_a_thousand_others():
    others = urlencode({f"p{n}": n for n in range(1000)})
    body = f"{others}&id=7&number=4790000001&message=STOP&shortcode=2172".encode()
    event = READER.read("mo", request(body=body))
    assert (event.verdict, event.msisdn, event.short_number) == (Verdict.OPT_OUT, Phone("+4790000001"), "2172")
    assert len(event.properties) == 204


@pytest.mark.parametrize(
    ("status", "result", "final"),
    [
        ("DELIVERED", Result.OK, True),
        ("ACKNOWLEDGED", Result.PENDING, False),
        ("UNKNOWN", Result.PENDING, False),
        ("ACCEPTED", Result.PENDING, False),
        ("NO_CREDIT", Result.FAILED, True),
        ("INVALID_MSISDN", Result.FAILED, True),
        ("VALIDITY_EXPIRED", Result.FAILED, True),
        ("REJECTED", Result.FAILED, True),
        ("FAILED", Result.FAILED, True),
    ],
)
def test_each_status_of_a_report_has_its_result(status, result, final):
    event = report(status, reason_id="29")
    assert (event.result, event.final, event.status, event.status_detail) == (result, final, status, "29")
    assert event.source == "messagecloud.delivery_report"
    assert event.verdict is Verdict.NONE


def test_each_status_of_a_message_is_one_event_and_a_repeat_is_none():
    keys = [report(status).key for status in ("ACKNOWLEDGED", "DELIVERED", "acknowledged")]
    assert keys[0] == keys[2] != keys[1]


def test_a_report_at_the_endpoint_for_messages_is_read_as_a_report():
    body = b"action=mp_report&id=7&report=DELIVERED&number=4790000001"
    assert READER.read("mo", request(body=body)) == READER.read("dlr", request(body=body))


@pytest.mark.parametrize(("mine", "other"), [("mo", "dlr"), ("dlr", "mo")])
def test_a_callback_without_an_action_is_what_its_parameters_say(mine, other):
    own = b"id=7&number=4790000001&" + (b"message=STOP" if mine == "mo" else b"report=DELIVERED")
    assert READER.read(other, request(body=own)) == READER.read(mine, request(body=own))


@pytest.mark.parametrize("said", [{"message": "STOP KATT"}, {"message": "", "keyword": "stop"}])
def test_a_stop_without_an_id_counts_and_is_never_taken_for_a_repeat(said):
    body = urlencode({"action": "mpush_ir_message", "id": " ", "number": "4790000001", **said}).encode()
    event = READER.read("mo", request(body=body))
    later = READER.read("mo", request(body=body, received_at=NOW + timedelta(seconds=1)))
    assert (event.verdict, event.msisdn) == (Verdict.OPT_OUT, Phone("+4790000001"))
    assert event.key != later.key


def test_a_stop_behind_a_blank_text_counts_and_one_of_two_texts_is_unreadable():
    fields = "id=7&number=4790000001&message="
    assert READER.read("mo", request(query=f"{fields}&message=STOP")).verdict is Verdict.OPT_OUT
    for other in ("message=hei&message=STOP", "message=hei&number=4790000002", "Message=hei&MESSAGE=STOP"):
        with pytest.raises(Unreadable, match="occurs twice"):
            READER.read("mo", request(query=f"{fields}&{other}"))


@pytest.mark.parametrize(("keyword", "verdict"), [("KATT STOP", Verdict.OPT_OUT), ("STOP HUNGER", Verdict.NONE)])
def test_the_keyword_of_an_empty_message_may_be_all_of_a_stop(keyword, verdict):
    by = Reader(provider="messagecloud", keywords={"katt": "KATT"})
    query = urlencode({"id": "7", "number": "4790000001", "message": "", "keyword": keyword})
    assert by.read("mo", request(query=query)).verdict is verdict


def test_a_report_without_a_status_is_unreadable():
    with pytest.raises(Unreadable):
        READER.read("dlr", request(body=b"action=mp_report&id=7"))


def test_the_endpoint_stores_query_and_body_of_an_unreadable_request():
    endpoint = FormEndpoint(name="mo", reader=READER)
    (part,) = endpoint.read(request(query="a=1", body=b"b=2"), AuthResult())
    assert (part.event, part.raw, part.why) == (None, b"a=1&b=2", "no id")
    answer = endpoint.answer(request(), AuthResult())
    assert (answer.status, answer.body) == (200, b"OK")


@given(query=st.text(max_size=80), body=st.binary(max_size=80))
def test_any_request_becomes_an_event_or_is_stored_as_unreadable(query, body):
    for name in ("mo", "dlr"):
        (part,) = FormEndpoint(name=name, reader=READER).read(request(query=query, body=body), AuthResult())
        assert isinstance(part, Part)
        assert (part.event is None) == bool(part.why)
        assert part.event is None or event_from_json(event_to_json(part.event)) == part.event
