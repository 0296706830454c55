"""OnlineFundraising's messages as events, for any input; and its published addresses, in any place of the file."""

import json
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.model.errors import Unreadable
from connector.model.event import KEY_FORM, Result, Verdict
from connector.model.phone import Phone
from connector.providers.onlinefundraising.ip_allowlist import networks_in
from connector.providers.onlinefundraising.values import as_time
from connector.providers.onlinefundraising.webhook import Reader
from connector.store.documents import event_from_json, event_to_json

SAMPLES = Path(__file__).parents[1] / "samples" / "onlinefundraising"
NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
READER = Reader(provider="onlinefundraising", keywords={"hjælp": "hjælp"})


def message(**fields):
    made = {
        "messageGuid": "m-1",
        "keyword": "HEART",
        "receivedText": "Heart",
        "msisdn": "4790000001",
        "channel": "1217",
    }
    return {name: value for name, value in {**made, **fields}.items() if value is not None}


def event(**fields):
    (part,) = READER.parts(json.dumps([message(**fields)]).encode(), NOW)
    return part.event


def test_the_documented_example_is_read_completely():
    (part,) = READER.parts((SAMPLES / "webhook.json").read_bytes(), NOW)
    found = part.event
    assert found.key == "onlinefundraising-sms-17934114-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
    assert (found.source, found.action, found.verdict) == ("onlinefundraising.message", "SmsMO", Verdict.NONE)
    assert (found.msisdn, found.short_number, found.keyword, found.text) == (None, "1217", "STØT", "Støt")
    assert found.keyword_id == "3b03ac9a-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
    assert found.occurred_at == datetime(2021, 2, 10, 12, 33, 23, tzinfo=UTC)
    assert (found.status, found.result, found.final) == ("Processed", Result.OK, True)
    assert found.transaction_id == "17934114-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
    assert found.properties == {
        "merchantId": "min_organisation",
        "campaignGuid": "9b6ae17d-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
        "processedTs": "2021-02-10 13:33:23 +0100",
        "msisdn": "4540xxxxxx",  # no number, so a person is shown what it was
    }


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("TIFO 25", "25"),
        ("tifo 25 kr", "25"),
        ("TIFO   25 kr.", "25"),
        (" Tifo\t25kr!", "25"),
        ("TIFO kr. 25", "25"),
        ("TIFO 25,-", "25"),
        ("TIFO 25,50", "25,50"),
        ("TIFO 1.000", "1.000"),
        ("TIFO 1.000,50 kroner", "1.000,50"),
        ("\u200bTIFO 25", "25"),
        ("TIFO: 25", "25"),
        ("TIFO, 25 kroner tak!", "25"),
        ("TIFO \uff12\uff15", "25"),
        ("TIFO", None),
        ("TIFO vi er 25", None),
        ("TIFO 25 personer", None),
        ("TIFO tak for 25 år", None),
        ("TIFO 24.12", None),
        ("TIFO 90000001", None),
        ("TIFO 9000 0001", None),
        ("TIFO 25 100", None),
        ("TIFO 0", None),
        ("HJÆLP 25", None),
        ("25", None),
        ("25 TIFO", None),
    ],
)
def test_a_number_after_the_keyword_is_the_amount(text, amount):
    assert event(keyword="TIFO", receivedText=text).properties.get("amount") == amount


def test_the_amount_comes_from_its_field_then_the_sub_keyword_then_the_text():
    assert event(keyword="hjælp", subKeyword="100", receivedText="hjælp 100 50").properties["amount"] == "100"
    assert event(keyword="hjælp 100", receivedText="hjælp 100").properties["amount"] == "100"
    assert "amount" not in event(keyword="støt", subKeyword="nu", receivedText="støt nu").properties
    assert event(keyword="TIFO", receivedText="TIFO 25", amount=7).properties["amount"] == 7
    assert "amount" not in event(keyword=None, receivedText="TIFO 25").properties


@pytest.mark.parametrize("number", ["4790000001", "+4790000001", "004790000001", 4790000001])
def test_a_number_has_its_country_code_with_or_without_a_plus(number):
    assert event(msisdn=number).msisdn == Phone("+4790000001")


@pytest.mark.parametrize(
    ("state", "result", "final"),
    [
        ("Processed", Result.OK, True),
        ("Received", Result.PENDING, False),
        ("Error", Result.FAILED, True),
        ("error", Result.FAILED, True),
        ("Elsewhere", Result.PENDING, False),
        (None, Result.OK, True),
    ],
)
def test_the_state_of_a_message_decides_its_result(state, result, final):
    found = event(state=state)
    assert (found.status, found.result, found.final) == (state, result, final)


