"""MessageCloud's one-click API: create a window, view a status, charge again. Other modules decide when to call it.

Source: "Strex Norway with One-click Subscriptions", section "Integration Details". All calls are GETs with the key in
the query, so their paths must never be emitted or logged.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from msgspec.structs import replace

from connector.delivery.call_failures import SOMETHING_ELSE, outcome_of, retry_after
from connector.model.amount import read_amount
from connector.model.errors import Unreadable
from connector.model.http import Http, HttpCall, HttpError, HttpReply
from connector.model.operation import Repeat
from connector.model.outcome import Reason, Rejected, Retry
from connector.model.phone import NumberFormat, Phone, parse_phone
from connector.model.timestamp import read_time
from connector.providers.messagecloud.settings import REGION
from connector.providers.messagecloud.statuses import Status, failure_of, status_of
from connector.providers.strict_json import BYTE_ORDER_MARK, parse_object

NEW, VIEW, SEND = "/no/one-click/new", "/no/status/view", "/no/dob/send"
CURRENCY = "NOK"  # "Send DOB API": the tariff is in NOK; the API is for Norway only
# Send DOB takes no id of ours, so a second call is a second charge. In doubt a person decides.
CHARGE_REPEAT = Repeat.NEVER
WINDOW_TIMEOUT = timedelta(seconds=10)  # a donor waits for it
TIMEOUT = timedelta(seconds=20)
ANSWER_LIMIT = 2**20  # bytes; an envelope is smaller than a thousand
DETAIL_LENGTH = 200  # characters of the provider's words that are kept
DIGITS = re.compile(r"\+?\d{5,}")  # a number in the provider's words may be a person's

REDIRECTS = frozenset({301, 302, 303, 307, 308})
CallFailure = Retry | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The parameters that every call contains."""

    campaign_name: str
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The web page on which a donor completes a subscription."""

    transaction_id: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction, as returned by View Status and Send DOB."""

    transaction_id: str | None
    status: str
    meaning: Status
    status_detail: str | None = None
    price: Decimal | None = None  # in CURRENCY
    short_number: str | None = None
    msisdn: Phone | None = None
    created: datetime | None = None
    last_modified: datetime | None = None


async def new_window(http: Http, account: Account, service_id: str, own_id: str) -> Window | CallFailure:
    """Create a window; `own_id` comes back on the redirect. An unused window does no harm, so the call may be repeated."""
    query = {"service_id": service_id, "id": own_id}
    data = await _data(http, _call(account, NEW, query, WINDOW_TIMEOUT, repeatable=True))
    if not isinstance(data, Mapping):
        return data
    transaction_id = _text(data.get("transactionid"))
    url = _text(data.get("windowurl"))
    if transaction_id is None or url is None or not _is_web_address(url):
        return replace(_unexpected("the answer names no window"), in_doubt=False)
    return Window(transaction_id=transaction_id, url=url)


async def view_status(http: Http, account: Account, service_id: str, transaction_id: str) -> Transaction | CallFailure:
    """Ask for the status of a transaction."""
    query = {"service_id": service_id, "transaction_id": transaction_id}
    return _transaction(await _data(http, _call(account, VIEW, query, TIMEOUT, repeatable=True)), transaction_id)


async def send_dob(
    http: Http, account: Account, service_id: str, *, tariff: int, short_number: str, to: Phone
) -> Transaction | CallFailure:
    """Charge a donor `tariff` (whole NOK) again. The call is never repeated automatically: see CHARGE_REPEAT.

    If the result is acknowledged or unknown, do not charge again; ask for it with view_status().
    """
    query = {"service_id": service_id, "tariff": str(tariff), "shortcode": short_number, "to": to.e164.lstrip("+")}
    described = _transaction(await _data(http, _call(account, SEND, query, TIMEOUT, repeatable=False)), None)
    if isinstance(described, Transaction) and described.msisdn is not None and described.msisdn.e164 != to.e164:
        return _unexpected("the answer is about another number")
    return described


def _call(account: Account, path: str, query: Mapping[str, str], timeout: timedelta, *, repeatable: bool) -> HttpCall:
    login = {"campaign_name": account.campaign_name, "api_key": account.api_key}
    return HttpCall(
        method="GET",
        path=f"{path}?{urlencode({**login, **query})}",
        timeout=timeout,
        repeatable=repeatable,
        answer_limit=ANSWER_LIMIT,
    )


