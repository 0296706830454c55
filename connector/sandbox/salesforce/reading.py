"""Reads records: query pages, single records, and records updated or deleted within a period."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.fields import Field, Kind, SObject
from connector.sandbox.salesforce.identifiers import canonical
from connector.sandbox.salesforce.refusals import RequestRefusedError, not_found
from connector.sandbox.salesforce.soql import parse
from connector.sandbox.salesforce.soql_sql import Statement, compile_query
from connector.sandbox.salesforce.values import parse_moment

SMALLEST_BATCH, LARGEST_BATCH = 200, 2000  # rows per page; other values are replaced by the nearest
OPEN_CURSORS = 10  # query locators per user; the oldest is dropped
REPLICATION_DAYS = 30  # maximum period of getUpdated and getDeleted

Row = dict[str, Any]


class Reader:
    """Answers reads from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cursors: OrderedDict[str, tuple[Statement, list[tuple[Any, ...]], int]] = OrderedDict()
        self._numbers = count(1)

    def query(self, text: str, base: str, *, deleted: bool, batch: int) -> Row:
        """The first page of a query; `base` is the API version's path, `deleted` includes the recycle bin."""
        statement = compile_query(self._database.schema, parse(text), deleted=deleted)
        rows = self._database.connection.execute(statement.sql, statement.parameters).fetchall()
        if statement.counting:
            return {"totalSize": rows[0][0], "done": True, "records": []}
        batch = max(SMALLEST_BATCH, min(LARGEST_BATCH, batch))
        locator = f"01g5f00000{next(self._numbers):05d}AAA"
        if len(rows) > batch:
            self._cursors[locator] = (statement, rows, batch)
            while len(self._cursors) > OPEN_CURSORS:
                self._cursors.popitem(last=False)
        return _page(statement, rows, base, locator, 0, batch)

    def more(self, locator: str, base: str) -> Row:
        """A further page, by the locator of `nextRecordsUrl`."""
        name, _, start = locator.partition("-")
        cursor = self._cursors.get(name)
        if cursor is None or not start.isdigit():
            raise RequestRefusedError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        statement, rows, batch = cursor
        return _page(statement, rows, base, name, int(start), batch)

    def read_one(self, sobject: SObject, key: Field, value: str, base: str, fields: Sequence[str] = ()) -> Row:
        """One record with all or the given fields."""
        if key.kind is Kind.ID:
            column, wanted = "Id", canonical(value) or ""
        else:
            column, wanted = key.folded, key.fold(value)
        chosen = self._chosen(sobject, fields)
        names = ", ".join(f'"{field.name}"' for field in chosen)
        living = "" if key.kind is Kind.ID else ' AND "IsDeleted" = 0'
        rows = self._database.connection.execute(
            f'SELECT "IsDeleted", "Id", {names} FROM "{sobject.name}" WHERE "{column}" = ?{living}',  # noqa: S608 - names are checked
            (wanted,),
        ).fetchall()
        if not rows:
            raise not_found()
        if len(rows) > 1:
            raise SeveralMatchError([f"{base}/sobjects/{sobject.name}/{row[1]}" for row in rows])
        if rows[0][0]:
            raise RequestRefusedError(404, "ENTITY_IS_DELETED", "entity is deleted")
        return _record(sobject, chosen, rows[0][1], rows[0][2:], base)

    def read_several(self, sobject: SObject, ids: Sequence[str], fields: Sequence[str], base: str) -> list[Row | None]:
        """Records by id, in the requested order; None for missing ones."""
        chosen = self._chosen(sobject, fields)
        names = ", ".join(f'"{field.name}"' for field in chosen)
        sql = f'SELECT "Id", {names} FROM "{sobject.name}" WHERE "Id" IN ({{}}) AND "IsDeleted" = 0'  # noqa: S608 - names are checked
        wanted = [canonical(given) or "" for given in ids]
        found = {row[0]: _record(sobject, chosen, row[0], row[1:], base) for row in self._database.lookup(sql, wanted)}
        return [found.get(given) for given in wanted]

    def read_all(self, sobject: SObject) -> list[Row]:
        """All rows with all fields, the recycle bin included; for the control interface."""
        names = ", ".join(f'"{field.name}"' for field in sobject.fields)
        rows = self._database.connection.execute(f'SELECT {names} FROM "{sobject.name}" ORDER BY "row"')  # noqa: S608 - names are ours
        return [_values(sobject.fields, row) for row in rows]

    def as_stored(self, sobject: SObject, ids: Sequence[str | None]) -> list[Row | None]:
        """Records by id with all fields, in the given order; None for an unknown id."""
        names = ", ".join(f'"{field.name}"' for field in sobject.fields)
        sql = f'SELECT "Id", {names} FROM "{sobject.name}" WHERE "Id" IN ({{}})'  # noqa: S608 - names are ours
        found = {row[0]: row[1:] for row in self._database.lookup(sql, [one for one in ids if one])}
        return [_values(sobject.fields, found[one]) if one in found else None for one in ids]

    def updated(self, sobject: SObject, window: Mapping[str, str], now: float) -> Row:
        """The ids of the records changed within a period."""
        start, end = _window(window, now)
        rows = self._database.connection.execute(
            f'SELECT "Id" FROM "{sobject.name}" WHERE "SystemModstamp" >= ? AND "SystemModstamp" < ? AND "IsDeleted" = 0 '  # noqa: S608 - names are ours
            'ORDER BY "SystemModstamp", "Id"',
            (start, end),
        )
        return {"ids": [row[0] for row in rows], "latestDateCovered": end}

    def deleted(self, sobject: SObject, window: Mapping[str, str], now: float) -> Row:
        """The records deleted within a period."""
        start, end = _window(window, now)
        rows = self._database.connection.execute(
            f'SELECT "Id", "SystemModstamp" FROM "{sobject.name}" WHERE "SystemModstamp" >= ? AND "SystemModstamp" < ? '  # noqa: S608 - names are ours
            'AND "IsDeleted" = 1 ORDER BY "SystemModstamp", "Id"',
            (start, end),
        )
        return {
            "deletedRecords": [{"id": row[0], "deletedDate": row[1]} for row in rows],
            "earliestDateAvailable": _moment(now - timedelta(days=REPLICATION_DAYS).total_seconds()),
            "latestDateCovered": end,
        }

    @staticmethod
    def _chosen(sobject: SObject, fields: Sequence[str]) -> list[Field]:
        if not fields:
            return list(sobject.fields)
        chosen = []
        for name in fields:
            found = sobject.find(name.strip())
            if found is None:
                raise RequestRefusedError(400, "INVALID_FIELD", f"No such column '{name}' on entity '{sobject.name}'")
            chosen.append(found)
        return chosen


