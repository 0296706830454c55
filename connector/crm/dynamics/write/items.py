"""Makes the operation for each write: an insert, an update or an upsert, as its assumption says. Pure.

Sources: "Update and delete table rows using the Web API" (upsert; the headers If-Match and If-None-Match).
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from connector.crm.dynamics.client.api import GUID, REPRESENTATION, Operation
from connector.crm.dynamics.client.responses import Answer
from connector.crm.dynamics.client.tables import TableInfo, Tables
from connector.crm.dynamics.write.bodies import Unwritable, address, body
from connector.crm.dynamics.write.dependencies import with_parent_ids
from connector.crm.dynamics.write.flag_guard import set_by_a_person
from connector.crm.dynamics.write.lookups import Found
from connector.crm.dynamics.write.writes import Assumption, Write
from connector.model.consent_fields import ConsentFields
from connector.model.operation import ID_FIELD, Fields, RecordWrite, Value
from connector.model.outcome import Delivered, Outcome, Reason, Rejected

ONLY_UPDATE = {"If-Match": "*"}  # refused if there is no such record
ONLY_INSERT = {"If-None-Match": "*"}  # refused if there is one
NO_CONTENT = 204


class Item(Struct, frozen=True, kw_only=True):
    """A write that is ready to be sent."""

    write: Write
    operation: Operation
    record_id: str | None = None  # the record's id, if it is known before the record is written
    insert: bool = False  # it is refused if there is such a record
    left_out: tuple[str, ...] = ()  # columns that are not sent

    def matches(self, answer: Answer) -> bool:
        """Whether the reply shows the record of this item, if the operation asks for the record."""
        if "Prefer" not in self.operation.headers or answer.status == NO_CONTENT:
            return True
        answered_id = answer.body.get(self.write.table.id_column) if isinstance(answer.body, dict) else None
        if not isinstance(answered_id, str) or not GUID.fullmatch(answered_id):
            return False
        return self.record_id is None or answered_id.lower() == self.record_id.lower()


class ItemBuilder:
    """Builds the items of one batch."""

    def __init__(self, tables: Tables, consent: Mapping[str, ConsentFields]) -> None:
        """`consent` is by table."""
        self._tables = tables
        self._consent = consent

    def build(self, write: Write) -> Item | Outcome:
        """The item to send, or the outcome if nothing is sent."""
        written_parents = {
            column: parent.record_id for column, parent in write.parents.items() if parent.record_id is not None
        }
        record_write = with_parent_ids(write.record_write, written_parents)
        try:
            if write.assumption is Assumption.FOUND and write.found is not None:
                return self._update(write, record_write, write.found)
            if write.assumption in {Assumption.FOUND, Assumption.NEW}:
                return self._insert(write, record_write)
            return self._upsert(write, record_write)
        except Unwritable as error:
            return error.outcome

    def _insert(self, write: Write, record_write: RecordWrite) -> Item | Outcome:
        """The item for a record that does not exist, or is assumed to be new."""
        if record_write.key_field == ID_FIELD or not record_write.may_create:
            detail = f"{record_write.object} has no record with this {record_write.key_field}"
            return Rejected(reason=Reason.RECORD_MISSING, detail=detail)
        left_out: tuple[str, ...] = ()
        if record_write.consent_only:
            left_out = tuple(name for name in record_write.create if not _is_needed(write.table, record_write, name))
        fields = {**record_write.create, **record_write.set}
        operation = self._patch_by_key(write, _without(fields, (*left_out, record_write.key_field)), ONLY_INSERT)
        return Item(write=write, record_id=write.own_id, insert=True, left_out=left_out, operation=operation)

    def _update(self, write: Write, record_write: RecordWrite, found: Found) -> Item | Outcome:
        """The item for a record that exists."""
        fields = dict(record_write.set)
        left_out: tuple[str, ...] = ()
        if record_write.clears_flag and set_by_a_person(write.task, self._consent[record_write.object], found):
            left_out = tuple(name for name in record_write.consent if name in fields)
            fields = _without(fields, left_out)
        release_key = None
        if found.merged is not None and write.own_id is None and not found.key:
            # The kept record gets the key of the merged one in the same transaction, so that later writes find it.
            release_key = Operation(
                method="PATCH",
                target=address(write.table, ID_FIELD, found.merged),
                body={record_write.key_field: None},
                headers=ONLY_UPDATE,
            )
            fields[record_write.key_field] = record_write.key
        fields.pop(write.table.id_column, None)
        if not fields:
            return Delivered(record_id=found.record_id, left_out=left_out)
        # Before the flag is cleared, the record must still be as it was read.
        headers = {"If-Match": found.etag} if record_write.clears_flag and found.etag else ONLY_UPDATE
        target = address(write.table, ID_FIELD, found.record_id)
        operation = self._patch(write.table, target, fields, headers, found.record_id)
        operation = replace(operation, first=release_key)
        return Item(write=write, record_id=found.record_id, left_out=left_out, operation=operation)

    def _upsert(self, write: Write, record_write: RecordWrite) -> Item:
        """The item for a record that may exist or not, or may only be updated."""
        fields = _without({**record_write.create, **record_write.set}, (record_write.key_field,))
        headers = ONLY_UPDATE if record_write.key_field == ID_FIELD or not record_write.may_create else {}
        return Item(write=write, record_id=write.own_id, operation=self._patch_by_key(write, fields, headers))

    def _patch_by_key(self, write: Write, fields: Fields, headers: Mapping[str, str]) -> Operation:
        """The operation on the record with the write's key. Raises Unwritable."""
        if write.own_id:
            target = address(write.table, ID_FIELD, write.own_id)
        else:
            target = address(write.table, write.record_write.key_field, write.record_write.key)
        return self._patch(write.table, target, fields, headers, write.own_id)

    def _patch(
        self, table: TableInfo, target: str, fields: Fields, headers: Mapping[str, str], record_id: str | None
    ) -> Operation:
        """The operation. Unless they are known, it also returns the record's id and whether the record was merged."""
        if record_id is None or table.mergeable:
            columns = [table.id_column, *(("merged", "_masterid_value") if table.mergeable else ())]
            target = f"{target}?$select={','.join(columns)}"
            headers = {**headers, "Prefer": REPRESENTATION}
        return Operation(method="PATCH", target=target, body=body(self._tables, table, fields), headers=headers)


def _without(fields: Fields, names: tuple[str, ...]) -> dict[str, Value]:
    return {name: value for name, value in fields.items() if name not in names}


def _is_needed(table: TableInfo, record_write: RecordWrite, name: str) -> bool:
    """Whether a write with consent fields only needs this field to create its record."""
    column = table.columns.get(name)
    return name in record_write.consent or (column is not None and column.required)
