"""One batch: looks up its records, sends its writes, and gives each an outcome.

A write is sent with an assumption: the record is new, it exists, or that does not matter. If the assumption is wrong,
the record is looked up and the write is sent again.
"""

from collections.abc import Iterable, Mapping, Sequence

from connector.crm.dynamics.client import error_codes
from connector.crm.dynamics.client.responses import Answer, RequestFailed
from connector.crm.dynamics.client.tables import Tables
from connector.crm.dynamics.client.web_api import WebApi
from connector.crm.dynamics.write.bodies import own_id
from connector.crm.dynamics.write.items import Item, ItemBuilder
from connector.crm.dynamics.write.lookups import Found, LookUp, Wanted
from connector.crm.dynamics.write.parents import ParentKey, name_parents, parents_to_find
from connector.crm.dynamics.write.send import Sending
from connector.crm.dynamics.write.writes import Assumption, Write, settle_unsent, without_outcome
from connector.model.consent_fields import ConsentFields
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Delivered, Reason, Rejected, Retry

ROUNDS = 3  # of sending: enough to correct a wrong assumption and one race
SAME_KEY = "another record has the same value of an alternate key"
KEY_OF_ANOTHER = Rejected(reason=Reason.DUPLICATE_RECORD, detail=SAME_KEY, code=error_codes.KEY_TAKEN)
RACING = Retry(reason=Reason.RACE, detail="other writes changed the record each time")
KEY_IN_ANOTHER_CASE = Retry(reason=Reason.HALTED, detail="a key that differs by letter case alone goes first")
CREATED = 201


class Batch:
    """The writes of one batch."""

    def __init__(
        self, web: WebApi, tables: Tables, consent: Mapping[str, ConsentFields], writes: Sequence[Write]
    ) -> None:
        """`consent` is by table. Writes that have an outcome are not sent, but may be parents of the others."""
        self._web = web
        self._tables = tables
        self._consent = consent
        self._writes = writes
        self._builder = ItemBuilder(tables, consent)
        self._sending = Sending(web)
        self.stale: set[str] = set()  # tables that lack a column of a write: their definitions are read again

    async def run(self) -> None:
        """Give each write its outcome."""
        for write in without_outcome(self._writes):
            write.own_id = own_id(write.table, write.record_write.key_field, write.record_write.key)
        _serialize_keys_in_another_case(without_outcome(self._writes))
        for write in without_outcome(self._writes):
            _assume(write)
        for _ in range(ROUNDS):
            for write in self._writes:
                write.to_resend = False
            try:
                await self._look_up()
            except RequestFailed as failed:
                settle_unsent(without_outcome(self._writes), failed)
                return
            await self._send_stages(without_outcome(self._writes))
            if not any(write.to_resend for write in self._writes):
                break
        for write in without_outcome(self._writes):
            write.outcome = write.conflict
        for write in without_outcome(self._writes):
            write.outcome = _parent_outcome(write) or RACING

    async def _look_up(self) -> None:
        """Look up what must be known before the next send. Raises RequestFailed."""
        ready = without_outcome(self._writes)
        asked = [write for write in ready if write.assumption is Assumption.ASK]
        parents: dict[ParentKey, Wanted] = {}
        for child in [write for write in ready if write.is_child]:
            parents |= parents_to_find(child, self._tables)
        if not asked and not parents:
            return
        look_up = LookUp(self._web)
        await look_up.run([*(self._wanted(write) for write in asked), *parents.values()])
        for write in asked:
            _take_result(write, look_up)
        for child in dict.fromkeys(write for write, _, _ in parents):
            with_parents = name_parents(child, parents, look_up)
            if isinstance(with_parents, RecordWrite):
                child.record_write = with_parents
            else:
                child.outcome = with_parents

    def _wanted(self, write: Write) -> Wanted:
        """The look-up of a write's record, by its id if the key says it."""
        record_write, table = write.record_write, write.table
        flag = self._consent[record_write.object].flag if record_write.clears_flag else None
        if write.own_id is not None:
            return Wanted(result_key=write, table=table, column=table.id_column, value=write.own_id, flag=flag)
        column, value = record_write.key_field, record_write.key
        return Wanted(result_key=write, table=table, column=column, value=value, flag=flag)

    async def _send_stages(self, writes: Sequence[Write]) -> None:
        """Send parents before their children."""
        for stage in sorted({write.stage for write in writes}):
            await self._send([write for write in writes if write.stage == stage])

    async def _send(self, writes: Iterable[Write]) -> None:
        """Send these writes. Afterwards each has an outcome, or is to be sent again."""
        items: list[Item] = []
        for write in without_outcome(writes):
            if any(parent.to_resend for parent in write.wait_for):
                write.to_resend = True
                continue
            write.outcome = _parent_outcome(write)
            if write.outcome is not None:
                continue
            item = self._builder.build(write)
            if isinstance(item, Item):
                items.append(item)
                continue
            write.outcome = item
            if isinstance(item, Delivered):
                write.unchanged, write.record_id = True, item.record_id
            elif item.reason is Reason.CONFIGURATION:
                self.stale.add(write.table.name)
        for item, result in zip(items, await self._sending.run(items), strict=True):
            if isinstance(result, RequestFailed):
                _settle_failure(item, result)
            else:
                _settle_success(item, result)


