"""Calls of the Dataverse Web API as values: addresses, keys, headers and batches. Pure.

Sources: "Compose HTTP requests and handle errors", "Execute batch operations using the Web API", "Use an alternate key to
reference a record", "Define alternate keys".
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import orjson
from msgspec import Struct, field

from connector.model.http import HttpCall

ROOT = "/api/data/v9.2/"  # the version is fixed: newer versions may behave differently
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
GUID = re.compile(r"\{?[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?")
# These characters in a value of an alternate key make the address unreadable, percent-encoded or not. `#` is from
# MicrosoftDocs/powerapps-docs#1895.
FORBIDDEN_IN_KEYS = frozenset("/<>*%&:\\?+#")
BOUNDARY = "batch_crm_connector"
# Synchronous plug-ins have two minutes, so that an operation may take that long.
TIMEOUT = timedelta(seconds=150)
HEADERS = {"Accept": "application/json", "OData-Version": "4.0", "OData-MaxVersion": "4.0"}
JSON = {"Content-Type": "application/json; charset=utf-8"}
REPRESENTATION = "return=representation"


class BadName(ValueError):  # noqa: N818 - named after the state that it reports.
    """A table or column has a name that Dataverse does not allow."""


class BadKey(ValueError):  # noqa: N818 - the same.
    """A key's value cannot be used in an address. The message does not hold it."""


class Operation(Struct, frozen=True, kw_only=True):
    """One operation of a batch. `target` is below the API's root, encoded.

    `first` is another one that is done just before it: both or neither. The answer is then that of the second, or the failure.
    """

    method: str
    target: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    first: "Operation | None" = None


@lru_cache(maxsize=1000)
def identifier(name: str) -> str:
    """A name that is safe in an address. Raises BadName."""
    if not IDENTIFIER.fullmatch(name):
        raise BadName(f"{name} is no name of a table or column: write its logical name, such as crmc_smsoptout")
    return name


def literal(value: str) -> str:
    """A text in a filter, not yet percent-encoded."""
    return "'" + value.replace("'", "''") + "'"


def query(**options: str) -> str:
    """A query string; `select` becomes $select."""
    return "&".join(f"${name}={quote(value, safe=',()')}" for name, value in options.items())


def by_id(record_id: str) -> str:
    """The parentheses of a record's address, by its id."""
    return f"({record_id.strip('{}').lower()})"


def by_key(column: str, value: str) -> str:
    """The parentheses of a record's address, by an alternate key of one text column. Raises BadKey."""
    if FORBIDDEN_IN_KEYS & set(value) or not value.isprintable():
        raise BadKey(
            f"the key for {column} has a character that Dataverse does not take in a key: write it with letters, digits, - "
            "and _ only; for a phone number {from: msisdn, phone: digits}"
        )
    return f"({identifier(column)}='{quote(value.replace(chr(39), chr(39) * 2), safe='')}')"


def any_of(column: str, values: Iterable[str]) -> str:
    """A filter for records with one of these values."""
    listed = ",".join(literal(value) for value in values)
    return f"Microsoft.Dynamics.CRM.In(PropertyName='{identifier(column)}',PropertyValues=[{listed}])"


def get(target: str, *, prefer: str = "", repeatable: bool = True) -> HttpCall:
    """A call that reads; `target` is below the root, or an address on the same server."""
    headers = {**HEADERS, "If-None-Match": "null", **({"Prefer": prefer} if prefer else {})}
    return HttpCall(
        method="GET", path=_path(target), headers=headers, timeout=TIMEOUT, table=True, repeatable=repeatable
    )


def post(target: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> HttpCall:
    """A call that creates something."""
    return HttpCall(
        method="POST",
        path=_path(target),
        body=orjson.dumps(body),
        headers={**HEADERS, **JSON, **(headers or {})},
        timeout=TIMEOUT,
    )


def batch(operations: Sequence[Operation]) -> HttpCall:
    """A call with several operations, each of which succeeds or fails by itself."""
    reads = all(one.method == "GET" for one in operations)
    pieces: list[bytes] = []
    for number, one in enumerate(operations):
        if one.first is None:
            pieces += _part(f"--{BOUNDARY}{_HEAD}", one)
            continue
        name = f"changeset_{number}"  # Content-IDs are unique in the whole batch
        pieces.append(f"--{BOUNDARY}\r\nContent-Type: multipart/mixed; boundary={name}\r\n\r\n".encode())
        for place, each in enumerate((one.first, one)):
            pieces += _part(f"--{name}\r\nContent-ID: {2 * number + place + 1}{_HEAD}", each)
        pieces.append(f"--{name}--\r\n".encode())
    pieces.append(f"--{BOUNDARY}--\r\n".encode())
    return HttpCall(
        method="POST",
        path=f"{ROOT}$batch",
        body=b"".join(pieces),
        headers={
            **HEADERS,
            "Content-Type": f"multipart/mixed; boundary={BOUNDARY}",
            "Prefer": "odata.continue-on-error",
        },
        timeout=TIMEOUT,
        table=reads,
        repeatable=reads,
    )


_HEAD = "\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"


def _part(head: str, one: Operation) -> tuple[bytes, ...]:
    head += f"{one.method} {ROOT}{one.target} HTTP/1.1\r\nAccept: application/json\r\n"
    for name, value in one.headers.items():
        head += f"{name}: {value}\r\n"
    if one.body is None:
        return (head.encode(), b"\r\n\r\n")
    head += "Content-Type: application/json; charset=utf-8\r\n\r\n"
    return (head.encode(), orjson.dumps(one.body), b"\r\n")


def _path(target: str) -> str:
    """The path of an address: links of the service are absolute, and lead to the configured server only."""
    _, found, rest = target.partition("/api/data/")
    return f"/api/data/{rest}" if found else f"{ROOT}{target}"
