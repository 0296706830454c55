"""Creates a large org in seconds: many records of one object from patterns, without the API's checks and the history."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import Author, fold, unwritable
from connector.sandbox.salesforce.fields import SObject
from connector.sandbox.salesforce.identifiers import record_id
from connector.sandbox.salesforce.refusals import RecordRefusedError, no_such_column
from connector.sandbox.salesforce.values import Stored, stored

MOST = 2_000_000  # records per request: more than the largest tested org, few enough for one transaction
SYSTEM = ("row", "Id", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp")

Column = Callable[[int], Stored]  # a field's value in the record of that number


def seed(
    database: Database, sobject: SObject, patterns: Mapping[str, Any], numbers: range, author: Author
) -> tuple[str, str]:
    """Create one record per number; returns the ids of the first and the last. The caller holds the transaction.

    A field's pattern is a value, or a list of values used in turn. In a text each `#` becomes a digit of the record's
    number, the last `#` its last digit: `+47 9## ## ###` is `+47 900 00 042` in record 42.

    Raises:
        RecordRefusedError: a required field has no pattern, or a value is not allowed.
        RequestRefusedError: there is no such field, or a value has the wrong type.
    """
    columns: dict[str, Column] = {}
    for name, pattern in patterns.items():
        field = sobject.find(name)
        if field is None:
            raise no_such_column(name, sobject.name)
        if not field.writable:
            raise unwritable(field)
        # A digit is as long as its `#`, so checking the patterns once is enough.
        turns = [stored(field, value) for value in (pattern if isinstance(pattern, list) and pattern else [pattern])]
        columns[field.name] = _taking_turns(turns)
        if field.keyed:
            columns[field.folded] = _taking_turns([fold(field, value) for value in turns])
    if missing := [field.name for field in sobject.required if field.name not in columns]:
        raise RecordRefusedError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]")
    rows = database.take_rows(sobject, len(numbers))
    names = ", ".join(f'"{name}"' for name in (*SYSTEM, *columns))
    marks = ", ".join("?" * (len(SYSTEM) + len(columns)))
    database.connection.executemany(
        f'INSERT INTO "{sobject.name}" ({names}) VALUES ({marks})',  # noqa: S608 - names are ours
        _records(sobject, rows, numbers, tuple(columns.values()), author),
    )
    return record_id(sobject.prefix, rows[0]), record_id(sobject.prefix, rows[-1])


def _records(
    sobject: SObject, rows: range, numbers: range, columns: Sequence[Column], author: Author
) -> Iterator[tuple[Stored, ...]]:
    trail = (author.stamp, author.user, author.stamp, author.user, author.stamp)
    for row, number in zip(rows, numbers, strict=True):
        yield (row, record_id(sobject.prefix, row), *trail, *(column(number) for column in columns))


def _taking_turns(turns: Sequence[Stored]) -> Column:
    made = [_as_column(value) for value in turns]
    if len(made) == 1:
        return made[0]
    return lambda number: made[number % len(made)](number)


def _as_column(value: Stored) -> Column:
    if not isinstance(value, str) or "#" not in value:
        return lambda _: value
    places = value.count("#")
    pattern = value.replace("%", "%%").replace("#", "%s")
    return lambda number: pattern % tuple(f"{number:0{places}}"[-places:])
