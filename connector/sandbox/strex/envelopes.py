"""The JSON of a forwarded message and of a forwarded delivery report. Formats only, no state.

Sources: Target365 REST user guide ("SMS forward", "DLR forward"), sdk-for-net Model/InMessage.cs and
Model/DeliveryReport.cs, and the Properties of the Strex CRM document. Nulls are written, as in the guide's sample.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connector.sandbox.strex.keywords import ACCOUNT_ID, Keyword
from connector.sandbox.strex.schedule import Kind
from connector.sandbox.strex.settings import Lookup, Settings

# A lone surrogate cannot be encoded as UTF-8; as an escape it is valid JSON, and reaches the receiver.
LONE_SURROGATES = "backslashreplace"

# The subscriber's registered data (Target365 Model/Lookup.cs), for an invented person.
PERSON: Mapping[str, Any] = {
    "created": "2026-01-02T03:04:05+00:00",
    "landline": None,
    "firstName": "Kari",
    "middleName": None,
    "lastName": "Nordmann",
    "companyName": None,
    "companyOrgNo": None,
    "streetName": "Storgata",
    "streetNumber": "1",
    "streetLetter": "B",
    "zipCode": "0155",
    "city": "OSLO",
    "gender": "F",
    "dateOfBirth": "1980-01-01",
    "age": 46,
    "deceasedDate": None,
}

# Properties of an SMS sent from Salesforce; `AccontId` is the document's spelling.
SALESFORCE_PROPERTIES: Mapping[str, Any] = {
    "AccontId": ACCOUNT_ID,
    "SfContactId": "003000000000001AAA",
    "SfEvent": "SMS result",
    "SfJourneyId": "a1b2c3",
    "SfNameOnMessage": "Thank you",
    "SfWebhook": "SMS webhook",
    "SystemAction": "SfMcSMS",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message or report to forward; `raw`, if given, is sent instead of the body, unchanged."""

    kind: Kind
    phone: str | None
    body: Any
    raw: bytes | None = None

    def content(self, attempt: int) -> bytes:
        """The bytes of the first, second, … attempt; a message counts them in `processAttempts`."""
        if self.raw is not None:
            return self.raw
        body: Any = {**self.body, "processAttempts": attempt} if self.kind is Kind.MESSAGE else self.body
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors=LONE_SURROGATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A `statusCode` and its details; `delivered` null means not known yet."""

    code: str
    detail: str
    delivered: bool | None


STATUSES = {
    status.code: status
    for status in (
        Status(code="Queued", detail="None", delivered=None),
        Status(code="Sent", detail="Sent", delivered=None),
        Status(code="Ok", detail="Delivered", delivered=True),
        Status(code="Failed", detail="Undelivered", delivered=False),
        Status(code="Reversed", detail="None", delivered=True),
        Status(code="Rebilled", detail="Delivered", delivered=True),
    )
}


def status_of(code: str, detail: str | None = None) -> Status:
    """The status for this code, with another detail if given; unknown codes are allowed."""
    known = STATUSES.get(code, Status(code=code, detail="None", delivered=None))
    return Status(code=code, detail=detail or known.detail, delivered=known.delivered)


def message(
    settings: Settings, *, phone: str, short_number: str, text: str, keyword: Keyword | None, stop: bool, now: float
) -> Draft:
    """A message from a phone (MasterMOForward); the subscriber is its sender."""
    properties: dict[str, Any] = {}
    if keyword is not None:
        properties = {
            "ServiceType": keyword.service_type,
            "ServiceId": keyword.service_id,
            "Keyword": _keyword_sent(keyword, settings),
            "AccountId": keyword.account_id,
            **keyword.properties,
        }
    body: dict[str, Any] = {
        "transactionId": str(uuid.uuid4()),
        "messageId": None,
        "keywordId": keyword.id if keyword else None,
        "sender": phone,
        "recipient": short_number,
        "content": text,
        "isStopMessage": stop,
        "processAttempts": 1,
        "processed": None,
        "created": _ticks(now),
        "tags": [],
        "properties": properties | _looked_up(phone, settings),
    }
    return Draft(kind=Kind.MESSAGE, phone=phone, body=body)


def report(
    settings: Settings,
    *,
    phone: str,
    short_number: str,
    keyword: Keyword | None,
    properties: Mapping[str, Any],
    status: Status,
    price: float | None,
    now: float,
    charged: bool = False,
    transaction_id: str | None = None,
) -> Draft:
    """A delivery report (MasterDLRForward); the subscriber is its recipient. For a charge it says whether it was billed."""
    body = {
        "transactionId": transaction_id or str(uuid.uuid4()),
        "correlationId": None,
        "sessionId": None,
        "keywordId": keyword.id if keyword else None,
        "price": _without_decimals(price),
        "sender": short_number,
        "recipient": phone,
        "operatorId": "no.telenor",
        "statusCode": status.code,
        "detailedStatusCode": status.detail,
        "statusDescription": None,
        "delivered": status.delivered,
        "billed": status.delivered if charged else None,
        "smscTransactionId": uuid.uuid4().hex[:11],
        "smscStatus": None,
        "smscMessageParts": 1,
        "received": _received(now),
        "properties": {**properties, **_looked_up(phone, settings)},
    }
    return Draft(kind=Kind.REPORT, phone=phone, body=body)


def reversed_charge(made: Draft, status: Status, *, now: float) -> Draft:
    """The report of a charge's reversal.

    Target365 REST user guide: reversing a transaction creates a new one, whose id is "-" and the id of the first.
    """
    body = {
        **made.body,
        "transactionId": f"-{made.body['transactionId']}",
        "statusCode": status.code,
        "detailedStatusCode": status.detail,
        "delivered": status.delivered,
        "billed": status.delivered,
        "received": _received(now),
    }
    return Draft(kind=Kind.REPORT, phone=made.phone, body=body)


def service_properties(
    settings: Settings, keyword: Keyword, action: str, subscriber_transaction_id: str | None
) -> dict[str, Any]:
    """The Properties of a subscription service's report, in the order of the document's sample."""
    hidden = settings.null_keyword and action == "Unsubscribe"
    return {
        "ServiceType": keyword.service_type,
        "ServiceId": keyword.service_id,
        "Keyword": None if hidden else _keyword_sent(keyword, settings),
        "SystemAction": action,
        "SubscriberTransactionId": subscriber_transaction_id,
        "ServiceSubType": keyword.service_sub_type,
        "AccountId": keyword.account_id,
        **keyword.properties,
    }


def _keyword_sent(keyword: Keyword, settings: Settings) -> str:
    return keyword.aliases[0] if settings.alias_keyword and keyword.aliases else keyword.name


def registered(phone: str, settings: Settings) -> dict[str, Any] | None:
    """The look-up's result for a phone; None for an unknown one."""
    own = settings.people.get(phone, {})
    return None if own is None else {"msisdn": phone, **PERSON, **own}


def _looked_up(phone: str, settings: Settings) -> dict[str, Any]:
    person = registered(phone, settings)
    if person is None:
        return {}
    match settings.lookup:
        case Lookup.OFF:
            return {}
        case Lookup.NESTED:
            return {"Lookup": person}
        case Lookup.TEXT:
            return {"Lookup": json.dumps(person, ensure_ascii=False)}
        case Lookup.FLAT:
            return person


def _without_decimals(price: float | None) -> float | None:
    return int(price) if price is not None and price == int(price) else price


def _received(now: float) -> str:
    return _ticks(now // 60 * 60)  # The user guide's reports have a resolution of one minute.


def _ticks(seconds: float) -> str:
    # .NET writes seven decimal places; a clock gives six.
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0+00:00"
