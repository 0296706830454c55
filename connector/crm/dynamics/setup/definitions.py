"""What `connector dynamics setup` creates, as values and as the bodies of the Web API. Pure.

Sources: "Create and update table definitions using the Web API", "… column definitions …", "Define alternate keys".
"""

from collections.abc import Collection
from typing import Any

from msgspec import Struct

CRM = "Microsoft.Dynamics.CRM."
PUBLISHER = {
    "uniquename": "crmconnector",
    "friendlyname": "CRM Connector",
    "customizationprefix": "crmc",
    "customizationoptionvalueprefix": 72710,  # of 10,000 to 99,999; the connector makes no choices of its own
}
SOLUTION = {"uniquename": "crmconnector", "friendlyname": "CRM Connector", "version": "1.0.0.0"}
CONTACT, EVENT, DONATION = "contact", "crmc_smsevent", "crmc_smsdonation"
SCHEDULE = "msnfp_paymentschedule"  # of the Common Data Model for Nonprofits
NO_TIME = "DateOnly"
MOST = 1_000_000_000.0


class ColumnPart(Struct, frozen=True, kw_only=True):
    """A column; its logical name is its schema name in lower case."""

    schema_name: str
    label: str
    kind: str = "String"  # AttributeType
    length: int = 0
    least: float = 0.0
    format: str = "DateAndTime"

    @property
    def name(self) -> str:
        """The logical name."""
        return self.schema_name.lower()


class LookupPart(Struct, frozen=True, kw_only=True):
    """A lookup column and its relationship."""

    schema_name: str
    label: str
    target: str

    @property
    def name(self) -> str:
        """The logical name."""
        return self.schema_name.lower()


class KeyPart(Struct, frozen=True, kw_only=True):
    """An alternate key of one column."""

    schema_name: str
    label: str
    column: str


class TablePart(Struct, frozen=True, kw_only=True):
    """A table that is created, or that columns are added to. The first column of a new table is its primary name."""

    name: str
    columns: tuple[ColumnPart, ...]
    schema_name: str = ""  # empty for a table that every org has
    label: str = ""
    several: str = ""  # the label of its records
    lookups: tuple[LookupPart, ...] = ()
    keys: tuple[KeyPart, ...] = ()


def _text(schema_name: str, label: str, length: int) -> ColumnPart:
    return ColumnPart(schema_name=schema_name, label=label, length=length)


def _amount(schema_name: str, label: str, least: float = 0.0) -> ColumnPart:
    return ColumnPart(schema_name=schema_name, label=label, kind="Decimal", least=least)


DONOR = LookupPart(schema_name="crmc_ContactId", label="Contact", target=CONTACT)
ON_CONTACT = TablePart(
    name=CONTACT,
    columns=(
        _text("crmc_SmsKey", "SMS Key", 20),
        ColumnPart(schema_name="crmc_SmsOptOut", label="SMS Opt-Out", kind="Boolean"),
        ColumnPart(schema_name="crmc_SmsOptOutAt", label="SMS Opt-Out At", kind="DateTime"),
        _text("crmc_SmsOptOutSource", "SMS Opt-Out Source", 80),
        _text("crmc_SmsKeywords", "SMS Keywords", 255),
        _amount("crmc_SmsMonthlyAmount", "SMS Monthly Amount"),
    ),
    keys=(KeyPart(schema_name="crmc_SmsKeyKey", label="SMS Key", column="crmc_smskey"),),
)
EVENTS = TablePart(
    name=EVENT,
    schema_name="crmc_SmsEvent",
    label="SMS Event",
    several="SMS Events",
    columns=(
        _text("crmc_Name", "Name", 100),
        _text("crmc_EventKey", "Event Key", 80),
        _text("crmc_Action", "Action", 80),
        _text("crmc_Provider", "Provider", 40),
        _text("crmc_Shape", "Shape", 40),
        _text("crmc_Keyword", "Keyword", 80),
        _text("crmc_ShortNumber", "Short Number", 20),
        ColumnPart(schema_name="crmc_Text", label="Text", kind="Memo", length=4000),
        _amount("crmc_Amount", "Amount", -MOST),
        _text("crmc_Currency", "Currency", 3),
        _text("crmc_Status", "Status", 80),
        _text("crmc_StatusDetail", "Status Detail", 80),
        _text("crmc_Result", "Result", 20),
        _text("crmc_Transaction", "Transaction", 120),
        ColumnPart(schema_name="crmc_OccurredAt", label="Occurred At", kind="DateTime"),
        _text("crmc_Journey", "Journey", 255),
        ColumnPart(schema_name="crmc_ServiceCommand", label="Service Command", kind="Boolean"),
    ),
    lookups=(DONOR,),
    keys=(KeyPart(schema_name="crmc_SmsEventKey", label="Event Key", column="crmc_eventkey"),),
)
DONATIONS = TablePart(
    name=DONATION,
    schema_name="crmc_SmsDonation",
    label="SMS Donation",
    several="SMS Donations",
    columns=(
        _text("crmc_Name", "Name", 120),
        _text("crmc_Transaction", "Transaction", 120),
        _text("crmc_Stage", "Stage", 20),
        ColumnPart(schema_name="crmc_Date", label="Date", kind="DateTime", format=NO_TIME),
        _amount("crmc_Amount", "Amount"),
    ),
    lookups=(DONOR,),
)
ON_SCHEDULE = TablePart(
    name=SCHEDULE,
    columns=(
        _text("crmc_SmsPhone", "SMS Phone", 20),
        _text("crmc_SmsShortNumber", "SMS Short Number", 20),
        _text("crmc_SmsKeyword", "SMS Keyword", 80),
        ColumnPart(schema_name="crmc_SmsEnded", label="SMS Ended", kind="Boolean"),
    ),
)


