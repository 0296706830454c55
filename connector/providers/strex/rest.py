"""Builds calls to Target365's REST API, with the key in its header. keywords.py and number_lookup.py define the calls.

Source: Target365 REST USERGUIDE, "Authorization": a header `X-ApiKey` with the key. Service commands use another header
(the CRM document): the credentials of the channel are for them, and the calls here have their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from connector.model.http import HttpCall

TIMEOUT = timedelta(seconds=20)  # a person or an event waits for it
CONTENT_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestApi:
    """The address of the API, and the key for it."""

    url: str
    header: str
    key: str = field(repr=False)

    def call(
        self, method: str, path: str, content: Mapping[str, Any] | None = None, *, repeatable: bool = False
    ) -> HttpCall:
        """A call, with `content` as JSON. It names the base address, so that the client adds no other credentials."""
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
