"""Calls to Target365's REST API, with the key in the header that it wants.

Which calls there are stands in keywords.py and number_lookup.py.

Source: Target365 REST USERGUIDE, "Authorization": a header `X-ApiKey` with the key. Service commands want it in another one (the
CRM document), so that the credentials of the peer are theirs, and these calls bear their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from connector.model.http import HttpCall

TIMEOUT = timedelta(seconds=20)  # a person waits for it, or an event does
CONTENT_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestApi:
    """Where the API is, and what lets us in."""

    url: str
    header: str
    key: str = field(repr=False)

    def call(
        self, method: str, path: str, content: Mapping[str, Any] | None = None, *, repeatable: bool = False
    ) -> HttpCall:
        """A call; with a content it is JSON. The base is named, so that the client adds no other credentials."""
        headers = {self.header: self.key}
        body = None
        if content is not None:
            body = orjson.dumps(content)
            headers["Content-Type"] = CONTENT_TYPE
        return HttpCall(
            method=method,
            path=path,
            base=self.url,
            body=body,
            headers=headers,
            timeout=TIMEOUT,
            repeatable=repeatable,
        )