def shipped(used: Collection[str]) -> tuple[TablePart, ...]:
    """What the shipped mappings need: of donations, only the tables that the mappings use."""
    return (ON_CONTACT, EVENTS, *(one for one in (DONATIONS, ON_SCHEDULE) if one.name in used))


def label(text: str, language: int) -> dict[str, Any]:
    """A label in one language, which must be the org's base language."""
    return {"LocalizedLabels": [{"Label": text, "LanguageCode": language}]}


def column_body(column: ColumnPart, language: int, *, primary: bool = False) -> dict[str, Any]:
    """The definition of a column."""
    body: dict[str, Any] = {
        "@odata.type": f"{CRM}{column.kind}AttributeMetadata",
        "SchemaName": column.schema_name,
        "DisplayName": label(column.label, language),
        "RequiredLevel": {"Value": "None"},
    }
    if primary:
        body["IsPrimaryName"] = True
    return body | _of_type(column, language)


def _of_type(column: ColumnPart, language: int) -> dict[str, Any]:
    match column.kind:
        case "Boolean":
            options = {
                "TrueOption": {"Value": 1, "Label": label("Yes", language)},
                "FalseOption": {"Value": 0, "Label": label("No", language)},
            }
            return {"DefaultValue": False, "OptionSet": options}
        case "DateTime":
            behavior = NO_TIME if column.format == NO_TIME else "UserLocal"
            return {"Format": column.format, "DateTimeBehavior": {"Value": behavior}}
        case "Decimal":
            return {"MinValue": column.least, "MaxValue": MOST, "Precision": 2}
        case "Memo":
            return {"MaxLength": column.length, "Format": "TextArea"}
        case _:
            return {"MaxLength": column.length, "FormatName": {"Value": "Text"}}


def table_body(table: TablePart, language: int) -> dict[str, Any]:
    """The definition of a new table with its columns. Lookups and keys are added afterwards."""
    first, *others = table.columns
    return {
        "@odata.type": f"{CRM}EntityMetadata",
        "SchemaName": table.schema_name,
        "DisplayName": label(table.label, language),
        "DisplayCollectionName": label(table.several, language),
        "Description": label("Written by the CRM connector", language),
        "OwnershipType": "UserOwned",
        "HasActivities": False,
        "HasNotes": False,
        "IsActivity": False,
        "Attributes": [
            column_body(first, language, primary=True),
            *(column_body(one, language) for one in others),
        ],
    }


def lookup_body(table: TablePart, lookup: LookupPart, language: int) -> dict[str, Any]:
    """The definition of a lookup's relationship. A deleted contact leaves the records, without their lookup."""
    return {
        "@odata.type": f"{CRM}OneToManyRelationshipMetadata",
        "SchemaName": f"{table.name}_{lookup.target}",
        "ReferencedEntity": lookup.target,
        "ReferencingEntity": table.name,
        "ReferencingEntityNavigationPropertyName": lookup.schema_name,
        "CascadeConfiguration": {
            "Assign": "NoCascade",
            "Delete": "RemoveLink",
            "Merge": "Cascade",
            "Reparent": "NoCascade",
            "Share": "NoCascade",
            "Unshare": "NoCascade",
        },
        "Lookup": {
            "@odata.type": f"{CRM}LookupAttributeMetadata",
            "SchemaName": lookup.schema_name,
            "DisplayName": label(lookup.label, language),
            "RequiredLevel": {"Value": "None"},
        },
    }


def key_body(key: KeyPart, language: int) -> dict[str, Any]:
    """The definition of an alternate key."""
    return {
        "SchemaName": key.schema_name,
        "DisplayName": label(key.label, language),
        "KeyAttributes": [key.column],
    }
