"""Changes as SOQL: the question for the next page, where it left off, and the rows in an answer. Pure.

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
# Object Reference: the objects whose records an administrator merges, and which tell where a merged one went.
MERGEABLE = frozenset({"account", "contact", "lead"})
DATA = "/services/data/"  # where the address of a next page must be
PAGE = QUERY_BATCH  # rows: what Salesforce gives in one answer
TIMES = ("since", "newest", "again", "asked")  # of a position between two rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """Between two rounds.

    The next one looks back: it begins a little before the last one that did. Where that took more than a page, the rounds read until
    `again` only what is as new as the newest row; all times are Salesforce's.
    """

    since: datetime  # where the next look back begins
    newest: datetime | None = None  # the stamp of the newest row, where the last look back took more than a page
    again: datetime | None = None  # when the feed looks back again
    asked: datetime | None = None  # when the last round began

    @property
    def looks_back(self) -> bool:
        """Whether the next round reads again what was read lately."""
        return self.newest is None or self.again is None or self.asked is None or self.asked >= self.again

    @property
    def begins(self) -> datetime:
        """The stamp at which the next round begins. It is read again with what bears it: Salesforce's stamps are whole seconds."""
        return self.since if self.newest is None or self.looks_back else self.newest


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """Within a round: the last row that was read, when the round began by Salesforce's clock, and from where.

    Many rows may share one stamp, so that the stamp alone does not say where a page ended.
    """

    stamp: datetime
    record_id: str
    began: datetime
    round: Between | None = None  # None: it reads everything


Position = Between | Within | None  # None: everything


