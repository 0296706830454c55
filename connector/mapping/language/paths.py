"""Paths: how a mapping names a value of an event, as in `properties.myproperty`, and how it is read. Knows no templates."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from msgspec import Struct, field
from msgspec.structs import fields

from connector.config.validation import did_you_mean
from connector.mapping.values.values import fold, present, text
from connector.model.event import Event

SEGMENT = r'(?:\.[\w-]+|\["[^"\]]*"\]|\[[0-9]{1,4}\])'
PATH = re.compile(rf"([^\W\d]\w*)({SEGMENT}*)")
STEP = re.compile(r'\.([\w-]+)|\["([^"\]]*)"\]|\[([0-9]+)\]')

OPEN_FIELDS = frozenset({"properties", "lookup", "record"})  # the sender decides what is below them
CONSENT = ("remaining", "verdict", "scope")  # what the ledger adds to the event
# A member's `_value_` is its plain value, and costs a third of reading `value`.
VALUES = {"verdict": "verdict._value_", "result": "result._value_"}
# Common other names of these fields, in English and Norwegian. A property with such a name would be written
# properties.phone.
OTHER_NAMES = {
    **dict.fromkeys(("phone", "mobile", "mobilephone", "number", "phonenumber", "phone_number", "sender"), "msisdn"),
    **dict.fromkeys(("mobil", "mobilnummer", "nummer", "telefon", "telefonnummer", "tlf", "avsender"), "msisdn"),
    **dict.fromkeys(("message", "body", "content", "sms", "msg", "melding", "tekst"), "text"),
    **dict.fromkeys(("amount", "sum", "beløp", "pris"), "price"),
    **dict.fromkeys(("date", "time", "timestamp", "created", "dato", "tid", "tidspunkt"), "occurred_at"),
    **dict.fromkeys(("shortcode", "shortnumber", "short_code", "kortnummer"), "short_number"),
    **dict.fromkeys(("systemaction", "system_action", "handling"), "action"),
    **dict.fromkeys(("nøkkelord", "kodeord"), "keyword"),
}
HIDDEN = frozenset(
    {"batch", "unread_price", "opt_out_scope", "number_is_unclear"}
)  # they say how the event was read, which no rule needs
EVENT_FIELDS = tuple(one.name for one in fields(Event) if one.name not in HIDDEN)
TEXTS = frozenset(one.name for one in fields(Event) if one.type in {str, str | None}) | {*VALUES, "msisdn"}

Get = Callable[["Reading"], Any]


class BadPath(ValueError):  # noqa: N818 - a finding about the user's file; it becomes a Problem.
    """A path that names nothing; `hint` is the cure."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Path:
    """A checked path."""

    root: str
    steps: tuple[str | int, ...] = ()  # keys, and list positions, from 0

    @property
    def is_text(self) -> bool:
        """Whether its value, if present, is always text."""
        return self.root in TEXTS

    @property
    def key(self) -> str:
        """The first step, which is always a key. Only for a path that has steps."""
        return str(self.steps[0])

    def __str__(self) -> str:
        return self.root + "".join(_shown(step) for step in self.steps)


