import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.model.errors import Unreadable
from connector.model.event import Event, Result, Scope, Verdict
from connector.model.phone import Phone
from connector.providers.strex.callback import Reader
from connector.store.documents import event_from_json, event_to_json

SAMPLES = Path(__file__).parent.parent / "samples" / "strex"
NOW = datetime(2026, 1, 2, 3, 5, tzinfo=UTC)
READER = Reader(provider="strex", keywords={"katt": "KATT"})
PERSON = Phone("+4798079008")
# The members of the sample report that have no field of their own in an event.
MEMBERS = {"operatorId": "no.telenor", "delivered": True, "smscTransactionId": "16976c7448d", "smscMessageParts": 1}


def sample(name):
    return (SAMPLES / name).read_bytes()


def report(properties=None, **envelope):
    value = json.loads(sample("dlr-unsubscribe.json")) | envelope
    if properties is not None:
        value["properties"] = properties
    return READER.delivery_report(json.dumps(value).encode(), NOW)


def message(properties=None, **envelope):
    value = json.loads(sample("mo-minimal.json")) | envelope
    if properties is not None:
        value["properties"] = properties
    return READER.message(json.dumps(value).encode(), NOW)


def test_the_documented_unsubscribe_is_an_opt_out():
    event = READER.delivery_report(sample("dlr-unsubscribe.json"), NOW)
    assert event.key == "strex-dlr-client-5c88e736-Ok-Delivered"
    assert event.source == "strex.delivery_report"
    assert (event.verdict, event.action, event.result, event.final) == (
        Verdict.OPT_OUT,
        "Unsubscribe",
        Result.OK,
        True,
    )
    assert (event.msisdn, event.short_number, event.keyword, event.keyword_id) == (
        PERSON,
        "2002",
        "MYKEYWORD",
        "12345678",
    )
    assert event.service_id == "d2455b83-f471-4f8e-9332-2387b23adbhd"
    assert event.subscription_id == "28738980- 328d-488f-a8ed-3570200500a1"
    assert event.properties["myproperty"] == "custom value"
    assert event.properties["AccountId"] == 4828
    assert event.price is None
    assert event.currency is None


def test_the_sample_of_the_earlier_edition_has_no_subscriber_transaction():
    event = READER.delivery_report(sample("dlr-unsubscribe-earlier-edition.json"), NOW)
    assert event.verdict is Verdict.OPT_OUT
    assert event.subscription_id is None


def test_the_person_of_a_message_is_its_sender():
    event = READER.message(sample("mo-stop.json"), NOW)
    assert event.key == "strex-mo-00568c6b-7baf-4869-b083-d22afc163059"
    assert event.source == "strex.message"
    assert (event.msisdn, event.short_number, event.text) == (PERSON, "2002", "KATT STOPP")
    assert event.verdict is Verdict.OPT_OUT
    assert event.occurred_at == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)


def test_the_minimal_message_of_the_guide_is_read():
    event = READER.message(sample("mo-minimal.json"), NOW)
    assert (event.text, event.verdict, event.keyword, event.properties) == ("KATT", Verdict.NONE, None, {})


def test_the_salesforce_properties_arrive_verbatim():
    event = READER.delivery_report(sample("dlr-salesforce.json"), NOW)
    assert (event.action, event.verdict) == ("SfMcSMS", Verdict.NONE)
    assert event.properties["SfContactId"] == "0035g00000AbCdEAAV"
    assert event.properties["AccontId"] == "685"