def read_position(text: str | None) -> Position:
    """A position as it was stored; one that cannot be read is a lost one, and the feed begins anew."""
    if not text:
        return None
    try:
        stored = orjson.loads(text)
        if "since" in stored:
            return _read_between(stored)
        begun = stored.get("round")
        return Within(
            stamp=moment(stored["stamp"]),
            record_id=str(stored["id"]),
            began=moment(stored["began"]),
            round=_read_between(begun) if begun else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _read_between(stored: Mapping[str, Any]) -> Between:
    return Between(**{name: moment(stored[name]) for name in TIMES if name in stored})


def write_position(position: Between | Within) -> str:
    """A position to be stored."""
    return orjson.dumps(_stored(position)).decode()


def _stored(position: Between | Within) -> dict[str, Any]:
    if isinstance(position, Within):
        begun = {} if position.round is None else {"round": _stored(position.round)}
        place = {"stamp": soql_time(position.stamp), "id": position.record_id}
        return {**place, "began": soql_time(position.began), **begun}
    times = ((name, getattr(position, name)) for name in TIMES)
    return {name: soql_time(time) for name, time in times if time is not None}


def columns(object_name: str, fields: Sequence[str]) -> tuple[str, ...]:
    """What is selected: the fields, once each whatever their case, and what a row needs.

    Raises:
        BadName: one of them is no field name.
    """
    chosen: dict[str, str] = {}
    merged = (MASTER,) if object_name.casefold() in MERGEABLE else ()
    for name in (ID_FIELD, STAMP, CHANGED_BY, DELETED, *merged, *fields):
        chosen.setdefault(name.casefold(), identifier(name))
    return tuple(chosen.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class OptedOut:
    """How a record of the object says "out", and how long before a round its change may have been stamped."""

    flag: str
    value: Any
    look_back: timedelta  # beyond the overlap of the rounds

    @property
    def condition(self) -> str:
        """In SOQL."""
        value = str(self.value).lower() if isinstance(self.value, bool) else literal(str(self.value))
        return f"{identifier(self.flag)} = {value}"


def question(object_name: str, fields: Sequence[str], position: Position, opted_out: OptedOut | None = None) -> str:
    """The query for the next page after the position; in a round also for what says "out" from further back.

    A transaction may end many minutes after its stamp: no opt-out is lost by that, and the query is still one.
    """
    where = ""
    if isinstance(position, Between):
        since = f"{STAMP} >= {soql_time(position.begins)}"
        where = f" WHERE {since}"
        if opted_out is not None:
            first = soql_time(position.since - opted_out.look_back)
            where = f" WHERE {STAMP} >= {first} AND ({opted_out.condition} OR {since})"
    elif isinstance(position, Within):
        stamp, begun = soql_time(position.stamp), position.round
        where = f" WHERE ({STAMP} = {stamp} AND Id > {literal(position.record_id)}) OR {STAMP} > {stamp}"
        if opted_out is not None and begun is not None and position.stamp < begun.begins:
            # What was stamped between there and here is read only where it says "out".
            where = f" WHERE ({where.removeprefix(' WHERE ')}) AND ({opted_out.condition} OR {STAMP} >= {soql_time(begun.begins)})"
    return f"{_select(object_name, fields)}{where} ORDER BY {STAMP}, Id LIMIT {PAGE}"


def question_opted_out(object_name: str, fields: Sequence[str], position: Between | Within, opted_out: OptedOut) -> str:
    """The query for what says "out" and was modified shortly before the round or since, the latest first."""
    begun = position.round or Between(since=position.began) if isinstance(position, Within) else position
    first = soql_time(begun.since - opted_out.look_back)
    where = f"{opted_out.condition} AND {STAMP} >= {first}"
    return f"{_select(object_name, fields)} WHERE {where} ORDER BY {STAMP} DESC, Id LIMIT {PAGE}"


def question_by_id(object_name: str, fields: Sequence[str], record_ids: Sequence[str]) -> str:
    """The query for these records as they are now, and for what was merged into them."""
    listed = ",".join(literal(one) for one in record_ids)
    merged = f" OR {MASTER} IN ({listed})" if object_name.casefold() in MERGEABLE else ""
    return f"{_select(object_name, fields)} WHERE Id IN ({listed}){merged}"


def question_all(object_name: str, fields: Sequence[str], *, after: str | None = None) -> str:
    """The query for all records; with `after` for a page of those whose Ids are higher."""
    if after is None:
        return _select(object_name, fields)
    where = f" WHERE Id > {literal(after)}" if after else ""
    return f"{_select(object_name, fields)}{where} ORDER BY Id LIMIT {PAGE}"


def question_count(object_name: str) -> str:
    """The query for how many records there are."""
    return f"SELECT COUNT() FROM {identifier(object_name)}"  # noqa: S608 - SOQL; the name is checked.


def _select(object_name: str, fields: Sequence[str]) -> str:
    return f"SELECT {','.join(columns(object_name, fields))} FROM {identifier(object_name)}"  # noqa: S608 - SOQL; names are checked and texts quoted.


def row(record: Mapping[str, Any], fields: Sequence[str], own_user: str | None = None) -> Row:
    """A record of an answer. `own_user` is the Id of the user that we are signed in as.

    Raises:
        ValueError: it lacks its Id or its stamp.
    """
    record_id = value_of(record, ID_FIELD)
    if not isinstance(record_id, str):
        raise ValueError("a row without its Id")  # noqa: TRY004 - the answer is wrong, not a type of ours.
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


def after(start: Position, last: Row, began: datetime) -> Within:
    """The position behind this row, of a page that was asked for at `start`."""
    begun = start.round if isinstance(start, Within) else start
    return Within(stamp=last.stamp, record_id=last.record_id, began=began, round=begun)


def next_round(
    start: Position, rows: Sequence[Row], *, began: datetime, ended: datetime, overlap: timedelta
) -> Between:
    """Where the round after this one begins, whose last page was asked for at `start` and brought these rows.

    Rows become visible when their transaction ends, later than their stamp: what was stamped shortly before the round
    began is read again. Where that takes more than a page, as behind thousands of writes of ours, it is done only as often as it
    reaches back, so that a row is read three times at the most.
    """
    begun = start.round if isinstance(start, Within) else start
    stamps = [rows[-1].stamp] if rows else []
    stamps += [start.stamp] if isinstance(start, Within) else []
    if begun is not None and begun.newest is not None and not begun.looks_back:
        return replace(begun, newest=max(*stamps, begun.newest) if stamps else begun.newest, asked=began)
    since = began - overlap
    if not isinstance(start, Within) or max(stamps) < since:
        return Between(since=since)
    return Between(since=since, newest=max(stamps), again=ended + overlap, asked=began)


def moment(text: object) -> datetime:
    """A time as Salesforce writes it, `2026-11-22T04:00:00.000+0000`, in UTC; raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("no time")  # noqa: TRY004 - the answer is wrong, not a type of ours.
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        raise ValueError("a time without its zone")
    return read.astimezone(UTC)


def soql_time(time: datetime) -> str:
    """A time in SOQL, to the millisecond."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"