class SeveralMatchError(Exception):
    """A non-unique key matches several records; the API responds with 300 and their addresses."""

    def __init__(self, urls: list[str]) -> None:
        super().__init__("several records match")
        self.urls = urls


def _values(fields: Sequence[Field], row: Sequence[Any]) -> Row:
    return {
        field.name: bool(value) if field.kind is Kind.BOOLEAN else value
        for field, value in zip(fields, row, strict=True)
    }


def _attributes(name: str, record: str, base: str) -> Row:
    return {"type": name, "url": f"{base}/sobjects/{name}/{record}"}


def _record(sobject: SObject, fields: Sequence[Field], record: str, row: Sequence[Any], base: str) -> Row:
    return {"attributes": _attributes(sobject.name, record, base), **_values(fields, row)}


def _page(statement: Statement, rows: list[tuple[Any, ...]], base: str, locator: str, start: int, batch: int) -> Row:
    render = _renderer(statement, base)
    end = start + batch
    page: Row = {
        "totalSize": len(rows),
        "done": end >= len(rows),
        "records": [render(row) for row in rows[start:end]],
    }
    if end < len(rows):
        page["nextRecordsUrl"] = f"{base}/query/{locator}-{end}"
    return page


def _renderer(statement: Statement, base: str) -> Callable[[tuple[Any, ...]], Row]:
    """A function that converts a row of the statement to a record with nested parents."""
    first = 1 + len(statement.parent_ids)
    name = statement.source.name

    def render(row: tuple[Any, ...]) -> Row:
        record: Row = {"attributes": _attributes(name, row[0], base)}
        parents: dict[tuple[str, ...], Row | None] = {(): record}
        for (way, parent_name), parent_id in zip(statement.parent_ids, row[1:first], strict=True):
            parents[way] = None if parent_id is None else {"attributes": _attributes(parent_name, parent_id, base)}
        for column, value in zip(statement.columns, row[first:], strict=True):
            for depth in range(1, len(column.parents) + 1):
                holder = parents[column.parents[: depth - 1]]
                if holder is not None:
                    holder[column.parents[depth - 1]] = parents[column.parents[:depth]]
            owner = parents[column.parents]
            if owner is not None:
                owner[column.names[-1]] = bool(value) if column.boolean else value
        return record

    return render


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _window(window: Mapping[str, str], now: float) -> tuple[str, str]:
    """Start and end of a replication request, in whole seconds; `latestDateCovered` is never in the future."""
    ends = [parse_moment(window.get(name, "").replace(" ", "+")) for name in ("start", "end")]
    if ends[0] is None or ends[1] is None:
        raise RequestRefusedError(400, "MALFORMED_DATE", "start and end must be dates such as 2026-11-22T04:00:00Z")
    start, end = (moment.timestamp() for moment in ends if moment)
    end = min(end, now)
    if start >= end:
        raise RequestRefusedError(
            400, "INVALID_REPLICATION_DATE", "startDate must be at least one minute before endDate"
        )
    if start < now - timedelta(days=REPLICATION_DAYS).total_seconds():
        raise RequestRefusedError(
            400,
            "INVALID_REPLICATION_DATE",
            f"startDate before org replication enabled date, or over {REPLICATION_DAYS} days",
        )
    return _moment(start), _moment(end)
