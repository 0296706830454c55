"""Decides what to assume about a record's existence before a write, and finds wrong assumptions afterwards.

A field that is only for new records must not overwrite later edits by people. Asking first costs one call per thousand
records. If the key is unique in the org no question is needed, because inserting an existing record is rejected.

Source: Object Reference, "StatusCode" (DUPLICATE_VALUE, REQUIRED_FIELD_MISSING).
"""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from itertools import chain
from typing import Protocol

from connector.crm.salesforce.client.api import QUERY_BATCH, identifier
from connector.crm.salesforce.client.responses import RequestFailed, read_failure, value_of
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.write import duplicate_values
from connector.crm.salesforce.write.merged_records import DELETED, MASTER, mergeable
from connector.crm.salesforce.write.org_fields import OrgFields
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Outcome, Reason, Rejected, Retry
from connector.ports import Task

GONE = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY"})  # the second one if the recycle bin was emptied
SURE = frozenset(
    {Reason.CONFIGURATION, Reason.BAD_VALUE, Reason.NEEDS_PERSON, Reason.TRIGGER_LIMIT}
)  # rejections that an existing record would get too


class Assumption(Enum):
    """What is assumed about a record before it is sent."""

    ANY = auto()  # it does not matter whether it exists
    ASK = auto()  # look it up first
    NEW = auto()  # never seen before: the result of an insert will show
    KNOWN = auto()  # it existed before: an update by Id fails if it is gone
    FOUND = auto()  # it was already looked up


class Sent(Protocol):
    """A record that is being sent."""

    @property
    def index(self) -> int:
        """Its position in the batch."""

    @property
    def object(self) -> str:
        """Its object."""

    @property
    def key_field(self) -> str | None:
        """The external ID field that identifies it."""

    @property
    def insert(self) -> bool:
        """Whether it was assumed to be new."""

    @property
    def assumed(self) -> bool:
        """Whether it was assumed to exist."""


class WrongAssumptions:
    """Records of one batch whose assumption was wrong, or may have been: they are sent once more."""

    def __init__(self) -> None:
        self.existing: dict[int, str] = {}  # assumed to be new, but existing; their Ids
        self.doubted: set[int] = set()  # rejected as new, perhaps for a reason that does not apply to existing records
        self.absent: set[int] = set()  # assumed to exist, but gone
        self.children_of_missing: set[int] = set()  # children of `absent` records

    def __iter__(self) -> Iterator[int]:
        return chain(self.existing, self.doubted, self.absent, self.children_of_missing)

    def met(self, item: Sent, outcome: Outcome) -> bool:
        """Whether the outcome shows that the assumption was wrong, or may have been. Records it."""
        if item.insert:
            if isinstance(outcome, Rejected) and outcome.reason not in SURE:
                self.doubted.add(item.index)
                return True
            if not isinstance(outcome, Retry) or outcome.code != duplicate_values.CODE:
                return False
            owner = duplicate_values.holder(outcome.detail, item.key_field or "", item.object)
            if owner is not None:
                self.existing[item.index] = owner
            else:
                self.doubted.add(item.index)
            return True
        if item.assumed and isinstance(outcome, Rejected) and outcome.code in GONE:
            self.absent.add(item.index)
            return True
        return False

    def orphaned(self, index: int, parents: Collection[int], *, missing: bool = False) -> bool:
        """Whether a child must wait for a parent that is sent once more; `missing`: Salesforce did not find its parent."""
        if not parents:
            return False
        late = self.doubted | self.children_of_missing | (self.existing.keys() | self.absent if missing else set())
        if late.isdisjoint(parents):
            return False
        self.children_of_missing.add(index)
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

    async def assumptions(
        self, rest: RestClient, writes: Mapping[int, RecordWrite], tasks: Sequence[Task], found: Container[int]
    ) -> dict[int, Assumption]:
        """The assumption for each record, by position in the batch, except those that were already looked up (found or not).

        Raises RequestFailed if Salesforce is not available.
        """
        asked = {index: one for index, one in writes.items() if index not in found}
        await self._fields.learn(rest, {one.object for one in asked.values() if one.exact and _cased(one.key)})
        strangers = [one for index, one in asked.items() if tasks[index].record_id is None and _matters(one)]
        await self.learn(rest, {(one.object, one.key_field) for one in strangers})
        return {
            index: self._assumption(one, tasks[index]) if index in asked else Assumption.FOUND
            for index, one in writes.items()
        }

    async def learn(self, rest: RestClient, keys: Iterable[tuple[str, str]]) -> None:
        """Query these keys (object, external ID field) unless they are known. Raises RequestFailed."""
        wanted = sorted(set(keys)) if self._inserts else []
        await self._fields.learn(rest, {name for name, _ in wanted})
        for name, key_field in wanted:
            if (name, key_field) not in self._merged and self._fields.unique(name, key_field):
                self._merged[name, key_field] = await self._merged_away(rest, name, key_field)

    def tells_case(self, write: RecordWrite) -> bool:
        """Whether letter case does no harm: the key has no letters, may be in any case, or its field is case-sensitive."""
        if not write.exact or not _cased(write.key):
            return True
        return self._fields.tells_case(write.object, write.key_field)

    def _assumption(self, write: RecordWrite, task: Task) -> Assumption:
        by_id = write.key_field == ID_FIELD
        if write.clears_flag and (by_id or task.record_id is not None):
            return Assumption.ASK
        if by_id:
            return Assumption.ANY
        if task.gone is not None or not write.may_create or not self.tells_case(write):
            return Assumption.ASK
        if not _matters(write):
            return Assumption.ANY
        if task.record_id is not None:
            return Assumption.KNOWN
        merged = self._merged.get((write.object, write.key_field))
        return Assumption.ASK if merged is None or write.key.lower() in merged else Assumption.NEW

    @staticmethod
    async def _merged_away(rest: RestClient, name: str, key_field: str) -> frozenset[str] | None:
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


def _cased(key: str) -> bool:
    """Whether the key has letters."""
    return key.lower() != key.upper()


def _matters(write: RecordWrite) -> bool:
    """Whether the write may create the record, and then has other fields than for an existing one."""
    return write.may_create and write.key_field != ID_FIELD and (bool(write.create) or write.clears_flag)