def _transaction(data: Mapping[str, Any] | CallFailure, asked_for: str | None) -> Transaction | CallFailure:
    if not isinstance(data, Mapping):
        return data
    status = _text(data.get("statuscode"))
    transaction_id = _text(data.get("transactionid"))
    if status is None:
        return _unexpected("the answer has no statusCode")
    if asked_for and transaction_id and transaction_id.casefold() != asked_for.casefold():
        return replace(_unexpected("the answer is about another transaction"), in_doubt=False)
    return Transaction(
        transaction_id=transaction_id or asked_for,
        status=status,
        meaning=status_of(status),
        status_detail=_text(data.get("detailedstatuscode")),
        price=read_amount(data.get("price")),
        short_number=_text(data.get("shortnumber")),
        msisdn=parse_phone(data.get("recipient"), number_format=NumberFormat.INTERNATIONAL, region=REGION),
        # All times in the document have an offset; a time without one is read as UTC.
        created=read_time(data.get("created")),
        last_modified=read_time(data.get("lastmodified")),
    )


async def _data(http: Http, call: HttpCall) -> Mapping[str, Any] | CallFailure:
    """The content of the answer's envelope by plain names (see _by_plain_names), or why there is none."""
    try:
        return _content(await http.call(call))
    except HttpError as error:
        return outcome_of(error)


def _content(reply: HttpReply) -> Mapping[str, Any] | CallFailure:
    """The content of the envelope. The document gives no HTTP status for errors, so the envelope goes before the status."""
    try:
        envelope = _by_plain_names(parse_object(reply.body))
    except Unreadable:
        return _failure_by_status(reply)
    code, data = _code(envelope.get("code")), envelope.get("data")
    members = _by_plain_names(data) if isinstance(data, Mapping) else None
    succeeded = _is_true(envelope.get("status"))
    if succeeded and code == 0 and reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return _unexpected("the answer holds no data") if members is None else members
    if (succeeded and code) or (members is not None and members.keys() & {"statuscode", "transactionid"}):
        # Then the request may have been carried out.
        return _unexpected("the answer is an error and a success at the same time")
    return failure_of(code, _own_words(envelope.get("message"))) if code else _failure_by_status(reply)


def _failure_by_status(reply: HttpReply) -> CallFailure:
    match reply.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return Retry(reason=Reason.CREDENTIALS, detail=f"HTTP {reply.status}: see the provider's api settings")
        case HTTPStatus.NOT_FOUND:
            return Retry(reason=Reason.WRONG_ADDRESS, detail="404: see api.url in the provider's settings")
        case status if status in REDIRECTS:
            detail = f"the address redirects us (HTTP {status})"
            return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=detail, cure=SOMETHING_ELSE, network=detail)
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Retry(reason=Reason.RATE_LIMITED, not_before=retry_after(reply.headers))
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return Retry(reason=Reason.UNAVAILABLE, not_before=retry_after(reply.headers))
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Retry(reason=Reason.SERVER_ERROR, detail=f"HTTP {status}", in_doubt=True)
        case status:
            page = reply.body.removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"<")
            what = (
                f"the address answers with a web page (HTTP {status})" if page else f"HTTP {status}, and no error code"
            )
            return _unexpected(what)


def _unexpected(detail: str) -> Retry:
    """An answer that is not MessageCloud's. The request may have been carried out."""
    return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=detail, in_doubt=True, cure=SOMETHING_ELSE, network=detail)


def _by_plain_names(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members that have a value, by their names in small letters without `_`.

    The document's table says `window_url`, and its example `windowUrl`.
    """
    return {name.replace("_", "").lower(): value for name, value in members.items() if value not in (None, "")}


def _is_true(value: object) -> bool:
    """The documented type is boolean; text and 1 are accepted too."""
    return value == 1 or (isinstance(value, str) and value.strip().lower() in {"true", "1"})


def _code(value: object) -> int | None:
    """The documented type is integer; text is accepted too."""
    if type(value) is int:
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None


def _text(value: object) -> str | None:
    """Text or a number: shortNumber and recipient are documented as integers and shown as strings."""
    if type(value) is int:
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


def _is_web_address(text: str) -> bool:
    """Whether this is an address to which a donor's browser can be redirected. A line break in it would end the header."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and text.isprintable() and " " not in text


def _own_words(value: object) -> str:
    """The provider's own words, without the numbers in them."""
    return DIGITS.sub("…", " ".join(value.split()))[:DETAIL_LENGTH] if isinstance(value, str) else ""
