"""Builds Salesforce's JSON, SOQL and paths for writes and queries. Decides and decodes nothing.

Source: REST API Developer Guide, "sObject Collections", "Composite", "Query"; SOQL Reference, "Quoted String Escape
Sequences".
"""

import math
import re
from collections.abc import Collection as Places
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec

from connector.model.http import HttpCall
from connector.model.operation import ID_FIELD, Parent, Value

WRITE_TIMEOUT = timedelta(minutes=2)  # a thousand records with triggers take more than a minute
QUERY_TIMEOUT = timedelta(seconds=60)
QUERY_BATCH = 2000  # rows: the maximum in one query response
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
RECORD_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
SOQL_ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
)
PLAIN = frozenset({str, bool})  # types that are encoded without further checks
BEYOND = 2**64  # from this number on, JSON readers disagree
# Source: REST API Developer Guide, "Duplicate Rule Header".
ALLOWED = {"Sforce-Duplicate-Rule-Header": "allowSave=true"}
# In a composite request this starts a reference to another subrequest's response, even inside a donor's message.
REFERENCE = b"@{"


class Unencodable(ValueError):  # noqa: N818 - it describes a value, not a fault in our code.
    """A name or value that cannot be sent to Salesforce; the message names the field, never the value."""


class BadName(Unencodable):
    """An object or field name that Salesforce does not allow."""


@lru_cache(maxsize=4096)
def identifier(name: str) -> str:
    """Return the API name of an object or field unchanged.

    Raises:
        BadName: it is not an API name, and would let a mapping change paths and queries.
    """
    if not IDENTIFIER.fullmatch(name):
        raise BadName(f"{name!r} is not an API name: letters, digits and `_`, beginning with a letter")
    return name


def literal(text: str) -> str:
    """A quoted SOQL string."""
    return f"'{text.translate(SOQL_ESCAPES)}'"


def record(object_name: str, key_field: str, key: str, fields: Mapping[str, Value]) -> bytes:
    """One record of a collections request, as JSON. Unlike in a single upsert, the key is in the body.

    Raises:
        Unencodable: a name or value cannot be sent.
    """
    body: dict[str, Any] = {"attributes": {"type": identifier(object_name)}, **_values(fields)}
    body["id" if key_field == ID_FIELD else identifier(key_field)] = key
    try:
        return msgspec.json.encode(body)
    except (TypeError, UnicodeEncodeError) as error:  # e.g. half of a surrogate pair
        raise Unencodable(f"{object_name} cannot be written as JSON: {error}") from error


