"""The parameters of a callback: query and body merged and decoded. callback.py interprets them.

"Receiving Post Data" speaks of posting and shows GET requests; editions differ. All forms are read, and merged.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from connector.model.errors import Unreadable
from connector.model.http import HttpRequest
from connector.providers.form_parameters import parameters

# The documents' names. Other casings and a blank or underscore, as in the document's "short code", are accepted if the
# documented name is missing. The web form sends carrierId, all others carrier.
SPELLINGS = {"carrier": ("carrier", "carrierId")}
NUMBER = "mobile"  # the parameter with the phone number
WRITTEN = frozenset({"msg", "reply", "lead"})  # the parameters with what a person wrote


@dataclass(frozen=True, slots=True)
class Parameters:
    """`known`: by the documents' names, without blank values. `custom`: verbatim, a list if a name came with several values."""

    known: dict[str, str]
    custom: dict[str, Any]


def read_parameters(request: HttpRequest, names: Collection[str]) -> Parameters:
    """Parse the request; raises Unreadable. `names` are those that the documents give for the callback.

    A customer's own field may differ from one of them only in case. If both are there, the documented one is known and
    the other custom.
    """
    given: dict[str, list[Any]] = {}
    for name, value in parameters(request):
        values = given.setdefault(name, [])
        if value not in values:
            values.append(value)
    known: dict[str, str] = {}
    for name in names:
        spelled = _spelled(name, given)
        if spelled is None:
            continue
        read = _number if name == NUMBER else _text
        values = given.pop(spelled)
        texts = [text for value in values if (text := read(value))]
        if name in WRITTEN and any(value and type(value) not in {str, int} for value in values):
            raise Unreadable(f"{name} is not a text")  # it may be a stop
        if len(texts) > 1:
            raise Unreadable(f"{name} occurs twice")
        if texts:
            known[name] = texts[0]
    return Parameters(known, {name: values[0] if len(values) == 1 else values for name, values in given.items()})


def _spelled(name: str, given: Collection[str]) -> str | None:
    """The documented spelling if it is there, else the only other one."""
    documented = SPELLINGS.get(name, (name,))
    for spelling in documented:
        if spelling in given:
            return spelling
    folded = {spelling.lower() for spelling in documented}
    others = [one for one in given if one.replace(" ", "").replace("_", "").lower() in folded]
    if len(others) > 1:
        raise Unreadable(f"{name} occurs twice")
    return others[0] if others else None


def _number(value: Any) -> str:
    """A number as text. A leading blank is kept: an unescaped plus is decoded to it."""
    text = _text(value)
    return f" {text}" if text and type(value) is str and value.startswith(" ") else text


def _text(value: Any) -> str:
    """A value as text without blanks around it; JSON may hold a number. Empty if it is neither."""
    if type(value) is str:
        return value.strip()
    return str(value) if type(value) is int else ""