@pytest.mark.parametrize(
    "body",
    [
        sample("bare-properties.json"),
        sample("bare-properties.json").removeprefix(b"Properties: "),
        json.dumps({"Properties": json.loads(sample("dlr-unsubscribe.json"))["properties"]}).encode(),
        b"",
        b"   ",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"transactionId":null}',
        b'{"transactionId":""}',
        b'{"transactionId":" "}',
        b'{"transactionId":{}}',
        b'{"transactionId":"a","properties":"x"}',
        b'{"transactionId":"a","transactionId":"b"}',
        b'{"transactionId":"a","TransactionID":"b"}',
        b'{"transactionId" :"a","transactionId":"b"}',
        b'{"transactionId":"a","transactionId":"\\u003a"}',
        b'{"transactionId":"\\u003A","x":1,"x":2}',
        b'{"transactionId":"a","properties":{"a":1,"a":1}}',
        b'{"transactionId":"a","properties":[1]}',
        b'{"transactionId":"a","properties":[{"name":"a","value":1},{"key":"a","value":2}]}',
        b'{"transactionId":"a","properties":[{"name":"a","value":1},{"name":"b"}]}',
        b'{"transactionId":"a","properties":"{"}',
        b'[{"transactionId":"a"},{"transactionId":"b"}]',
        "{'transactionId':'a'}".encode("utf-16"),
        b'{"transactionId":"a",,"content":"b"}',
        b"[" * 100_000,
        b'{"transactionId":"a","x":' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"transactionId":"a","x":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"transactionId":"a"} trailing',
    ],
)
@pytest.mark.parametrize("read", [READER.message, READER.delivery_report])
def test_an_invalid_body_is_unreadable(read, body):
    with pytest.raises(Unreadable):
        read(body, NOW)


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"transactionId":"a"}',
        b'{"transactionId" : "a:b", "x" : ":"}',
        b'{"transactionId":"a\\u003ab","properties":{"url":"https:\\/\\/x"}}',
        b'{"TRANSACTIONID":"a"}',
        b'{"transactionId":7}',
        b'{"transactionId":"a","n":' + b"1" * 40 + b"}",
        b'{"transactionId":"a","content":"' + b"[{" * 40 + b'"}',
    ],
)
@pytest.mark.parametrize("read", [READER.message, READER.delivery_report])
def test_an_unusual_but_valid_body_is_read(read, body):
    assert read(body, NOW).transaction_id


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
NAMES = st.sampled_from(
    ["transactionId", "sender", "recipient", "content", "created", "received", "price", "statusCode", "isStopMessage",
     "detailedStatusCode", "properties", "keywordId", "Properties"]
)  # fmt: skip
PROPERTY = st.sampled_from(["Keyword", "SystemAction", "ServiceCommand", "city", "firstName", "lookup", "ServiceID"])


@given(
    st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(NAMES, JSON | st.dictionaries(PROPERTY, JSON)).map(lambda value: json.dumps(value).encode())
)
@example(b'{"transactionId":"a","created":"0001-01-01T00:00:00+14:00"}')
@example(b'{"transactionId":"a","price":"1E+400"}')
@example(b'{"transactionId":"a","price":"sNaN"}')
@example(b'{"transactionId":"\\u0000"}')
def test_any_bytes_become_an_event_that_can_be_stored_or_are_unreadable(body):
    for read in (READER.message, READER.delivery_report):
        try:
            event = read(body, NOW)
        except Unreadable:
            continue
        assert isinstance(event, Event)
        assert event.received_at == NOW
        assert event_from_json(event_to_json(event)) == event


ALL_ACTIONS = {
    "Subscribe": (Verdict.OPT_IN, Result.OK),
    "Signup": (Verdict.OPT_IN, Result.OK),
    "Unsubscribe": (Verdict.OPT_OUT, Result.OK),
    "Recurring": (Verdict.NONE, Result.OK),
    "AlterPrice": (Verdict.NONE, Result.OK),
    "AlterPriceInvalid": (Verdict.NONE, Result.FAILED),
    "SubscribePreAuthFailed": (Verdict.NONE, Result.FAILED),
    "RecurringPreAuthFailed": (Verdict.NONE, Result.FAILED),
    "ValidationFailed": (Verdict.NONE, Result.FAILED),
    "AlreadyRegistered": (Verdict.NONE, Result.OK),
    "LookupFailed": (Verdict.NONE, Result.FAILED),
    "SfMcSMS": (Verdict.NONE, Result.OK),
    "SomethingNew": (Verdict.NONE, Result.OK),
}


