"""Parses the envelope of Strex's forwards: its members and properties by name. callback.py interprets them.

The document shows only the properties; the envelope is that of Target365's InMessage and DeliveryReport models. Their
names are camelCase, those of the properties PascalCase, and other casings have been seen: all are read without regard
to case.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from connector.model.amount import can_be_paid, read_amount
from connector.model.errors import Unreadable
from connector.model.phone import NumberFormat, Phone, parse_phone
from connector.model.timestamp import read_time
from connector.providers.missing_id import made_up_id
from connector.providers.strict_json import as_map, holds_words, only_value, parse_object

# The fields of Target365's Lookup model that describe a person. Its `msisdn` and `created` prove nothing, because other
# objects have them too.
PERSON_FIELDS = (
    "landline",
    "firstName",
    "middleName",
    "lastName",
    "companyName",
    "companyOrgNo",
    "streetName",
    "streetNumber",
    "streetLetter",
    "zipCode",
    "city",
    "gender",
    "dateOfBirth",
    "age",
    "deceasedDate",
)
_PERSON_FIELDS = {name.lower(): name for name in PERSON_FIELDS}
_NAMES = _PERSON_FIELDS | {"msisdn": "msisdn", "created": "created"}
MIN_PERSON_FIELDS = 2  # fewer may be custom properties that happen to be called `city`


def has_person_field(names: Mapping[str, Any]) -> bool:
    """Whether one of these names (in lower case) is a field of a look-up."""
    return not _PERSON_FIELDS.keys().isdisjoint(names)


def find_lookup(envelope: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """The look-up result under Target365's names; empty if there is none.

    Nested objects are read first, then JSON texts in properties, then flat keys.
    """
    texts = []
    for value in properties.values():
        if type(value) is dict:
            if found := _as_lookup(value):
                return found
        elif type(value) is str and value.startswith("{"):
            texts.append(value)
    for name, value in envelope.items():
        # Text is not parsed here: `content` is what a subscriber wrote, and it does not name the subscriber.
        if type(value) is dict and name != "properties" and (found := _as_lookup(value)):
            return found
    for text in texts:
        if found := _from_text(text):
            return found
    # A flat `msisdn` or `created` is left out: it may be a property of the service.
    flat = _canonical(properties, _PERSON_FIELDS)
    return flat if len(flat) >= MIN_PERSON_FIELDS else {}


def with_model_names(value: Mapping[str, Any]) -> dict[str, Any]:
    """A look-up's fields under the names of Target365's model, read without regard to case. Fields that are null are left out."""
    return {name: member for name, member in _canonical(value, _NAMES).items() if member is not None}


def _from_text(text: str) -> dict[str, Any]:
    try:
        return _as_lookup(parse_object(text.encode()))
    except Unreadable:
        return {}


def _as_lookup(value: Mapping[str, Any]) -> dict[str, Any]:
    count = sum(1 for name in value if name.lower() in _PERSON_FIELDS)
    return _canonical(value, _NAMES) if count >= MIN_PERSON_FIELDS else {}


def _canonical(value: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names[low]: member for name, member in value.items() if (low := name.lower()) in names}


COMMAND_MARK = "servicecommand"
COMMAND_MARK_LENGTH = len(COMMAND_MARK)
NO_ID = "no transactionId"
TRUE = frozenset({"true", "1", "yes", "y", "ja"})
PROPERTIES = "properties"
FOREIGN_CURRENCY = re.compile("dkk|sek|isk|eur|usd|gbp|[$\u20ac\u00a3]", re.IGNORECASE)  # Strex bills in NOK
COUNTRY = "NO"  # country of short numbers: the API calls 2002 NO-2002
NOT_MARKED = (None, False, "", "false", "False")
# Names in the InMessage and DeliveryReport models of Target365's SDKs. The keywordId of a report is from the document's
# edition of April 2023.
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
# Those with a field of their own in an event. All others are properties of it, so that rules can name them.
PLACED = frozenset(
    {
        "transactionId",
        "keywordId",
        "sender",
        "recipient",
        "content",
        "created",
        "properties",
        "price",
        "statusCode",
        "detailedStatusCode",
        "received",
    }
)
UNPLACED = ENVELOPE - PLACED


@dataclass(slots=True)
class Forward:
    """A parsed forward: the envelope by the names of the models, the properties as sent and with lower-case names.

    `by_command` marks the result of our own service commands. The document says "a property stating ServiceCommand",
    and not whether that is its name or its value: both are accepted. Values count only in properties, because `content`
    is what a subscriber wrote.
    """

    members: dict[str, Any]
    properties: dict[str, Any]
    lowered: dict[str, Any]
    by_command: bool
    lookup: dict[str, Any]

    def text(self, name: str) -> str | None:
        """A member of the envelope as text."""
        return as_text(self.members.get(name))

    @property
    def misplaced_text(self) -> str | None:
        """Why a message without a text in `content` may have a text elsewhere, perhaps a stop; None if it has none."""
        content = self.members.get("content")
        if as_text(content) is not None:
            return None
        if content and type(content) is not str:
            return "content is not a text"
        foreign = (self.members[name] for name in self.members.keys() - ENVELOPE)
        if any(holds_words(value) for value in foreign if type(value) is not dict or not _as_lookup(value)):
            return "no text in content, but in an undocumented member"
        return None

    def properties_with(self, person: str, phone: Phone | None) -> dict[str, Any]:
        """The properties; and the member that names the person, if it is no phone number: so a person sees who it was."""
        written = self.members.get(person)
        return self.properties if phone or written in (None, "") else {person: written, **self.properties}

    def system(self, name: str) -> str | None:
        """A system property as text. The documented spelling goes first: a custom property may differ only in letter case."""
        value = self.properties.get(name)
        return as_text(self.lowered.get(name.lower()) if value is None else value)

    def refuse_odd_types(self) -> None:
        """Raise Unreadable if the SystemAction or the status is there and no text: they decide what a report means."""
        decisive = {"SystemAction": self.lowered.get("systemaction"), "statusCode": self.members.get("statusCode")}
        for name, value in decisive.items():
            if value not in (None, [], {}) and type(value) is not str and as_text(value) is None:
                raise Unreadable(f"{name} is not a text")

    @property
    def stop_flag(self) -> Any:
        """`isStopMessage`: of the envelope, else among the properties."""
        flag = self.members.get("isStopMessage")
        return self.lowered.get("isstopmessage") if flag is None else flag

    @property
    def is_message(self) -> bool:
        """Whether it is a message, at whichever endpoint. Only messages have a text, and only reports have a status."""
        return self.members.get("content") is not None and self.members.get("statusCode") is None

    @property
    def is_report(self) -> bool:
        """Whether it is a delivery report, at whichever endpoint."""
        return self.members.get("statusCode") is not None and self.members.get("content") is None

    def made_up_message_id(self, received_at: datetime) -> str:
        """An id for a message without `transactionId`: it may be a stop. Raises Unreadable without a sender or a text.

        Its repeat is recognised by sender, text and `created`; without `created` it is never a repeat.
        """
        sender, content = self.text("sender"), self.text("content")
        is_text_or_stop = content is not None or as_flag(self.stop_flag)
        if sender is None or not is_text_or_stop:
            raise Unreadable(NO_ID)
        return made_up_id(sender, content, self.text("recipient"), self.text("created") or received_at.isoformat())

    def made_up_report_id(self, received_at: datetime, *, opts_out: bool) -> str:
        """An id for a report without `transactionId`, if it opts out; raises Unreadable for others.

        A repeated charge would count twice, because it could not be recognised.
        """
        recipient = self.text("recipient")
        if recipient is None or not opts_out:
            raise Unreadable(NO_ID)
        parts = (self.text("sender"), *(self.system(name) for name in ("SystemAction", "Keyword")))
        return made_up_id(recipient, *parts, self.text("received") or received_at.isoformat())


def open_forward(body: bytes) -> Forward:
    """Parse the body; raises Unreadable. It passes over the properties only once, because it runs for every callback."""
    members = parse_object(body)
    foreign = not ENVELOPE.issuperset(members)
    if foreign:
        members = _with_model_names(members)
    sent = _sent_properties(members)
    if foreign:  # the envelope is not documented: properties may stand in it too
        beside = members.keys() - ENVELOPE
        sent = {name: value for name, value in members.items() if name in beside and _may_be_property(value)} | sent
    lowered = {}
    marked = nested = False
    for name, value in sent.items():
        lowered[name.lower() if name.isalnum() else _plain(name)] = value
        if type(value) is str:
            if len(value) == COMMAND_MARK_LENGTH and value.lower() == COMMAND_MARK:
                marked = True
            elif value[:1] == "{":
                nested = True
        elif type(value) is dict:
            nested = True
            if _plain(name) == PROPERTIES:  # the document's table has a row `Properties` among the properties
                lowered = {_plain(inner): member for inner, member in value.items()} | lowered
    if COMMAND_MARK in lowered and lowered[COMMAND_MARK] not in NOT_MARKED:
        marked = True
    lookup = find_lookup(members, sent) if nested or foreign or has_person_field(lowered) else {}
    properties = {name: value for name, value in members.items() if name in UNPLACED and _may_be_property(value)}
    properties.update(sent)
    return Forward(members, properties, lowered, marked, lookup)


def _sent_properties(members: dict[str, Any]) -> dict[str, Any]:
    """The properties as an object; raises Unreadable if they are in no form that can be one."""
    properties = members.get("properties")
    if type(properties) is dict:
        return properties
    try:
        return as_map(properties)
    except Unreadable:
        raise Unreadable("properties is not an object") from None


def _may_be_property(value: Any) -> bool:
    """Whether a member may be a property: no object, and no JSON text, which a subscriber may have written as a look-up."""
    return value is not None and type(value) is not dict and not (type(value) is str and value.startswith("{"))


def _plain(name: str) -> str:
    """A name for comparing: `SystemAction`, `systemAction`, `system_action` and `System Action` are one."""
    return "".join(filter(str.isalnum, name)).lower()


def _with_model_names(members: dict[str, Any]) -> dict[str, Any]:
    named = {_ENVELOPE.get(_plain(name), name): member for name, member in members.items()}
    if len(named) != len(members):
        raise Unreadable("a name occurs twice")
    return named


def as_text(value: Any) -> str | None:
    """The value as text without blanks around it: some ids are sent as numbers. None for a blank text or any other type."""
    if type(value) is not str:
        value = only_value(value)
    if type(value) is str:
        return value.strip() or None
    return str(value) if type(value) is int else None


def as_short_number(value: Any) -> str | None:
    """A short number: `2002`. Strex's API for keywords calls it `NO-2002`."""
    text = as_text(value)
    if text is not None and "-" in text:
        country, _, number = text.partition("-")
        return number if country.upper() == COUNTRY and number.isdecimal() else text
    return text


