"""Responses as outcomes: exactly one per record, for any response."""

from datetime import timedelta

import orjson
import pytest

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.responses import Answer, RequestFailed, Usage
from connector.crm.salesforce.client.rest import no_answer
from connector.model.http import Failure, HttpError, HttpReply
from connector.model.outcome import Delivered, Reason, Rejected, Retry

FAILURE = {"success": False, "errors": [{"statusCode": "STRING_TOO_LONG", "message": "too long", "fields": ["F"]}]}


def reply(status, body, **headers):
    return HttpReply(status=status, headers=headers, body=body if isinstance(body, bytes) else orjson.dumps(body))


def failure_of(read, *arguments):
    with pytest.raises(RequestFailed) as failed:
        read(*arguments)
    return failed.value


def test_each_record_of_a_200_has_its_own_outcome():
    part = Answer(status=200, body=[{"id": "003a", "success": True, "errors": [], "created": True}, FAILURE])
    assert responses.records(part, 2) == [
        Delivered(record_id="003a", created=True),
        Rejected(reason=Reason.TOO_LONG, detail="STRING_TOO_LONG: too long", code="STRING_TOO_LONG", field="F"),
    ]


def test_a_permanent_error_goes_before_a_temporary_one():
    errors = [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": ""}, *FAILURE["errors"]]
    (outcome,) = responses.records(Answer(status=200, body=[{"success": False, "errors": errors}]), 1)
    assert outcome.reason is Reason.TOO_LONG


@pytest.mark.parametrize("body", [[FAILURE], [FAILURE] * 3, {}, None, "text", [1, 2], responses.UNREADABLE])
def test_a_reply_that_does_not_fit_the_records_leaves_them_in_doubt(body):
    failed = failure_of(responses.records, Answer(status=200, body=body), 2)
    assert failed.outcome.reason is Reason.UNEXPECTED_ANSWER
    assert failed.outcome.in_doubt
    assert not failed.spoiled


@pytest.mark.parametrize(
    ("failure", "reason", "in_doubt", "network"),
    [
        (Failure.REFUSED, Reason.UNAVAILABLE, False, "why"),
        (Failure.TIMEOUT, Reason.TIMEOUT, True, "why"),
        (Failure.LOST, Reason.CONNECTION_LOST, True, "why"),
        (Failure.CREDENTIALS, Reason.CREDENTIALS, False, ""),
    ],
)
def test_a_call_without_a_reply_says_whether_it_is_in_doubt(failure, reason, in_doubt, network):
    outcome = no_answer(HttpError(failure, "why")).outcome
    assert outcome == Retry(reason=reason, detail="why", in_doubt=in_doubt, network=network)


@pytest.mark.parametrize(
    ("status", "body", "reason", "in_doubt"),
    [
        (503, b"<html>down</html>", Reason.UNAVAILABLE, False),
        (502, b"<html>bad gateway</html>", Reason.SERVER_ERROR, True),
        (504, b"", Reason.SERVER_ERROR, True),
        (500, [{"errorCode": "UNKNOWN_EXCEPTION", "message": "ErrorId"}], Reason.SERVER_ERROR, True),
        (500, [{"errorCode": "UNABLE_TO_LOCK_ROW", "message": ""}], Reason.ROW_LOCKED, False),
        (500, [{"errorCode": "NEVER_MET", "message": ""}], Reason.SERVER_ERROR, True),
        (429, b"", Reason.RATE_LIMITED, True),
        (401, b"<html>log in</html>", Reason.CREDENTIALS, False),
        (401, {"error": "x"}, Reason.CREDENTIALS, False),
        (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests"}], Reason.QUOTA_EXHAUSTED, False),
        (404, b"<html>", Reason.WRONG_ADDRESS, False),
        (410, [{"errorCode": "UNSUPPORTED_API_VERSION", "message": "gone"}], Reason.WRONG_ADDRESS, False),
        (301, b"<html>moved</html>", Reason.WRONG_ADDRESS, False),
        (302, b"", Reason.WRONG_ADDRESS, False),
        (300, b"[]", Reason.UNEXPECTED_ANSWER, True),
        (401, [{"errorCode": "NEVER_MET", "message": ""}], Reason.CREDENTIALS, False),
        (403, [{"errorCode": "NEVER_MET", "message": ""}], Reason.SINK_REFUSES, False),
        (403, b"<html>no</html>", Reason.SINK_REFUSES, False),
        (403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": ""}], Reason.SINK_REFUSES, False),
        (403, [{"errorCode": "INVALID_OPERATION_WITH_EXPIRED_PASSWORD", "message": ""}], Reason.CREDENTIALS, False),
        (405, [{"errorCode": "NEVER_MET", "message": ""}], Reason.SINK_REFUSES, False),
        (400, [{"errorCode": "NEVER_MET", "message": ""}], Reason.UNKNOWN_CODE, False),
        (400, b'[{"errorCode":', Reason.UNEXPECTED_ANSWER, True),
    ],
)
def test_a_failed_request_is_classified_by_its_code_or_status(status, body, reason, in_doubt):
    failed = failure_of(responses.records, responses.answer(reply(status, body)), 1)
    assert isinstance(failed.outcome, Retry)
    assert (failed.outcome.reason, failed.outcome.in_doubt) == (reason, in_doubt)
    assert "<html" not in failed.outcome.detail


@pytest.mark.parametrize(
    ("code", "message", "spoiled"),
    [
        ("JSON_PARSER_ERROR", "Cannot deserialize", True),
        ("INVALID_FIELD", "No such column 'X' on sobject of type Contact", True),
        ("NEVER_MET", "", True),
        ("INVALID_TYPE", "sObject type 'X' is not supported", False),
        ("UNABLE_TO_LOCK_ROW", "", False),
    ],
)
def test_only_some_codes_mean_that_one_record_spoiled_the_request(code, message, spoiled):
    assert responses.failed(Answer(status=400, body=[{"errorCode": code, "message": message}])).spoiled is spoiled


def test_a_redirect_names_the_new_address_only_within_salesforce():
    def cure(location):
        return responses.failed(responses.answer(reply(301, b"", location=location))).outcome.cure

    assert "https://new.my.salesforce.com" in cure("https://new.my.salesforce.com/services/data/v62.0/query?q=SELECT")
    assert "SELECT" not in cure("https://new.my.salesforce.com/services/data/v62.0/query?q=SELECT")
    assert "example" not in cure("https://salesforce.com.example/services")


def test_a_permanently_refused_feed_names_the_code_and_the_cure():
    refused = responses.failed(
        Answer(status=400, body=[{"errorCode": "INVALID_FIELD", "message": "No such column 'X'"}])
    )
    emitted = responses.feed_failure(refused)
    assert (emitted.reason, emitted.code) == (Reason.CONFIGURATION, "INVALID_FIELD")
    assert "right to read" in emitted.cure
    down = responses.failed(responses.answer(reply(503, b"")))
    assert responses.feed_failure(down).reason is Reason.UNAVAILABLE


def test_a_retry_after_is_obeyed_up_to_an_hour():
    failed = responses.failed(responses.answer(reply(503, b"", **{"retry-after": "120"})))
    assert failed.outcome.not_before == timedelta(minutes=2)
    assert responses.failed(responses.answer(reply(503, b"", **{"retry-after": "soon"}))).outcome.not_before is None
    year = responses.failed(responses.answer(reply(503, b"", **{"retry-after": "31536000"})))
    assert year.outcome.not_before == timedelta(hours=1)


def test_the_replies_of_a_composite_are_found_by_their_ids_and_unescaped():
    error = [{"errorCode": "NOT_FOUND", "message": "Provided &quot;X&quot; &amp; co"}]
    parts = [
        {"referenceId": "r1", "httpStatusCode": 404, "body": error},
        {"referenceId": "r0", "httpStatusCode": 200, "body": [FAILURE]},
    ]
    first, second, third = responses.subanswers(Answer(status=200, body={"compositeResponse": parts}), 3)
    assert first.body == [FAILURE]
    assert responses.failed(second).message == 'Provided "X" & co'
    assert third.outcome.reason is Reason.UNEXPECTED_ANSWER
    assert third.outcome.in_doubt


@pytest.mark.parametrize("body", [{}, [], None, {"compositeResponse": None}, responses.UNREADABLE])
def test_an_invalid_composite_reply_fails_as_a_whole(body):
    failed = failure_of(responses.subanswers, Answer(status=200, body=body), 2)
    assert failed.outcome.reason is Reason.UNEXPECTED_ANSWER


@pytest.mark.parametrize("part", [None, 7, {}, {"referenceId": []}, {"referenceId": "r0", "httpStatusCode": "200"}])
def test_an_invalid_part_of_a_composite_reply_is_a_failed_request(part):
    (answer,) = responses.subanswers(Answer(status=200, body={"compositeResponse": [part]}), 1)
    assert isinstance(answer, RequestFailed)


def test_the_api_usage_is_read_from_each_reply():
    emitted = "api-usage=18/5000; per-app-api-usage=17/250(appName=x)"
    assert responses.usage({"sforce-limit-info": emitted}) == Usage(used=18, maximum=5000)
    assert responses.usage({"sforce-limit-info": "per-app-api-usage=17/250(appName=x)"}) is None
    assert responses.usage({}) is None


def test_a_field_is_found_in_any_letter_case():
    assert responses.value_of({"SMS_Key__c": 1}, "sms_key__C") == 1
    assert responses.value_of({"SMS_Key__c": 1}, "Other__c") is None


ID, OTHER = "003000000000001AAA", "003000000000002AAA"


def success(record_id=ID, **more):
    return {"id": record_id, "success": True, "errors": [], "created": False, **more}


@pytest.mark.parametrize(
    "result",
    [
        {"success": True, "errors": []},
        success(None),
        success(""),
        success(7),
        success("<b>"),
        success(errors=[{"statusCode": "X", "message": "no"}]),
        success(success="true"),
        success(success=1),
        {"id": ID},
        success(OTHER),
        success("001000000000001AAA"),
    ],
)
def test_an_invalid_result_of_a_record_leaves_it_in_doubt(result):
    (outcome,) = responses.records(Answer(status=200, body=[result]), 1, beginnings=[ID[:15]])
    assert (outcome.reason, outcome.in_doubt) == (Reason.UNEXPECTED_ANSWER, True)
    assert "`url:`" in outcome.cure


def test_the_same_id_for_two_records_leaves_them_in_doubt():
    failed = failure_of(responses.records, Answer(status=200, body=[success(), success()]), 2)
    assert (failed.outcome.reason, failed.outcome.in_doubt) == (Reason.UNEXPECTED_ANSWER, True)


def test_an_id_of_15_characters_is_accepted_as_a_result():
    assert responses.records(Answer(status=200, body=[success(ID[:15])]), 1, beginnings=[ID[:15]]) == [
        Delivered(record_id=ID[:15])
    ]


@pytest.mark.parametrize(
    "kind", ["text/html", "text/html; charset=UTF-8", "text/plain", "application/json;charset=iso-8859-1", "text/xml"]
)
def test_a_success_with_another_content_type_is_in_doubt(kind):
    reply = HttpReply(status=200, headers={"content-type": kind}, body=orjson.dumps([success()]))
    failed = failure_of(responses.records, responses.answer(reply), 1)
    assert (failed.outcome.reason, failed.outcome.in_doubt) == (Reason.UNEXPECTED_ANSWER, True)


@pytest.mark.parametrize(
    "kind", ["application/json;charset=UTF-8", "application/json", 'Application/JSON; charset="utf-8"']
)
def test_each_spelling_of_the_json_content_type_is_accepted(kind):
    reply = HttpReply(status=200, headers={"content-type": kind}, body=orjson.dumps([success()]))
    assert responses.records(responses.answer(reply), 1) == [Delivered(record_id=ID)]


@pytest.mark.parametrize(
    "body",
    [
        {"records": []},
        {"done": "true", "records": []},
        {"done": True, "totalSize": "0", "records": []},
        {"done": True, "totalSize": 1, "records": []},
        {"done": True, "totalSize": 0, "records": [{"Id": ID}]},
        {"done": True, "totalSize": 0, "records": {}},
        [{"Id": ID}],
    ],
)
def test_a_query_reply_that_may_be_incomplete_is_unexpected(body):
    failed = failure_of(responses.rows, Answer(status=200, body=body))
    assert failed.outcome.reason is Reason.UNEXPECTED_ANSWER


def test_a_composite_with_a_wrong_number_of_replies_is_unexpected():
    part = {"referenceId": "r0", "httpStatusCode": 200, "body": []}
    for parts, count in (([part, part], 2), ([part, {**part, "referenceId": "r1"}], 1)):
        failed = failure_of(responses.subanswers, Answer(status=200, body={"compositeResponse": parts}), count)
        assert failed.outcome.reason is Reason.UNEXPECTED_ANSWER
