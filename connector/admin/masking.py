"""Values as a person may see them, ready for JSON: phone numbers are masked unless they are to be revealed."""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from connector.model.operation import Match, Operation, Parent, RecordWrite, SinkCall
from connector.model.phone import Phone, national_part

NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")


class Masked:
    """Formats values. `person` is the person they are about: that number is masked in its other spellings too."""

    def __init__(self, *, reveal: bool = False, person: Phone | None = None) -> None:
        self._reveal = reveal
        spellings = {} if person is None or reveal else {person.e164[1:], national_part(person)}
        self._person = re.compile("|".join(sorted(spellings, key=len, reverse=True))) if spellings else None

    def phone(self, phone: Phone | str | None) -> str | None:
        """A number, complete or masked."""
        if phone is None:
            return None
        one = phone if isinstance(phone, Phone) else Phone(phone)
        return one.e164 if self._reveal else one.masked

    def text(self, text: str) -> str:
        """A text, with the numbers in it masked."""
        if self._reveal:
            return text
        masked = NUMBER.sub(lambda found: Phone(found[0]).masked, text)
        return self._person.sub(lambda found: f"…{found[0][-3:]}", masked) if self._person else masked

    def value(self, value: Any) -> Any:
        """Any value of an event or operation."""
        if isinstance(value, bool | float | Enum | datetime | Phone | None):
            return self._plain(value)
        if isinstance(value, int):
            masked = self.text(str(value))
            return value if masked == str(value) else masked
        if isinstance(value, Parent):
            ways = [self._parent(way) for way in value.ways]
            return [*ways, None] if value.or_none else ways if value.otherwise else ways[0]
        if isinstance(value, Mapping):
            return {str(name): self.value(one) for name, one in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(one) for one in value]
        return self.text(str(value))

    def _parent(self, parent: Parent) -> dict[str, str]:
        kind = {"type": parent.object} if parent.object else {}
        return {**kind, parent.key_field: self.text(parent.key)}

    def _plain(self, value: Any) -> Any:
        match value:
            case Phone():
                return self.phone(value)
            case Enum():
                return value.value
            case datetime():
                return iso_time(value)
            case _:
                return value

    def operation(self, operation: Operation) -> dict[str, Any]:
        """An operation, in the words of a mapping."""
        if isinstance(operation, RecordWrite):
            word = "upsert" if operation.may_create else "update"
            masked: dict[str, Any] = {word: operation.object}
            if operation.keyed:
                masked["key"] = {operation.key_field: self.text(operation.key)}
            if operation.match is not None:
                masked["match"] = self._match(operation.match)
            if operation.create:
                masked["create"] = self.value(operation.create)
            return {**masked, "set": self.value(operation.set), "sink": operation.sink, "rule": operation.rule}
        if isinstance(operation, SinkCall):
            return {
                operation.action: operation.target,
                **({"key": self.value(operation.keys)} if operation.keys else {}),
                "set": self.value(operation.values),
                "sink": operation.sink,
                "rule": operation.rule,
            }
        return {
            "command": operation.action,
            "phone": self.phone(operation.phone),
            "short_number": operation.short_number,
            "keyword": operation.keyword,
            **({} if operation.price is None else {"price": operation.price}),
            "sink": operation.sink,
            "rule": operation.rule,
        }

    def _match(self, match: Match) -> dict[str, Any]:
        fields = {"phone": list(match.fields), "none": match.none.value, "many": match.many.value}
        return {"number": self.phone(match.phone), **fields}


def iso_time(moment: datetime | None) -> str | None:
    """A time: ISO 8601, UTC, whole seconds."""
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"