def as_flag(value: Any) -> bool:
    """Whether the value is true, in any form: true, 1, or a text such as `true` or `yes`."""
    value = only_value(value)
    return value is True or value == 1 or (type(value) is str and value.strip().casefold() in TRUE)


def as_phone(value: Any, region: str) -> Phone | None:
    """A number as Strex writes it, with `+`; None for a short number or a name.

    A country code without a plus and JSON numbers have been seen too. `region` applies to numbers without a country
    code.
    """
    return parse_phone(only_value(value), number_format=NumberFormat.INTERNATIONAL, region=region)


def read_price(value: Any, *, reversal: bool) -> tuple[Decimal | None, str | None]:
    """The amount in NOK, and the text of an amount that is unreadable, ambiguous or impossible (model/amount.py).

    Both are None without an amount. The amount of a reversal may be below zero.
    """
    foreign = type(value) is str and FOREIGN_CURRENCY.search(value)
    price = None if foreign else read_amount(value)
    if price is not None and can_be_paid(abs(price) if reversal else price):
        return price, None
    written = "" if value is None or value in ([], {}) else str(value).strip()
    return None, written or None


def as_time(value: Any) -> datetime | None:
    """Parse ISO 8601 with up to seven fractional digits. Without an offset it is UTC, as Target365's models say of their times."""
    return read_time(value)