@pytest.mark.parametrize(("action", "meant"), ALL_ACTIONS.items())
@pytest.mark.parametrize("spelled", [str, str.lower, str.upper])
def test_every_system_action_has_its_verdict_and_result(action, meant, spelled):
    event = report({"SystemAction": spelled(action)}, statusCode="Ok")
    assert (event.verdict, event.result) == meant
    assert event.final
    assert event.action == spelled(action)


@pytest.mark.parametrize(
    ("status", "result", "final", "joined"),
    [
        ("Queued", Result.PENDING, False, Verdict.NONE),
        ("Sent", Result.PENDING, False, Verdict.NONE),
        ("Ok", Result.OK, True, Verdict.OPT_IN),
        ("OK", Result.OK, True, Verdict.OPT_IN),
        ("Rebilled", Result.OK, True, Verdict.OPT_IN),
        ("Failed", Result.FAILED, True, Verdict.NONE),
        ("Reversed", Result.REVERSED, True, Verdict.NONE),
        ("Unheard", Result.PENDING, False, Verdict.NONE),
        (None, Result.PENDING, False, Verdict.NONE),
    ],
)
def test_an_opt_in_needs_a_success_and_an_opt_out_does_not(status, result, final, joined):
    event = report({"SystemAction": "Subscribe"}, statusCode=status)
    assert (event.status, event.result, event.final, event.verdict) == (status, result, final, joined)
    assert report({"SystemAction": "Unsubscribe"}, statusCode=status).verdict is Verdict.OPT_OUT


@pytest.mark.parametrize("written", [" Unsubscribe ", "UNSUBSCRIBE", "Un-subscribe", "un_subscribe", "Unsubscribe\t"])
def test_an_action_is_recognised_with_blanks_and_hyphens(written):
    assert report({"SystemAction": written}).verdict is Verdict.OPT_OUT
    assert message({"SystemAction": written}).verdict is Verdict.OPT_OUT


@pytest.mark.parametrize(
    "written",
    [
        *("Unsubscribed", "OptedOut", "opt-out", "StopAll", "SubscriptionCancelled", "UnsubscribeFailed", "Avmelding"),
        *("SubscriberDeleted", "Removed", "LeaveClub", "Quit", "SignedOut", "Blocked", "Paused", "Utmelding"),
    ],
)
@pytest.mark.parametrize("status", ["Ok", "Failed", None])
def test_an_undocumented_action_that_sounds_like_an_opt_out_is_put_before_a_person(written, status):
    assert report({"SystemAction": written}, statusCode=status).verdict is Verdict.MAYBE_STOP


@pytest.mark.parametrize("written", ["Subscribed", "PaymentCaptured", "Opted", "SendReceipt"])
def test_another_undocumented_action_says_nothing_about_consent(written):
    assert report({"SystemAction": written}, statusCode="Ok").verdict is Verdict.NONE


def test_a_transaction_id_with_a_leading_minus_is_a_reversal():
    event = report({"SystemAction": "Recurring"}, transactionId="-client-5c88e736", price=100)
    assert (event.result, event.transaction_id) == (Result.REVERSED, "client-5c88e736")
    assert event.key == "strex-dlr--client-5c88e736-Ok-Delivered"
    failed = report(transactionId="-a", statusCode="Failed")
    assert (failed.result, failed.transaction_id) == (Result.FAILED, "-a")
    assert report({"SystemAction": "Subscribe"}, transactionId="-a").verdict is Verdict.NONE


def test_each_status_of_a_transaction_is_an_event_of_its_own():
    keys = {report(statusCode=status).key for status in ("Sent", "Ok", "Reversed", None)}
    assert len(keys) == 4
    assert report().key == report(processAttempts=2).key