def _values(fields: Mapping[str, Value]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, value in fields.items():
        identifier(name)
        if type(value) in PLAIN:
            body[name] = value
        elif type(value) is Parent:
            _put_parent(body, name, value)
        elif value is None and name.endswith("__r"):
            # A relationship cannot be set to null; only the field that holds the parent's id can.
            body[f"{name[:-1]}c"] = None
        elif isinstance(value, float | int) and not (math.isfinite(value) and abs(value) < BEYOND):
            raise Unencodable(f"{name} is not a number that JSON can hold")
        else:
            body[name] = value
    return body


def _put_parent(body: dict[str, Any], name: str, parent: Parent) -> None:
    if parent.key_field == ID_FIELD:
        body[f"{name[:-1]}c" if name.endswith("__r") else f"{name}Id"] = parent.key
        return
    nested: dict[str, Any] = {identifier(parent.key_field): parent.key}
    if parent.object is not None:
        nested["attributes"] = {"type": identifier(parent.object)}
    body[name] = nested


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Up to 200 records of one request: upserts of one object by one external ID, updates by Id (both None), or new records."""

    records: Sequence[bytes]
    object: str | None = None
    key_field: str | None = None
    allow: bool = False  # save records even if a duplicate rule warns about them
    insert: bool = False

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "POST" if self.insert else "PATCH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """One record in a request of its own: only then does Salesforce report what a duplicate rule has found."""

    object: str
    fields: Mapping[str, Value]
    key_field: str  # Id or an external ID
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Builds calls to one version of the REST API. Salesforce names `client` in change events."""

    version: str
    client: str

    @property
    def root(self) -> str:
        """The path prefix of this version."""
        return f"/services/data/v{self.version}"

    def collection(self, collection: Collection) -> HttpCall:
        """One collections request."""
        headers = ALLOWED if collection.allow else {}
        path = self._collection_path(collection)
        return self._write(collection.method, path, _collection_body(collection), headers)

    def collections(self, collections: Sequence[Collection]) -> HttpCall:
        """Up to five collections in one composite request: one API call, processed in this order, each independent."""
        return self._write(
            "POST",
            f"{self.root}/composite",
            _composite_body(
                [
                    {
                        "method": one.method,
                        "url": self._collection_path(one),
                        "body": _collection_body(one),
                        **({"httpHeaders": ALLOWED} if one.allow else {}),
                    }
                    for one in collections
                ]
            ),
        )

    def singles(self, singles: Sequence[Single]) -> HttpCall:
        """Up to 25 records in one composite, each in its own subrequest, so that no URL contains a phone number.

        Raises:
            Unencodable: a name or value cannot be sent.
        """
        return self._write(
            "POST",
            f"{self.root}/composite",
            _composite_body(
                [
                    {
                        "method": "PATCH",
                        "url": f"{self.root}/sobjects/{identifier(one.object)}/{_address(one)}",
                        "body": _values(one.fields),
                    }
                    for one in singles
                ]
            ),
        )

    def queries(self, queries: Sequence[str], *, deleted: Places[int] = ()) -> HttpCall:
        """Up to five SOQL queries in one composite request. They are in the body, so no URL contains a phone number.

        Queries whose positions are in `deleted` also read the recycle bin.
        """
        return HttpCall(
            method="POST",
            path=f"{self.root}/composite",
            body=msgspec.json.encode(
                _composite_body(
                    [
                        {"method": "GET", "url": self._query_path("queryAll" if place in deleted else "query", soql)}
                        for place, soql in enumerate(queries)
                    ]
                )
            ),
            headers=self._headers(json=True),
            timeout=QUERY_TIMEOUT,
            repeatable=True,
        )

    def query_all(self, soql: str) -> HttpCall:
        """One query that also reads deleted records."""
        return self.read(self._query_path("queryAll", soql), {"Sforce-Query-Options": f"batchSize={QUERY_BATCH}"})

    def describe(self, object_name: str, *, since: str | None = None) -> HttpCall:
        """Describe an object and its fields; with `since`, a `Last-Modified` value, only if it has changed after that."""
        path = f"{self.root}/sobjects/{identifier(object_name)}/describe"
        return self.read(path, None if since is None else {"If-Modified-Since": since})

    def read(self, path: str, headers: Mapping[str, str] | None = None) -> HttpCall:
        """A GET request for any path."""
        return HttpCall(
            method="GET",
            path=path,
            headers={**self._headers(json=False), **(headers or {})},
            timeout=QUERY_TIMEOUT,
            repeatable=True,
        )

    def _write(
        self, method: str, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> HttpCall:
        return HttpCall(
            method=method,
            path=path,
            body=msgspec.json.encode(body),
            headers={**self._headers(json=True), **(headers or {})},
            timeout=WRITE_TIMEOUT,
        )

    def _headers(self, *, json: bool) -> dict[str, str]:
        headers = {"Accept": "application/json", "Sforce-Call-Options": f"client={self.client}"}
        return headers | {"Content-Type": "application/json; charset=UTF-8"} if json else headers

    def _query_path(self, resource: str, soql: str) -> str:
        return f"{self.root}/{resource}?q={quote(soql, safe='')}"

    def _collection_path(self, collection: Collection) -> str:
        path = f"{self.root}/composite/sobjects"
        if collection.insert or collection.object is None or collection.key_field is None:
            return path
        return f"{path}/{identifier(collection.object)}/{identifier(collection.key_field)}"


def _address(one: Single) -> str:
    key = quote(one.key, safe="")
    return key if one.key_field == ID_FIELD else f"{identifier(one.key_field)}/{key}"


def _collection_body(collection: Collection) -> dict[str, Any]:
    return {"allOrNone": False, "records": [msgspec.Raw(body) for body in collection.records]}


def _composite_body(requests: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The subrequests with their positions as ids: a response carries the id of its request."""
    return {
        "allOrNone": False,
        "collateSubrequests": False,
        "compositeRequest": [{**request, "referenceId": f"r{number}"} for number, request in enumerate(requests)],
    }
