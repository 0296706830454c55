"""One operation of the Web API and its answer, whether it came alone or in a batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from connector.sandbox.dynamics.errors import RefusedError, bad_payload
from connector.sandbox.dynamics.tables import Table

API = "/api/data/"
Refuse = Callable[[Table, Mapping[str, Any]], RefusedError | None]


@dataclass(slots=True, kw_only=True)
class Answer:
    """A response."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The body in bytes."""
        return b"" if self.body is None else self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)


@dataclass(slots=True, kw_only=True)
class Call:
    """A request. `path` and `query` are as sent; header names are in lower case."""

    method: str
    path: str  # below /api/data/v9.2/
    query: str
    headers: Mapping[str, str]
    raw: bytes
    base_url: str  # http://host:port/api/data/v9.2/
    user: str
    late: float = 0.0  # how many seconds before now the write is dated
    refuse: Refuse | None = None  # a rejection that a test has chosen

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises RefusedError."""
        try:
            body = orjson.loads(self.raw or b"{}")
        except orjson.JSONDecodeError:
            raise bad_payload("An unexpected token was found in the JSON input.") from None
        if not isinstance(body, dict):
            raise bad_payload("A JSON object was expected.")
        return body

    def prefers(self, name: str) -> str | None:
        """The value of a preference, empty for one without a value; None if it is not asked for."""
        for part in self.headers.get("prefer", "").split(","):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value.strip('"')
        return None
