"""Reads a forward of Strex Connect (MasterMOForward, MasterDLRForward) as an event. endpoints.py authenticates the sender."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connector.consent.opt_out_words import NOTHING, STANDARD, OptOutWords, Reading, normalized
from connector.model.errors import Unreadable
from connector.model.event import Event, Result, Verdict, event_key
from connector.providers.strex.envelope import (
    Forward,
    as_flag,
    as_phone,
    as_short_number,
    as_time,
    open_forward,
    read_price,
)
from connector.providers.strex.settings import REGION
from connector.providers.strex.system_actions import REVERSAL, action_name, action_of, meaning, status_name
from connector.providers.strict_json import only_value

ALTER_PRICE = "alterprice"
NEW_PRICE = frozenset({"newprice", "price"})  # properties of AlterPrice that may hold the new amount
CURRENCY = "NOK"  # the DeliveryReport model has no currency: Strex bills in Norway


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads the forwards of one configured provider."""

    provider: str
    keywords: Mapping[str, str] = field(default_factory=dict)  # the configured keywords: keywords_by_form()
    words: OptOutWords = STANDARD
    region: str = REGION  # region of numbers without a country code

    def message(self, body: bytes, received_at: datetime) -> Event:
        """The event of a request to the endpoint for messages; raises Unreadable."""
        forward = open_forward(body)
        return self._delivery_report(forward, received_at) if forward.is_report else self._message(forward, received_at)

    def delivery_report(self, body: bytes, received_at: datetime) -> Event:
        """The event of a request to the endpoint for delivery reports; raises Unreadable."""
        forward = open_forward(body)
        return (
            self._message(forward, received_at) if forward.is_message else self._delivery_report(forward, received_at)
        )

    def _message(self, forward: Forward, received_at: datetime) -> Event:
        """The event of a MasterMOForward.

        It is an opt-out if the whole text is a stop, or if Strex says so (`isStopMessage`).
        """
        transaction = forward.text("transactionId") or forward.made_up_message_id(received_at)
        text = forward.text("content")
        keyword = forward.system("Keyword")
        keyword_id = forward.text("keywordId")
        action = action_name(forward.system("SystemAction"))
        # Strex knows whether a word next to a stop word is a keyword: if it is, Strex matched the message to it.
        reading = self.words.read(text, keywords=self.keywords, keyword=keyword, any_keyword=keyword_id is not None)
        verdict = reading.verdict
        if verdict is not Verdict.OPT_OUT and _strex_says_stop(forward, action):
            verdict, reading = Verdict.OPT_OUT, NOTHING
        elif verdict is Verdict.NONE and action_of(action).verdict is Verdict.MAYBE_STOP:
            verdict = Verdict.MAYBE_STOP
        if verdict is not Verdict.OPT_OUT and (why := forward.misplaced_text) is not None:
            raise Unreadable(why)
        named_keyword = self._named_keyword(reading)
        phone = as_phone(forward.members.get("sender"), self.region)
        if named_keyword is not None and keyword is not None and normalized(named_keyword) != normalized(keyword):
            keyword, keyword_id = None, None
        return Event(
            key=event_key(self.provider, "mo", transaction),
            provider=self.provider,
            shape="message",
            received_at=received_at,
            verdict=verdict,
            action=action,
            msisdn=phone,
            keyword=keyword or named_keyword,
            keyword_id=keyword_id,
            service_id=forward.system("ServiceId"),
            short_number=as_short_number(forward.members.get("recipient")),
            text=text,
            result=Result.OK,
            final=True,
            transaction_id=transaction,
            subscription_id=forward.system("SubscriberTransactionId"),
            occurred_at=as_time(forward.members.get("created")),
            service_command=forward.by_command,
            properties=forward.properties_with("sender", phone),
            lookup=forward.lookup,
            opt_out_scope=reading.scope,
            known_to_provider=None if verdict is Verdict.NONE else _strex_says_stop(forward, action),
        )

    def _delivery_report(self, forward: Forward, received_at: datetime) -> Event:
        """The event of a MasterDLRForward. The subscriber is the recipient, the short number the sender."""
        action = action_name(forward.system("SystemAction"))
        status = status_name(forward.text("statusCode"))
        if action is None or status is None:
            forward.refuse_odd_types()
        detail = forward.text("detailedStatusCode")
        transaction = forward.text("transactionId")
        if transaction is None:
            transaction = forward.made_up_report_id(received_at, opts_out=_opts_out(action))
        verdict, result, final = meaning(action, status, transaction_id=transaction)
        phone = as_phone(forward.members.get("recipient"), self.region)
        price, unread_price = read_price(forward.members.get("price"), reversal=result is Result.REVERSED)
        properties = forward.properties_with("recipient", phone)
        if action is not None and action.lower() == ALTER_PRICE and not NEW_PRICE.isdisjoint(forward.lowered):
            properties, unread = _with_new_price(properties)
            unread_price = unread_price or unread
        return Event(
            key=event_key(self.provider, "dlr", transaction, status or "", detail or ""),
            provider=self.provider,
            shape="delivery_report",
            received_at=received_at,
            verdict=verdict,
            action=action,
            msisdn=phone,
            keyword=forward.system("Keyword"),
            keyword_id=forward.text("keywordId"),
            service_id=forward.system("ServiceId"),
            short_number=as_short_number(forward.members.get("sender")),
            price=price,
            unread_price=unread_price,
            currency=CURRENCY if price is not None else None,
            status=status,
            status_detail=detail,
            result=result,
            final=final,
            # A reversal has the id of the transaction that it reverses: both are one gift in the CRM.
            transaction_id=transaction.removeprefix(REVERSAL) if result is Result.REVERSED else transaction,
            subscription_id=forward.system("SubscriberTransactionId"),
            occurred_at=as_time(forward.members.get("received")),
            service_command=forward.by_command,
            properties=properties,
            lookup=forward.lookup,
        )

    def _named_keyword(self, reading: Reading) -> str | None:
        """The configured keyword that a text names."""
        return None if reading.keyword is None else self.keywords.get(normalized(reading.keyword))


def _with_new_price(properties: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The properties with a new amount that is written as text as a number, and a text that is not one amount to be paid."""
    found: dict[str, Any] = {}
    unread: str | None = None
    for name, value in properties.items():
        if name.lower() in NEW_PRICE:
            price, text = read_price(only_value(value), reversal=False)
            unread = unread or text
            if price is not None:
                found[name] = int(price) if price == int(price) else float(price)
    return properties | found, unread


def _strex_says_stop(forward: Forward, action: str | None) -> bool | None:
    """Whether Strex itself took the message for an opt-out; None if it does not say."""
    flag = forward.stop_flag
    if as_flag(flag) or _opts_out(action):
        return True
    return None if flag is None else False


def _opts_out(action: str | None) -> bool:
    return action_of(action).verdict is Verdict.OPT_OUT