@pytest.mark.parametrize(
    ("price", "read"),
    [
        (100, "100"),
        (99.9, "99.9"),
        ("10.50", "10.50"),
        (0, "0"),
        ("199,50", "199.50"),
        ("kr 1 234,-", "1234"),
        (None, None),
        ("", None),
        ([], None),
    ],
)
def test_a_price_is_in_kroner(price, read):
    event = report(price=price)
    assert event.price == (Decimal(read) if read else None)
    assert event.currency == ("NOK" if read else None)
    assert event.unread_price is None


@pytest.mark.parametrize("price", ["1,234", "1.234", "x", True, 1e300, 10**30, [1], -50, "-50", "kr -1", 1.234])
def test_an_ambiguous_or_impossible_price_is_kept_as_unread_price(price):
    event = report(price=price)
    assert (event.price, event.currency) == (None, None)
    assert event.unread_price == str(price)


def test_the_price_of_a_reversal_may_be_below_zero():
    event = report(statusCode="Reversed", price=-50)
    assert (event.price, event.unread_price) == (Decimal(-50), None)


PROPERTIES = {"Keyword": "KATT", "SystemAction": "AlterPrice"}


@pytest.mark.parametrize("written", [[], "", "  ", {}, None])
def test_each_spelling_of_an_empty_map_is_read_as_no_properties(written):
    assert READER.message(json.dumps({"transactionId": "a", "properties": written}).encode(), NOW).properties == {}


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(PROPERTIES),
        [{"name": name, "value": value} for name, value in PROPERTIES.items()],
        [{"Key": name, "Value": value} for name, value in PROPERTIES.items()],
    ],
)
def test_properties_may_come_as_json_text_or_as_pairs(written):
    event = message(written)
    assert (event.keyword, event.action) == ("KATT", "AlterPrice")
    assert event.properties == PROPERTIES


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-01-02T03:04:05.1234567+00:00", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2026-01-02T03:04:05.1Z", datetime(2026, 1, 2, 3, 4, 5, 100000, tzinfo=UTC)),
        ("2026-01-02T03:04", datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
        ("2026-01-02T03:04:05+01:00", datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)),
        ("0001-01-01T00:00:00", None),
        ("yesterday", None),
        (12, None),
        (None, None),
    ],
)
def test_times_are_read_as_utc(text, read):
    assert message(created=text).occurred_at == read
    assert report(received=text).occurred_at == read
    assert read is None or read.utcoffset() == timedelta()


@pytest.mark.parametrize(
    ("text", "keyword_id", "properties", "stopped", "keyword"),
    [
        ("STOPP", None, None, True, None),
        (" stop. ", None, None, True, None),
        ("KATT STOPP", None, None, True, "KATT"),
        ("stop katt", None, None, True, "KATT"),
        ("hund stopp", None, None, False, None),
        ("hund stopp", "12345679", None, True, None),
        ("hund stopp", None, {"Keyword": "HUND"}, True, "HUND"),
        ("KATT, STOPP", None, None, True, "KATT"),
        ("STOPP: katt!", None, None, True, "KATT"),
        ("STOPP 😢", None, None, True, None),
        ("Stop. Thank you", None, None, True, None),
        ("stopp katt", "1", {"Keyword": "STOPP"}, True, "KATT"),
        ("BLÅ STOP", None, {"Keyword": "BLA\u030a"}, True, "BLA\u030a"),
        ("don't stop", "12345679", None, False, None),
        ("don't stop", None, None, False, None),
        ("please do not stop", None, None, False, None),
        ("KATT", None, None, False, None),
    ],
)
def test_a_message_that_is_wholly_a_stop_is_an_opt_out(text, keyword_id, properties, stopped, keyword):
    event = message(properties, content=text, keywordId=keyword_id)
    assert (event.verdict is Verdict.OPT_OUT) is stopped
    assert event.keyword == keyword