def _serialize_keys_in_another_case(writes: Iterable[Write]) -> None:
    """Keep keys that differ only in letter case for later batches: alternate keys are compared without letter case."""
    first: dict[tuple[str, str, str], Write] = {}
    for write in writes:
        record_write = write.record_write
        if not record_write.exact or write.own_id is not None:
            continue
        key = (record_write.object, record_write.key_field, record_write.key.casefold())
        if first.setdefault(key, write) is not write:
            write.outcome = KEY_IN_ANOTHER_CASE


def _assume(write: Write) -> None:
    """Decide what is assumed of the record before the first send, unless it is already looked up."""
    if write.assumption is Assumption.FOUND:
        return
    record_write, task = write.record_write, write.task
    # Whether a new record gets other fields than an existing one.
    depends_on_existence = record_write.may_create and (bool(record_write.create) or record_write.clears_flag)
    id_from_key = write.own_id is not None and record_write.key_field != ID_FIELD
    if record_write.clears_flag or task.gone is not None or (task.tried and task.record_id is not None):
        # The flag must be read before it is cleared; a record that is gone may have been merged; and since the first
        # attempt the key may have moved to another record.
        write.assumption = Assumption.ASK
    elif id_from_key and depends_on_existence and task.record_id is None:
        write.assumption = Assumption.NEW
    elif task.record_id is not None and (depends_on_existence or not record_write.may_create):
        write.use_record(Found(record_id=task.record_id))
    elif write.own_id is None and (depends_on_existence or record_write.exact):
        # `exact`: the org may find a record whose key has other capital letters.
        write.assumption = Assumption.ASK


def _take_result(write: Write, look_up: LookUp) -> None:
    """Take the write's record from the look-up, or its outcome."""
    if write in look_up.failed:
        write.outcome = look_up.failed[write]
        return
    found, record_write = look_up.found.get(write), write.record_write
    # An id that is derived from a key is another for each spelling of it.
    by_key = record_write.exact and write.own_id is None
    if found is not None and by_key and found.merged is None and found.key != record_write.key:
        write.outcome = _case_conflict(record_write, found)
    else:
        write.use_record(found)


def _parent_outcome(write: Write) -> Retry | Rejected | None:
    """The outcome of a child that follows from its parents' outcomes in the batch; None if there is none."""
    outcomes = [parent.outcome for parent in write.parents.values()]
    for outcome in outcomes:
        # A write that the set-up forbids is delivered as soon as the set-up is fixed, so that its children wait.
        if isinstance(outcome, Rejected) and outcome.reason is not Reason.CONFIGURATION:
            return Rejected(reason=Reason.PARENT_FAILED, detail=f"its parent record was refused: {outcome.reason}")
    for outcome in outcomes:
        if isinstance(outcome, Retry | Rejected):
            return Retry(reason=Reason.PARENT_WAITING, detail=f"its parent record waits: {outcome.reason}")
    return None


