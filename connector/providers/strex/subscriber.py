"""Finds the subscriber's registered name and address in a forward: the document does not say where Strex puts them."""

from collections.abc import Mapping
from typing import Any

from connector.model.errors import Unreadable
from connector.providers.strict_json import parse_object

# The fields of Target365's Lookup model that tell something about a person. `msisdn` and `created` are fields of it
# too, but they prove nothing, because other objects have them as well.
TELLING = (
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
_TELLING = {name.lower(): name for name in TELLING}
_NAMES = _TELLING | {"msisdn": "msisdn", "created": "created"}
ENOUGH = 2  # this many such fields: a single one may be a custom property that happens to be called `city`


def telling(names: Mapping[str, Any]) -> bool:
    """Whether a field of a look-up is among the names, which are in lower case."""
    return not _TELLING.keys().isdisjoint(names)


def find_lookup(envelope: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """The look-up result under Target365's names; empty if there is none.

    A nested object goes before JSON text in a property, and that before flat keys.
    """
    texts = []
    for value in properties.values():
        if type(value) is dict:
            if found := _as_lookup(value):
                return found
        elif type(value) is str and value.startswith("{"):
            texts.append(value)
    for value in envelope.values():
        # Text is not parsed here: `content` is what a subscriber wrote, and it does not name the subscriber.
        if type(value) is dict and value is not properties and (found := _as_lookup(value)):
            return found
    for text in texts:
        if found := _from_text(text):
            return found
    # A flat `msisdn` or `created` is left out: it may be a property of the service.
    flat = _canonical(properties, _TELLING)
    return flat if len(flat) >= ENOUGH else {}


def by_models_names(value: Mapping[str, Any]) -> dict[str, Any]:
    """A look-up's fields under the names of Target365's model, read without regard to case. Fields that are null are left out."""
    return {name: member for name, member in _canonical(value, _NAMES).items() if member is not None}


def _from_text(text: str) -> dict[str, Any]:
    try:
        return _as_lookup(parse_object(text.encode()))
    except Unreadable:
        return {}


def _as_lookup(value: Mapping[str, Any]) -> dict[str, Any]:
    telling = sum(1 for name in value if name.lower() in _TELLING)
    return _canonical(value, _NAMES) if telling >= ENOUGH else {}


def _canonical(value: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names[low]: member for name, member in value.items() if (low := name.lower()) in names}