@pytest.mark.parametrize(
    ("flag", "stopped"),
    [
        (True, True),
        ("true", True),
        (1, True),
        ("1", True),
        ("TRUE", True),
        ("yes", True),
        ([True], True),
        (False, False),
        ("no", False),
        (0, False),
        ("0", False),
        (None, False),
    ],
)
def test_the_stop_mark_of_strex_is_an_opt_out(flag, stopped):
    assert (message(content="enough of this", isStopMessage=flag).verdict is Verdict.OPT_OUT) is stopped


def test_a_text_that_may_be_a_stop_waits_for_a_person_unless_strex_marks_it_as_a_stop():
    event = message(content="hund stopp")
    assert (event.verdict, event.opt_out_scope) == (Verdict.MAYBE_STOP, Scope.SHORT_NUMBER)
    event = message(content="hund stopp", isStopMessage=True)
    assert (event.verdict, event.opt_out_scope) == (Verdict.OPT_OUT, None)


def test_a_stop_that_names_another_keyword_is_for_that_keyword():
    event = message({"Keyword": "STOPP"}, content="STOPP KATT", keywordId="1")
    assert (event.keyword, event.keyword_id) == ("KATT", None)


def test_a_stop_that_strex_does_not_mark_is_still_an_opt_out():
    assert message(content="STOP", isStopMessage=False).verdict is Verdict.OPT_OUT


@pytest.mark.parametrize(
    ("members", "known"),
    [
        ({"content": "STOP", "isStopMessage": True}, True),
        ({"content": "Stop 😀", "isStopMessage": "false"}, False),
        ({"content": "hund stopp", "isStopMessage": False}, False),
        ({"content": "STOP"}, None),
        ({"content": "STOP", "isStopMessage": None}, None),
        ({"content": "Hei", "isStopMessage": False}, None),
    ],
)
def test_an_opt_out_says_whether_strex_knows_it(members, known):
    assert message(**members).known_to_provider is known


def test_envelope_and_system_names_are_read_in_any_case():
    body = b'{"TransactionID":"a","RECIPIENT":"+4798079008","sender":"2002","StatusCode":"ok","Properties":{"keyword":"KATT",'
    body += b'"SERVICEID":"s","systemaction":"subscribe","Subscribertransactionid":"t","myProperty":1}}'
    event = READER.delivery_report(body, NOW)
    assert (event.msisdn, event.keyword, event.service_id, event.subscription_id) == (PERSON, "KATT", "s", "t")
    assert event.verdict is Verdict.OPT_IN
    assert list(event.properties) == ["keyword", "SERVICEID", "systemaction", "Subscribertransactionid", "myProperty"]


def test_names_with_underscores_and_values_in_a_list_are_read():
    properties = {"system_action": ["Unsubscribe"], "keyword": ["KATT"], "subscriber_transaction_id": "t"}
    event = report(properties, recipient=["+4798079008"], statusCode=["Ok"])
    assert (event.verdict, event.msisdn, event.keyword) == (Verdict.OPT_OUT, PERSON, "KATT")
    assert (event.subscription_id, event.result) == ("t", Result.OK)
    assert message(content=["STOP"], sender=["+4798079008"]).verdict is Verdict.OPT_OUT
    body = b'{"transaction_id":"a","recipient":"+4798079008","status_code":"Ok","properties":{"SystemAction":"Signup"}}'
    assert READER.delivery_report(body, NOW).verdict is Verdict.OPT_IN


def test_system_properties_may_stand_in_a_property_called_properties():
    event = report({"Properties": {"SystemAction": "Unsubscribe", "Keyword": "HUND", "mine": 1}, "Keyword": "KATT"})
    assert (event.verdict, event.keyword) == (Verdict.OPT_OUT, "KATT")
    assert event.properties["Properties"]["mine"] == 1


def test_a_custom_property_does_not_hide_the_system_one():
    assert report({"Keyword": "KATT", "keyword": "custom"}).keyword == "KATT"
    assert report({"keyword": "custom", "Keyword": "KATT"}).keyword == "KATT"