def _settle_success(item: Item, answer: Answer) -> None:
    """The record was written. If it is a merged one, have the write sent again to the record that was kept."""
    write = item.write
    row = answer.body if isinstance(answer.body, dict) else {}
    record_id = item.record_id or str(row.get(write.table.id_column) or "")
    if row.get("merged") is True and isinstance(row.get("_masterid_value"), str):
        write.look_up_again()  # finds the record that was kept, with its flag
        return
    write.record_id = record_id or None
    created = item.insert or answer.status == CREATED
    write.outcome = Delivered(record_id=write.record_id, created=created, left_out=item.left_out)


def _settle_failure(item: Item, failed: RequestFailed) -> None:
    """The record was not written: have the write sent again if its assumption was wrong, or give it its outcome."""
    write = item.write
    if item.insert and failed.code in {error_codes.EXISTS, error_codes.KEY_TAKEN}:
        _settle_existing(item, failed)
    elif failed.code == error_codes.VERSION_MISMATCH:
        write.conflict = None
        write.look_up_again()
    elif failed.code == error_codes.KEY_TAKEN:
        # A write with a match gives its key to the record that it found; another write may have been quicker.
        matched = write.original.match is not None
        write.outcome = Retry(reason=Reason.RACE, detail=SAME_KEY) if matched else KEY_OF_ANOTHER
    elif failed.code in {error_codes.NOT_FOUND_BY_ID, error_codes.NOT_FOUND_BY_KEY}:
        if _is_own_record_missing(item, failed):
            _settle_missing_record(write, failed)
        else:
            _settle_missing_parent(write, failed)
    else:
        write.outcome = failed.outcome


def _settle_existing(item: Item, failed: RequestFailed) -> None:
    """A record that was assumed to be new exists, or another record has one of its alternate keys."""
    write = item.write
    if failed.code == error_codes.KEY_TAKEN:
        write.conflict = KEY_OF_ANOTHER
        write.look_up_again()
    elif item.record_id is None or write.record_write.clears_flag:
        write.look_up_again()
    elif write.record_write.set:
        write.use_record(Found(record_id=item.record_id))
        write.to_resend = True
    else:
        # Written before: a reply was lost, or the event was repeated.
        write.record_id = item.record_id
        write.outcome = Delivered(record_id=item.record_id)


def _is_own_record_missing(item: Item, failed: RequestFailed) -> bool:
    """Whether the item's own record does not exist; if not, it is a record that one of its lookups names."""
    by_id = failed.code == error_codes.NOT_FOUND_BY_ID
    # The text names the id that was not found, or the table whose key was not found.
    named = item.record_id if by_id else f" {item.write.table.name} "
    return "If-Match" in item.operation.headers and named is not None and named in failed.message


def _settle_missing_record(write: Write, failed: RequestFailed) -> None:
    """The record of an update does not exist: look it up if it may be created, or refuse the write."""
    record_write = write.record_write
    if record_write.may_create and record_write.key_field != ID_FIELD and write.assumption is Assumption.FOUND:
        write.look_up_again()
        return
    detail = f"{record_write.object} has no record with this {record_write.key_field}"
    reason = Reason.RECORD_DELETED if record_write.key_field == ID_FIELD else Reason.RECORD_MISSING
    write.outcome = Rejected(reason=reason, detail=detail, code=failed.code)


def _settle_missing_parent(write: Write, failed: RequestFailed) -> None:
    """A record that a lookup of this write names does not exist."""
    unchanged = [parent for parent in write.parents.values() if parent.unchanged]
    if not unchanged:
        detail = "a record that a lookup names does not exist"
        write.outcome = Retry(reason=Reason.PARENT_MISSING, detail=detail, code=failed.code)
        return
    # Its parent was known before and there was nothing to change, so that no call showed that it no longer exists.
    write.to_resend = True
    for parent in unchanged:
        parent.look_up_again()
        parent.unchanged, parent.record_id, parent.outcome = False, None, None


def _case_conflict(record_write: RecordWrite, found: Found) -> Rejected:
    """The rejection if the org treats two of the sender's ids as one key."""
    detail = (
        f"{found.record_id} has this key in other letters (capital or small), and alternate keys do not tell them apart: "
        f"write the key to the id column of {record_write.object} instead"
    )
    return Rejected(reason=Reason.NEEDS_PERSON, detail=detail)
