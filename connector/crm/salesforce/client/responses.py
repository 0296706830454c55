"""Converts Salesforce's responses to outcomes. error_codes has the meaning of each code; nothing is sent here.

Source: REST API Developer Guide, "sObject Collections", "Composite", "Status Codes and Error Responses", "Limit Info
Header".
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from msgspec.structs import replace

from connector.crm.salesforce.client.error_codes import (
    BAD_REQUEST,
    DETAIL_LENGTH,
    FORBIDDEN,
    MOVED,
    NOT_ALLOWED,
    REDIRECTS,
    REFUSED,
    STATUSES,
    TOO_LONG,
    classify,
    known,
)
from connector.crm.salesforce.client.oauth import trusted_host
from connector.delivery.call_failures import SOMETHING_ELSE, retry_after
from connector.delivery.throttle import Usage
from connector.model.http import HttpReply
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry

OK = range(200, 300)
HIDDEN = (
    "give the integration user the right to read the fields that `feed:` names (or create them), or take them out of `feed:` and "
    "run `connector reload`"
)
SHORT_ALREADY = (
    "even a short request is refused as too long: look at the proxy or firewall between this server and Salesforce"
)
TOO_WIDE = (
    "the query of the feed is longer than Salesforce accepts: name fewer fields in `feed:` and run `connector reload`"
)
NOT_FOUND_OR_NOT_ALLOWED = frozenset({404, 405})
USAGE = re.compile(r"(?:^|[;,\s])api-usage=(\d+)/(\d+)")
# Codes of requests with status 400 that one record can cause.
SPOILING = frozenset(
    {Reason.UNKNOWN, Reason.UNKNOWN_CODE, Reason.PARENT_MISSING, Reason.TRIGGER_LIMIT, Reason.SINK_REFUSES}
)
JSON = "application/json"
CHARSET = re.compile(r'(?:charset="?utf-8"?)?')
UNREADABLE = object()  # stands for a body that is not JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The response to one request or subrequest, parsed as JSON but not interpreted."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case; none inside a composite
    escaped: bool = False  # messages inside a composite are HTML-escaped


@dataclass(slots=True, kw_only=True, eq=False)
class RequestFailed(Exception):  # noqa: N818 - reads as the state it tells of.
    """A request that failed as a whole, and the outcome of each of its records."""

    outcome: Retry | Rejected
    status: int | None = None  # None: there was no response
    code: str = ""
    message: str = ""

    @property
    def spoiled(self) -> bool:
        """Whether one record may have made the others fail, or a smaller request would have been accepted."""
        if self.too_long:
            return True
        if self.status != BAD_REQUEST or self.code == "INVALID_TYPE":
            return False
        return isinstance(self.outcome, Rejected) or self.outcome.reason in SPOILING

    @property
    def too_long(self) -> bool:
        """Whether only a shorter request helps."""
        return self.status in TOO_LONG

    @property
    def crashed(self) -> bool:
        """Whether Salesforce itself failed, which one record can cause."""
        return self.status == 500 and self.code == "UNKNOWN_EXCEPTION"  # noqa: PLR2004 - the HTTP status.

    @property
    def no_such_path(self) -> bool:
        """Whether the org does not support this path (or has no such object or external ID)."""
        return self.status in NOT_FOUND_OR_NOT_ALLOWED and self.code in {"NOT_FOUND", "METHOD_NOT_ALLOWED"}


def usage(headers: Mapping[str, str]) -> Usage | None:
    """The org's API usage, from `Sforce-Limit-Info: api-usage=18/5000`; None if the header is missing."""
    raw = USAGE.search(headers.get("sforce-limit-info", ""))
    return Usage(used=int(raw[1]), maximum=int(raw[2])) if raw else None


def answer(reply: HttpReply) -> Answer:
    """The response to a call."""
    return Answer(status=reply.status, body=_json(reply), headers=reply.headers)


def raise_if_failed(part: Answer | RequestFailed) -> Answer:
    """The response if there is one and it is a success. Raises RequestFailed."""
    if isinstance(part, RequestFailed):
        raise part
    if part.status not in OK:
        raise failed(part)
    return part