def test_a_person_without_a_phone_number_is_shown_as_a_property():
    assert message(content="STOP", sender="SUPPORT").properties["sender"] == "SUPPORT"
    assert report({"SystemAction": "Unsubscribe"}, recipient="2002").properties["recipient"] == "2002"
    assert "sender" not in message(content="STOP").properties
    assert "recipient" not in report({"SystemAction": "Unsubscribe"}, recipient=None).properties


def test_a_null_keyword_is_missing():
    assert report({"Keyword": None, "SystemAction": "Unsubscribe"}).keyword is None


@pytest.mark.parametrize("sender", ["2002", "STREX", "", None, 5, "#alias", "+12"])
def test_a_message_whose_sender_is_no_phone_number_is_read(sender):
    event = message(sender=sender)
    assert event.msisdn is None
    assert event.text == "KATT"


LOOKUP = {"firstName": "Kari", "lastName": "Nordmann", "zipCode": "0150", "msisdn": "98079008", "age": 44}


@pytest.mark.parametrize(
    "properties",
    [
        {"Lookup": LOOKUP},
        {"whatever": {name.upper(): value for name, value in LOOKUP.items()}},
        {"lookupResult": json.dumps(LOOKUP)},
    ],
)
def test_lookup_data_is_found_at_any_depth(properties):
    assert message(properties).lookup == LOOKUP
    assert report(properties).lookup == LOOKUP


def test_lookup_data_is_found_in_flat_keys():
    flat = report({"FirstName": "Kari", "LASTNAME": "Nordmann", "msisdn": "1", "Keyword": "KATT"})
    assert flat.lookup == {"firstName": "Kari", "lastName": "Nordmann"}
    assert flat.properties["FirstName"] == "Kari"


def test_a_single_field_is_not_read_as_lookup_data():
    assert report({"city": "Oslo", "msisdn": "1", "created": "x"}).lookup == {}
    assert report({"x": {"city": "Oslo", "msisdn": "1", "created": "x"}}).lookup == {}
    assert report({"x": '{"city": "Oslo"'}).lookup == {}


def test_the_text_of_a_message_is_not_read_as_lookup_data_or_mark():
    assert message(content=json.dumps(LOOKUP)).lookup == {}
    assert message(note=json.dumps(LOOKUP)).lookup == {}
    assert message(note=json.dumps(LOOKUP)).lookup == {}
    assert not message(content="ServiceCommand").service_command


@pytest.mark.parametrize(
    ("properties", "marked"),
    [
        ({"ServiceCommand": True}, True),
        ({"servicecommand": "unsubscribe"}, True),
        ({"Source": "ServiceCommand"}, True),
        ({"Source": "SERVICECOMMAND"}, True),
        ({"ServiceCommand": False}, False),
        ({"ServiceCommand": None}, False),
        ({"ServiceCommand": "false"}, False),
        ({"Source": "web"}, False),
    ],
)
def test_the_mark_of_our_own_commands_is_found_as_a_key_or_a_value(properties, marked):
    assert report(properties).service_command is marked


@pytest.mark.parametrize("missing", [{}, {"transactionId": None}, {"transactionId": ""}, {"transactionId": 1.5}])
def test_a_stop_without_an_id_counts_and_its_repeat_is_recognised(missing):
    body = {
        "sender": "+4790000001",
        "recipient": "2002",
        "content": "STOP",
        "created": "2026-11-28T10:00:00Z",
        **missing,
    }
    event, repeat, another = (
        READER.message(json.dumps(one).encode(), now)
        for one, now in [
            (body, NOW),
            (body, NOW + timedelta(minutes=1)),
            (body | {"created": "2026-11-28T11:00:00Z"}, NOW),
        ]
    )
    assert event.verdict is Verdict.OPT_OUT
    assert event.key == repeat.key != another.key


def test_a_stop_without_id_and_time_is_never_taken_for_a_repeat():
    body = json.dumps({"sender": "+4790000001", "content": "STOP"}).encode()
    assert READER.message(body, NOW).key != READER.message(body, NOW + timedelta(minutes=1)).key


