"""A forward of Strex Connect as an event: MasterMOForward and MasterDLRForward. Who may send one is decided in doors.py.

The document shows only the properties; the envelope is that of Target365's InMessage and DeliveryReport models. Their names are
camelCase, those of the properties PascalCase, and other casings have been seen: both are read without regard to case.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connector.consent.stopwords import STOP_WORDS, read_stop
from connector.model.consent import Scope
from connector.model.errors import Unreadable
from connector.model.event import Event, Result, Verdict, event_key
from connector.model.phone import Phone, parse_phone
from connector.providers.strex.actions import ACTIONS, meaning
from connector.providers.strex.lookup import find_lookup
from connector.providers.strict_json import parse_object

CURRENCY = "NOK"  # the DeliveryReport model has no currency: Strex bills in Norway
PRICE_LIMIT = Decimal(10**9)  # beyond it no price is meant
FIRST_YEAR = 2000  # .NET writes a time that was never set as year 1
MARK = "servicecommand"
NOT_MARKED = (None, False, "", "false", "False")

# Names in the InMessage and DeliveryReport models of Target365's SDKs; the keywordId of a report is from the document's edition of
# April 2023.
ENVELOPE = frozenset(
    {
        "transactionId",
        "keywordId",
        "sender",
        "recipient",
        "content",
        "isStopMessage",
        "processAttempts",
        "processed",
        "created",
        "tags",
        "properties",
        "messageId",
        "correlationId",
        "sessionId",
        "price",
        "operatorId",
        "statusCode",
        "detailedStatusCode",
        "statusDescription",
        "delivered",
        "billed",
        "smscTransactionId",
        "smscStatus",
        "smscMessageParts",
        "received",
    }
)
_ENVELOPE = {name.lower(): name for name in ENVELOPE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads the forwards of one configured provider."""

    provider: str
    keywords: Mapping[str, str] = field(default_factory=dict)  # the configured ones, by their casefolded form
    stop_words: Collection[str] = STOP_WORDS

    def message(self, body: bytes, received_at: datetime) -> Event:
        """The event of a MasterMOForward; raises Unreadable.

        The provider's own verdict (`isStopMessage`) goes before ours; ours is asked only whether the whole text is a stop.
        """
        envelope = _envelope(body)
        properties = _properties(envelope)
        system = {name.lower(): value for name, value in properties.items()}
        transaction = _transaction_id(envelope)
        text = _text(envelope.get("content"))
        keyword = _text(_system(properties, system, "Keyword"))
        keyword_id = _text(envelope.get("keywordId"))
        action = _text(_system(properties, system, "SystemAction"))
        stopped, named = self._stop(text, keyword=keyword, keyword_id=keyword_id)
        if _true(envelope.get("isStopMessage")) or _opts_out(action):
            stopped = True
        return Event(
            key=event_key(self.provider, "mo", transaction),
            provider=self.provider,
            shape="message",
            received_at=received_at,
            verdict=Verdict.OPT_OUT if stopped else Verdict.NONE,
            action=action,
            msisdn=_phone(envelope.get("sender")),
            keyword=keyword or named,
            keyword_id=keyword_id,
            service_id=_text(_system(properties, system, "ServiceId")),
            short_number=_text(envelope.get("recipient")),
            text=text,
            result=Result.OK,
            final=True,
            transaction_id=transaction,
            subscription_id=_text(_system(properties, system, "SubscriberTransactionId")),
            occurred_at=_time(envelope.get("created")),
            service_command=_by_command(system),
            properties=properties,
            lookup=find_lookup(envelope, properties, system),
        )

    def delivery_report(self, body: bytes, received_at: datetime) -> Event:
        """The event of a MasterDLRForward; raises Unreadable. The subscriber is the recipient, the short number the sender."""
        envelope = _envelope(body)
        properties = _properties(envelope)
        system = {name.lower(): value for name, value in properties.items()}
        transaction = _transaction_id(envelope)
        action = _text(_system(properties, system, "SystemAction"))
        status = _text(envelope.get("statusCode"))
        detail = _text(envelope.get("detailedStatusCode"))
        verdict, result, final = meaning(action, status, transaction_id=transaction)
        price = _price(envelope.get("price"))
        return Event(
            key=event_key(self.provider, "dlr", transaction, status or "", detail or ""),
            provider=self.provider,
            shape="delivery_report",
            received_at=received_at,
            verdict=verdict,
            action=action,
            msisdn=_phone(envelope.get("recipient")),
            keyword=_text(_system(properties, system, "Keyword")),
            keyword_id=_text(envelope.get("keywordId")),
            service_id=_text(_system(properties, system, "ServiceId")),
            short_number=_text(envelope.get("sender")),
            price=price,
            currency=CURRENCY if price is not None else None,
            status=status,
            status_detail=detail,
            result=result,
            final=final,
            transaction_id=transaction,
            subscription_id=_text(_system(properties, system, "SubscriberTransactionId")),
            occurred_at=_time(envelope.get("received")),
            service_command=_by_command(system),
            properties=properties,
            lookup=find_lookup(envelope, properties, system),
        )

    def _stop(self, text: str | None, *, keyword: str | None, keyword_id: str | None) -> tuple[bool, str | None]:
        """Whether the text is a stop, and the configured keyword that it names.

        `WORD STOP` counts only where the word is known to be a keyword, from the config or because Strex matched the message
        to one: `don't stop` is no opt-out.
        """
        stop = read_stop(text, words=self.stop_words)
        if stop is None:
            return False, None
        if stop.scope is not Scope.SUBSCRIPTION or stop.keyword is None:
            return True, None
        if stop.keyword in self.keywords:
            return True, self.keywords[stop.keyword]
        return keyword_id is not None or (keyword is not None and keyword.casefold() == stop.keyword), None


