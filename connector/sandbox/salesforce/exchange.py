"""One call to the data API and its response, independent of any web framework: a composite makes such calls too."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from connector.sandbox.salesforce.drafts import Author
from connector.sandbox.salesforce.refusals import RequestRefusedError

DATA = "/services/data/"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request below /services/data, with its raw target (path and query as sent)."""

    method: str
    target: str
    author: Author
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    collection_upserts: bool = True
    base_url: str = ""  # the org's address: addresses in responses start with it

    @cached_property
    def writing(self) -> Author:
        """The author of the call's writes, with the options of its headers."""
        header = {name.lower(): value for name, value in self.headers.items()}.get("sforce-duplicate-rule-header", "")
        allowed = "allowsave=true" in header.lower().replace(" ", "")
        return replace(self.author, allow_save=True) if allowed else self.author

    @cached_property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @cached_property
    def segments(self) -> list[str]:
        """The path after the version, each part decoded separately: a key may contain a slash."""
        return [unquote(part) for part in self.path.removeprefix(DATA).split("/")[1:] if part]

    @cached_property
    def version(self) -> str:
        """The API version: `v62.0`."""
        return self.path.removeprefix(DATA).partition("/")[0]

    @property
    def base(self) -> str:
        """The path prefix of addresses in the response."""
        return f"{DATA}{self.version}"

    @cached_property
    def query(self) -> dict[str, str]:
        """The query parameters."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @cached_property
    def document(self) -> Any:
        """The body as JSON.

        Raises:
            RequestRefusedError: it is not JSON.
        """
        try:
            return orjson.loads(self.raw)
        except orjson.JSONDecodeError as error:
            raise RequestRefusedError(
                400, "JSON_PARSER_ERROR", f"The HTTP entity body is not valid JSON: {error}"
            ) from None

    @property
    def fields(self) -> dict[str, Any]:
        """The body as one JSON object."""
        if not isinstance(self.document, dict):
            raise RequestRefusedError(400, "JSON_PARSER_ERROR", "The HTTP entity body must be a JSON object")
        return self.document


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status and a JSON body, unless it is None; or CSV."""

    status: int = 200
    body: Any = None
    csv: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
