"""The records of the made-up CRM, and its rules.

They differ from Salesforce's where a CRM may differ: ids are GUIDs of which many begin alike, keys are case-sensitive
and hold no `+`, a relationship's column is its name with `_id`, and whoever writes to a merged record writes to the
record that was kept.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

OUR_USER, PERSON = "connector", "person"
KEPT = timedelta(days=1)  # how long a deleted record can be asked for
TEXT, NUMBER, FLAG, TIME = "text", "number", "flag", "time"


class Refused(Exception):  # noqa: N818 - one record is refused, which is an answer.
    """One record is refused, with a code of the CRM and the field at fault."""

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.field = field


@dataclass(frozen=True, slots=True)
class Table:
    """An object: its fields by name, which of them are keys, and its relationships with the object of the parent."""

    fields: Mapping[str, str]
    keys: tuple[str, ...]
    relations: Mapping[str, str] = field(default_factory=dict)


def _texts(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), TEXT)


TABLES = {
    "contact": Table(
        {
            **_texts("first_name last_name mobile home_phone sms_key opted_out_source keywords note email city street"),
            "opted_out": FLAG,
            "opted_out_at": TIME,
            "amount": NUMBER,
        },
        ("sms_key",),
    ),
    "sms_event": Table(
        {
            **_texts("event_key action keyword provider shape status status_detail result transaction text journey"),
            **_texts("short_number currency service_command"),
            "event_amount": NUMBER,
            "occurred_at": TIME,
        },
        ("event_key",),
        {"donor": "contact"},
    ),
    "gift": Table(
        {**_texts("sms_transaction title stage close_date"), "gift_amount": NUMBER},
        ("sms_transaction",),
        {"giver": "contact"},
    ),
}


@dataclass(slots=True)
class Row:
    """One record. `place` rises with each change of any record."""

    id: str
    object: str
    values: dict[str, Any]
    place: int = 0
    stamp: datetime = field(default_factory=lambda: datetime.now(UTC))
    by: str = ""
    deleted: bool = False
    merged_into: str | None = None

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "place": self.place,
            "stamp": self.stamp.isoformat(),
            "by": self.by,
            "deleted": self.deleted,
            "merged_into": self.merged_into,
            "fields": self.values,
        }


@dataclass(frozen=True, slots=True)
class Automation:
    """Rewrites fields of a record in a save that writes the values of `when`."""

    object: str
    rewrite: Mapping[str, Any]  # a value, or {"digits": "+## ## ##"} for the same digits in this form
    when: Mapping[str, Any]
    of: str  # "any": whoever saves it; else only in saves of ours

    def apply(self, row: "Row", written: Mapping[str, Any], by: str) -> None:
        if row.object == self.object and (self.of == "any" or by == OUR_USER) and self.when.items() <= written.items():
            row.values |= {name: _formed(value, row.values[name]) for name, value in self.rewrite.items()}


def _formed(value: Any, now: Any) -> Any:
    if not isinstance(value, dict):
        return value
    digits = iter(re.sub(r"\D", "", now or ""))
    return now and "".join(next(digits, "") if one == "#" else one for one in value["digits"])


class Org:
    """All records, and what was written."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.history: list[dict[str, Any]] = []
        self.automation: list[Automation] = []
        self.scales: dict[tuple[str, str], Decimal] = {}  # object and field → the unit to which its values are rounded
        self._keys: dict[tuple[str, str, str], str] = {}  # object, field, value → id; of merged records too
        self._place = 0

    def of(self, object_name: str, *, deleted: bool = False) -> Iterator[Row]:
        """The records of an object, in the order in which they were last changed."""
        found = [one for one in self.rows.values() if one.object == object_name and (deleted or not one.deleted)]
        return iter(sorted(found, key=lambda one: one.place))

    def changes(self, object_name: str, after: int, limit: int) -> list[Row]:
        forgotten = datetime.now(UTC) - KEPT
        rows = self.of(object_name, deleted=True)
        return [one for one in rows if one.place > after and not (one.deleted and one.stamp < forgotten)][:limit]

    def find(self, object_name: str, field_name: str, value: Any) -> Row | None:
        """The living record with this id or key, or the one that it was merged into."""
        if field_name == "id":
            row = self.rows.get(str(value))
        else:
            if field_name not in TABLES[object_name].keys:
                raise Refused("no_key", f"{field_name} is no key of {object_name}", field_name)
            if not str(value) or "+" in str(value):
                raise Refused("bad_key", f"a key may not hold a plus sign: {field_name}", field_name)
            row = self.rows.get(self._keys.get((object_name, field_name, str(value)), ""))
        while row is not None and row.merged_into is not None:
            row = self.rows.get(row.merged_into)
        return row if row is not None and row.object == object_name and not row.deleted else None

    def write(self, object_name: str, wanted: Mapping[str, Any]) -> tuple[Row, bool]:
        """Update or create one record, as the connector asks. Returns it, and whether it is new."""
        if object_name not in TABLES:
            raise Refused("no_object", f"there is no object {object_name}")
        name, value = wanted["key"]
        row = self.find(object_name, name, value)
        if row is None and (name == "id" or wanted["update_only"]):
            raise Refused("not_found", f"{object_name} has no record with this {name}")
        fields = self._with_parents(object_name, wanted["set"] if row else {**wanted["create"], **wanted["set"]})
        if row is not None:
            return self.change(row, fields, OUR_USER), False
        return self.add(object_name, {name: str(value), **fields}, OUR_USER), True

    def _with_parents(self, object_name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields, with each relationship replaced by its column."""
        relations = TABLES[object_name].relations
        made = {}
        for name, value in fields.items():
            if not isinstance(value, dict):
                made[name] = value
                continue
            if name not in relations:
                raise Refused("no_field", f"{object_name} has no field {name}", f"{name}_id")
            found = [self.find(relations[name], *way) for way in value["ways"]]
            parent = next((one for one in found if one is not None), None)
            if parent is not None:
                made[f"{name}_id"] = parent.id
            elif not value["or_none"]:
                raise Refused("no_parent", f"{relations[name]} has no such record", f"{name}_id")
        return made

    def add(self, object_name: str, fields: Mapping[str, Any], by: str, late: float = 0) -> Row:
        # Most of a GUID is the same for all records: a part of it names none of them.
        row = Row(f"6d61646e-7570-4c52-8d00-{len(self.rows) + 1:012x}", object_name, {})
        known = {**TABLES[object_name].fields, **{f"{name}_id": TEXT for name in TABLES[object_name].relations}}
        row.values = dict.fromkeys(known) | {name: False for name, kind in known.items() if kind == FLAG}
        self._check(row, fields)
        self.rows[row.id] = row
        return self._saved(row, fields, by, "created", late)

    def change(self, row: Row, fields: Mapping[str, Any], by: str, late: float = 0) -> Row:
        """Change a record. Without fields there is nothing to save."""
        self._check(row, fields)
        return self._saved(row, fields, by, "updated", late) if fields else row

    def _check(self, row: Row, fields: Mapping[str, Any]) -> None:
        for name, value in fields.items():
            if name not in row.values:
                raise Refused("no_field", f"{row.object} has no field {name}", name)
            if name in TABLES[row.object].keys and value is not None:
                holder = self.find(row.object, name, value)
                if holder is not None and holder is not row:
                    raise Refused("key_taken", f"another record has this {name}", name)

    def _saved(self, row: Row, fields: Mapping[str, Any], by: str, action: str, late: float) -> Row:
        for name in TABLES[row.object].keys:
            if name in fields:
                self._keys.pop((row.object, name, str(row.values[name])), None)
        row.values |= fields
        for one in self.automation:
            one.apply(row, fields, by)
        for (object_name, name), scale in self.scales.items():
            if object_name == row.object and row.values[name] is not None:
                row.values[name] = float(Decimal(str(row.values[name])).quantize(scale, ROUND_HALF_UP))
        for name in TABLES[row.object].keys:
            if row.values[name] is not None:
                self._keys[row.object, name, str(row.values[name])] = row.id
        self._touch(row, by, late)
        self.history.append({"by": by, "object": row.object, "id": row.id, "action": action, "fields": dict(fields)})
        return row

    def _touch(self, row: Row, by: str, late: float = 0) -> None:
        self._place += 1
        row.place, row.by, row.stamp = self._place, by, datetime.now(UTC) - timedelta(seconds=late)

    def delete(self, ids: Iterable[str]) -> None:
        for one in ids:
            self.rows[one].deleted = True
            self._touch(self.rows[one], PERSON)

    def restore(self, ids: Iterable[str]) -> None:
        """Bring records back, without keys that others have got meanwhile."""
        for row in [self.rows[one] for one in ids]:
            row.deleted, row.merged_into = False, None
            for name in TABLES[row.object].keys:
                if self._keys.get((row.object, name, str(row.values[name]))) != row.id:
                    row.values[name] = None  # another record has it now
            self._touch(row, PERSON)

    def merge(self, winner: str, losers: Iterable[str], fields: Mapping[str, Any]) -> None:
        """The kept record gets the keys that it did not have."""
        kept = self.rows[winner]
        keys = {}
        for one in losers:
            lost = self.rows[one]
            lost.deleted, lost.merged_into = True, winner
            self._touch(lost, PERSON)
            keys |= {name: lost.values[name] for name in TABLES[kept.object].keys if kept.values[name] is None}
        self._move_children(set(losers), winner)
        self._saved(kept, {**keys, **fields}, PERSON, "updated", 0)

    def _move_children(self, losers: set[str], winner: str) -> None:
        for row in list(self.rows.values()):
            for name in TABLES[row.object].relations:
                if row.values[f"{name}_id"] in losers:
                    self._saved(row, {f"{name}_id": winner}, PERSON, "updated", 0)