@pytest.mark.parametrize(
    "fields",
    [
        {"receivedText": "Heart stop", "subKeyword": "stop"},
        {"receivedText": "HEART STOP"},
        {"receivedText": " heart  Stopp! "},
        {"receivedText": "STOP"},
        {"receivedText": "stop heart"},
        {"receivedText": "whatever", "subKeyword": "STOP"},
        {"receivedText": None, "keyword": "subscription", "subKeyword": "stop"},
        {"receivedText": "STOP HJÆLP", "keyword": None},
        {"receivedText": "STOP HJÆLP", "keyword": "STOP"},
        {"receivedText": "STOP ALLE"},
    ],
)
def test_a_stop_is_an_opt_out(fields):
    assert event(**fields).verdict is Verdict.OPT_OUT


@pytest.mark.parametrize(
    "fields",
    [
        {"receivedText": "heart 100", "subKeyword": "100"},
        {"receivedText": "don't stop", "keyword": None},
        {"receivedText": "heart please do not stop"},
        {"receivedText": None},
    ],
)
def test_a_text_that_is_no_stop_says_nothing_about_consent(fields):
    assert event(**fields).verdict is Verdict.NONE


@pytest.mark.parametrize("text", ["STOP TYVEN", "tyven stop", "Heart jeg orker ikke mer, stopp"])
def test_a_text_that_may_be_a_stop_waits_for_a_person(text):
    assert event(receivedText=text).verdict is Verdict.MAYBE_STOP


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_sub_keyword_that_is_a_stop_word_is_an_opt_out(form):
    found = event(receivedText="?", subKeyword=unicodedata.normalize(form, "sÄg upp!"))
    assert (found.verdict, found.keyword) == (Verdict.OPT_OUT, "HEART")


def test_a_stop_that_names_another_keyword_is_for_that_keyword():
    found = event(receivedText="STOP HJÆLP", keyword="STOP", keywordGuid="k-1")
    assert (found.keyword, found.keyword_id) == ("hjælp", None)


def test_the_id_of_a_sub_keyword_is_not_used_as_the_id_of_the_keyword():
    plain, sub = event(keywordGuid="k-1"), event(keywordGuid="k-2", subKeyword="100")
    assert (plain.keyword_id, plain.properties) == ("k-1", {})
    assert (sub.keyword_id, sub.properties) == (None, {"subKeyword": "100", "keywordGuid": "k-2", "amount": "100"})


def test_keyword_and_sub_keyword_may_come_as_one_text():
    found = event(keyword="hjælp 100", keywordGuid="k-2")
    assert (found.keyword, found.keyword_id) == ("hjælp", None)
    assert found.properties == {"subKeyword": "100", "keywordGuid": "k-2", "amount": "100"}


@pytest.mark.parametrize("meta", [{"appeal": "spring"}, '{"appeal": "spring"}'])
def test_meta_data_can_be_named_in_a_rule(meta):
    assert event(metaData=meta).properties["metaData"] == {"appeal": "spring"}


@pytest.mark.parametrize("meta", ["spring", "{broken", "[1]", None, 7])
def test_other_meta_data_is_kept_unchanged(meta):
    assert event(metaData=meta).properties.get("metaData") == meta


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2019-10-17 14:37:26 +0200", datetime(2019, 10, 17, 12, 37, 26, tzinfo=UTC)),
        ("2019-10-17 14:37:26+02:00", datetime(2019, 10, 17, 12, 37, 26, tzinfo=UTC)),
        ("2019-10-17T14:37:26Z", datetime(2019, 10, 17, 14, 37, 26, tzinfo=UTC)),
        ("2019-12-17 14:37:26", datetime(2019, 12, 17, 13, 37, 26, tzinfo=UTC)),
        ("2019-10-17 14:37:26 Copenhagen", None),
        ("0001-01-01 00:00:00 +0000", None),
        ("", None),
        (1571315846, None),
    ],
)
def test_a_time_is_read_with_its_offset_or_as_danish_time(text, time):
    assert as_time(text) == time


