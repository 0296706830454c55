"""The nouns of an org's schema: a field and an object. Which ones exist is told in org.py."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

SHORT_TEXT = 255  # characters
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]*|[a-z]+|\d+")


class Kind(StrEnum):
    """A field's type, by the word that a describe uses for it."""

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

    `targets` are the objects that a reference may point to and `relationship` is its name in SOQL and in nested
    records. `formula` is an SQL expression over the row; such a field is read-only. `id_lookup` marks a standard field that
    may serve as an upsert key although it is no external ID. `create_only` marks a field that is fixed once the
    record is there, such as the master of a master-detail relationship. `case_sensitive` is for keyed ones: whether two values that
    differ by letter case alone are two. `rule`: the words with which a validation rule refuses every value of the field. `scale` is
    how many digits behind the point a number keeps.
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
        """What a person sees: `FirstName` is First Name, `SMS_Key__c` is SMS Key, `AccountId` is Account ID."""
        words = WORD.findall(self.name.removesuffix("__c"))
        return " ".join("ID" if word == "Id" else word for word in words)

    @property
    def custom(self) -> bool:
        """Whether an admin made it."""
        return self.name.endswith("__c")

    @property
    def is_long(self) -> bool:
        """Whether it is a text that can neither be filtered nor sorted by; a textarea of 255, such as MailingStreet, can."""
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
        """The column that holds a keyed field's value as it is compared."""
        return f"{self.name}~key"

    def fold(self, text: str) -> str:
        """A value of a keyed field as it is compared: without its case, but for a field that minds it."""
        return text if self.case_sensitive else text.lower()


@dataclass(frozen=True)  # without slots: the indexes below are kept in the instance
class SObject:
    """One object (Salesforce says sObject): its name, the prefix of its ids, and its fields in order."""

    name: str
    prefix: str
    fields: tuple[Field, ...]
    plural: str = ""
    mergeable: bool = False

    @property
    def label(self) -> str:
        """What a person sees."""
        return " ".join(WORD.findall(self.name.removesuffix("__c")))

    @property
    def custom(self) -> bool:
        """Whether an admin made it."""
        return self.name.endswith("__c")

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """The fields by their exact names; the hot path of a write looks each name up here."""
        return {known.name: known for known in self.fields}

    @cached_property
    def any_case(self) -> Mapping[str, Field]:
        """The fields by their names in lower case: the API reads names without regard to case."""
        return {known.name.lower(): known for known in self.fields}

    @cached_property
    def relationships(self) -> Mapping[str, Field]:
        """The reference fields by their relationship's name in lower case."""
        return {known.relationship.lower(): known for known in self.fields if known.relationship}

    @cached_property
    def required(self) -> tuple[Field, ...]:
        """The fields that a new record must bring."""
        return tuple(known for known in self.fields if known.required and known.default is None)

    @cached_property
    def fixed(self) -> tuple[Field, ...]:
        """The fields that can be set only while the record is made."""
        return tuple(known for known in self.fields if known.create_only)

    @cached_property
    def ruled(self) -> tuple[Field, ...]:
        """The fields with a validation rule."""
        return tuple(known for known in self.fields if known.rule)

    @cached_property
    def unique(self) -> tuple[Field, ...]:
        """The fields whose value may stand in one living record only."""
        return tuple(known for known in self.fields if known.unique)

    def find(self, name: str) -> Field | None:
        """The field of that name, without regard to case."""
        return self.by_name.get(name) or self.any_case.get(name.lower())
