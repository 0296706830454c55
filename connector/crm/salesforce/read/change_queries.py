"""Change queries in SOQL: the query for the next page, the position, and the rows of a response. Pure.

Source: SOQL Reference; Object Reference, "System Fields" (SystemModstamp, IsDeleted, LastModifiedById).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from connector.crm.salesforce.client.api import QUERY_BATCH, identifier, literal
from connector.crm.salesforce.client.record_ids import comparable
from connector.crm.salesforce.client.responses import value_of
from connector.model.operation import ID_FIELD
from connector.ports import Row

STAMP = "SystemModstamp"
DELETED = "IsDeleted"
CHANGED_BY = "LastModifiedById"
MASTER = "MasterRecordId"
# Object Reference: the objects whose records can be merged, and whose merged records name the kept one.
MERGEABLE = frozenset({"account", "contact", "lead"})
DATA = "/services/data/"  # the address of a next page must start with it
PAGE = QUERY_BATCH  # rows: Salesforce's maximum per response
TIMES = ("since", "newest", "again", "asked")  # the fields of a position between two polls


@dataclass(frozen=True, slots=True, kw_only=True)
class BetweenPolls:
    """The position between two polls.

    The next poll looks back: it starts slightly before the last poll that looked back. If looking back took more than a
    page, the polls until `again` read only rows as new as the newest one. All times are by Salesforce's clock.
    """

    since: datetime  # where the next poll that looks back starts
    newest: datetime | None = None  # the timestamp of the newest row, if the last look-back took more than a page
    again: datetime | None = None  # when the feed looks back again
    asked: datetime | None = None  # when the last poll started

    @property
    def looks_back(self) -> bool:
        """Whether the next poll reads recent rows again."""
        return self.newest is None or self.again is None or self.asked is None or self.asked >= self.again

    @property
    def begins(self) -> datetime:
        """The timestamp at which the next poll starts. Its rows are read again: Salesforce's timestamps are whole seconds."""
        return self.since if self.newest is None or self.looks_back else self.newest


@dataclass(frozen=True, slots=True, kw_only=True)
class WithinPoll:
    """The position within a poll: the last row read, the poll's start by Salesforce's clock, and the previous position.

    Many rows may have the same timestamp, so that a timestamp alone does not say where a page ended.
    """

    stamp: datetime
    record_id: str
    began: datetime
    previous: BetweenPolls | None = None  # the position before the poll; None: it reads all records


Position = BetweenPolls | WithinPoll | None  # None: from the start


