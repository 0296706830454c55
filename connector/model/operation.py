"""An operation: one write or command for a sink. A unit is the operations of one event for one sink."""

from collections.abc import Container, Mapping
from enum import StrEnum

from msgspec import Struct, field
from msgspec.structs import replace

from connector.model.phone import Phone

# The name of a record's own id in events, mappings and writes. It is stored in databases, so it must not change. The
# adapter of a CRM whose own column has another name translates it.
ID_FIELD = "Id"
MATCHED_BY = "match:"  # prefix of the `key_field` of a write that identifies its record by a phone number alone

Scalar = str | int | float | bool | None


class Repeat(StrEnum):
    """The effect of doing it twice."""

    SAFE = "safe"  # the same as once: an upsert by key, `unsubscribe`
    HARMLESS = "harmless"  # a second SMS, which is less harmful than a lost stop
    NEVER = "never"  # a second charge: in doubt a person decides


class Parent(Struct, omit_defaults=True, frozen=True):
    """The value of a relationship field: the parent record by its external ID.

    `object` is set only if the field allows several types. `otherwise` are other ways to identify the parent, in
    order, used if the CRM has no record by the first. With `or_none` the field is left out if the CRM has no record
    by any of them.
    """

    key_field: str
    key: str
    object: str | None = None
    otherwise: tuple["Parent", ...] = ()
    or_none: bool = False

    @property
    def ways(self) -> tuple["Parent", ...]:
        """All the ways to identify the parent, in order."""
        return (self, *self.otherwise)


class IfNone(StrEnum):
    """What to do when no record has the number."""

    CREATE = "create"
    SKIP = "skip"
    PARK = "park"  # a person decides


class IfMany(StrEnum):
    """Which record to take when several have the number."""

    OLDEST = "oldest"
    NEWEST = "newest"
    PARK = "park"  # a person decides


class Match(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Find the record by a phone number. The record is known only at delivery."""

    phone: Phone
    fields: tuple[str, ...]  # phone fields in order of preference; people write numbers in them in any form
    none: IfNone
    many: IfMany


# What a field of a record can be set to. Times are ISO 8601 text, amounts are numbers.
Value = Scalar | Parent
Fields = Mapping[str, Value]


class RecordWrite(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Upsert (or only update) one CRM record by a key field.

    With a `match`, the target is the record that has the key. If there is none, it is the record with the number,
    which then gets the key.
    """

    sink: str
    object: str
    key_field: str
    key: str
    exact: bool = False  # the key is an id of the sender: letter case alone makes two keys different
    set: Fields = field(default_factory=dict)
    create: Fields = field(default_factory=dict)  # only for a new record
    may_create: bool = True  # False for `update:`
    consent: tuple[str, ...] = ()  # its fields that hold consent (`consent_fields` in the config), the flag first
    clears_flag: bool = False  # it takes back an opt-out flag: the sink reads the record again just before the write
    match: Match | None = None
    rule: str = ""  # file: rule, for people
    consent_only: bool = False  # of `create`, only the fields that the CRM requires of a new record are sent

    repeat = Repeat.SAFE

    @property
    def keyed(self) -> bool:
        """Whether the write has a key that the CRM knows, and not the number alone."""
        return not self.key_field.startswith(MATCHED_BY)

    @property
    def record(self) -> tuple[str, str, str]:
        """Identifies the record: equal for two writes that must be folded.

        Only the CRM knows whether letter case makes two keys different.
        """
        return self.object, self.key_field, self.key

    def at(self, record_id: str, fields: Fields) -> "RecordWrite":
        """The same write to an existing record, by its Id, with these fields."""
        return replace(self, key_field=ID_FIELD, key=record_id, set=fields, create={}, match=None, may_create=False)

    def narrowed(self) -> "RecordWrite | None":
        """The write reduced to its consent fields, or from these to the first one; None if no smaller write exists.

        If the record must be created for it, the fields that the CRM requires of a new record are included.
        """
        written = {**self.create, **self.set}
        if self.consent and not self.consent_only and any(name not in self.consent for name in written):
            consent = self.consent
        elif len(self.consent) > 1:
            consent = self.consent[:1]
        else:
            return None
        always = {name: value for name, value in self.set.items() if name in consent}
        at_creation = {
            name: value
            for name, value in written.items()
            if name not in always and (name in consent or name not in self.consent)
        }
        return replace(
            self, set=always, create=at_creation if self.may_create else {}, consent=consent, consent_only=True
        )

    def as_done(self, *, created: bool, left_out: Container[str]) -> "RecordWrite":
        """A write of the consent fields alone as it was done: `create` holds what was written to a record that it created."""
        written = {name: value for name, value in self.create.items() if created and name not in left_out}
        return replace(self, create=written)

    def without(self, other: "RecordWrite") -> "RecordWrite":
        """What remains of the write after the other one of the same record is done.

        If the other one created the record for the consent fields alone, the fields for a new record are written to
        it now.
        """
        written = {*other.set, *other.create}
        create = {name: value for name, value in self.create.items() if name not in written}
        made_by_other = other.consent_only and bool(other.create)
        return replace(
            self,
            set={
                **(create if made_by_other else {}),
                **{name: value for name, value in self.set.items() if name not in written},
            },
            create={} if made_by_other else create,
            consent=tuple(name for name in self.consent if name not in written),
            clears_flag=self.clears_flag and written.isdisjoint(self.consent),
        )

    @property
    def parents(self) -> tuple[Parent, ...]:
        """The parents that must exist before this record."""
        return tuple(value for values in (self.set, self.create) for value in values.values() if type(value) is Parent)


ENDING = frozenset({"stop", "unsubscribe"})  # the commands that end a subscription


class ServiceCommand(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Ask a provider to do something for one subscriber."""

    sink: str
    action: str  # stop, unsubscribe, changesubscriberprice
    phone: Phone
    short_number: str
    keyword: str
    price: float | int | None = None
    known_active: bool = False  # the ledger holds this subscription active, so that a 404 is a disagreement
    rule: str = ""

    @property
    def record(self) -> tuple[str, str, str]:
        """Identifies what the command changes, as RecordWrite.record does: the later of two commands about it is valid."""
        return self.action, self.short_number, self.keyword

    @property
    def repeat(self) -> Repeat:
        """`unsubscribe` and a price change have the same end state when repeated; a second `stop` may send a second SMS."""
        return Repeat.HARMLESS if self.action == "stop" else Repeat.SAFE


class SinkCall(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Values for a sink that is neither a CRM nor a provider. They say nothing about consent."""

    sink: str
    action: str  # what the sink is asked to do: post, row, event
    target: str  # at what of the sink: a type of message, a table, a key of an event
    key: str  # identifies the call: equal if the same call is made again
    values: Fields = field(default_factory=dict)
    keys: Fields = field(default_factory=dict)  # of a row: its primary key
    at: str = ""  # when the event was received, ISO 8601
    not_before: str = ""  # do not make the call earlier than this time, ISO 8601; empty: at once
    once: bool = False  # a second call would do harm: in doubt a person decides
    rule: str = ""

    @property
    def repeat(self) -> Repeat:
        """Most sinks recognise a repeated call by its key."""
        return Repeat.NEVER if self.once else Repeat.SAFE

    @property
    def record(self) -> tuple[str, str, str]:
        """Identifies the call."""
        return self.action, self.target, self.key


Operation = RecordWrite | ServiceCommand | SinkCall
