"""Reads a caller's JSON field by field; errors say what to change."""

import json
import math
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from connector.sandbox.refused import RefusedError


async def read_json(request: web.Request) -> Any:
    """The request's body as JSON.

    Raises:
        RefusedError: it is not JSON.
    """
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError):
        raise RefusedError("the body is not JSON") from None


@dataclass(frozen=True, slots=True)
class Body:
    """One JSON object."""

    fields: dict[str, Any]

    @staticmethod
    def of(value: object) -> "Body":
        """Wrap a JSON value, which must be an object; else RefusedError."""
        if not isinstance(value, dict):
            raise RefusedError('a JSON object is expected, like {"phone": "+4790000001"}')
        return Body(value)

    def refuse_other_fields(self, *names: str) -> "Body":
        """The same object; RefusedError if it has a field besides these."""
        for name in self.fields:
            if name not in names:
                raise RefusedError(f"there is no field {name!r}; the fields are {', '.join(names)}")
        return self

    def text(self, name: str, default: str | None = None) -> str:
        """A text that is not blank; required unless there is a default."""
        value = self.fields.get(name, default)
        if not isinstance(value, str) or not value.strip():
            raise RefusedError(f"{name} is missing, or is not a text")
        return value

    def optional_text(self, name: str) -> str | None:
        """A text, or None if the name is missing or null."""
        return None if self.fields.get(name) is None else self.text(name)

    def number(self, name: str) -> float | None:
        """A finite number, as a JSON number or digits in a text; None if the name is missing or null."""
        value = self.fields.get(name)
        if value is None:
            return None
        try:
            number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise RefusedError(f"{name} must be a number")
        return number

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self.fields.get(name, default)
        if not isinstance(value, bool):
            raise RefusedError(f"{name} must be true or false")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """A nested object; empty if the name is missing."""
        value = self.fields.get(name, {})
        if not isinstance(value, dict):
            raise RefusedError(f"{name} must be a JSON object")
        return value
