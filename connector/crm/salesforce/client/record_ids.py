"""Salesforce's record Ids: 15 characters, or 18 with a checksum of the letter case. Both name the same record.

Source: Salesforce Help, "How to convert a 15-character Id to an 18-character Id".
"""

import re
from collections.abc import Mapping

SHORT = 15  # characters that identify a record; the last three of an 18-character Id are a checksum
CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
# Finds an Id in a sentence of any language. The first three characters are the object's key prefix. Those of custom
# objects start with an `a` and a digit or letter, those of standard objects with a digit, so that no word is taken for
# an Id.
IN_TEXT = re.compile(r"(?<![0-9A-Za-z])(?=[0-9]|a[0-9])[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?(?![0-9A-Za-z])")
# The key prefixes of the standard objects that are written most often. Those of custom objects start with an `a`.
PREFIXES = {
    "account": "001",
    "contact": "003",
    "opportunity": "006",
    "lead": "00Q",
    "task": "00T",
    "event": "00U",
    "campaignmember": "00v",
    "case": "500",
    "campaign": "701",
}

# The objects whose records can be merged, by the key prefix of their Ids.
MERGEABLE: Mapping[str, str] = {"001": "account", "003": "contact", "00Q": "lead", "500": "case"}


def comparable(record_id: str) -> str:
    """The form in which two Ids of the same record are equal."""
    return record_id[:SHORT]


def mergeable(object_name: str) -> bool:
    """Whether records of the object can be merged."""
    return object_name.casefold() in MERGEABLE.values()


def in_full(record_id: str) -> str:
    """The 18-character form of an Id of either length."""
    if len(record_id) != SHORT:
        return record_id
    checks = ""
    for start in range(0, SHORT, 5):
        capitals = [1 << place for place in range(5) if "A" <= record_id[start + place] <= "Z"]
        checks += CHECKSUM[sum(capitals)]
    return record_id + checks


def full_id(text: str) -> str:
    """The 18-character Id if the text looks like an Id; any other text unchanged."""
    return in_full(text) if text.isascii() and text.isalnum() else text


def last_in(text: str, object_name: str) -> str | None:
    """The last Id in a text that may be of this object, as 18 characters; None if there is none."""
    name = object_name.casefold()
    prefix = PREFIXES.get(name, "a" if name.endswith("__c") else "")
    found = [one for one in IN_TEXT.findall(text) if one.startswith(prefix)]
    return in_full(found[-1]) if found else None