def subanswers(whole: Answer | RequestFailed, count: int) -> Sequence[Answer | RequestFailed]:
    """The responses inside a composite, in the order of the requests. Raises RequestFailed if the whole composite failed.

    They are matched by their ids. Only a missing one is RequestFailed, and its outcome is unknown.
    """
    whole = raise_if_failed(whole)
    parts = whole.body.get("compositeResponse") if isinstance(whole.body, dict) else None
    if not isinstance(parts, list):
        raise _unexpected(whole.status, "a composite without compositeResponse")
    found = {str(part.get("referenceId")): part for part in parts if isinstance(part, dict)}
    if len(parts) > count or len(found) < sum(isinstance(part, dict) for part in parts):
        raise _unexpected(whole.status, f"a composite with {len(parts)} answers to {count} requests")
    return [_subanswer(found.get(f"r{number}")) for number in range(count)]


def _subanswer(part: Mapping[str, Any] | None) -> Answer | RequestFailed:
    if part is None or not isinstance(part.get("httpStatusCode"), int):
        return _unexpected(200, "a composite without the answer to one of its requests")
    return Answer(status=part["httpStatusCode"], body=part.get("body"), escaped=True)


def records(
    part: Answer | RequestFailed, count: int, *, key_field: str = "", beginnings: Sequence[str] = ()
) -> Sequence[Outcome]:
    """One outcome per record of a collections request. Raises RequestFailed if it failed as a whole.

    The status is 200 even if every record failed. If the number of results is wrong, they cannot be assigned to the
    records. The Id of each record must start with its entry in `beginnings`: its object's key prefix, or the whole Id
    of an update.
    """
    part = raise_if_failed(part)
    results = part.body
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise _unexpected(part.status, "no list of results")
    if len(results) != count:
        raise _unexpected(part.status, f"{len(results)} results for {count} records")
    outcomes = [_record_outcome(result, key_field, escaped=part.escaped) for result in results]
    raw = [one.record_id for one in outcomes if isinstance(one, Delivered)]
    if len(set(raw)) < len(raw):
        raise _unexpected(part.status, "one record as the result of two")
    other = unexpected_answer("the result of another record")
    for place, (one, begins) in enumerate(zip(outcomes, beginnings, strict=False)):
        if isinstance(one, Delivered) and not (one.record_id or "").startswith(begins):
            outcomes[place] = other
    return outcomes


def rows(part: Answer | RequestFailed, *, before: int | None = 0) -> Mapping[str, Any]:
    """The body of a query's response, with its `records` as a list of objects. Raises RequestFailed.

    `before` is the number of rows on earlier pages of the same query; None if it is not known.
    """
    part = raise_if_failed(part)
    body = part.body
    found = body.get("records") if isinstance(body, dict) else None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise _unexpected(part.status, "a query's answer without records")
    total = body.get("totalSize", len(found))
    done = body.get("done")
    if not isinstance(done, bool) or type(total) is not int or total < len(found):
        raise _unexpected(part.status, "a query's answer that does not tell whether it is whole")
    if done and before is not None and "totalSize" in body and before + len(found) != total:
        raise _unexpected(part.status, f"{before + len(found)} rows of {total}")
    return body  # type: ignore[no-any-return]  # it is the JSON object whose records were checked above.


def value_of(row: Mapping[str, Any], field: str) -> Any:
    """A field of a row, in any letter case: Salesforce uses the org's own spelling."""
    if field in row:
        return row[field]
    wanted = field.casefold()
    return next((value for name, value in row.items() if name.casefold() == wanted), None)


def failed(part: Answer) -> RequestFailed:
    """Classify a request that failed as a whole: by its code if that is known, else by its status."""
    errors = part.body if isinstance(part.body, list) else [part.body]
    error = errors[0] if errors and isinstance(errors[0], dict) else {}
    code, message = _code_and_message(error, escaped=part.escaped)
    by_status = STATUSES.get(part.status)
    outcome: Retry | Rejected
    detail = f"HTTP {part.status} {code}: {message}"[:DETAIL_LENGTH] if code else f"HTTP {part.status}"
    if part.status in REDIRECTS:
        outcome = _redirect_outcome(part)
    elif part.status in TOO_LONG:
        outcome = Rejected(
            reason=Reason.TOO_LONG, detail=f"{detail}: longer than Salesforce accepts in one request", code=code
        )
    elif by_status is not None and not known(code):
        outcome = replace(by_status, detail=detail, code=code)
    elif known(code) or (code and part.status == BAD_REQUEST):
        outcome = classify(code, message, fields=_fields(error))
    elif code or part.status == FORBIDDEN:
        outcome = Retry(reason=Reason.SINK_REFUSES, detail=detail, code=code, cure=REFUSED)
    else:
        outcome = unexpected_answer(detail)
    if part.status in NOT_ALLOWED and isinstance(outcome, Rejected) and outcome.reason is Reason.NO_ACCESS:
        # Missing rights on one record are reported for that record, in a response with status 200.
        outcome = Retry(reason=Reason.SINK_REFUSES, detail=detail, code=code, cure=REFUSED)
    if isinstance(outcome, Retry) and outcome.reason is Reason.SERVER_ERROR:
        outcome = replace(outcome, in_doubt=True)
    pause = retry_after(part.headers)
    if isinstance(outcome, Retry) and pause is not None:
        outcome = replace(outcome, not_before=pause)
    return RequestFailed(outcome=outcome, status=part.status, code=code, message=message)