def _envelope(body: bytes) -> dict[str, Any]:
    value = parse_object(body)
    if ENVELOPE.issuperset(value):
        return value
    envelope = {_ENVELOPE.get(name.lower(), name): member for name, member in value.items()}
    if len(envelope) != len(value):
        raise Unreadable("a name occurs twice")
    return envelope


def _properties(envelope: Mapping[str, Any]) -> dict[str, Any]:
    properties = envelope.get("properties")
    if properties is None:
        return {}
    if type(properties) is not dict:
        raise Unreadable("properties is not an object")
    return properties


def _transaction_id(envelope: Mapping[str, Any]) -> str:
    """Without it nothing can be told from its repeat; the document's bare Properties block has none."""
    transaction = _text(envelope.get("transactionId"))
    if not transaction:
        raise Unreadable("no transactionId")
    return transaction


def _system(properties: Mapping[str, Any], system: Mapping[str, Any], name: str) -> Any:
    """A system property: by its documented name first, for a custom one may differ from it in case alone."""
    value = properties.get(name)
    return system.get(name.lower()) if value is None else value


def _text(value: Any) -> str | None:
    """Ids are opaque, and some are sent as numbers; a blank one is none."""
    if type(value) is str:
        return value if value and not value.isspace() else None
    return str(value) if type(value) is int else None


def _true(value: Any) -> bool:
    return value is True or (type(value) is str and value.casefold() == "true")


def _opts_out(action: str | None) -> bool:
    known = ACTIONS.get(action.casefold()) if action else None
    return known is not None and known.verdict is Verdict.OPT_OUT


def _phone(value: Any) -> Phone | None:
    return parse_phone(value) if type(value) is str else None


def _price(value: Any) -> Decimal | None:
    if type(value) not in {int, float, str}:
        return None
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        return None
    return price if price.is_finite() and abs(price) < PRICE_LIMIT else None


def _time(value: Any) -> datetime | None:
    """ISO 8601 with up to seven fractional digits; without an offset it is UTC, as Target365's models say of their times."""
    if type(value) is not str:
        return None
    try:
        time = datetime.fromisoformat(value)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time.year >= FIRST_YEAR else None


def _by_command(system: Mapping[str, Any]) -> bool:
    """The document says "a property stating ServiceCommand", and not whether that is its name or its value: both are taken."""
    if system.get(MARK) not in NOT_MARKED:
        return True
    return any(type(value) is str and len(value) == len(MARK) and value.lower() == MARK for value in system.values())
