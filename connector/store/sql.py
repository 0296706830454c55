"""Times as the database stores them (whole microseconds since 1970, UTC), single values, and many rows in few statements.

Every step of a statement releases the interpreter's lock, and a busy event loop returns it only after its switch
interval. So rows written one by one wait once each, and rows read as one wait once.
"""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Microseconds since the epoch; raises TypeError for a time without a zone, which would be a guess."""
    return (moment - EPOCH) // MICROSECOND


def moment(count: int) -> datetime:
    """The point in time, in UTC."""
    return EPOCH + timedelta(microseconds=count)


def put_value(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Store a value in `cursors`: the position of a feed, or what the database holds only once."""
    connection.execute(
        "INSERT INTO cursors (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


# Rows in a statement: few sizes, so that the connection keeps all of them prepared.
SIZES = (256, 64, 16, 4, 1)


@lru_cache(maxsize=256)
def _text(template: str, columns: int, rows: int) -> str:
    row = "(" + ",".join("?" * columns) + ")"
    return template.replace("{rows}", ",".join([row] * rows))


def execute_rows(connection: sqlite3.Connection, template: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run the statement for all rows; `VALUES {rows}` in it stands for as many of them as fit."""
    done = 0
    for size in SIZES:
        while len(rows) - done >= size:
            part = rows[done : done + size]
            connection.execute(_text(template, len(part[0]), size), tuple(chain.from_iterable(part)))
            done += size


def as_list(values: Sequence[Any]) -> str:
    """A parameter for `SELECT value FROM json_each(?)`."""
    return orjson.dumps(values).decode()


def read_rows(connection: sqlite3.Connection, query: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
    """The rows of a query whose only column is `json_group_array(json_array(…))`, read in one step."""
    (text,) = connection.execute(query, parameters).fetchone()
    rows: list[Any] = orjson.loads(text)
    return rows
