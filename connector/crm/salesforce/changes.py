"""Changes as SOQL: the question for the next page, where it left off, and the rows in an answer. Pure.

Source: SOQL Reference; Object Reference, "System Fields" (SystemModstamp, IsDeleted, LastModifiedById).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from connector.crm.salesforce.decode import value_of
from connector.crm.salesforce.encode import QUERY_BATCH, identifier, literal
from connector.crm.salesforce.record_ids import comparable
from connector.model.operation import ID_FIELD
from connector.model.roles import Row

STAMP = "SystemModstamp"
DELETED = "IsDeleted"
CHANGED_BY = "LastModifiedById"
MASTER = "MasterRecordId"
# Object Reference: the objects whose records an administrator merges, and which tell where a merged one went.
MERGEABLE = frozenset({"account", "contact", "lead"})
PAGE = QUERY_BATCH  # rows: what Salesforce gives in one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """Between two rounds: the next one begins here, a little before the last one did."""

    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """Within a round: the last row that was read, and when the round began by Salesforce's clock.

    Many rows may share one stamp, so that the stamp alone does not say where a page ended.
    """

    stamp: datetime
    record_id: str
    began: datetime


Position = Between | Within | None  # None: everything


def read_position(text: str | None) -> Position:
    """A position as it was stored; one that cannot be read is a lost one, and the feed begins anew."""
    if not text:
        return None
    try:
        stored = orjson.loads(text)
        if "since" in stored:
            return Between(since=moment(stored["since"]))
        return Within(stamp=moment(stored["stamp"]), record_id=str(stored["id"]), began=moment(stored["began"]))
    except (ValueError, KeyError, TypeError):
        return None


def write_position(position: Between | Within) -> str:
    """A position to be stored."""
    stored = (
        {"since": soql_time(position.since)}
        if isinstance(position, Between)
        else {"stamp": soql_time(position.stamp), "id": position.record_id, "began": soql_time(position.began)}
    )
    return orjson.dumps(stored).decode()


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
    """The query for the next page after the position; at the beginning of a round also for what says "out" from further back.

    A transaction may end many minutes after its stamp: no opt-out is lost by that, and the query is still one.
    """
    where = ""
    if isinstance(position, Between):
        since = f"{STAMP} >= {soql_time(position.since)}"
        where = f" WHERE {since}"
        if opted_out is not None:
            first = soql_time(position.since - opted_out.look_back)
            where = f" WHERE {STAMP} >= {first} AND ({opted_out.condition} OR {since})"
    elif isinstance(position, Within):
        stamp = soql_time(position.stamp)
        where = f" WHERE ({STAMP} = {stamp} AND Id > {literal(position.record_id)}) OR {STAMP} > {stamp}"
    return f"{_select(object_name, fields)}{where} ORDER BY {STAMP}, Id LIMIT {PAGE}"


def question_opted_out(object_name: str, fields: Sequence[str], position: Between | Within, opted_out: OptedOut) -> str:
    """The query for what says "out" and was modified shortly before the round or since, the latest first."""
    began = position.since if isinstance(position, Between) else position.began
    first = soql_time(began - opted_out.look_back)
    where = f"{opted_out.condition} AND {STAMP} >= {first}"
    return f"{_select(object_name, fields)} WHERE {where} ORDER BY {STAMP} DESC, Id LIMIT {PAGE}"


def question_by_id(object_name: str, fields: Sequence[str], record_ids: Sequence[str]) -> str:
    """The query for these records as they are now, and for what was merged into them."""
    listed = ",".join(literal(one) for one in record_ids)
    merged = f" OR {MASTER} IN ({listed})" if object_name.casefold() in MERGEABLE else ""
    return f"{_select(object_name, fields)} WHERE Id IN ({listed}){merged}"


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


def after(last: Row, began: datetime) -> Within:
    """The position behind this row."""
    return Within(stamp=last.stamp, record_id=last.record_id, began=began)


def next_round(began: datetime, overlap: timedelta) -> Between:
    """Where the round after this one begins.

    Rows become visible when their transaction ends, later than their stamp: what was stamped shortly before the round
    began is read again.
    """
    return Between(since=began - overlap)


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
