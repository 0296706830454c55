"""Builds the external ID of a phone number as the mappings do: a backfill must write what the rules will look up."""

from collections.abc import Callable
from datetime import UTC, datetime

from connector.mapping.compile.items import WriteItem
from connector.mapping.compile.ruleset import Ruleset
from connector.mapping.language.paths import Reading
from connector.mapping.values.transforms import TransformFailed
from connector.mapping.values.values import text
from connector.model.errors import ConnectorError
from connector.model.event import Event
from connector.model.phone import Phone

SAMPLE = Phone("+4790000001")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Key = Callable[[Phone], str | None]


def keys_by_number(rules: Ruleset, crm: str, object_name: str) -> dict[str, Key]:
    """The external ID fields of an object that rules fill from the number alone, each with its function.

    Raises ConnectorError if two rules build different keys from one number.
    """
    found: dict[str, Key] = {}
    for item in (item for file in rules.files for rule in file.rules for item in rule.items):
        if not isinstance(item, WriteItem) or item.sink != crm or item.object.casefold() != object_name.casefold():
            continue
        name = item.key_field
        key = _key(item)
        if name is None or key(SAMPLE) is None:
            continue
        known = found.setdefault(name, key)
        if known(SAMPLE) != key(SAMPLE):
            raise ConnectorError(
                f"{item.rule}: it makes another {name} of a number than an earlier rule: let all rules make it alike"
            )
    return found


def _key(item: WriteItem) -> Key:
    def key(phone: Phone) -> str | None:
        event = Event(key="backfill", provider="", shape="", received_at=EPOCH, msisdn=phone)
        try:
            made = item.key.get(Reading(event, {}))
        except TransformFailed:
            return None
        return None if made is None else text(made)

    return key