@pytest.mark.parametrize(
    "members",
    [
        {"content": ["KATT", "STOP"]},
        {"content": {"text": "STOP"}},
        {"content": True},
        {"content": 25.5},
        {"text": "STOP"},
        {"content": None, "Body": "please remove me"},
        {"content": " ", "message": {"body": ["STOP"]}},
    ],
)
def test_a_message_whose_text_stands_elsewhere_is_unreadable_and_not_empty(members):
    body = {"transactionId": "1", "sender": "+4790000001", "recipient": "2002"} | members
    with pytest.raises(Unreadable, match="text"):
        READER.message(json.dumps(body).encode(), NOW)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"content": None},
        {"content": "", "properties": {"text": "STOP"}},
        {"content": [], "text": ""},
        {"attempt": 2, "sentAt": None},
        {"lookup": {"firstName": "Kari", "lastName": "Nordmann"}},
        {"content": "Hei", "text": "STOP"},
        {"number": "12345678901234567890"},
    ],
)
def test_a_message_without_any_text_is_read(members):
    body = {"transactionId": "1", "sender": "+4790000001", "recipient": "2002"} | members
    assert READER.message(json.dumps(body).encode(), NOW).verdict is Verdict.NONE


def test_a_stop_that_strex_recognises_counts_wherever_its_text_stands():
    assert message(content=["STOP"], isStopMessage=True).verdict is Verdict.OPT_OUT
    assert message({"SystemAction": "Unsubscribe"}, content={"text": "Hei"}).verdict is Verdict.OPT_OUT


def test_a_stop_by_strexs_own_verdict_needs_neither_id_nor_text():
    event = READER.message(json.dumps({"sender": "+4790000001", "isStopMessage": True}).encode(), NOW)
    assert (event.verdict, event.msisdn) == (Verdict.OPT_OUT, Phone("+4790000001"))


def test_an_opt_out_report_without_an_id_counts_and_a_charge_does_not():
    body = {"transactionId": None, "received": "2026-11-28T10:00:00Z"}
    event, repeat = report(**body), report(**body)
    another = report(**body | {"received": "2026-11-28T11:00:00Z"})
    assert (event.verdict, event.msisdn) == (Verdict.OPT_OUT, PERSON)
    assert event.key == repeat.key != another.key
    for charge in ({"SystemAction": "Recurring"}, {}):
        with pytest.raises(Unreadable, match="no transactionId"):
            report(charge, **body)


def test_what_a_forward_holds_goes_before_the_endpoint_that_it_came_to():
    stop, unsubscribe = sample("mo-stop.json"), sample("dlr-unsubscribe.json")
    assert READER.delivery_report(stop, NOW) == READER.message(stop, NOW)
    assert READER.message(unsubscribe, NOW) == READER.delivery_report(unsubscribe, NOW)
    assert READER.message(unsubscribe, NOW).msisdn == READER.message(stop, NOW).msisdn == PERSON


def test_properties_may_stand_beside_the_other_members():
    nested = json.loads(sample("dlr-unsubscribe.json"))
    flat = {name: value for name, value in nested.items() if name != "properties"} | nested["properties"]
    assert READER.delivery_report(json.dumps(flat).encode(), NOW) == report()
    both = report({"Keyword": "HUND"}, SystemAction="Unsubscribe", Keyword="KATT", myproperty="x")
    assert (both.verdict, both.keyword) == (Verdict.OPT_OUT, "HUND")
    own = {"SystemAction": "Unsubscribe", "Keyword": "HUND", "myproperty": "x"}
    assert both.properties == own | MEMBERS


def test_members_without_a_field_of_their_own_are_properties():
    assert report({}).properties == MEMBERS
    assert report({"OperatorId": "x", "operatorId": 1}).properties == {**MEMBERS, "OperatorId": "x", "operatorId": 1}
    assert message(processAttempts=2, tags=["a"]).properties == {"processAttempts": 2, "tags": ["a"]}
