"""MessageCloud's one-click interface: its calls, and the meaning of every response."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_http import ask

from connector.model.event import Result
from connector.model.http import Failure, HttpError, HttpReply
from connector.model.operation import Repeat
from connector.model.outcome import Reason, Rejected, Retry
from connector.model.phone import Phone
from connector.providers.messagecloud.oneclick import (
    CHARGE_REPEAT,
    Account,
    Transaction,
    Window,
    new_window,
    send_dob,
    view_status,
)
from connector.providers.messagecloud.statuses import ERRORS, STATUSES, UNKNOWN_STATUS, status_of

SAMPLES = Path(__file__).parent.parent / "samples" / "messagecloud"
ACCOUNT = Account(campaign_name="puregaming", api_key="the key")
ID = "b91c5c08-60dd-4607-b900-54310ad1ea22"


def new(http):
    return new_window(http, ACCOUNT, "s-1", "katt-1")


def view(http):
    return view_status(http, ACCOUNT, "s-1", ID)


def send(http):
    return send_dob(http, ACCOUNT, "s-1", tariff=100, short_number="2172", to=Phone("+4798888888"))


CALLS = {"new": new, "view": view, "send": send}


def sample(name):
    return (SAMPLES / f"{name}.json").read_bytes()


def run(question, reply):
    """The one call of a question, and its result."""
    result, http = ask(question, reply)
    (call,) = http.calls
    return call, result


def answered(question, body, status=200):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return run(question, HttpReply(status=status, headers={}, body=body))[1]


def envelope(code=0, data=None, message="Success"):
    return {"requestId": "r", "status": code == 0, "code": code, "message": message, "data": data or {}}


@pytest.mark.parametrize(
    ("name", "call", "own"),
    [("new-window", "new", {"id"}), ("view-status", "view", set()), ("send-dob", "send", set())],
)
def test_each_call_equals_the_documented_one(name, call, own):
    made, _ = run(CALLS[call], HttpReply(status=200, headers={}, body=sample(name)))
    shown = urlsplit((SAMPLES / f"{name}.url").read_text().strip())
    parts = urlsplit(made.path)
    assert (made.method, parts.path, made.body) == ("GET", shown.path, None)
    query = parse_qs(parts.query)
    assert query.keys() == parse_qs(shown.query).keys() | own
    assert (query["campaign_name"], query["api_key"], query["service_id"]) == (["puregaming"], ["the key"], ["s-1"])


def test_the_documented_window_is_read():
    url = f"http://betal.strex.no/service?id={ID}"
    assert answered(new, sample("new-window")) == Window(transaction_id=ID, url=url)


def test_the_field_names_of_the_documented_table_are_read():
    data = {"transaction_id": ID, "window_url": "https://betal.strex.no/x"}
    assert answered(new, envelope(data=data)) == Window(transaction_id=ID, url="https://betal.strex.no/x")


@pytest.mark.parametrize(
    "data",
    [
        {"transactionId": None, "windowUrl": "", "transaction_id": ID, "window_url": "https://betal.strex.no/x"},
        {"TransactionId": ID, "WindowURL": "https://betal.strex.no/x"},
    ],
)
@pytest.mark.parametrize("status", [True, "true", "True", 1, "1"])
def test_names_in_any_spelling_and_a_status_as_text_or_number_are_read(data, status):
    answer = json.dumps({"RequestId": "r", "Status": status, "Code": "0", "Data": data}).encode()
    assert answered(new, answer) == Window(transaction_id=ID, url="https://betal.strex.no/x")


@pytest.mark.parametrize("status", [False, "false", 0, None, "2", 2])
def test_any_other_status_is_no_success(status):
    answer = json.dumps({"status": status, "code": 0, "data": {"transactionId": ID, "windowUrl": "https://x.no"}})
    assert isinstance(answered(new, answer.encode()), Retry)


@pytest.mark.parametrize("name", ["view", "send"])
def test_the_documented_status_is_read(name):
    assert answered(CALLS[name], sample("view-status" if name == "view" else "send-dob")) == Transaction(
        transaction_id=ID,
        status="DELIVERED",
        meaning=STATUSES["DELIVERED"],
        status_detail="Delivered",
        price=Decimal(1),
        short_number="2172",
        msisdn=Phone("+4798888888"),
        created=datetime(2021, 9, 9, 8, 46, 40, tzinfo=UTC),
        last_modified=datetime(2021, 9, 9, 8, 47, 23, tzinfo=UTC),
    )


def test_numbers_may_be_numbers_or_text():
    data = json.loads(sample("view-status"))["data"]
    emitted = answered(view, envelope(data={**data, "price": "49.50", "shortNumber": 2172, "recipient": 4798888888}))
    assert (emitted.price, emitted.short_number, emitted.msisdn) == (Decimal("49.50"), "2172", Phone("+4798888888"))


@pytest.mark.parametrize(
    ("code", "result", "final"),
    [
        ("DELIVERED", Result.OK, True),
        ("REJECTED", Result.FAILED, True),
        ("VALIDITY_EXPIRED", Result.FAILED, True),
        ("INVALID_MSISDN", Result.FAILED, True),
        ("NO_CREDIT", Result.FAILED, True),
        ("FAILED", Result.FAILED, True),
        ("UNKNOWN", Result.PENDING, False),
        ("ACKNOWLEDGED", Result.PENDING, False),
    ],
)
def test_every_status_code_has_its_meaning(code, result, final):
    for written in (code, code.lower()):
        emitted = answered(view, envelope(data={"statusCode": written, "transactionId": ID}))
        assert (emitted.meaning.result, emitted.meaning.final) == (result, final)


def test_an_unknown_status_is_pending():
    assert status_of("REFUNDED") == status_of(None) == UNKNOWN_STATUS
    assert (UNKNOWN_STATUS.result, UNKNOWN_STATUS.final) == (Result.PENDING, False)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (1, Rejected, Reason.BAD_COMMAND),
        (2, Retry, Reason.CREDENTIALS),
        (3, Retry, Reason.UNAVAILABLE),
        (4, Rejected, Reason.CONFIGURATION),
        (77, Retry, Reason.UNKNOWN),
    ],
)
def test_every_error_code_has_its_outcome(call, code, kind, reason):
    emitted = answered(CALLS[call], envelope(code, message="said of 4798888888"))
    assert (type(emitted), emitted.reason) == (kind, reason)
    assert "said of …" in emitted.detail, "the provider's words are kept, and no number in them"
    assert ("see" in emitted.detail) or code in {3, 4, 77}


def test_the_table_of_errors_has_the_documented_codes():
    assert ERRORS.keys() == {1, 2, 3, 4}


def test_a_charge_with_an_error_of_strex_is_in_doubt():
    assert answered(send, envelope(3)).in_doubt
    assert not answered(send, envelope(2)).in_doubt


def test_a_charge_is_never_repeated_automatically():
    charge, window, status = (run(one, HttpError(Failure.LOST))[0] for one in (send, new, view))
    assert (charge.repeatable, window.repeatable, status.repeatable) == (False, True, True)
    assert CHARGE_REPEAT is Repeat.NEVER


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("failure", "reason", "in_doubt"),
    [
        (Failure.REFUSED, Reason.UNAVAILABLE, False),
        (Failure.TIMEOUT, Reason.TIMEOUT, True),
        (Failure.LOST, Reason.CONNECTION_LOST, True),
        (Failure.CREDENTIALS, Reason.CREDENTIALS, False),
    ],
)
def test_a_call_without_a_reply_becomes_an_outcome(call, failure, reason, in_doubt):
    _, emitted = run(CALLS[call], HttpError(failure))
    assert (emitted.reason, emitted.in_doubt) == (reason, in_doubt)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, Reason.UNEXPECTED_ANSWER),
        (302, Reason.UNEXPECTED_ANSWER),
        (401, Reason.CREDENTIALS),
        (403, Reason.CREDENTIALS),
        (404, Reason.WRONG_ADDRESS),
        (429, Reason.RATE_LIMITED),
        (500, Reason.SERVER_ERROR),
        (503, Reason.UNAVAILABLE),
    ],
)
def test_the_http_status_counts_without_an_envelope(status, reason):
    assert answered(view, b"<html>", status).reason is reason


def test_the_envelope_goes_before_the_http_status():
    assert answered(view, envelope(2), 500).reason is Reason.CREDENTIALS


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"transactionId": ID},
        {"windowUrl": "https://betal.strex.no"},
        {"transactionId": ID, "windowUrl": "javascript:alert(1)"},
        {"transactionId": ID, "windowUrl": "https://x/\r\nSet-Cookie: a=b"},
        {"transactionId": ID, "windowUrl": "//betal.strex.no"},
        {"transactionId": ID, "windowUrl": "https://[x"},
    ],
)
def test_an_invalid_window_address_is_an_unexpected_answer(data):
    assert answered(new, envelope(data=data)).reason is Reason.UNEXPECTED_ANSWER


def test_a_reply_about_another_transaction_is_an_unexpected_answer():
    other = {"transactionId": "another", "statusCode": "DELIVERED", "recipient": "4798888888"}
    assert answered(view, envelope(data=other)).reason is Reason.UNEXPECTED_ANSWER


def test_the_api_key_is_not_in_the_repr_of_a_call_or_an_account():
    call, _ = run(view, HttpError(Failure.LOST))
    assert "the+key" in call.path
    assert "key" not in repr(call).replace("api_key", "").replace("repeatable", "")
    assert "the key" not in repr(ACCOUNT)


@given(
    body=st.one_of(
        st.binary(max_size=200),
        st.dictionaries(
            st.sampled_from(["status", "code", "message", "data"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
                lambda inner: st.dictionaries(
                    st.sampled_from(["transactionId", "windowUrl", "statusCode", "price", "recipient", "created"]),
                    inner,
                ),
                max_leaves=6,
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
    status=st.integers(100, 599),
)
def test_any_reply_becomes_a_value(body, status):
    for call in CALLS.values():
        emitted = answered(call, body, status)
        assert isinstance(emitted, Window | Transaction | Retry | Rejected)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>log in</html>",
        b"OK",
        b"[]",
        b"{}",
        b'{"status": true}',
        b'{"status": true, "code": 0}',
        b'{"status": true, "data": {"statusCode": "DELIVERED"}}',
        b'{"status": "yes", "code": 0, "data": {"statusCode": "DELIVERED"}}',
        b'{"status": true, "code": 0, "data": []}',
        b'{"status": true, "code": 0, "data": {"statusCode": ["DELIVERED"]}}',
        b'{"status": true, "code": NaN, "data": {"statusCode": "DELIVERED"}}',
        b'{"status": false, "status": true, "code": 0, "data": {"statusCode": "DELIVERED"}}',
        b'{"status": true, "code": 0, "data": {"statusCode": "DELIV',
        b'{"status": true, "code": 0, "data": {"statusCode": "DELIVERED", "recipient": "4790000009"}}',
        b"[" * 100_000,
    ],
)
def test_a_200_without_an_envelope_leaves_a_charge_in_doubt(body):
    _, charged = run(send, HttpReply(status=200, headers={}, body=body))
    assert (charged.reason, charged.in_doubt) == (Reason.UNEXPECTED_ANSWER, True)
    assert "`url:`" in charged.cure
