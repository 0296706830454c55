"""Definitions of tables, columns, keys and relationships, and their form in `EntityDefinitions`."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

NAMESPACE = uuid.UUID("6f3c7f0a-7f6e-4a52-9a0e-5f0f2d1f5a11")  # ids of definitions are derived from their names
CRM = "Microsoft.Dynamics.CRM."
TEXTS = frozenset({"String", "Memo"})
NUMBERS = frozenset({"Integer", "BigInt", "Decimal", "Double", "Money"})
CHOICES = frozenset({"Picklist", "State", "Status"})
LOOKUPS = frozenset({"Lookup", "Owner", "Customer"})
KEY_TYPES = frozenset({"String", "Integer", "Decimal", "DateTime", "Lookup", "Picklist"})
LIMITED = {"Integer": (-2_147_483_648, 2_147_483_647), "BigInt": (-(2**63), 2**63 - 1), "Money": (-9.2e14, 9.2e14)}


def definition_id(*names: str) -> str:
    """The MetadataId of a definition."""
    return str(uuid.uuid5(NAMESPACE, "/".join(names)))


def label(text: str) -> dict[str, Any]:
    """A label in one language."""
    one = {"Label": text, "LanguageCode": 1033, "IsManaged": False}
    return {"LocalizedLabels": [one], "UserLocalizedLabel": one}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column. `name` is its logical name; a lookup is read as `_<name>_value`."""

    name: str
    schema_name: str
    kind: str
    display: str = ""
    length: int = 0
    format: str = "Text"
    least: float | None = None
    most: float | None = None
    precision: int = 2
    options: Mapping[int, str] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    required: str = "None"
    default: Any = None
    on_create: bool = True
    on_update: bool = True
    custom: bool = False

    @property
    def stored_as(self) -> str:
        """The property under which a record has its value."""
        return f"_{self.name}_value" if self.kind in LOOKUPS else self.name

    def definition(self, table: str) -> dict[str, Any]:
        """Its definition, with all properties of its type."""
        kind = self.kind
        cast = {"Uniqueidentifier": "Attribute", "Owner": "Lookup", "Customer": "Lookup"}.get(kind, kind)
        body: dict[str, Any] = {
            "@odata.type": f"#{CRM}{cast}AttributeMetadata",
            "MetadataId": definition_id(table, self.name),
            "LogicalName": self.name,
            "SchemaName": self.schema_name,
            "AttributeType": kind,
            "AttributeTypeName": {"Value": f"{kind}Type"},
            "EntityLogicalName": table,
            "DisplayName": label(self.display or self.schema_name),
            "RequiredLevel": {"Value": self.required, "CanBeChanged": True},
            "IsValidForCreate": self.on_create,
            "IsValidForUpdate": self.on_update,
            "IsValidForRead": True,
            "IsCustomAttribute": self.custom,
            "IsPrimaryId": kind == "Uniqueidentifier" and self.name in {f"{table}id", "activityid"},
            "IsSecured": False,
        }
        if kind in TEXTS:
            body |= {"MaxLength": self.length, "Format": self.format, "FormatName": {"Value": self.format}}
        if kind in NUMBERS:
            body |= {"MinValue": self.least, "MaxValue": self.most}
        if kind in {"Decimal", "Double", "Money"}:
            body |= {"Precision": self.precision}
        if kind == "DateTime":
            body |= {
                "Format": self.format,
                "DateTimeBehavior": {"Value": "DateOnly" if self.format == "DateOnly" else "UserLocal"},
            }
        if kind in LOOKUPS:
            body |= {"Targets": list(self.targets)}
        if kind in CHOICES:
            body |= {
                "OptionSet": {
                    "Options": [{"Value": value, "Label": label(text)} for value, text in self.options.items()]
                }
            }
            body |= {"GlobalOptionSet": None}
        if kind == "Boolean":
            body |= {
                "DefaultValue": bool(self.default),
                "OptionSet": {"TrueOption": {"Value": 1}, "FalseOption": {"Value": 0}},
            }
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Relationship:
    """A lookup column and the name by which `@odata.bind` writes it for one type of target."""

    schema_name: str
    column: str  # logical name
    navigation: str
    target: str  # logical name of the table

    def definition(self, table: str) -> dict[str, Any]:
        """Its definition, as one of the many-to-one relationships of the table."""
        return {
            "@odata.type": f"#{CRM}OneToManyRelationshipMetadata",
            "MetadataId": definition_id("relationship", self.schema_name, table),
            "SchemaName": self.schema_name,
            "ReferencingEntity": table,
            "ReferencingAttribute": self.column,
            "ReferencingEntityNavigationPropertyName": self.navigation,
            "ReferencedEntity": self.target,
            "RelationshipType": "OneToManyRelationship",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An alternate key."""

    name: str
    schema_name: str
    columns: tuple[str, ...]  # logical names
    status: str = "Active"

    def definition(self, table: str) -> dict[str, Any]:
        """Its definition."""
        return {
            "MetadataId": definition_id("key", table, self.name),
            "LogicalName": self.name,
            "SchemaName": self.schema_name,
            "KeyAttributes": list(self.columns),
            "EntityKeyIndexStatus": self.status,
            "EntityLogicalName": table,
        }


@dataclass(slots=True, kw_only=True)
class Table:
    """A table."""

    name: str
    schema_name: str
    set_name: str
    primary_id: str
    primary_name: str
    columns: dict[str, Column]
    relationships: list[Relationship] = field(default_factory=list)
    keys: dict[str, Key] = field(default_factory=dict)
    tracked: bool = True  # whether change tracking is on
    bulk: bool = True  # whether it takes CreateMultiple and UpdateMultiple
    custom: bool = False
    display: str = ""
    mergeable: bool = False
    by_property: dict[str, Column] = field(init=False)
    defaults: dict[str, Any] = field(init=False)  # of a new record, by property
    required: list[Column] = field(init=False)  # that a new record must have values for

    def __post_init__(self) -> None:
        self.by_property, self.defaults, self.required = {}, {}, []
        for column in self.columns.values():
            self._note(column)

    def add(self, column: Column) -> None:
        """Add a column."""
        self.columns[column.name] = column
        self._note(column)

    def remove(self, column: Column) -> None:
        """Remove a column; records keep what they have in it, out of sight."""
        for kept, name in (
            (self.columns, column.name),
            (self.by_property, column.stored_as),
            (self.defaults, column.stored_as),
        ):
            del kept[name]
        self.required = [one for one in self.required if one.name != column.name]

    def _note(self, column: Column) -> None:
        self.by_property[column.stored_as] = column
        self.defaults[column.stored_as] = column.default
        given = column.default is not None or column.kind in {"Owner", "Uniqueidentifier"}
        if column.required == "SystemRequired" and not given:
            self.required.append(column)

    def navigation(self, name: str) -> Relationship | None:
        """The relationship of that navigation property; its letter case counts."""
        return next((one for one in self.relationships if one.navigation == name), None)

    def definition(self) -> dict[str, Any]:
        """Its definition without columns."""
        return {
            "MetadataId": definition_id(self.name),
            "LogicalName": self.name,
            "SchemaName": self.schema_name,
            "EntitySetName": self.set_name,
            "LogicalCollectionName": self.set_name,
            "PrimaryIdAttribute": self.primary_id,
            "PrimaryNameAttribute": self.primary_name,
            "DisplayName": label(self.display or self.schema_name),
            "DisplayCollectionName": label(self.set_name),
            "ChangeTrackingEnabled": self.tracked,
            "CanChangeTrackingBeEnabled": {"Value": True},
            "IsOptimisticConcurrencyEnabled": True,
            "IsCustomEntity": self.custom,
            "OwnershipType": "UserOwned",
            "TableType": "Standard",
        }


def new_table(
    name: str,
    schema_name: str,
    *columns: Column,
    set_name: str,
    primary_name: str,
    primary_id: str = "",
    relationships: Iterable[Relationship] = (),
    mergeable: bool = False,
    **more: Any,
) -> Table:
    """A table with its own columns and those that every table has."""
    own_id = primary_id or f"{name}id"
    system = (
        Column(name=own_id, schema_name=own_id, kind="Uniqueidentifier", required="SystemRequired", on_update=False),
        Column(name="createdon", schema_name="CreatedOn", kind="DateTime", on_create=False, on_update=False),
        Column(name="modifiedon", schema_name="ModifiedOn", kind="DateTime", on_create=False, on_update=False),
        Column(
            name="createdby",
            schema_name="CreatedBy",
            kind="Lookup",
            targets=("systemuser",),
            on_create=False,
            on_update=False,
        ),
        Column(
            name="modifiedby",
            schema_name="ModifiedBy",
            kind="Lookup",
            targets=("systemuser",),
            on_create=False,
            on_update=False,
        ),
        Column(
            name="ownerid",
            schema_name="OwnerId",
            kind="Owner",
            targets=("systemuser", "team"),
            required="SystemRequired",
        ),
        Column(name="versionnumber", schema_name="VersionNumber", kind="BigInt", on_create=False, on_update=False),
        Column(
            name="statecode",
            schema_name="StateCode",
            kind="State",
            options={0: "Active", 1: "Inactive"},
            default=0,
            on_create=False,
        ),
        Column(
            name="statuscode",
            schema_name="StatusCode",
            kind="Status",
            options={1: "Active", 2: "Inactive", 4: "Received", 5: "Completed"},
            default=1,
        ),
    )
    merged = (
        (
            Column(
                name="merged", schema_name="Merged", kind="Boolean", default=False, on_create=False, on_update=False
            ),
            Column(
                name="masterid",
                schema_name="MasterId",
                kind="Lookup",
                targets=(name,),
                on_create=False,
                on_update=False,
            ),
        )
        if mergeable
        else ()
    )
    owner = Relationship(schema_name=f"owner_{name}s", column="ownerid", navigation="ownerid", target="systemuser")
    return Table(
        name=name,
        schema_name=schema_name,
        set_name=set_name,
        primary_id=own_id,
        primary_name=primary_name,
        columns={one.name: one for one in (*system, *columns, *merged)},
        relationships=[*relationships, owner],
        mergeable=mergeable,
        **more,
    )


def copied(table: Table) -> Table:
    """A copy that can be changed."""
    return replace(table, columns=dict(table.columns), relationships=list(table.relationships), keys=dict(table.keys))
