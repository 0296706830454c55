"""Schema elements: a field and an object. org.py defines which ones exist."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

SHORT_TEXT = 255  # characters
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]*|[a-z]+|\d+")


class Kind(StrEnum):
    """A field's type, named as in a describe response."""

    ID = "id"
    TEXT = "string"
    LONG_TEXT = "textarea"
    EMAIL = "email"
    PHONE = "phone"
    PICKLIST = "picklist"
    REFERENCE = "reference"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    CURRENCY = "currency"
    NUMBER = "double"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of an object.

    `targets` are the objects that a reference may point to, and `relationship` is its name in SOQL and in nested
    records. `formula` is an SQL expression over the row; such a field is read-only. `id_lookup` marks a standard field
    that can be an upsert key although it is not an external ID. `create_only` marks a field that cannot change after
    creation, such as the master of a master-detail relationship. `case_sensitive` is for keyed fields: whether values
    that differ only in letter case are different. `rule`: the message of a validation rule that rejects every value of
    the field. `scale` is the number of decimal places.
    """

    name: str
    kind: Kind
    length: int = 0
    scale: int = 2
    required: bool = False
    unique: bool = False
    external_id: bool = False
    id_lookup: bool = False
    values: tuple[str, ...] = ()
    restricted: bool = False
    targets: tuple[str, ...] = ()
    relationship: str | None = None
    default: str | bool | None = None
    read_only: bool = False
    create_only: bool = False
    formula: str | None = None
    case_sensitive: bool = False
    rule: str = ""

    @property
    def label(self) -> str:
        """The label for people: `FirstName` is First Name, `SMS_Key__c` is SMS Key, `AccountId` is Account ID."""
        words = WORD.findall(self.name.removesuffix("__c"))
        return " ".join("ID" if word == "Id" else word for word in words)

    @property
    def custom(self) -> bool:
        """Whether an administrator created it."""
        return self.name.endswith("__c")

    @property
    def is_long(self) -> bool:
        """Whether it is a text that cannot be filtered or sorted by; a textarea of 255, such as MailingStreet, can."""
        return self.kind is Kind.LONG_TEXT and self.length > SHORT_TEXT

    @property
    def writable(self) -> bool:
        """Whether the API may set it."""
        return not self.read_only and self.formula is None

    @property
    def keyed(self) -> bool:
        """Whether records can be found by it, in an upsert or as a parent."""
        return self.external_id or self.id_lookup

    @property
    def folded(self) -> str:
        """The column with a keyed field's value in its comparison form."""
        return f"{self.name}~key"

    def fold(self, text: str) -> str:
        """A keyed field's value in its comparison form: in lower case unless the field is case-sensitive."""
        return text if self.case_sensitive else text.lower()


@dataclass(frozen=True)  # without slots: the indexes below are cached in the instance
class SObject:
    """One object (Salesforce: sObject): its name, the prefix of its ids, and its fields in order."""

    name: str
    prefix: str
    fields: tuple[Field, ...]
    plural: str = ""
    mergeable: bool = False

    @property
    def label(self) -> str:
        """The label for people."""
        return " ".join(WORD.findall(self.name.removesuffix("__c")))

    @property
    def custom(self) -> bool:
        """Whether an administrator created it."""
        return self.name.endswith("__c")

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """The fields by exact name; writes use this for speed."""
        return {each.name: each for each in self.fields}

    @cached_property
    def any_case(self) -> Mapping[str, Field]:
        """The fields by lower-case name: the API ignores letter case in names."""
        return {each.name.lower(): each for each in self.fields}

    @cached_property
    def relationships(self) -> Mapping[str, Field]:
        """The reference fields by lower-case relationship name."""
        return {each.relationship.lower(): each for each in self.fields if each.relationship}

    @cached_property
    def required(self) -> tuple[Field, ...]:
        """The fields that a new record must have."""
        return tuple(each for each in self.fields if each.required and each.default is None)

    @cached_property
    def fixed(self) -> tuple[Field, ...]:
        """The fields that can only be set at creation."""
        return tuple(each for each in self.fields if each.create_only)

    @cached_property
    def ruled(self) -> tuple[Field, ...]:
        """The fields with a validation rule."""
        return tuple(each for each in self.fields if each.rule)

    @cached_property
    def unique(self) -> tuple[Field, ...]:
        """The fields whose value must be unique among records that are not deleted."""
        return tuple(each for each in self.fields if each.unique)

    def find(self, name: str) -> Field | None:
        """The field of that name, ignoring letter case."""
        return self.by_name.get(name) or self.any_case.get(name.lower())
