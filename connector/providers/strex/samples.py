"""Opt-outs as Strex sends them: bodies in the document's form. The reader for real callbacks turns them into events.

Sources: "Use services in StrexConnect and get your CRM automatically updated", its block of properties; Target365's
InMessage and DeliveryReport models for the envelope.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from connector.model.consent import Subscription
from connector.providers.samples import WHEN, OptOutSample
from connector.providers.strex.callback import Reader

NUMBER = "+4798079008"  # from the document's example
# The subscription of the document's example, used if the config names none.
EXAMPLE = Subscription(provider="strex", short_number="2002", keyword="MYKEYWORD")
# The result of the SMS that confirms the opt-out: statusCode and detailedStatusCode (Target365 USERGUIDE).
CONFIRMATIONS = (
    ("a Strex report with SystemAction Unsubscribe", "Ok", "Delivered"),
    ("a Strex report with SystemAction Unsubscribe whose confirmation is under way", "Sent", "None"),
    ("a Strex report with SystemAction Unsubscribe whose confirmation failed", "Failed", "Undelivered"),
)


def opt_out_samples(reader: Reader, subscriptions: Sequence[Subscription]) -> Iterator[OptOutSample]:
    """Every kind of opt-out, for each subscription: a mapping may have a rule for each keyword."""
    for one in subscriptions or (EXAMPLE,):
        keyword = one.keyword or ""
        for name, status, detail in CONFIRMATIONS:
            report = _report(one, statusCode=status, detailedStatusCode=detail)
            yield OptOutSample(name=name, event=reader.delivery_report(report, WHEN))
        for name, message in (
            ("a text message STOP", _message(one, "STOP", properties={})),
            (f"a text message {keyword} STOP", _message(one, f"{keyword} STOP")),
            (
                "a text message that Strex takes for a stop (isStopMessage)",
                _message(one, f"{keyword} STOPP", isStopMessage=True),
            ),
            (
                "a text message with SystemAction Unsubscribe",
                _message(one, keyword, properties=_properties(one, SystemAction="Unsubscribe")),
            ),
        ):
            yield OptOutSample(name=name, event=reader.message(message, WHEN))


def _properties(subscription: Subscription, **more: Any) -> dict[str, Any]:
    return {
        "ServiceType": "Subscription",
        "ServiceId": subscription.service_id or "d2455b83-f471-4f8e-9332-2387b23adbhd",
        "Keyword": subscription.keyword,
        "SubscriberTransactionId": "28738980-328d-488f-a8ed-3570200500a1",
        "ServiceSubType": "Donation",
        "AccountId": 4828,
        "myproperty": "custom value",
        **more,
    }


def _report(subscription: Subscription, **more: Any) -> bytes:
    report = {
        "transactionId": "client-5c88e736",
        "keywordId": subscription.keyword_id or "12345678",
        "price": None,
        "sender": subscription.short_number,
        "recipient": NUMBER,
        "operatorId": "no.telenor",
        "properties": _properties(subscription, SystemAction="Unsubscribe"),
        **more,
    }
    return json.dumps(report).encode()


def _message(subscription: Subscription, content: str, **more: Any) -> bytes:
    message = {
        "transactionId": "00568c6b-7baf-4869-b083-d22afc163059",
        "keywordId": subscription.keyword_id or "12345678",
        "sender": NUMBER,
        "recipient": subscription.short_number,
        "content": content,
        "created": WHEN.isoformat(),
        "properties": _properties(subscription),
        **more,
    }
    return json.dumps(message).encode()
