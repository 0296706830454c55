"""The sandbox's settings: forward addresses, signatures, and the variants of undocumented formats."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from yarl import URL

from connector.sandbox.refused import RefusedError
from connector.sandbox.strex import keywords
from connector.sandbox.strex.keywords import Keyword


class Mark(StrEnum):
    """How a report shows that a service command caused its SMS; the document gives neither key nor value."""

    KEY = "key"
    VALUE = "value"
    OFF = "off"


class Lookup(StrEnum):
    """Where a forward has number look-up data; the document only says that it can be included."""

    OFF = "off"
    NESTED = "nested"
    TEXT = "text"
    FLAT = "flat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the sandbox.

    Attributes:
        mo_url: where messages are forwarded to (MasterMOForward); None forwards none.
        dlr_url: the same for delivery reports (MasterDLRForward).
        auth_header: the request header of a service command with the API key.
        auth_form: that header's value; `{key}` stands for the key.
        rest_header: the request header with the plain key, in calls for keywords and look-ups.
        basic_auth: `user:password` for our forwards, or None.
        compress: divides every wait between two attempts.
        null_keyword: `Keyword` is null in reports of an opt-out, as the 2023-05-03 edition of the document warns.
        alias_keyword: `Keyword` is the keyword's first alias, as the 2023-04-25 edition warns.
        confirm: whether a service command is confirmed by SMS ("if provided" in the keyword's setup).
        people: number look-up data by phone; all others get the same invented person; null is nobody.
    """

    api_key: str
    mo_url: str | None = None
    dlr_url: str | None = None
    auth_header: str = "Authorization"
    auth_form: str = "{key}"
    rest_header: str = "X-ApiKey"
    basic_auth: str | None = None
    sign: bool = True
    compress: float = 1.0
    mark: Mark = Mark.KEY
    lookup: Lookup = Lookup.OFF
    null_keyword: bool = False
    alias_keyword: bool = False
    confirm: bool = True
    people: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    keywords: tuple[Keyword, ...] = keywords.DEFAULTS

    def as_json(self) -> dict[str, Any]:
        """All settings, by name."""
        return asdict(self)

    def changed(self, given: Mapping[str, Any]) -> "Settings":
        """These settings, updated with the given ones.

        Raises:
            RefusedError: a name is unknown or a value is invalid; nothing is changed then.
        """
        names = [each.name for each in fields(self)]
        for name in given:
            if name not in names:
                raise RefusedError(f"there is no setting {name!r}; the settings are {', '.join(names)}")
        return replace(self, **{name: _READERS[name](name, value) for name, value in given.items()})


def _url(name: str, value: object) -> str | None:
    if value is None:
        return None
    try:
        url = URL(_text(name, value))
    except ValueError as error:
        raise RefusedError(f"{name} is no URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise RefusedError(f"{name} must be null or an absolute http or https URL")
    if url.user is not None:
        raise RefusedError(f"{name} must not hold a user; that is the setting basic_auth")
    return str(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value or any(letter in value for letter in "\r\n\0"):
        raise RefusedError(f"{name} must be a text of one line that is not empty")
    return value


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise RefusedError(f"{name} must be true or false")
    return value


def _factor(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise RefusedError(f"{name} must be a number above 0")
    return float(value)


def _credentials(name: str, value: object) -> str | None:
    if value is None:
        return None
    if ":" not in (text := _text(name, value)):
        raise RefusedError(f'{name} must be null or "user:password"')
    return text


def _form(name: str, value: object) -> str:
    if "{key}" not in (text := _text(name, value)):
        raise RefusedError(f'{name} must hold {{key}}, like "Bearer {{key}}"')
    return text


def _people(name: str, value: object) -> dict[str, dict[str, Any] | None]:
    if not isinstance(value, dict) or not all(isinstance(person, dict | None) for person in value.values()):
        raise RefusedError(
            f'{name} must map a phone to look-up fields, like {{"+4798079008": {{"lastName": "Hansen"}}}}'
        )
    return value


def _keywords(name: str, value: object) -> tuple[Keyword, ...]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise RefusedError(f"{name} must be a list of objects")
    return tuple(_keyword(f"{name}[{index}]", each) for index, each in enumerate(value))


def _keyword(name: str, given: dict[str, Any]) -> Keyword:
    texts = ("name", "id", "service_id", "short_number", "service_type", "service_sub_type", "mode", "forward_url")
    lists = {field_name: given.get(field_name, []) for field_name in ("aliases", "tags")}
    for field_name, value in lists.items():
        if not isinstance(value, list):
            raise RefusedError(f"{name}.{field_name} must be a list of texts")
    for field_name in texts:
        if field_name in given:
            _text(f"{name}.{field_name}", given[field_name])
    if "price" in given:
        _factor(f"{name}.price", given["price"])
    if "enabled" in given:
        _flag(f"{name}.enabled", given["enabled"])
    if not isinstance(given.get("properties", {}), dict):
        raise RefusedError(f"{name}.properties must be a JSON object")
    if not isinstance(given.get("pre_auth"), dict | None):
        raise RefusedError(f"{name}.pre_auth must be null or a JSON object")
    try:
        return Keyword(**given | {key: tuple(_text(f"{name}.{key}", each) for each in lists[key]) for key in lists})
    except TypeError:
        known = ", ".join(each.name for each in fields(Keyword))
        raise RefusedError(f"{name} needs name, id and service_id; a keyword may have {known}") from None


def _choice(kind: type[Mark] | type[Lookup]) -> Callable[[str, object], Mark | Lookup]:
    def reader(name: str, value: object) -> Mark | Lookup:
        try:
            return kind(_text(name, value))
        except ValueError:
            raise RefusedError(f"{name} must be one of {', '.join(kind)}") from None

    return reader


_READERS: Mapping[str, Callable[[str, object], Any]] = {
    "api_key": _text,
    "mo_url": _url,
    "dlr_url": _url,
    "auth_header": _text,
    "auth_form": _form,
    "rest_header": _text,
    "basic_auth": _credentials,
    "sign": _flag,
    "compress": _factor,
    "mark": _choice(Mark),
    "lookup": _choice(Lookup),
    "null_keyword": _flag,
    "alias_keyword": _flag,
    "confirm": _flag,
    "people": _people,
    "keywords": _keywords,
}
