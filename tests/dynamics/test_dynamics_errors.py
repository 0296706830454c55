"""The table of error codes, and its page."""

import re
from pathlib import Path

import pytest

from connector.crm.dynamics.client import error_codes, responses
from connector.crm.dynamics.client.error_codes import CATALOGUE
from connector.model.http import HttpReply
from connector.model.outcome import Reason, Retry

PAGE = Path(__file__).parent.parent.parent / "docs" / "dynamics-errors.md"


def failure(status, code, message="x", **headers):
    raw = f'{{"error": {{"code": "{code}", "message": "{message}"}}}}'.encode()
    return responses.failed(status, headers, raw)


def test_the_page_shows_the_table():
    rows = [
        f"| `{row.code}` | {row.saying} | {row.means} | {'again' if row.outcome is Retry else 'dead letter'} | {row.reason} |"
        for row in CATALOGUE
    ]
    assert [line for line in PAGE.read_text().splitlines() if line.startswith("| `0x")] == rows


def test_each_row_of_the_table_is_found_by_its_code_and_message():
    for row in CATALOGUE:
        assert error_codes.find(row.code, row.saying or "x") is not None
        found = error_codes.find(row.code, row.saying)
        assert row.saying == "" or found == row


@pytest.mark.parametrize("status", [400, 404, 412, 500])
def test_a_code_means_the_same_with_any_status(status):
    assert failure(status, "0x80060892").outcome.reason is Reason.RACE


def test_an_unknown_code_waits_for_a_second_record_and_calls_a_person():
    unknown = failure(400, "0x8000beef", "odd").outcome
    assert (type(unknown), unknown.reason, unknown.detail, unknown.code) == (
        Retry,
        Reason.UNKNOWN_CODE,
        "odd",
        "0x8000beef",
    )
    assert "Power Platform admin center" in unknown.cure


@pytest.mark.parametrize(("status", "reason"), [(401, Reason.CREDENTIALS), (403, Reason.SINK_REFUSES)])
def test_a_whole_request_that_is_refused_with_an_unknown_code_pauses_the_sink(status, reason):
    assert failure(status, "0x80095ffe", "blocked by the IP firewall").outcome.reason is reason


def test_an_unexpected_error_is_retried_with_a_server_error_status_and_otherwise_refuses_the_record():
    assert failure(500, "0x80040216").outcome.reason is Reason.SERVER_ERROR
    assert failure(400, "0x80040216").outcome.reason is Reason.UNKNOWN


def test_a_missing_privilege_concerns_the_table_and_a_refused_record_only_itself():
    table = "Principal user (Id=1) mangler prvWriteContact-tilgang"
    assert failure(403, "0x80040220", table).outcome.reason is Reason.CONFIGURATION
    record = failure(403, "0x80040220", "SecLib::AccessCheckEx failed").outcome
    assert record.reason is Reason.SINK_REFUSES  # a whole request is no single record


@pytest.mark.parametrize("code", ["0x80040265", "0x80040224"])
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("Transaction was Deadlocked on lock resources with another process", Reason.ROW_LOCKED),
        ("Plug-in X: SQL timeout expired.", Reason.SERVER_ERROR),
        ("Kontakten har ingen adresse", Reason.VALIDATION),
    ],
)
def test_a_plug_in_that_met_a_lock_is_tried_again_and_one_that_refuses_is_not(code, words, reason):
    assert failure(400, code, words).outcome.reason is reason


CUT = (
    b"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}\r\n"
    b"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 204 No Content\r\nOData-Ver"
)


def test_a_batch_whose_end_is_missing_is_in_doubt():
    reply = HttpReply(status=200, headers={"content-type": "multipart/mixed; boundary=b"}, body=CUT)
    with pytest.raises(responses.RequestFailed) as failed:
        responses.parts(reply, 2)
    assert (failed.value.outcome.reason, failed.value.outcome.in_doubt) == (Reason.UNEXPECTED_ANSWER, True)
    whole = HttpReply(status=200, headers=reply.headers, body=CUT + b"sion: 4.0\r\n\r\n\r\n--b--\r\n")
    assert [one.status for one in responses.parts(whole, 2)] == [200, 204]


def test_a_limit_without_a_known_code_waits_too():
    outcome = failure(429, "", **{"retry-after": "7"}).outcome
    assert (outcome.reason, outcome.not_before.total_seconds()) == (Reason.RATE_LIMITED, 7)


@pytest.mark.parametrize(("header", "seconds"), [("9" * 20, 3600), ("31536000", 3600), ("\u00b2", 30), ("soon", 30)])
def test_no_retry_after_stops_deliveries_for_longer_than_an_hour(header, seconds):
    assert failure(429, "", **{"retry-after": header}).outcome.not_before.total_seconds() == seconds


@pytest.mark.parametrize(
    "text",
    ["+47 900 00 001", "90000001", "0047-900-00-001", "kari.nordmann@example.org", "(900) 00 001"],
)
def test_numbers_and_addresses_are_left_out_of_messages_of_the_org(text):
    shown = responses.message_for_people(
        "0x80040265", f"Donor {text} is blocked by rule 7d0c6a6e-0d5b-4f4f-8a3c-4f1f0a6f0001"
    )
    assert text not in shown
    assert not re.search(r"\d{5}", shown.replace("7d0c6a6e-0d5b-4f4f-8a3c-4f1f0a6f0001", ""))
    assert shown.endswith("rule 7d0c6a6e-0d5b-4f4f-8a3c-4f1f0a6f0001")


def test_the_message_about_a_duplicate_quotes_no_record():
    assert "Kari" not in responses.message_for_people("0x80060892", "A record with Kari already exists")


def test_a_page_of_another_server_is_not_taken_for_an_answer_of_dataverse():
    outcome = responses.failed(200 + 102, {}, b"<html>").outcome
    assert outcome.reason is Reason.WRONG_ADDRESS
    assert responses.failed(400, {}, b"<html>").outcome.reason is Reason.UNEXPECTED_ANSWER
    assert responses.failed(403, {}, b"<html>").outcome.reason is Reason.SINK_REFUSES