def _shown(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if re.fullmatch(r"[\w-]+", step) else f'["{step}"]'


def parse_path(written: str) -> Path:
    """Check a path as written; raises BadPath."""
    found = PATH.fullmatch(written)
    if not found:
        hint = 'write it like msisdn, properties.myproperty, properties["First Name"] or properties.names[0]'
        if "{" in written or "}" in written:
            hint = "write it without braces: they are for texts"
        raise BadPath(f"`{written}` is not a path", hint)
    steps = tuple(int(place) if place else dotted or bracketed for dotted, bracketed, place in STEP.findall(found[2]))
    root = _root(found[1], found[2])
    if root == "consent":
        if len(steps) != 1 or steps[0] not in CONSENT:
            raise BadPath(f"`{written}` is not known", "there are consent.remaining, consent.verdict and consent.scope")
    elif root in OPEN_FIELDS:
        if not steps or isinstance(steps[0], int):
            raise BadPath(f"`{written}` is not one value", f"name one of its keys: {root}.name")
    elif steps:
        raise BadPath(f"`{root}` has nothing below it", "properties, lookup and record have")
    return Path(root, steps)


def _root(written: str, below: str) -> str:
    """The field at the beginning of a path; `below` is the rest of the path, such as `.price`."""
    known = (*EVENT_FIELDS, "consent")
    if written in known:
        return written
    for name in known:
        if name == written.casefold():
            return name
    meant = OTHER_NAMES.get(written.casefold())
    if meant is not None:
        raise BadPath(f"an event has no field `{written}`", f"did you mean `{meant}`?")
    hint = f"{did_you_mean(written, known)} A property is written properties{below or f'.{written}'}".strip()
    raise BadPath(f"an event has no field `{written}`", hint)


class Reading(Struct):
    """One event as the rules read it. It caches what was looked up, because many rules ask for the same."""

    event: Event
    consent: Mapping[str, Any]
    folded: dict[str, str | tuple[str, ...] | None] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    indexes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def find(self, root: str, folded: str) -> Any:
        """The value of a key of an open field, ignoring case; of two keys that differ only in case, the first one's."""
        index = self.indexes.get(root)
        if index is None:
            values = getattr(self.event, root)
            names = self.names.get(root)
            if names is None:
                names = self.names[root] = fold("\0".join(values))
            if folded not in names:  # nearly always: an index would cost twice as much
                return None
            index = self.indexes[root] = {fold(key): value for key, value in reversed(values.items())}
        return index.get(folded)


def getter(path: Path) -> Get:
    """A function that reads the path; None if the value is missing. Never raises, whatever the sender sent."""
    if path.root == "consent":
        name = path.key
        return lambda reading: present(reading.consent.get(name))
    if path.root == "msisdn":
        return _number
    if not path.steps:
        read = attrgetter(f"event.{VALUES.get(path.root, path.root)}")
        return _text_of_event(read) if path.is_text else _of_event(read)
    first, rest = path.key, path.steps[1:]
    root, folded = path.root, fold(first)
    container = attrgetter(f"event.{root}")

    def get(reading: Reading) -> Any:
        values = container(reading)
        if not values:
            return None
        value = values.get(first)
        if value is None and first not in values:
            value = reading.find(root, folded)
        return present(value) if value is not None else None

    if not rest:
        return get

    def get_below(reading: Reading) -> Any:
        value = get(reading)
        for step in rest:
            value = _below(value, step)
        return present(value)

    return get_below


def _number(reading: Reading) -> str | None:
    phone = reading.event.msisdn
    return None if phone is None else phone.e164


def _of_event(read: Callable[[Reading], Any]) -> Get:
    def get(reading: Reading) -> Any:
        value = read(reading)
        return None if value is None else present(value)

    return get


def _text_of_event(read: Callable[[Reading], str | None]) -> Get:
    def get(reading: Reading) -> str | None:
        value = read(reading)
        return value if value and not value.isspace() else None

    return get


def _below(value: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return value[step] if isinstance(value, list | tuple) and step < len(value) else None
    if not isinstance(value, Mapping):
        return None
    if step in value:
        return value[step]
    wanted = fold(step)
    return next((item for key, item in value.items() if fold(str(key)) == wanted), None)


def folded_getter(path: Path) -> Callable[[Reading], str | tuple[str, ...] | None]:
    """A function that reads the path for comparing: folded text, several for a list, None if it is missing."""
    get, name = getter(path), str(path)

    def read(reading: Reading) -> str | tuple[str, ...] | None:
        known = reading.folded
        if name in known:
            return known[name]
        value = get(reading)
        made: str | tuple[str, ...] | None
        if value is None:
            made = None
        elif isinstance(value, list | tuple):
            made = tuple(fold(text(item)) for item in value if present(item) is not None)
        else:
            made = fold(text(value))
        known[name] = made
        return made

    return read
