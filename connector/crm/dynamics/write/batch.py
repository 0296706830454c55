"""One batch: looks up its records, sends its writes, and gives each an outcome.

A write is sent with an assumption: the record is new, it exists, or that does not matter. If the assumption is wrong,
the record is looked up and the write is sent again.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from connector.crm.dynamics.client import error_codes
from connector.crm.dynamics.client.api import REPRESENTATION, Operation
from connector.crm.dynamics.client.responses import Answer, RequestFailed
from connector.crm.dynamics.client.tables import TableInfo, Tables
from connector.crm.dynamics.client.web_api import WebApi
from connector.crm.dynamics.write.bodies import Unwritable, address, body, own_id
from connector.crm.dynamics.write.dependencies import Dependencies, with_parents
from connector.crm.dynamics.write.flag_guard import set_by_a_person
from connector.crm.dynamics.write.lookups import Found, LookUp, Wanted
from connector.crm.dynamics.write.parents import ParentKey, name_parents, parents_to_find
from connector.crm.dynamics.write.send import Item, Sending
from connector.model.consent_fields import ConsentFields
from connector.model.operation import ID_FIELD, Fields, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.ports import Task

ROUNDS = 3  # of sending: enough to correct a wrong assumption and one race
SAME_KEY = "another record has the same value of an alternate key"
KEY_OF_ANOTHER = Rejected(reason=Reason.DUPLICATE_RECORD, detail=SAME_KEY, code=error_codes.KEY_TAKEN)
RACING = Retry(reason=Reason.RACE, detail="other writes changed the record each time")
KEY_IN_ANOTHER_CASE = Retry(reason=Reason.HALTED, detail="a key that differs by letter case alone goes first")


class Batch:
    """The writes of one batch."""

    def __init__(
        self,
        web: WebApi,
        tables: Tables,
        consent: Mapping[str, ConsentFields],
        tasks: Sequence[Task],
        writes: dict[int, RecordWrite],
        dependencies: Dependencies,
        outcomes: dict[int, Outcome],
        found: dict[int, Found | None],
    ) -> None:
        self._web = web
        self._tables = tables
        self._consent = consent
        self._tasks = tasks
        self._writes = writes
        self._dependencies = dependencies
        self._outcomes = outcomes
        self._found = found  # None: there is no such record; missing: it does not matter, or it is assumed to be new
        self._sending = Sending(web)
        self._to_look_up: set[int] = set()  # before they are sent
        self._assumed_new: set[int] = set()
        self._to_resend: set[int] = set()
        self._own_ids: dict[int, str | None] = {}  # the record's id if the write's key says it
        self._conflicts: dict[int, Rejected] = {}  # no record has our key, and yet none can be created
        self._record_ids: dict[int, str] = {}
        self._unsent: set[int] = set()  # delivered without a call, because nothing was to be changed
        self.stale: set[str] = set()  # tables that lack a column of a write: their definitions are read again

    async def run(self) -> None:
        """Give each write its outcome."""
        for index in self._unsettled():
            write = self._writes[index]
            self._own_ids[index] = own_id(self._table(index), write.key_field, write.key)
        self._serialize_keys_in_another_case()
        for index in self._unsettled():
            self._assume(index)
        for _ in range(ROUNDS):
            self._to_resend = set()
            try:
                await self._look_up()
            except RequestFailed as failed:
                self._outcomes |= {index: not_sent(failed) for index in self._unsettled()}
                return
            unsettled = self._unsettled()
            for stage in sorted({self._dependencies.stages[index] for index in unsettled}):
                await self._send([index for index in unsettled if self._dependencies.stages[index] == stage])
            if not self._to_resend:
                break
        self._outcomes |= {index: self._conflicts[index] for index in self._unsettled() if index in self._conflicts}
        for index in self._unsettled():
            self._outcomes[index] = self._parent_outcome(self._dependencies.parents[index]) or RACING

    def _unsettled(self) -> list[int]:
        return [index for index in self._writes if index not in self._outcomes]

    def _table(self, index: int) -> TableInfo:
        table = self._tables.get(self._writes[index].object)
        assert table is not None  # noqa: S101 - writes of unknown tables have their outcome already.
        return table

    def _serialize_keys_in_another_case(self) -> None:
        """Keep keys that differ only in letter case for later batches: alternate keys are compared without letter case."""
        first: dict[tuple[str, str, str], int] = {}
        for index in self._unsettled():
            write = self._writes[index]
            if not write.exact or self._own_ids[index] is not None:
                continue
            key = (write.object, write.key_field, write.key.casefold())
            if first.setdefault(key, index) != index:
                self._outcomes[index] = KEY_IN_ANOTHER_CASE

    def _assume(self, index: int) -> None:
        """Decide what is assumed of the record before the first send."""
        if index in self._found:
            return
        write, task, record_id = self._writes[index], self._tasks[index], self._own_ids[index]
        depends_on_existence = write.may_create and (bool(write.create) or write.clears_flag)
        if write.clears_flag or task.gone is not None:
            self._to_look_up.add(index)
        elif record_id is not None and write.key_field != ID_FIELD and depends_on_existence and task.record_id is None:
            self._assumed_new.add(index)
        elif task.record_id is not None and (depends_on_existence or not write.may_create):
            self._found[index] = Found(record_id=task.record_id)
        elif record_id is None and (depends_on_existence or write.exact):
            self._to_look_up.add(index)

    async def _look_up(self) -> None:
        """Look up what must be known before the next send. Raises RequestFailed."""
        look_up = LookUp(self._web)
        wanted = [self._wanted(index) for index in self._unsettled() if index in self._to_look_up]
        parents = self._parents_to_find()
        if not wanted and not parents:
            return
        await look_up.run([*wanted, *parents.values()])
        for one in wanted:
            index = one.index
            assert isinstance(index, int)  # noqa: S101 - they were named so.
            if index in look_up.failed:
                self._outcomes[index] = look_up.failed[index]
                continue
            found = look_up.found.get(index)
            write = self._writes[index]
            if found is not None and write.exact and found.merged is None and found.key != write.key:
                self._outcomes[index] = _case_conflict(write, found)
                continue
            self._found[index] = found
            self._assumed_new.discard(index)
        self._to_look_up.clear()
        self._name_parents(parents, look_up)

    def _wanted(self, index: int) -> Wanted:
        write, table = self._writes[index], self._table(index)
        flag = self._consent[write.object].flag if write.clears_flag else None
        record_id = self._own_ids[index]
        if record_id is not None:
            return Wanted(index=index, table=table, column=table.id_column, value=record_id, flag=flag)
        return Wanted(index=index, table=table, column=write.key_field, value=write.key, flag=flag)

    def _parents_to_find(self) -> dict[ParentKey, Wanted]:
        found: dict[ParentKey, Wanted] = {}
        for index in self._dependencies.children:
            if index in self._writes and index not in self._outcomes:
                batch_parents = self._dependencies.fields.get(index, {})
                found |= parents_to_find(index, self._writes[index], self._table(index), self._tables, batch_parents)
        return found

    def _name_parents(self, wanted: Mapping[ParentKey, Wanted], look_up: LookUp) -> None:
        for index in {index for index, _, _ in wanted}:
            named = name_parents(index, self._writes[index], wanted, look_up)
            if isinstance(named, RecordWrite):
                self._writes[index] = named
            else:
                self._outcomes[index] = named

    async def _send(self, indexes: Sequence[int]) -> None:
        items: list[Item] = []
        for index in indexes:
            if index in self._outcomes:
                continue
            if index in self._dependencies.children:
                if any(parent in self._to_resend for parent in self._dependencies.wait_for[index]):
                    self._to_resend.add(index)
                    continue
                blocked = self._parent_outcome(self._dependencies.parents[index])
                if blocked is not None:
                    self._outcomes[index] = blocked
                    continue
            prepared = self._build_item(index)
            if isinstance(prepared, Item):
                items.append(prepared)
            else:
                self._outcomes[index] = prepared
                self._unsent.add(index)
        results = await self._sending.run(items)
        for item in items:
            self._settle(item, results[item.index])

    def _parent_outcome(self, parents: Sequence[int]) -> Retry | Rejected | None:
        outcomes = [self._outcomes.get(parent) for parent in parents]
        for one in outcomes:
            if isinstance(one, Rejected) and one.reason is not Reason.CONFIGURATION:
                return Rejected(reason=Reason.PARENT_FAILED, detail=f"its parent record was refused: {one.reason}")
        for one in outcomes:
            if isinstance(one, Retry | Rejected):
                return Retry(reason=Reason.PARENT_WAITING, detail=f"its parent record waits: {one.reason}")
        return None

    def _build_item(self, index: int) -> Item | Outcome:
        """The item to send, or the outcome if nothing is sent."""
        table, write = self._table(index), self._writes[index]
        if batch_parents := self._dependencies.fields.get(index):
            write = with_parents(write, batch_parents, self._record_ids)
        try:
            if index in self._found:
                found = self._found[index]
                if found is not None:
                    return self._update_item(index, table, write, found)
                return self._insert_item(index, table, write)
            if index in self._assumed_new:
                return self._insert_item(index, table, write)
            return self._upsert_item(index, table, write)
        except Unwritable as error:
            if error.outcome.reason is Reason.CONFIGURATION:
                self.stale.add(table.name)
            return error.outcome

    def _insert_item(self, index: int, table: TableInfo, write: RecordWrite) -> Item | Outcome:
        """The item for a record that does not exist, or is assumed to be new."""
        if write.key_field == ID_FIELD or not write.may_create:
            return Rejected(
                reason=Reason.RECORD_MISSING, detail=f"{write.object} has no record with this {write.key_field}"
            )
        left_out: tuple[str, ...] = ()
        if write.consent_only:
            left_out = tuple(name for name in write.create if not self._is_needed(table, write, name))
        fields = {name: value for name, value in {**write.create, **write.set}.items() if name not in left_out}
        record_id = self._own_ids[index]
        fields.pop(write.key_field, None)
        return Item(
            index=index,
            table=table,
            record_id=record_id,
            insert=True,
            left_out=left_out,
            operation=self._patch(table, self._address(index, table, write), fields, {"If-None-Match": "*"}, record_id),
        )

    def _update_item(self, index: int, table: TableInfo, write: RecordWrite, found: Found) -> Item | Outcome:
        """The item for a record that exists."""
        fields = dict(write.set)
        left_out: tuple[str, ...] = ()
        if write.clears_flag and set_by_a_person(self._tasks[index], self._consent[write.object], found):
            left_out = tuple(name for name in write.consent if name in fields)
            fields = {name: value for name, value in fields.items() if name not in left_out}
        release_key = None
        if found.merged is not None and self._own_ids[index] is None and not found.key:
            # The kept record gets the key of the merged one in the same transaction, so that later writes find it.
            release_key = Operation(
                method="PATCH",
                target=address(table, ID_FIELD, found.merged),
                body={write.key_field: None},
                headers={"If-Match": "*"},
            )
            fields[write.key_field] = write.key
        fields.pop(table.id_column, None)
        if not fields:
            self._record_ids[index] = found.record_id
            return Delivered(record_id=found.record_id, left_out=left_out)
        match = found.etag if write.clears_flag and found.etag else "*"
        target = address(table, ID_FIELD, found.record_id)
        operation = self._patch(table, target, fields, {"If-Match": match}, found.record_id)
        return Item(
            index=index,
            table=table,
            record_id=found.record_id,
            left_out=left_out,
            operation=replace(operation, first=release_key),
        )

    def _upsert_item(self, index: int, table: TableInfo, write: RecordWrite) -> Item | Outcome:
        """The item for a record that may exist or not, or may only be updated."""
        record_id = self._own_ids[index]
        fields = {**write.create, **write.set}
        fields.pop(write.key_field, None)
        headers = {"If-Match": "*"} if write.key_field == ID_FIELD or not write.may_create else {}
        operation = self._patch(table, self._address(index, table, write), fields, headers, record_id)
        return Item(index=index, table=table, record_id=record_id, operation=operation)

    def _address(self, index: int, table: TableInfo, write: RecordWrite) -> str:
        """The address of a record by its key. Raises Unwritable."""
        record_id = self._own_ids[index]
        return address(table, ID_FIELD, record_id) if record_id else address(table, write.key_field, write.key)

    def _patch(
        self, table: TableInfo, target: str, fields: Fields, headers: Mapping[str, str], record_id: str | None
    ) -> Operation:
        """The operation. Unless they are known, it also returns the record's id and whether the record was merged."""
        if record_id is None or table.mergeable:
            columns = [table.id_column, *(("merged", "_masterid_value") if table.mergeable else ())]
            target = f"{target}?$select={','.join(columns)}"
            headers = {**headers, "Prefer": REPRESENTATION}
        return Operation(method="PATCH", target=target, body=body(self._tables, table, fields), headers=headers)

    @staticmethod
    def _is_needed(table: TableInfo, write: RecordWrite, name: str) -> bool:
        """Whether a write with consent fields only needs this field to create its record."""
        column = table.columns.get(name)
        return name in write.consent or (column is not None and column.required)

    def _settle(self, item: Item, result: Answer | RequestFailed) -> None:
        """Settle a result, or have the write sent again if its assumption was wrong."""
        if isinstance(result, RequestFailed):
            self._settle_failure(item, result)
            return
        shown = result.body if isinstance(result.body, dict) else {}
        record_id = item.record_id or str(shown.get(item.table.id_column) or "")
        master = shown.get("_masterid_value") if shown.get("merged") is True else None
        if isinstance(master, str):
            # The record was merged: the look-up finds the record that was kept.
            write = self._writes[item.index]
            if write.key_field == ID_FIELD:
                self._found[item.index] = Found(record_id=master, merged=record_id)
            else:
                self._found.pop(item.index, None)
                self._to_look_up.add(item.index)
            self._to_resend.add(item.index)
            return
        if record_id:
            self._record_ids[item.index] = record_id
        created = item.insert or result.status == 201  # noqa: PLR2004 - HTTP: created.
        self._outcomes[item.index] = Delivered(record_id=record_id or None, created=created, left_out=item.left_out)

    def _settle_failure(self, item: Item, failed: RequestFailed) -> None:
        index, outcome = item.index, failed.outcome
        write = self._writes[index]
        if item.insert and failed.code in {error_codes.EXISTS, error_codes.KEY_TAKEN}:
            self._assumed_new.discard(index)
            if item.record_id is not None and failed.code == error_codes.EXISTS and not write.clears_flag:
                if not write.set:
                    # Written before: a reply was lost, or the event was repeated.
                    self._record_ids[index] = item.record_id
                    self._outcomes[index] = Delivered(record_id=item.record_id)
                    return
                self._found[index] = Found(record_id=item.record_id)
            else:
                self._found.pop(index, None)
                self._to_look_up.add(index)
                self._conflicts |= {index: KEY_OF_ANOTHER} if failed.code == error_codes.KEY_TAKEN else {}
            self._to_resend.add(index)
        elif failed.code == error_codes.VERSION_MISMATCH:
            self._conflicts.pop(index, None)
            self._found.pop(index, None)
            self._to_look_up.add(index)
            self._to_resend.add(index)
        elif failed.code == error_codes.KEY_TAKEN:
            matched = self._tasks[index].operation
            race = isinstance(matched, RecordWrite) and matched.match is not None
            self._outcomes[index] = Retry(reason=Reason.RACE, detail=SAME_KEY) if race else KEY_OF_ANOTHER
        elif failed.code in {error_codes.NOT_FOUND_BY_ID, error_codes.NOT_FOUND_BY_KEY}:
            self._settle_missing(item, failed)
        else:
            self._outcomes[index] = outcome

    def _settle_missing(self, item: Item, failed: RequestFailed) -> None:
        """The record, or one that its lookups name, does not exist."""
        index, write = item.index, self._writes[item.index]
        if_match = item.operation.headers.get("If-Match")
        named = item.record_id if failed.code == error_codes.NOT_FOUND_BY_ID else f" {item.table.name} "
        if if_match is None or named is None or named not in failed.message:
            unsent = [one for one in self._dependencies.parents[index] if one in self._unsent and one in self._found]
            if unsent:
                # Its parent was known and unchanged, so that it was not sent; but it no longer exists.
                for parent in unsent:
                    del self._found[parent], self._outcomes[parent]
                    self._unsent.discard(parent)
                    self._record_ids.pop(parent, None)
                self._to_look_up.update(unsent)
                self._to_resend.update((index, *unsent))
                return
            self._outcomes[index] = Retry(
                reason=Reason.PARENT_MISSING, detail="a record that a lookup names does not exist", code=failed.code
            )
        elif write.may_create and write.key_field != ID_FIELD and index in self._found:
            del self._found[index]
            self._to_look_up.add(index)
            self._to_resend.add(index)
        else:
            detail = f"{write.object} has no record with this {write.key_field}"
            reason = Reason.RECORD_DELETED if write.key_field == ID_FIELD else Reason.RECORD_MISSING
            self._outcomes[index] = Rejected(reason=reason, detail=detail, code=failed.code)


def not_sent(failed: RequestFailed) -> Outcome:
    """The outcome of writes that were not sent because a read before them failed."""
    return replace(failed.outcome, in_doubt=False) if isinstance(failed.outcome, Retry) else failed.outcome


def _case_conflict(write: RecordWrite, found: Found) -> Rejected:
    detail = (
        f"{found.record_id} has this key in other letters (capital or small), and alternate keys do not tell them apart: "
        f"write the key to the id column of {write.object} instead"
    )
    return Rejected(reason=Reason.NEEDS_PERSON, detail=detail)
