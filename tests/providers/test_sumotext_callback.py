"""Parsing of Sumotext's callbacks: the documents' examples, and other input."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from providers.sumotext_requests import NOW, request, sample

from connector.model.errors import Unreadable
from connector.model.event import KEY_FORM, Result, Scope, Verdict
from connector.model.phone import Phone
from connector.providers.sumotext.callback import CALLBACKS, Reader
from connector.providers.sumotext.deduplicate import Deduplicator
from connector.store.documents import event_from_json, event_to_json

DONOR = Phone("+12125551212")
FORM = "country=USA&shortcode=84700&key=SOMEKEY&mobile=2125551212&carrierId=VERIZONUS"


def reader(**more):
    return Reader(provider="sumotext", deduplicator=Deduplicator(window=timedelta(minutes=10)), **more)


def read(endpoint, query="", *, by=None, **more):
    return (by or reader()).read(endpoint, request(query, **more))


def test_the_documented_web_form_is_read():
    event = read("crm", sample("web-form"))
    assert (event.shape, event.action, event.msisdn) == ("form", "Web Form", DONOR)
    assert (event.keyword, event.short_number, event.verdict) == ("SOMEKEY", "84700", Verdict.NONE)
    assert event.properties == {
        "Name": "Bill",
        "DOB": "1/1/2000",
        "Zip": "10024",
        "carrier": "VERIZONUS",
        "country": "USA",
    }
    assert event.occurred_at == event.received_at == NOW


def test_the_documented_poll_is_read():
    event = read("poll", sample("poll"))
    assert (event.shape, event.action, event.msisdn) == ("poll_reply", "Poll", DONOR)
    assert (event.keyword, event.short_number, event.text) == ("FB1", "84700", "A")
    assert event.properties == {"carrier": "VERIZONUS", "reply": "A", "label": "Tampa"}


def test_the_documented_text_4_info_gets_its_short_code_from_the_config():
    event = read("text4info", sample("text-4-info"), by=reader(short_number="84700"))
    assert (event.shape, event.action, event.msisdn) == ("message", "Text-4-Info", DONOR)
    assert (event.keyword, event.short_number, event.text) == ("keyword", "84700", "ServerMsg")
    assert event.properties == {}


def test_the_key_of_a_full_forward_is_its_id():
    event = read("mo", "mobile=2125551212&carrier=ATTUS&smsid=77&shortcode=84700&key=KATT&msg=KATT+hello")
    assert (event.shape, event.key, event.transaction_id) == ("message", "sumotext-mo-77", "77")
    assert (event.keyword, event.text) == ("KATT", "KATT hello")


@pytest.mark.parametrize(
    ("query", "result", "final"),
    [
        ("sumoid=9&mtcode=4&mtdescription=Delivered", Result.OK, True),
        ("sumoID=9&MTCode=5&MtDescription=Failed", Result.FAILED, True),
        ("sumoid=9&mtcode=3", Result.PENDING, False),
        ("sumoid=9", Result.PENDING, False),
    ],
)
def test_each_code_of_a_delivery_report_has_its_result(query, result, final):
    event = read("dlr", query)
    assert (event.shape, event.transaction_id) == ("delivery_report", "9")
    assert (event.result, event.final, event.msisdn) == (result, final, None)


def test_each_status_of_a_message_is_an_event_of_its_own():
    keys = [read("dlr", f"sumoid=9&mtcode={code}").key for code in (4, 5, 4)]
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize(
    ("query", "phone"),
    [
        ("mobile=2125551212", "+12125551212"),
        ("mobile=12125551212", "+12125551212"),
        ("mobile=%2B12125551212", "+12125551212"),
        ("mobile=+12125551212", "+12125551212"),
        ("mobile=(212)+555-1212&country=usa", "+12125551212"),
        ("mobile=4165551212&country=CAN", "+14165551212"),
        ("mobile=4165551212&country=CA", "+14165551212"),
        ("mobile=2125551212&country=US", "+12125551212"),
        ("mobile=2125551212&country=", "+12125551212"),
        ("mobile=90000001&country=NORWAY", "+4790000001"),
        ("mobile=2125551212&country=U.S.A.", "+12125551212"),
        ("mobile=2125551212&country=United+States", "+12125551212"),
        ("mobile=4165551212&country=Canada", "+14165551212"),
    ],
)
def test_national_numbers_are_read_with_their_country(query, phone):
    event = read("crm", query, by=reader(countries={"USA": "US", "US": "US", "CAN": "CA", "CA": "CA", "NORWAY": "NO"}))
    assert event.msisdn == Phone(phone)


@pytest.mark.parametrize("query", ["mobile=2125551212&country=NORWAY", "mobile=84700", "mobile=%23alias"])
def test_a_number_of_an_unknown_country_is_kept_and_not_guessed(query):
    event = read("crm", query)
    assert event.msisdn is None
    assert event.properties["mobile"]


def test_callbacks_without_a_country_use_the_country_of_the_config():
    assert read("poll", "mobile=90000001", by=reader(region="NO")).msisdn == Phone("+4790000001")


def test_parameter_names_are_read_in_any_order_and_letter_case():
    plain = read("crm", FORM + "&msg=STOP")
    odd = read("crm", "MSG=STOP&CarrierID=VERIZONUS&Mobile=2125551212&KEY=SOMEKEY&short%20code=84700&COUNTRY=USA")
    assert (odd.keyword, odd.short_number, odd.msisdn) == (plain.keyword, plain.short_number, plain.msisdn)
    assert odd.properties == plain.properties == {"carrier": "VERIZONUS", "country": "USA"}
    assert odd.key == plain.key


def test_a_custom_field_may_differ_from_a_documented_one_in_letter_case_only():
    event = read("crm", FORM + "&Country=Germany&Key=gold&reply=yes")
    assert (event.keyword, event.msisdn) == ("SOMEKEY", DONOR)
    assert {"Country": "Germany", "Key": "gold", "reply": "yes", "country": "USA"}.items() <= event.properties.items()


def test_a_field_with_several_values_is_a_list():
    assert read("crm", FORM + "&gift=Children&gift=Climate&gift=Climate").properties["gift"] == ["Children", "Climate"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Bill+Smith", "Bill Smith"),
        ("Bill%20Smith", "Bill Smith"),
        ("100%", "100%"),
        ("%zz%4", "%zz%4"),
        ("St%C3%B8t", "Støt"),
        ("St%F8t", "Støt"),
        ("a=b=c", "a=b=c"),
        ("a;b?c/d", "a;b?c/d"),
        ("x%26y%3Dz", "x&y=z"),
    ],
)
def test_escapes_are_decoded_and_invalid_ones_are_kept(written, meant):
    assert read("crm", f"{FORM}&&Name={written}&&").properties["Name"] == meant


FORM_TYPE = "application/x-www-form-urlencoded"
AS_JSON = {"country": "USA", "shortcode": 84700, "key": "SOMEKEY", "mobile": 2125551212, "carrierId": "VERIZONUS"}


@pytest.mark.parametrize(
    ("query", "body", "content_type"),
    [
        ("", FORM.encode() + b"&Name=Bill", FORM_TYPE),
        ("", FORM.encode() + b"&Name=Bill", ""),
        (FORM, b"Name=Bill", FORM_TYPE),
        (FORM, b'{"Name": "Bill"}', "application/json"),
        (FORM + "&Name=Bill", FORM.encode(), FORM_TYPE),
        ("Name=Bill", json.dumps(AS_JSON).encode(), "application/json/mt"),
        ("", json.dumps(AS_JSON | {"Name": "Bill", "Zip": None}).encode(), ""),
    ],
)
def test_query_form_and_json_are_merged(query, body, content_type):
    event = read("crm", query, body=body, content_type=content_type)
    assert event == read("crm", FORM + "&Name=Bill")


@pytest.mark.parametrize(
    ("endpoint", "query", "body", "content_type", "why"),
    [
        ("crm", "", b"", "", "no mobile"),
        ("crm", "mobile=&key=x", b"", "", "no mobile"),
        ("poll", FORM, b"mobile=2125551213", FORM_TYPE, "mobile occurs twice"),
        ("crm", "MOBILE=2125551212&Mobile=2125551212", b"", "", "mobile occurs twice"),
        ("crm", "", b'{"mobile": {"a": 1}}', "application/json", "no mobile"),
        ("crm", "", b'{"mobile": "2125551212", "msg": ["STOP"]}', "application/json", "msg is not a text"),
        ("poll", "", b'{"mobile": "2125551212", "reply": {"a": "STOP"}}', "application/json", "reply is not a text"),
        ("crm", "", b"[1]", "application/json", "not a JSON object"),
        ("crm", "", b"{", "application/json", "not JSON"),
        ("crm", FORM, b"--x\r\n", "multipart/form-data; boundary=x", "a multipart form without parts"),
        ("dlr", "mtcode=4", b"", "", "no sumoid"),
    ],
)
def test_an_unreadable_callback_gives_its_reason(endpoint, query, body, content_type, why):
    with pytest.raises(Unreadable) as caught:
        read(endpoint, query, body=body, content_type=content_type)
    assert caught.value.why == why


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("STOP", Verdict.OPT_OUT),
        (" stop. ", Verdict.OPT_OUT),
        ("Quit", Verdict.OPT_OUT),
        ("STOPALL", Verdict.OPT_OUT),
        ("STOP ALL", Verdict.OPT_OUT),
        ("SOMEKEY STOP", Verdict.OPT_OUT),
        ("stop somekey", Verdict.OPT_OUT),
        ("slutt", Verdict.OPT_OUT),
        ("START", Verdict.OPT_IN),
        ("yes!", Verdict.OPT_IN),
        ("unstop", Verdict.OPT_IN),
        ("count me in", Verdict.OPT_IN),
        ("don't stop", Verdict.NONE),
        ("stop by on Friday", Verdict.NONE),
        ("please do stop now", Verdict.OPT_OUT),
        ("Stop. Thank you", Verdict.OPT_OUT),
        ("OPT-OUT", Verdict.OPT_OUT),
        ("STOP\x00", Verdict.OPT_OUT),
        ("otherword stop", Verdict.MAYBE_STOP),
        ("yes please", Verdict.NONE),
        ("SOMEKEY", Verdict.NONE),
        ("", Verdict.NONE),
    ],
)
@pytest.mark.parametrize("endpoint", ["crm", "text4info", "mo"])
def test_only_a_whole_message_is_an_opt_in_or_opt_out(endpoint, text, verdict):
    by = reader(start_words={"start", "yes", "unstop", "count me in"})
    body = json.dumps({"mobile": "2125551212", "key": "SOMEKEY", "shortcode": "84700", "msg": text}).encode()
    assert read(endpoint, body=body, by=by).verdict is verdict


@pytest.mark.parametrize("query", ["lead=STOP&mobile=2125551212&msg=", "lead=stop&mobile=2125551212"])
def test_a_stop_that_is_the_keyword_of_an_empty_message_is_an_opt_out(query):
    assert read("text4info", query).verdict is Verdict.OPT_OUT
    by = reader(keywords={"stop hunger": "STOP HUNGER"})
    assert (
        read("text4info", query.replace("=STOP", "=STOP+HUNGER").replace("=stop", "=stop+hunger"), by=by).verdict
        is Verdict.NONE
    )


def test_a_stop_for_everything_names_no_keyword():
    assert read("crm", FORM + "&msg=STOP+ALL").keyword is None
    assert read("crm", FORM + "&msg=STOP").keyword == "SOMEKEY"


@pytest.mark.parametrize(
    ("query", "verdict"),
    [
        ("reply=STOP&label=", Verdict.OPT_OUT),
        ("reply=A&label=Tampa&msg=please+stop", Verdict.OPT_OUT),
        ("reply=FB1+stop&label=Stop+it", Verdict.OPT_OUT),
        ("reply=stop+the+war&label=x", Verdict.MAYBE_STOP),
        ("reply=A&label=x&msg=stop+the+war", Verdict.MAYBE_STOP),
        ("reply=stop+the+war&label=x&msg=STOP", Verdict.OPT_OUT),
        ("reply=don%27t+stop&label=Stop", Verdict.NONE),
        ("reply=A&label=STOP", Verdict.NONE),
        ("reply=yes&label=START", Verdict.NONE),
    ],
)
def test_a_reply_to_a_poll_may_be_a_stop_and_is_no_opt_in(query, verdict):
    event = read("poll", f"mobile=2125551212&key=FB1&{query}")
    assert (event.verdict, event.shape) == (verdict, "poll_reply")


def test_a_stop_in_a_poll_is_for_the_short_number():
    assert read("poll", "mobile=2125551212&key=FB1&reply=STOP&label=").opt_out_scope is Scope.SHORT_NUMBER
    assert read("poll", "mobile=2125551212&key=FB1&reply=STOP+ALL&label=").opt_out_scope is Scope.PROVIDER


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ("Email=STOP", Verdict.OPT_OUT),
        ("Name=Bill&Email=please%20stop%21", Verdict.OPT_OUT),
        ("Email=a%40example.org&Email=Stopp", Verdict.OPT_OUT),
        ("Zip=10024&Story=we+must+stop+this+bill", Verdict.NONE),
        ("Story=stop+the+war", Verdict.NONE),
        ("Name=Bill+Stop", Verdict.NONE),
        ("Answer=START", Verdict.NONE),
        ("Answer=Can+I+cancel%3F", Verdict.MAYBE_STOP),
        ("Story=I+want+to+stop+my+gift%2C+I+lost+my+job&Name=Ann", Verdict.MAYBE_STOP),
        ("Story=please+do+not+text+me+again&Email=STOP", Verdict.OPT_OUT),
    ],
)
def test_a_field_of_a_form_that_is_wholly_a_stop_is_an_opt_out(fields, verdict):
    event = read("crm", f"{FORM}&{fields}")
    assert event.verdict is verdict
    if verdict is Verdict.OPT_OUT:
        assert event.opt_out_scope is Scope.SHORT_NUMBER
        assert "Email" in event.properties


def test_a_parameter_may_be_written_with_an_underscore():
    assert read("crm", FORM.replace("shortcode", "short_code")).short_number == "84700"


def test_a_stop_in_a_form_field_does_not_replace_the_text():
    event = read("crm", f"{FORM}&msg=START&Email=STOP")
    assert (event.verdict, event.text) == (Verdict.OPT_OUT, "START")
    assert read("crm", f"{FORM}&Email=STOP").text == "STOP"


def test_start_words_are_keywords():
    by = reader(keywords={"stop hunger": "STOP HUNGER"}, start_words={"stop hunger"})
    assert read("text4info", "mobile=2125551212&lead=X&msg=stop+hunger", by=by).verdict is Verdict.OPT_IN
    event = read("text4info", "mobile=2125551212&lead=X&msg=stop+hunger+stop", by=by)
    assert (event.verdict, event.keyword) == (Verdict.OPT_OUT, "STOP HUNGER")


ANYTHING = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.tuples(
            st.sampled_from(
                ["mobile", "key", "msg", "lead", "smsid", "sumoid", "country", "Name", "carrierId", "%", ""]
            ),
            st.one_of(st.text(max_size=20), st.sampled_from(["2125551212", "STOP", "%ff%fe", "%00", "&&", "="])),
        ),
        max_size=8,
    ).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)),
)


@given(
    endpoint=st.sampled_from(list(CALLBACKS)),
    query=st.one_of(ANYTHING, st.binary(max_size=100).map(lambda raw: raw.decode("utf-8", "surrogateescape"))),
    body=st.one_of(
        st.binary(max_size=200),
        ANYTHING.map(lambda text: text.encode()),
        st.dictionaries(st.text(max_size=9), st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text()))).map(
            lambda members: json.dumps({"mobile": "2125551212", **members}).encode()
        ),
    ),
)
def test_any_request_becomes_an_event_that_can_be_stored_or_is_unreadable(endpoint, query, body):
    try:
        event = read(endpoint, query, body=body)
    except Unreadable:
        return
    assert KEY_FORM.fullmatch(event.key)
    assert event_from_json(event_to_json(event)) == event


@pytest.mark.parametrize(("endpoint", "query"), [("text4info", "lead=KATT&text=STOP"), ("mo", "smsid=1&text=STOP")])
def test_a_stop_in_another_parameter_counts_if_there_is_no_text(endpoint, query):
    assert read(endpoint, f"mobile=2125551212&{query}").verdict is Verdict.OPT_OUT
    assert read(endpoint, f"mobile=2125551212&{query}&msg=Hi").verdict is Verdict.NONE


@pytest.mark.parametrize("query", ["lead=HEART+STOP&mobile=2125551212&msg=", "lead=stop+heart&mobile=2125551212"])
def test_a_keyword_parameter_with_all_of_a_stop_is_an_opt_out(query):
    event = read("text4info", query, by=reader(keywords={"heart": "HEART"}))
    assert (event.verdict, event.keyword) == (Verdict.OPT_OUT, "HEART")


@pytest.mark.parametrize(
    ("endpoint", "query", "meant"),
    [
        ("dlr", "smsid=1&mobile=2125551212&msg=STOP", "mo"),
        ("dlr", "mobile=2125551212&key=FB1&reply=STOP", "poll"),
        ("dlr", "lead=HEART&mobile=2125551212&msg=STOP", "text4info"),
        ("mo", "sumoid=5&mobile=2125551212&mtcode=5&mtdescription=x", "dlr"),
    ],
)
def test_a_callback_at_the_wrong_endpoint_is_what_its_parameters_say(endpoint, query, meant):
    found, right = read(endpoint, query), read(meant, query)
    assert (found.shape, found.action, found.verdict) == (right.shape, right.action, right.verdict)
    assert found.status == right.status
