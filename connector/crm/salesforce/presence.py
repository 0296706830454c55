"""Whether records exist, where it matters: what is assumed of each before it is sent, and what then proves to be otherwise.

A field that is only for new records must not overwrite what people have written since. Asking first costs a call for every
thousand records; a key that is unique in the org needs no question, for an insert of a record that exists is refused.

Source: Object Reference, "StatusCode" (DUPLICATE_VALUE, REQUIRED_FIELD_MISSING).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from itertools import chain
from typing import Protocol

from connector.crm.salesforce.describe import fields_of
from connector.crm.salesforce.encode import Api
from connector.crm.salesforce.errors import holder
from connector.model.exchange import Exchange
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry

TRIES = 3  # of describing an object of which the org will not tell: after that its records are looked up


class Stance(Enum):
    """What is assumed of a record before it is sent."""

    ANY = auto()  # it makes no difference whether it exists
    ASK = auto()  # it is looked up first
    NEW = auto()  # nobody has met it: an insert tells
    KNOWN = auto()  # it once existed: an upsert of what changes tells where it is gone
    FOUND = auto()  # it exists
    ABSENT = auto()  # it does not


class Sent(Protocol):
    """A record on its way."""

    @property
    def index(self) -> int:
        """Its place in the batch."""

    @property
    def key_field(self) -> str | None:
        """The external ID that names it."""

    @property
    def insert(self) -> bool:
        """Whether it was taken for new."""

    @property
    def assumed(self) -> bool:
        """Whether it was taken to exist."""


class Surprises:
    """Records of one batch that were not what they were taken for, or may not have been: they are sent once more."""

    def __init__(self) -> None:
        self.existing: dict[int, str] = {}  # taken for new; their Ids
        self.doubted: set[int] = (
            set()
        )  # refused as new: they may exist, and then what is only for new ones does not count
        self.absent: dict[int, bool] = {}  # taken to exist; whether they were made without what is for new ones
        self.orphans: set[int] = set()  # children of these

    def __iter__(self) -> Iterator[int]:
        return chain(self.existing, self.doubted, self.absent, self.orphans)

    def met(self, item: Sent, outcome: Outcome) -> bool:
        """Whether the outcome shows that the record is not what it was taken for, or may not be."""
        if item.insert:
            if isinstance(outcome, Rejected) and outcome.reason is not Reason.CONFIGURATION:
                self.doubted.add(item.index)
                return True
            owner = holder(outcome.detail, item.key_field or "") if isinstance(outcome, Retry) else None
            if owner is not None:
                self.existing[item.index] = owner
            return owner is not None
        if item.assumed and _is_news(outcome):
            self.absent[item.index] = isinstance(outcome, Delivered)
            return True
        return False

    def orphaned(self, index: int, parents: Iterable[int], *, missing: bool = False) -> bool:
        """Whether a child must wait for a parent that is sent once more; `missing`: Salesforce has not found its parent."""
        late = self.doubted | self.orphans | (self.existing.keys() | self.absent.keys() if missing else set())
        if late.isdisjoint(parents):
            return False
        self.orphans.add(index)
        return True


def _is_news(outcome: Outcome) -> bool:
    """Whether an upsert of what only changes has met no record: it was made without what is for new ones, or could not be."""
    if isinstance(outcome, Delivered):
        return outcome.created
    return isinstance(outcome, Rejected) and outcome.reason is Reason.FIELD_REQUIRED


class Keys:
    """Which external IDs are unique in the org: each object is described once, when its first new record is to be made."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._described: dict[str, frozenset[str]] = {}  # the unique fields of each object, case-folded
        self._unanswered: Counter[str] = Counter()

    def stances(
        self, writes: Mapping[int, RecordWrite], known: Mapping[int, str]
    ) -> Exchange[dict[int, Stance] | Retry]:
        """What to assume of each record, by its place; `known` are the Ids of those that were met before.

        Retry where Salesforce cannot be worked with now.
        """
        strangers = [one for index, one in writes.items() if index not in known and _matters(one)]
        for name in sorted({one.object for one in strangers} - self._described.keys()):
            fields = yield from fields_of(self._api, name)
            if not isinstance(fields, Retry):
                self._described[name] = frozenset(field.name.casefold() for field in fields.values() if field.unique)
            elif fields.reason is not Reason.UNEXPECTED_ANSWER:
                return fields
            else:
                self._unanswered[name] += 1
                if self._unanswered[name] == TRIES:
                    self._described[name] = frozenset()
        return {index: self._stance(one, known=index in known) for index, one in writes.items()}

    def _stance(self, write: RecordWrite, *, known: bool) -> Stance:
        if not _matters(write):
            return (
                Stance.ASK if write.clears_flag or not (write.may_create or write.key_field == ID_FIELD) else Stance.ANY
            )
        if known:
            return Stance.ASK if write.clears_flag else Stance.KNOWN
        return Stance.NEW if write.key_field.casefold() in self._described.get(write.object, ()) else Stance.ASK


def _matters(write: RecordWrite) -> bool:
    """Whether it may make the record, and then writes otherwise than where it changes one."""
    return write.may_create and write.key_field != ID_FIELD and (bool(write.create) or write.clears_flag)