def test_each_element_keeps_its_own_bytes():
    body = b' [ {"messageGuid" : "m-1"},\n {"keyword":"x"}, 7, {"messageGuid":"m-2", "metaData":"\\ud800"} ] '
    parts = READER.parts(body, NOW)
    assert [part.raw for part in parts] == [
        b'{"messageGuid" : "m-1"}',
        b'{"keyword":"x"}',
        b"7",
        b'{"messageGuid":"m-2", "metaData":"\\ud800"}',
    ]
    assert [part.why for part in parts] == ["", "no messageGuid", "not a JSON object", ""]
    assert parts[3].event.properties["metaData"] == "\ufffd"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b"[]", "an empty array"),
        (b'[{"a":1}]', "no messageGuid"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_without_any_message_is_unreadable_as_a_whole(body, why):
    with pytest.raises(Unreadable) as caught:
        READER.parts(body, NOW)
    assert caught.value.why == why


TIME = "2026-01-02 04:00:00 +0100"


@pytest.mark.parametrize("text", ["HEART STOP", "Heart stop fordi jeg er syg"])
def test_a_stop_without_an_id_is_not_lost_and_its_repeat_is_one(text):
    first, again = (
        event(messageGuid=None, receivedText=text, createdTs=TIME),
        event(messageGuid="", receivedText=text, createdTs=TIME),
    )
    assert first.verdict in {Verdict.OPT_OUT, Verdict.MAYBE_STOP}
    assert first.key == again.key
    assert first.key != event(messageGuid=None, receivedText=text, createdTs=TIME, msisdn="4790000002").key


@pytest.mark.parametrize("fields", [{"receivedText": "HEART 100"}, {"createdTs": None}, {"msisdn": None}])
def test_any_other_message_without_an_id_is_unreadable(fields):
    with pytest.raises(Unreadable, match="no messageGuid"):
        event(**{"messageGuid": None, "receivedText": "HEART STOP", "createdTs": TIME, **fields})


def test_blanks_around_a_value_do_not_count():
    found = event(channel=" 1217 ", state=" processed", keywordGuid="k-1\n")
    assert (found.short_number, found.result, found.keyword_id) == ("1217", Result.OK, "k-1")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    [
        "messageGuid",
        "createdTs",
        "channel",
        "keyword",
        "subKeyword",
        "receivedText",
        "keywordGuid",
        "state",
        "msisdn",
        "metaData",
    ]
)


@given(st.lists(st.dictionaries(names, values) | values, max_size=4))
def test_any_json_becomes_events_that_can_be_stored_or_is_unreadable(content):
    try:
        parts = READER.parts(json.dumps(content).encode(), NOW)
    except Unreadable:
        return
    assert len(parts) == len(content)
    for part in parts:
        assert (part.event is None) == bool(part.why)
        if part.event is not None:
            assert KEY_FORM.fullmatch(part.event.key)
            assert event_from_json(event_to_json(part.event)) == part.event


@given(st.binary())
def test_any_bytes_become_events_or_raise_unreadable(body):
    for candidate in (body, b"[" + body + b"]", b'[{"messageGuid":"m","x":"' + body + b'"},{"messageGuid":"n"}]'):
        with suppress(Unreadable):
            assert READER.parts(candidate, NOW)


@pytest.mark.parametrize(
    "content",
    [
        ["192.0.2.7", "198.51.100.0/24"],
        {"prefixes": [{"ip_prefix": "192.0.2.7/32"}, {"ip_prefix": "198.51.100.0/24"}], "comment": "two"},
        {"192.0.2.7": "webhooks", "198.51.100.0/24": {"also": True}},
        [" 192.0.2.7 ", "198.51.100.9/24", "0.0.0.0/0", "::/0", "10.0.0.0/7", "1", "", "x" * 100, 3232235777, None],
    ],
)
def test_addresses_are_found_anywhere_in_the_published_list(content):
    found = {str(network) for network in networks_in(json.dumps(content).encode())}
    assert found == {"192.0.2.7/32", "198.51.100.0/24"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[1, 2]", b'{"moved": "https://192.0.2.7/"}'])
def test_a_document_without_addresses_is_an_empty_list(body):
    assert networks_in(body) == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"receivedText": ["HEART", "STOP"]},
        {"receivedText": {"text": "STOP"}},
        {"receivedText": None, "text": "HEART STOP"},
    ],
)
def test_a_message_whose_text_stands_elsewhere_is_unreadable_and_not_empty(fields):
    with pytest.raises(Unreadable, match="receivedText"):
        event(**fields)


def test_values_in_a_list_are_read():
    found = event(receivedText=["HEART STOP"], msisdn=["4540123456"], keyword=["HEART"], channel=["1217"])
    assert (found.verdict, found.msisdn, found.keyword) == (Verdict.OPT_OUT, Phone("+4540123456"), "HEART")
    assert event(receivedText=None, keyword="HEART", subKeyword=["stop"]).verdict is Verdict.OPT_OUT


def test_a_stop_that_is_the_keyword_of_a_message_without_a_text_is_an_opt_out():
    assert event(receivedText=None, keyword="STOP").verdict is Verdict.OPT_OUT
    assert event(receivedText="HEART", keyword="STOP").verdict is Verdict.NONE


def test_a_stop_that_the_provider_matched_counts_wherever_its_text_stands():
    assert event(receivedText=["HEART STOP"], subKeyword="stop").verdict is Verdict.OPT_OUT


@pytest.mark.parametrize("more", [{}, {"merchantId": "organisation", "metaData": {"note": "STOP"}}, {"attempt": 2}])
def test_a_message_without_any_text_is_read(more):
    assert event(receivedText=None, **more).text is None
