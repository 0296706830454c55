"""One batch: what is known of each record, what is sent of it, and what became of it.

A write is sent once on an assumption: the record is new, exists, or it does not matter. Where the assumption proves wrong,
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
from connector.crm.dynamics.write.parents import Place, name_parents, parents_to_find
from connector.crm.dynamics.write.send import Item, Sending
from connector.model.consent_fields import ConsentFields
from connector.model.operation import ID_FIELD, Fields, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.ports import Task

ROUNDS = 3  # of sending: a wrong assumption is corrected, and a race too
SAME_KEY = "another record has the same value of an alternate key"
KEY_OF_ANOTHER = Rejected(reason=Reason.DUPLICATE_RECORD, detail=SAME_KEY, code=error_codes.KEY_TAKEN)
RACING = Retry(reason=Reason.RACE, detail="other writes changed the record each time")
SAME_BUT_FOR_CASE = Retry(reason=Reason.HALTED, detail="a key that differs by letter case alone goes first")


class Batch:
    """The writes of one batch."""

    def __init__(
        self,
        web: WebApi,
        tables: Tables,
        consent: Mapping[str, ConsentFields],
        tasks: Sequence[Task],
        writes: dict[int, RecordWrite],
        family: Dependencies,
        outcomes: dict[int, Outcome],
        found: dict[int, Found | None],
    ) -> None:
        self._web = web
        self._tables = tables
        self._consent = consent
        self._tasks = tasks
        self._writes = writes
        self._family = family
        self._outcomes = outcomes
        self._found = found  # None: there is no such record; missing: it does not matter, or it is assumed to be new
        self._sending = Sending(web)
        self._ask: set[int] = set()
        self._fresh: set[int] = set()  # assumed to be new
        self._again: set[int] = set()
        self._own: dict[int, str | None] = {}  # the record's id if the write's key says it
        self._taken: dict[int, Rejected] = {}  # no record has our key, and yet none can be made
        self._record_ids: dict[int, str] = {}
        self._unsent: set[int] = set()  # delivered without a call, because nothing was to be changed
        self.stale: set[str] = set()  # tables that lack what a write needs: they are asked for again next time

    async def run(self) -> None:
        """Give each write its outcome."""
        for index in self._open():
            write = self._writes[index]
            self._own[index] = own_id(self._table(index), write.key_field, write.key)
        self._serialize_case()
        for index in self._open():
            self._assume(index)
        for _ in range(ROUNDS):
            self._again = set()
            try:
                await self._look_up()
            except RequestFailed as failed:
                self._outcomes |= {index: not_sent(failed) for index in self._open()}
                return
            open_now = self._open()
            for stage in sorted({self._family.stages[index] for index in open_now}):
                await self._send([index for index in open_now if self._family.stages[index] == stage])
            if not self._again:
                break
        self._outcomes |= {index: self._taken[index] for index in self._open() if index in self._taken}
        for index in self._open():
            self._outcomes[index] = self._parent_outcome(self._family.parents[index]) or RACING

    def _open(self) -> list[int]:
        return [index for index in self._writes if index not in self._outcomes]

    def _table(self, index: int) -> TableInfo:
        table = self._tables.get(self._writes[index].object)
        assert table is not None  # noqa: S101 - writes of unknown tables have their outcome already.
        return table

    def _serialize_case(self) -> None:
        """Alternate keys compare without letter case: keys that differ in it alone are written one after the other."""
        first: dict[tuple[str, str, str], int] = {}
        for index in self._open():
            write = self._writes[index]
            if not write.exact or self._own[index] is not None:
                continue
            key = (write.object, write.key_field, write.key.casefold())
            if first.setdefault(key, index) != index:
                self._outcomes[index] = SAME_BUT_FOR_CASE

    def _assume(self, index: int) -> None:
        """Decide what is assumed of the record before the first send."""
        if index in self._found:
            return
        write, task, record_id = self._writes[index], self._tasks[index], self._own[index]
        matters = write.may_create and (bool(write.create) or write.clears_flag)
        if write.clears_flag or task.gone is not None:
            self._ask.add(index)
        elif record_id is not None and write.key_field != ID_FIELD and matters and task.record_id is None:
            self._fresh.add(index)
        elif task.record_id is not None and (matters or not write.may_create):
            self._found[index] = Found(record_id=task.record_id)
        elif record_id is None and (matters or write.exact):
            self._ask.add(index)

    async def _look_up(self) -> None:
        """Look up what must be known before the next send. Raises RequestFailed."""
        look_up = LookUp(self._web)
        wanted = [self._wanted(index) for index in self._open() if index in self._ask]
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
                self._outcomes[index] = _other_case(write, found)
                continue
            self._found[index] = found
            self._fresh.discard(index)
        self._ask.clear()
        self._name_parents(parents, look_up)

    def _wanted(self, index: int) -> Wanted:
        write, table = self._writes[index], self._table(index)
        flag = self._consent[write.object].flag if write.clears_flag else None
        record_id = self._own[index]
        if record_id is not None:
            return Wanted(index=index, table=table, column=table.id_column, value=record_id, flag=flag)
        return Wanted(index=index, table=table, column=write.key_field, value=write.key, flag=flag)

    def _parents_to_find(self) -> dict[Place, Wanted]:
        found: dict[Place, Wanted] = {}
        for index in self._family.children:
            if index in self._writes and index not in self._outcomes:
                inside = self._family.fields.get(index, {})
                found |= parents_to_find(index, self._writes[index], self._table(index), self._tables, inside)
        return found

    def _name_parents(self, wanted: Mapping[Place, Wanted], look_up: LookUp) -> None:
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
            if index in self._family.children:
                if any(parent in self._again for parent in self._family.wait_for[index]):
                    self._again.add(index)
                    continue
                blocked = self._parent_outcome(self._family.parents[index])
                if blocked is not None:
                    self._outcomes[index] = blocked
                    continue
            made = self._make(index)
            if isinstance(made, Item):
                items.append(made)
            else:
                self._outcomes[index] = made
                self._unsent.add(index)
        results = await self._sending.run(items)
        for item in items:
            self._take(item, results[item.index])

    def _parent_outcome(self, parents: Sequence[int]) -> Retry | Rejected | None:
        outcomes = [self._outcomes.get(parent) for parent in parents]
        for one in outcomes:
            if isinstance(one, Rejected) and one.reason is not Reason.CONFIGURATION:
                return Rejected(reason=Reason.PARENT_FAILED, detail=f"its parent record was refused: {one.reason}")
        for one in outcomes:
            if isinstance(one, Retry | Rejected):
                return Retry(reason=Reason.PARENT_WAITING, detail=f"its parent record waits: {one.reason}")
        return None

    def _make(self, index: int) -> Item | Outcome:
        """The item to send, or the outcome if nothing is sent."""
        table, write = self._table(index), self._writes[index]
        if inside := self._family.fields.get(index):
            write = with_parents(write, inside, self._record_ids)
        try:
            if index in self._found:
                found = self._found[index]
                return self._new(index, table, write) if found is None else self._known(index, table, write, found)
            if index in self._fresh:
                return self._new(index, table, write)
            return self._whichever(index, table, write)
        except Unwritable as error:
            if error.outcome.reason is Reason.CONFIGURATION:
                self.stale.add(table.name)
            return error.outcome

    def _new(self, index: int, table: TableInfo, write: RecordWrite) -> Item | Outcome:
        """A record that does not exist, or is assumed not to."""
        if write.key_field == ID_FIELD or not write.may_create:
            return Rejected(
                reason=Reason.RECORD_MISSING, detail=f"{write.object} has no record with this {write.key_field}"
            )
        left_out: tuple[str, ...] = ()
        if write.consent_only:
            left_out = tuple(name for name in write.create if not self._needed(table, write, name))
        fields = {name: value for name, value in {**write.create, **write.set}.items() if name not in left_out}
        record_id = self._own[index]
        fields.pop(write.key_field, None)
        return Item(
            index=index,
            table=table,
            record_id=record_id,
            insert=True,
            left_out=left_out,
            operation=self._patch(table, self._address(index, table, write), fields, {"If-None-Match": "*"}, record_id),
        )

    def _known(self, index: int, table: TableInfo, write: RecordWrite, found: Found) -> Item | Outcome:
        """A record that exists."""
        fields = dict(write.set)
        left_out: tuple[str, ...] = ()
        if write.clears_flag and set_by_a_person(self._tasks[index], self._consent[write.object], found):
            left_out = tuple(name for name in write.consent if name in fields)
            fields = {name: value for name, value in fields.items() if name not in left_out}
        before = None
        if found.merged is not None and self._own[index] is None and not found.key:
            # The kept record gets the key, so that others find it by it. Both or neither: else nobody has it.
            before = Operation(
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
        return Item(
            index=index,
            table=table,
            record_id=found.record_id,
            left_out=left_out,
            operation=replace(self._patch(table, target, fields, {"If-Match": match}, found.record_id), first=before),
        )

    def _whichever(self, index: int, table: TableInfo, write: RecordWrite) -> Item | Outcome:
        """A record of which it does not matter whether it exists, or that may only be updated."""
        record_id = self._own[index]
        fields = {**write.create, **write.set}
        fields.pop(write.key_field, None)
        headers = {"If-Match": "*"} if write.key_field == ID_FIELD or not write.may_create else {}
        operation = self._patch(table, self._address(index, table, write), fields, headers, record_id)
        return Item(index=index, table=table, record_id=record_id, operation=operation)

    def _address(self, index: int, table: TableInfo, write: RecordWrite) -> str:
        """The address of a record by its key. Raises Unwritable."""
        record_id = self._own[index]
        return address(table, ID_FIELD, record_id) if record_id else address(table, write.key_field, write.key)

    def _patch(
        self, table: TableInfo, target: str, fields: Fields, headers: Mapping[str, str], record_id: str | None
    ) -> Operation:
        """The operation. The record's id, and whether it was merged away, are asked for where they are not known."""
        if record_id is None or table.mergeable:
            columns = [table.id_column, *(("merged", "_masterid_value") if table.mergeable else ())]
            target = f"{target}?$select={','.join(columns)}"
            headers = {**headers, "Prefer": REPRESENTATION}
        return Operation(method="PATCH", target=target, body=body(self._tables, table, fields), headers=headers)

    @staticmethod
    def _needed(table: TableInfo, write: RecordWrite, name: str) -> bool:
        """Whether a write with consent fields only needs this field to create its record."""
        column = table.columns.get(name)
        return name in write.consent or (column is not None and column.required)

    def _take(self, item: Item, result: Answer | RequestFailed) -> None:
        """Settle a result, or have the write sent again if it was assumed wrongly."""
        if isinstance(result, RequestFailed):
            self._take_failure(item, result)
            return
        shown = result.body if isinstance(result.body, dict) else {}
        record_id = item.record_id or str(shown.get(item.table.id_column) or "")
        master = shown.get("_masterid_value") if shown.get("merged") is True else None
        if isinstance(master, str):
            # It went to a record that was merged away: it is found by look-up, with the record that was kept.
            write = self._writes[item.index]
            if write.key_field == ID_FIELD:
                self._found[item.index] = Found(record_id=master, merged=record_id)
            else:
                self._found.pop(item.index, None)
                self._ask.add(item.index)
            self._again.add(item.index)
            return
        if record_id:
            self._record_ids[item.index] = record_id
        made = item.insert or result.status == 201  # noqa: PLR2004 - HTTP: created.
        self._outcomes[item.index] = Delivered(record_id=record_id or None, created=made, left_out=item.left_out)

    def _take_failure(self, item: Item, failed: RequestFailed) -> None:
        index, outcome = item.index, failed.outcome
        write = self._writes[index]
        if item.insert and failed.code in {error_codes.EXISTS, error_codes.KEY_TAKEN}:
            self._fresh.discard(index)
            if item.record_id is not None and failed.code == error_codes.EXISTS and not write.clears_flag:
                if not write.set:
                    # Written before: an answer was lost, or the sender repeats itself.
                    self._record_ids[index] = item.record_id
                    self._outcomes[index] = Delivered(record_id=item.record_id)
                    return
                self._found[index] = Found(record_id=item.record_id)
            else:
                self._found.pop(index, None)
                self._ask.add(index)
                self._taken |= {index: KEY_OF_ANOTHER} if failed.code == error_codes.KEY_TAKEN else {}
            self._again.add(index)
        elif failed.code == error_codes.VERSION_MISMATCH:
            self._taken.pop(index, None)
            self._found.pop(index, None)
            self._ask.add(index)
            self._again.add(index)
        elif failed.code == error_codes.KEY_TAKEN:
            matched = self._tasks[index].operation
            race = isinstance(matched, RecordWrite) and matched.match is not None
            self._outcomes[index] = Retry(reason=Reason.RACE, detail=SAME_KEY) if race else KEY_OF_ANOTHER
        elif failed.code in {error_codes.NOT_FOUND_BY_ID, error_codes.NOT_FOUND_BY_KEY}:
            self._take_missing(item, failed)
        else:
            self._outcomes[index] = outcome

    def _take_missing(self, item: Item, failed: RequestFailed) -> None:
        """The record, or one that its lookups name, does not exist."""
        index, write = item.index, self._writes[item.index]
        conditional = item.operation.headers.get("If-Match")
        named = item.record_id if failed.code == error_codes.NOT_FOUND_BY_ID else f" {item.table.name} "
        if conditional is None or named is None or named not in failed.message:
            known = [one for one in self._family.parents[index] if one in self._unsent and one in self._found]
            if known:
                # A known parent was not sent, because nothing of it changed; but it no longer exists.
                for parent in known:
                    del self._found[parent], self._outcomes[parent]
                    self._unsent.discard(parent)
                    self._record_ids.pop(parent, None)
                self._ask.update(known)
                self._again.update((index, *known))
                return
            self._outcomes[index] = Retry(
                reason=Reason.PARENT_MISSING, detail="a record that a lookup names does not exist", code=failed.code
            )
        elif write.may_create and write.key_field != ID_FIELD and index in self._found:
            del self._found[index]
            self._ask.add(index)
            self._again.add(index)
        else:
            missing = write.key_field != ID_FIELD
            detail = f"{write.object} has no record with this {write.key_field}"
            reason = Reason.RECORD_MISSING if missing else Reason.RECORD_DELETED
            self._outcomes[index] = Rejected(reason=reason, detail=detail, code=failed.code)


def not_sent(failed: RequestFailed) -> Outcome:
    """The outcome of writes that were not sent, because something had to be read first."""
    return replace(failed.outcome, in_doubt=False) if isinstance(failed.outcome, Retry) else failed.outcome


def _other_case(write: RecordWrite, found: Found) -> Rejected:
    detail = (
        f"{found.record_id} has this key in other letters (capital or small), and alternate keys do not tell them apart: "
        f"write the key to the id column of {write.object} instead"
    )
    return Rejected(reason=Reason.NEEDS_PERSON, detail=detail)