def read_position(text: str | None) -> Position:
    """Parse a stored position. Without a readable one the feed starts from the beginning."""
    if not text:
        return None
    try:
        stored = orjson.loads(text)
        if "since" in stored:
            return _read_between_polls(stored)
        previous = stored.get("round")
        return WithinPoll(
            stamp=moment(stored["stamp"]),
            record_id=str(stored["id"]),
            began=moment(stored["began"]),
            previous=_read_between_polls(previous) if previous else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _read_between_polls(stored: Mapping[str, Any]) -> BetweenPolls:
    return BetweenPolls(**{name: moment(stored[name]) for name in TIMES if name in stored})


def write_position(position: BetweenPolls | WithinPoll) -> str:
    """Format a position for the store."""
    return orjson.dumps(_stored(position)).decode()


def _stored(position: BetweenPolls | WithinPoll) -> dict[str, Any]:
    if isinstance(position, WithinPoll):
        # Stored as `round`, so that a position of an earlier version is read.
        previous = {} if position.previous is None else {"round": _stored(position.previous)}
        place = {"stamp": soql_time(position.stamp), "id": position.record_id}
        return {**place, "began": soql_time(position.began), **previous}
    times = ((name, getattr(position, name)) for name in TIMES)
    return {name: soql_time(time) for name, time in times if time is not None}


def columns(object_name: str, fields: Sequence[str]) -> tuple[str, ...]:
    """The columns to select: the fields, each once in any letter case, and those that every row needs.

    Raises:
        BadName: one of them is not a field name.
    """
    chosen: dict[str, str] = {}
    merged = (MASTER,) if object_name.casefold() in MERGEABLE else ()
    for name in (ID_FIELD, STAMP, CHANGED_BY, DELETED, *merged, *fields):
        chosen.setdefault(name.casefold(), identifier(name))
    return tuple(chosen.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class OptedOut:
    """How a record shows an opt-out, and how long before a poll its change may have been stamped."""

    flag: str
    value: Any
    look_back: timedelta  # in addition to the overlap of the polls

    @property
    def condition(self) -> str:
        """The SOQL condition for opted-out records."""
        value = str(self.value).lower() if isinstance(self.value, bool) else literal(str(self.value))
        return f"{identifier(self.flag)} = {value}"


def page_query(object_name: str, fields: Sequence[str], position: Position, opted_out: OptedOut | None = None) -> str:
    """The query for the next page after the position; in a poll also for opted-out records from further back.

    A transaction may end many minutes after its timestamp. So late opt-outs are not lost, and one query is still
    enough.
    """
    where = ""
    if isinstance(position, BetweenPolls):
        since = f"{STAMP} >= {soql_time(position.begins)}"
        where = f" WHERE {since}"
        if opted_out is not None:
            first = soql_time(position.since - opted_out.look_back)
            where = f" WHERE {STAMP} >= {first} AND ({opted_out.condition} OR {since})"
    elif isinstance(position, WithinPoll):
        stamp, previous = soql_time(position.stamp), position.previous
        where = f" WHERE ({STAMP} = {stamp} AND Id > {literal(position.record_id)}) OR {STAMP} > {stamp}"
        if opted_out is not None and previous is not None and position.stamp < previous.begins:
            # Rows from this period are read only if they are opted out.
            where = f" WHERE ({where.removeprefix(' WHERE ')}) AND ({opted_out.condition} OR {STAMP} >= {soql_time(previous.begins)})"
    return f"{_select(object_name, fields)}{where} ORDER BY {STAMP}, Id LIMIT {PAGE}"


def opted_out_query(
    object_name: str, fields: Sequence[str], position: BetweenPolls | WithinPoll, opted_out: OptedOut
) -> str:
    """The query for opted-out records modified shortly before the poll or since, newest first."""
    previous = position.previous or BetweenPolls(since=position.began) if isinstance(position, WithinPoll) else position
    first = soql_time(previous.since - opted_out.look_back)
    where = f"{opted_out.condition} AND {STAMP} >= {first}"
    return f"{_select(object_name, fields)} WHERE {where} ORDER BY {STAMP} DESC, Id LIMIT {PAGE}"


def by_id_query(object_name: str, fields: Sequence[str], record_ids: Sequence[str]) -> str:
    """The query for these records as they are now, and for records that were merged into them."""
    listed = ",".join(literal(one) for one in record_ids)
    merged = f" OR {MASTER} IN ({listed})" if object_name.casefold() in MERGEABLE else ""
    return f"{_select(object_name, fields)} WHERE Id IN ({listed}){merged}"


def all_records_query(object_name: str, fields: Sequence[str], *, after: str | None = None) -> str:
    """The query for all records; with `after`, for a page of those with higher Ids."""
    if after is None:
        return _select(object_name, fields)
    where = f" WHERE Id > {literal(after)}" if after else ""
    return f"{_select(object_name, fields)}{where} ORDER BY Id LIMIT {PAGE}"


def count_query(object_name: str) -> str:
    """The query for the number of records."""
    return f"SELECT COUNT() FROM {identifier(object_name)}"  # noqa: S608 - SOQL; the name is checked.


def _select(object_name: str, fields: Sequence[str]) -> str:
    return f"SELECT {','.join(columns(object_name, fields))} FROM {identifier(object_name)}"  # noqa: S608 - SOQL; names are checked and texts quoted.


def read_row(record: Mapping[str, Any], fields: Sequence[str], own_user: str | None = None) -> Row:
    """Parse a record of a response. `own_user` is the Id of the signed-in user.

    Raises:
        ValueError: the Id or the timestamp is missing.
    """
    record_id = value_of(record, ID_FIELD)
    if not isinstance(record_id, str):
        raise ValueError("a row without its Id")  # noqa: TRY004 - the response is wrong, not a Python type.
    master, changed_by = value_of(record, MASTER), value_of(record, CHANGED_BY)
    known = isinstance(changed_by, str) and own_user is not None
    return Row(
        record_id=record_id,
        stamp=moment(value_of(record, STAMP)),
        fields={name: value_of(record, name) for name in fields},
        deleted=value_of(record, DELETED) is True,
        merged_into=master if isinstance(master, str) else None,
        by_us=comparable(str(changed_by)) == comparable(str(own_user)) if known else None,
    )


def position_after(start: Position, last: Row, began: datetime) -> WithinPoll:
    """The position after this row, of a page that was requested at `start`."""
    previous = start.previous if isinstance(start, WithinPoll) else start
    return WithinPoll(stamp=last.stamp, record_id=last.record_id, began=began, previous=previous)


def position_after_poll(
    start: Position, rows: Sequence[Row], *, began: datetime, ended: datetime, overlap: timedelta
) -> BetweenPolls:
    """Where the next poll starts; the last page of this poll was requested at `start` and returned these rows.

    Rows become visible when their transaction ends, later than their timestamp. So rows stamped shortly before the poll
    started are read again. If that takes more than a page, as after thousands of our own writes, it is done only once
    per look-back period, so that a row is read at most three times.
    """
    previous = start.previous if isinstance(start, WithinPoll) else start
    stamps = [rows[-1].stamp] if rows else []
    stamps += [start.stamp] if isinstance(start, WithinPoll) else []
    if previous is not None and previous.newest is not None and not previous.looks_back:
        return replace(previous, newest=max(*stamps, previous.newest) if stamps else previous.newest, asked=began)
    since = began - overlap
    if not isinstance(start, WithinPoll) or max(stamps) < since:
        return BetweenPolls(since=since)
    return BetweenPolls(since=since, newest=max(stamps), again=ended + overlap, asked=began)


def moment(text: object) -> datetime:
    """Parse a time as Salesforce writes it, `2026-11-22T04:00:00.000+0000`, to UTC. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("no time")  # noqa: TRY004 - the response is wrong, not a Python type.
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        raise ValueError("a time without its zone")
    return read.astimezone(UTC)


def soql_time(time: datetime) -> str:
    """A time in SOQL, in milliseconds."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"
