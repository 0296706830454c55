"""Decides what to assume about a record's existence before a write, and finds wrong assumptions afterwards.

A field that is only for new records must not overwrite later edits by people. Asking first costs one call per thousand
records. If the key is unique in the org no question is needed, because inserting an existing record is rejected.

Source: Object Reference, "StatusCode" (DUPLICATE_VALUE, REQUIRED_FIELD_MISSING).
"""

from collections.abc import Iterable, Sequence

from connector.crm.salesforce.client.api import QUERY_BATCH, identifier
from connector.crm.salesforce.client.record_ids import mergeable
from connector.crm.salesforce.client.responses import RequestFailed, read_failure, value_of
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.write import duplicate_values
from connector.crm.salesforce.write.merged_records import DELETED, MASTER
from connector.crm.salesforce.write.org_fields import OrgFields
from connector.crm.salesforce.write.requests import Item
from connector.crm.salesforce.write.writes import NOT_LOOKED_UP, Assumption, Found, Write, WrongAssumption
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Reason, Rejected, Retry
from connector.ports import Task

GONE = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY"})  # the second one if the recycle bin was emptied
MISSING = frozenset({Reason.RECORD_DELETED, Reason.RECORD_MISSING, Reason.PARENT_MISSING})  # what these codes may mean
ALSO_IF_EXISTING = frozenset(
    {Reason.CONFIGURATION, Reason.BAD_VALUE, Reason.NEEDS_PERSON, Reason.TRIGGER_LIMIT}
)  # rejections that an existing record would get too

DELAYS_CHILD = frozenset({WrongAssumption.DOUBTED, WrongAssumption.PARENT})
DELAYS_CHILD_IF_PARENT_MISSING = frozenset(WrongAssumption)


def was_wrong(write: Write, item: Item, outcome: Retry | Rejected) -> bool:
    """Whether the outcome shows that the assumption was wrong, or may have been. Notes it on the write."""
    if item.insert:
        if isinstance(outcome, Rejected) and outcome.reason not in ALSO_IF_EXISTING:
            write.wrong = WrongAssumption.DOUBTED
        elif isinstance(outcome, Retry) and outcome.code == duplicate_values.CODE:
            owner = duplicate_values.holder(outcome.detail, item.key_field or "", item.object)
            if owner is None:
                write.wrong = WrongAssumption.DOUBTED
            else:
                write.wrong, write.found = WrongAssumption.EXISTING, Found(record_id=owner)
    elif item.assumed and isinstance(outcome, Rejected) and outcome.code in GONE and outcome.reason in MISSING:
        write.wrong = WrongAssumption.ABSENT
    return write.wrong is not None


def waits_for_parent(write: Write, *, missing: bool = False) -> bool:
    """Whether it must wait for a parent that is sent again; `missing`: Salesforce did not find its parent.

    Notes it on the write.
    """
    delaying = DELAYS_CHILD_IF_PARENT_MISSING if missing else DELAYS_CHILD
    if not any(parent.wrong in delaying for parent in write.wait_for):
        return False
    write.wrong = WrongAssumption.PARENT
    return True


class KeyRegistry:
    """Knows which keys can be inserted without a look-up: those that are unique in the org and not of a merged record.

    Each object is queried once, before its first new record is created. Later merges of known records are noticed when
    the record is updated by its Id.
    """

    def __init__(self, fields: OrgFields, *, inserts: bool) -> None:
        """`inserts`: whether a record may be created although the recycle bin may have one with its key."""
        self._fields = fields
        self._inserts = inserts
        self._merged: dict[tuple[str, str], frozenset[str] | None] = {}  # case-folded; None: too many to keep

    async def assume(self, rest: RestClient, writes: Sequence[Write]) -> None:
        """Decide what to assume about each record, except those that were already looked up.

        Raises RequestFailed if Salesforce is not available.
        """
        unknown = [write for write in writes if write.assumption is not Assumption.FOUND]
        exact = [write.record_write for write in unknown if write.record_write.exact]
        await self._fields.learn(rest, {record.object for record in exact if _has_letters(record.key)})
        without_id = [write.record_write for write in unknown if write.task.record_id is None]
        await self.learn(
            rest, {(record.object, record.key_field) for record in without_id if _depends_on_existence(record)}
        )
        for write in unknown:
            write.assumption = self._assumption(write.record_write, write.task)
            if write.assumption is Assumption.ANY:
                write.found = NOT_LOOKED_UP
            elif write.assumption is Assumption.KNOWN and write.task.record_id is not None:
                write.found = Found(record_id=write.task.record_id)

    async def learn(self, rest: RestClient, keys: Iterable[tuple[str, str]]) -> None:
        """Query these keys (object, external ID field) unless they are known. Raises RequestFailed."""
        wanted = sorted(set(keys)) if self._inserts else []
        await self._fields.learn(rest, {name for name, _ in wanted})
        for name, key_field in wanted:
            if (name, key_field) not in self._merged and self._fields.unique(name, key_field):
                self._merged[name, key_field] = await self._keys_of_merged(rest, name, key_field)

    def is_case_safe(self, record_write: RecordWrite) -> bool:
        """Whether keys in another letter case do no harm: no letters, any case is the same key, or a case-sensitive field."""
        if not record_write.exact or not _has_letters(record_write.key):
            return True
        return self._fields.is_case_sensitive(record_write.object, record_write.key_field)

    def _assumption(self, record_write: RecordWrite, task: Task) -> Assumption:
        by_id = record_write.key_field == ID_FIELD
        if record_write.clears_flag and (by_id or task.record_id is not None):
            return Assumption.ASK
        if by_id:
            return Assumption.ANY
        if task.gone is not None or not record_write.may_create or not self.is_case_safe(record_write):
            return Assumption.ASK
        if task.tried and task.record_id is not None:
            # Since the first attempt the key may have moved to another record.
            return Assumption.ASK
        if not _depends_on_existence(record_write):
            return Assumption.ANY
        if task.record_id is not None:
            return Assumption.KNOWN
        merged = self._merged.get((record_write.object, record_write.key_field))
        return Assumption.ASK if merged is None or record_write.key.lower() in merged else Assumption.NEW

    @staticmethod
    async def _keys_of_merged(rest: RestClient, name: str, key_field: str) -> frozenset[str] | None:
        """The keys of merged records in the recycle bin; None if there are too many."""
        if not mergeable(name):
            return frozenset()
        soql = (
            f"SELECT {identifier(key_field)} FROM {identifier(name)} WHERE {DELETED} = true AND {MASTER} != null "  # noqa: S608 - SOQL; names are checked.
            f"AND {identifier(key_field)} != null LIMIT {QUERY_BATCH}"
        )
        try:
            body = await rest.rows(rest.api.query_all(soql))
        except RequestFailed as failed:
            if read_failure(failed).reason is not Reason.UNEXPECTED_ANSWER:
                raise
            return None
        keys = frozenset(str(value_of(row, key_field)).lower() for row in body["records"])
        return keys if len(body["records"]) < QUERY_BATCH else None


def _has_letters(key: str) -> bool:
    """Whether the key has letters."""
    return key.lower() != key.upper()


def _depends_on_existence(record_write: RecordWrite) -> bool:
    """Whether the write may create the record, and then has other fields than for an existing one."""
    by_key = record_write.key_field != ID_FIELD
    return record_write.may_create and by_key and (bool(record_write.create) or record_write.clears_flag)