def read_failure(failure: RequestFailed) -> Retry:
    """The outcome of a failed query: it is retried, and since it changes nothing its effect is not in doubt.

    Permanent rejections, such as a missing column, can be fixed in the org, and are retried too.
    """
    outcome = failure.outcome
    if failure.too_long:
        return too_long_at_all(failure)
    if isinstance(outcome, Retry):
        return replace(outcome, in_doubt=False)
    return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=outcome.detail, code=outcome.code)


def too_long_at_all(failure: RequestFailed) -> Retry:
    """The outcome of a short request that is rejected as too long: no record causes that."""
    return Retry(reason=Reason.SINK_REFUSES, detail=failure.outcome.detail, code=failure.code, cure=SHORT_ALREADY)


def feed_failure(failure: RequestFailed) -> Retry:
    """The same for a feed. Permanent rejections are fixed in the org or in the mapping, and a person is alerted."""
    if isinstance(failure.outcome, Retry):
        return read_failure(failure)
    cure = TOO_WIDE if failure.too_long else HIDDEN
    return Retry(reason=Reason.CONFIGURATION, detail=failure.outcome.detail, code=failure.outcome.code, cure=cure)


def _redirect_outcome(part: Answer) -> Retry:
    """The outcome of a redirect: its target is reported if it is Salesforce's. Redirects are not followed."""
    place = trusted_host(part.headers.get("location", ""))
    cure = f"write https://{place} as `url` in the config" if place else MOVED
    return Retry(reason=Reason.WRONG_ADDRESS, detail=f"HTTP {part.status}{f' to {place}' if place else ''}", cure=cure)


def _record_outcome(result: Mapping[str, Any], key_field: str, *, escaped: bool) -> Outcome:
    raw = result.get("errors")
    if result.get("success") is True:
        record_id = result.get("id")
        if not isinstance(record_id, str) or not (record_id.isascii() and record_id.isalnum()) or raw:
            return unexpected_answer("a success without a record's Id, or with errors")
        return Delivered(record_id=record_id, created=result.get("created") is True)
    if result.get("success") is not False:
        return unexpected_answer("a result that is neither success nor failure")
    errors = [error for error in raw if isinstance(error, dict)] if isinstance(raw, list) else []
    if not errors:
        return Retry(reason=Reason.UNKNOWN, detail="Salesforce refused the record without saying why")
    judged = [
        classify(*_code_and_message(error, escaped=escaped), key_field=key_field, fields=_fields(error))
        for error in errors
    ]
    # A permanent error takes precedence over errors that a retry may fix.
    return next((one for one in judged if isinstance(one, Rejected)), judged[0])


def _code_and_message(error: Mapping[str, Any], *, escaped: bool) -> tuple[str, str]:
    """Code and message: whole requests use `errorCode`, records use `statusCode`."""
    code = error.get("errorCode") or error.get("statusCode") or ""
    message = str(error.get("message") or "")
    return str(code), html.unescape(message) if escaped else message


def _fields(error: Mapping[str, Any]) -> Sequence[str]:
    """The fields named by an error."""
    named = error.get("fields")
    return [one for one in named if isinstance(one, str)] if isinstance(named, list) else []


def unexpected_answer(what: str) -> Retry:
    """A response that is not from Salesforce: the request may have been processed, or something else has replied."""
    return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=what, in_doubt=True, cure=SOMETHING_ELSE)


def _unexpected(status: int, what: str) -> RequestFailed:
    return RequestFailed(outcome=unexpected_answer(what), status=status)


def _json(reply: HttpReply) -> Any:
    """The JSON of a response. A success with another content type is not JSON, whatever its body looks like."""
    kind, _, more = reply.headers.get("content-type", JSON).lower().partition(";")
    if reply.status in OK and (kind.strip() != JSON or not CHARSET.fullmatch(more.strip())):
        return UNREADABLE
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return UNREADABLE
