"""Packs records into requests within Salesforce's limits. Pure.

Source: REST API Developer Guide, "sObject Collections" (200 records, 10 runs of one type) and "Composite" (5
collections).
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from msgspec import Struct

from connector.crm.salesforce.client.api import REFERENCE, Collection
from connector.crm.salesforce.client.record_ids import comparable
from connector.model.operation import Parent, Value

RECORDS = 200  # per collection
OBJECTS = 10  # runs of one type per collection of updates by Id
COLLECTIONS = 5  # per composite
ACCOUNT = "AccountId"  # a contact's household, in the nonprofit packages too


class Item(Struct, frozen=True, kw_only=True):
    """A record that is ready to be sent. `index` is its position in the batch."""

    index: int
    stage: int
    object: str
    key_field: str | None  # None: it is updated by Id
    fields: Mapping[str, Value]  # as sent
    body: bytes
    left_out: tuple[str, ...] = ()
    record_id: str | None = None  # for updates
    key: str = ""  # for upserts or inserts
    allow: bool = False  # save it even if a duplicate rule warns about it
    alone: bool = False  # send it in a request of its own: it has made whole requests fail
    insert: bool = False  # it must be new: rejected if its key exists
    other_object: bool = False  # its record is of another object than the write names
    assumed: bool = False  # it is assumed to exist, because it existed before

    @property
    def plain(self) -> bool:
        """Whether it must not be sent in a composite: its text looks like a reference, or it has made requests fail."""
        return self.alone or REFERENCE in self.body

    @property
    def lock_group(self) -> tuple[str, ...]:
        """The records that Salesforce locks with it, as far as it names them: its parents, including its account."""
        return tuple(
            [
                value.key.casefold() if type(value) is Parent else str(value)
                for name, value in self.fields.items()
                if type(value) is Parent or name == ACCOUNT
            ]
        )

    def uses(self, column: str, object_name: str) -> bool:
        """Whether it contains this field of this object, its own or a parent's."""
        wanted = column.casefold()
        if self.object.casefold() == object_name.casefold():
            return wanted in {name.casefold() for name in (*self.fields, self.key_field or "")}
        parents = [value for value in self.fields.values() if isinstance(value, Parent)]
        return any(parent.key_field.casefold() == wanted for parent in parents)

    def named_in(self, words: AbstractSet[str]) -> str:
        """The field, its own or a parent's key, that is one of these words; empty if none is."""
        parents = [value.key_field for value in self.fields.values() if isinstance(value, Parent)]
        return next((name for name in (*self.fields, self.key_field or "", *parents) if name in words), "")


class RecordBatch(Struct, frozen=True):
    """Items that are sent in one collection."""

    items: Sequence[Item]

    @property
    def key_field(self) -> str | None:
        """The external ID field of all items; None if they are updated by Id."""
        return self.items[0].key_field

    @property
    def upserted(self) -> bool:
        """Whether they are upserted by that external ID."""
        return self.key_field is not None and not self.items[0].insert

    @property
    def plain(self) -> bool:
        """Whether it must be sent in a request of its own."""
        return self.items[0].plain

    @property
    def collection(self) -> Collection:
        """The collection to send."""
        first = self.items[0]
        return Collection(
            records=[item.body for item in self.items],
            object=first.object if first.key_field is not None else None,
            key_field=first.key_field,
            allow=first.allow,
            insert=first.insert,
        )


Request = Sequence[RecordBatch]  # the record batches of one request, in order


def to_batches(items: Iterable[Item]) -> list[RecordBatch]:
    """Record batches of one kind each, earlier stages first.

    Records of one household are placed together, so that few transactions of Salesforce lock it.
    """
    kinds: dict[tuple[int, str, str, bool, bool, bool, int, int], list[Item]] = {}
    turns: dict[str, int] = {}
    for item in items:
        # Two keys may be of one record, which a request may contain only once; so may keys that differ only in letter
        # case.
        record = (item.record_id and comparable(item.record_id)) or (
            item.key and f"{item.object}.{item.key_field}.{item.key.lower()}"
        )
        turn = 0
        if record:
            turn = turns[record] = turns.get(record, -1) + 1
        name = item.object if item.key_field is not None else ""
        alone = item.index if item.alone else -1
        kind = (item.stage, name, item.key_field or "", item.plain, item.allow, item.insert, turn, alone)
        kinds.setdefault(kind, []).append(item)
    record_batches: list[RecordBatch] = []
    # A stable sort: in batch order within a stage, but isolated records last.
    for kind in sorted(kinds, key=lambda kind: (kind[0], kind[-1] >= 0)):
        near = sorted(kinds[kind], key=lambda item: item.lock_group)
        record_batches += _cut(near) if kind[2] else _cut(sorted(near, key=lambda item: item.object))
    return record_batches


def _cut(items: Sequence[Item]) -> list[RecordBatch]:
    record_batches: list[list[Item]] = []
    objects: set[str] = set()
    for item in items:
        objects.add(item.object)
        if not record_batches or len(record_batches[-1]) == RECORDS or len(objects) > OBJECTS:
            record_batches.append([])
            objects = {item.object}
        record_batches[-1].append(item)
    return [RecordBatch(record_batch) for record_batch in record_batches]


def to_requests(record_batches: Iterable[RecordBatch], room: int) -> list[Request]:
    """Up to `room` record batches per request, in order: children follow their parents in the same request if they fit."""
    requests: list[list[RecordBatch]] = []
    for record_batch in record_batches:
        last = requests[-1] if requests else []
        if not last or len(last) >= room or record_batch.plain or last[-1].plain:
            requests.append([record_batch])
        else:
            last.append(record_batch)
    return list(requests)


def split(record_batch: RecordBatch, parts: int) -> list[RecordBatch]:
    """Split a record batch into parts of about equal size, each smaller than the whole."""
    size = -(-len(record_batch.items) // parts)
    return [RecordBatch(record_batch.items[start : start + size]) for start in range(0, len(record_batch.items), size)]
