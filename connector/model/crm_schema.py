"""A CRM's description of its objects and fields, in terms shared by all CRMs. Mappings are checked against it. Holds no records."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

CHOICE_SEPARATOR = ";"  # joins several choices in mappings; an adapter converts it if its CRM uses another form


class FieldKind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    EMAIL = "email"
    PHONE = "phone"
    URL = "url"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    CHOICE = "choice"  # one of a list
    CHOICES = "choices"  # several of a list; mappings join them with CHOICE_SEPARATOR
    REFERENCE = "reference"  # the id of another record
    ID = "id"  # the record's own id
    OTHER = "other"


TEXTS = frozenset({FieldKind.TEXT, FieldKind.LONG_TEXT, FieldKind.EMAIL, FieldKind.PHONE, FieldKind.URL})
PICKED = frozenset({FieldKind.CHOICE, FieldKind.CHOICES})


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSchema:
    """One field, as the connector's user sees it."""

    name: str
    label: str = ""
    kind: FieldKind = FieldKind.TEXT
    length: int = 0  # the most UTF-16 units that fit (text.py); 0: no limit given
    choices: tuple[str, ...] = ()
    restricted: bool = False  # only the listed choices are allowed
    createable: bool = False  # can be set on a new record
    updateable: bool = False  # can be changed later
    required: bool = False  # a new record needs it
    unique: bool = False
    external_id: bool = False
    case_sensitive: bool | None = None  # of a key: whether letter case alone makes two values different; None: unknown
    id_lookup: bool = False  # identifies a record although it is not an external ID
    money: bool = False  # an amount in the record's currency
    calculated: bool = False  # made of other fields: its record does not count as changed when it changes
    relationship: str | None = None  # the name used to refer to the parent by its key
    parents: tuple[str, ...] = ()  # objects that it may point to

    @property
    def keyed(self) -> bool:
        """Whether the field can identify a record."""
        return self.external_id or self.id_lookup


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSchema:
    """One object. CRMs ignore the case of names."""

    name: str
    label: str = ""
    fields: tuple[FieldSchema, ...] = ()
    currency_field: str | None = None  # the field with the currency of a record's amounts, if records have their own
    _by_name: dict[str, FieldSchema] = field(default_factory=dict, init=False, repr=False, compare=False)
    _by_relationship: dict[str, FieldSchema] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._by_name.update((one.name.casefold(), one) for one in self.fields)
        self._by_relationship.update((one.relationship.casefold(), one) for one in self.fields if one.relationship)

    def field(self, name: str) -> FieldSchema | None:
        """The field of that name."""
        return self._by_name.get(name.casefold())

    def related(self, name: str) -> FieldSchema | None:
        """The field of the relationship with that name."""
        return self._by_relationship.get(name.casefold())

    @property
    def required(self) -> Sequence[FieldSchema]:
        """The fields that a new record must have."""
        return [one for one in self.fields if one.required]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmSchema:
    """The objects of one CRM that the mappings use, by name."""

    crm: str  # its name in the config
    objects: tuple[ObjectSchema, ...] = ()

    def object(self, name: str) -> ObjectSchema | None:
        """The object of that name."""
        wanted = name.casefold()
        return next((one for one in self.objects if one.name.casefold() == wanted), None)
