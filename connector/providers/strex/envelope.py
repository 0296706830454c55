"""The envelope of Strex's forwards, opened: its members and properties by name. What they mean is read in callback.py.

The document shows only the properties; the envelope is that of Target365's InMessage and DeliveryReport models. Their names are
camelCase, those of the properties PascalCase, and other casings have been seen: both are read without regard to case.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connector.model.errors import Unreadable
from connector.model.phone import NumberFormat, Phone, parse_phone
from connector.providers.strex.lookup import find_lookup, telling
from connector.providers.strict_json import parse_object

PRICE_LIMIT = Decimal(10**9)  # beyond it no price is meant
FIRST_YEAR = 2000  # .NET writes a time that was never set as year 1
MARK = "servicecommand"
MARK_LENGTH = len(MARK)
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


@dataclass(slots=True)
class Forward:
    """What a forward holds: the envelope by the models' names, the properties verbatim and with their names in lower case.

    `by_command`: the mark of our own service commands. The document says "a property stating ServiceCommand", and not
    whether that is its name or its value: both are taken. Values only of properties, for `content` is what a subscriber wrote.
    """

    members: dict[str, Any]
    properties: dict[str, Any]
    lowered: dict[str, Any]
    by_command: bool
    lookup: dict[str, Any]

    def text(self, name: str) -> str | None:
        """A member of the envelope as text."""
        return as_text(self.members.get(name))

    def system(self, name: str) -> str | None:
        """A system property as text: by its documented name first, for a custom one may differ from it in case alone."""
        value = self.properties.get(name)
        return as_text(self.lowered.get(name.lower()) if value is None else value)

    @property
    def transaction_id(self) -> str:
        """Without it nothing can be told from its repeat; the document's bare Properties block has none."""
        transaction = as_text(self.members.get("transactionId"))
        if transaction is None:
            raise Unreadable("no transactionId")
        return transaction


def open_forward(body: bytes) -> Forward:
    """Take the body apart; raises Unreadable. One pass over the properties, for every callback comes through here."""
    members = parse_object(body)
    foreign = not ENVELOPE.issuperset(members)
    if foreign:
        members = _by_models_names(members)
    properties = members.get("properties")
    if properties is None:
        properties = {}
    elif type(properties) is not dict:
        raise Unreadable("properties is not an object")
    lowered = {}
    marked = nested = False
    for name, value in properties.items():
        lowered[name.lower()] = value
        if type(value) is str:
            if len(value) == MARK_LENGTH and value.lower() == MARK:
                marked = True
            elif value[:1] == "{":
                nested = True
        elif type(value) is dict:
            nested = True
    if MARK in lowered and lowered[MARK] not in NOT_MARKED:
        marked = True
    lookup = find_lookup(members, properties) if nested or foreign or telling(lowered) else {}
    return Forward(members, properties, lowered, marked, lookup)


def _by_models_names(members: dict[str, Any]) -> dict[str, Any]:
    named = {_ENVELOPE.get(name.lower(), name): member for name, member in members.items()}
    if len(named) != len(members):
        raise Unreadable("a name occurs twice")
    return named


def as_text(value: Any) -> str | None:
    """Ids are opaque, and some are sent as numbers; a blank one is none."""
    if type(value) is str:
        return value if value and not value.isspace() else None
    return str(value) if type(value) is int else None


def as_flag(value: Any) -> bool:
    """True, in either of its spellings."""
    return value is True or (type(value) is str and value.casefold() == "true")


def as_phone(value: Any, region: str) -> Phone | None:
    """A number as Strex writes it, with `+`; None for a short number or a name.

    The country code without a plus and JSON numbers have been seen too; `region` is of numbers without their country code.
    """
    return parse_phone(value, number_format=NumberFormat.INTERNATIONAL, region=region)


def as_price(value: Any) -> Decimal | None:
    """An amount; None for what cannot be one."""
    if type(value) not in {int, float, str}:
        return None
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        return None
    return price if price.is_finite() and abs(price) < PRICE_LIMIT else None


def as_time(value: Any) -> datetime | None:
    """ISO 8601 with up to seven fractional digits; without an offset it is UTC, as Target365's models say of their times."""
    if type(value) is not str:
        return None
    try:
        time = datetime.fromisoformat(value)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time.year >= FIRST_YEAR else None
