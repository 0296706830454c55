"""What the Web API must know of a table: its set, its id column, and the navigation properties of its lookups.

Source: "Query table definitions using the Web API".
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from msgspec import Struct, field

from connector.crm.dynamics.client import responses
from connector.crm.dynamics.client.api import Operation, identifier, literal
from connector.crm.dynamics.client.responses import Answer, RequestFailed
from connector.crm.dynamics.client.web_api import WebApi

TABLE = "LogicalName,EntitySetName,PrimaryIdAttribute,PrimaryNameAttribute,ChangeTrackingEnabled,DisplayName"
COLUMN = "LogicalName,AttributeType,RequiredLevel,IsValidForCreate,IsValidForUpdate"
KEY = "LogicalName,SchemaName,KeyAttributes,EntityKeyIndexStatus"
RELATIONSHIP = "ReferencingAttribute,ReferencingEntityNavigationPropertyName,ReferencedEntity"
LOOKUPS = frozenset({"Lookup", "Customer", "Owner"})
TABLES_A_BATCH = 30
REQUIRED = frozenset({"SystemRequired", "ApplicationRequired"})


class ColumnInfo(Struct, frozen=True, kw_only=True):
    """One column."""

    name: str
    kind: str  # AttributeType
    required: bool = False

    @property
    def property(self) -> str:
        """The name under which a record shows it."""
        return f"_{self.name}_value" if self.kind in LOOKUPS else self.name


class KeyInfo(Struct, frozen=True, kw_only=True):
    """One alternate key."""

    name: str
    schema_name: str
    columns: tuple[str, ...]
    status: str  # Active, Pending, InProgress, Failed


class TableInfo(Struct, frozen=True, kw_only=True):
    """One table, by its logical name."""

    name: str
    set_name: str
    id_column: str
    tracked: bool
    columns: Mapping[str, ColumnInfo]
    keys: tuple[KeyInfo, ...] = ()
    lookups: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict
    )  # column → target table → navigation property

    @property
    def mergeable(self) -> bool:
        """Whether its records can be merged: then a merged one names its master."""
        return "masterid" in self.columns and "merged" in self.columns

    def property(self, column: str) -> str:
        """The name under which a record shows a column."""
        known = self.columns.get(column)
        return known.property if known is not None else column


class Tables:
    """The tables of one org that were asked for."""

    def __init__(self) -> None:
        self._known: dict[str, TableInfo] = {}

    def get(self, name: str) -> TableInfo | None:
        """The table, if it was found."""
        return self._known.get(name)

    def forget(self, name: str) -> None:
        """Ask for it again: a rejection shows that it may have changed."""
        self._known.pop(name, None)

    async def learn(self, web: WebApi, names: Iterable[str]) -> None:
        """Ask for these tables unless they are known. Raises RequestFailed if Dataverse is not available."""
        wanted = sorted({name for name in names if name not in self._known})
        for start in range(0, len(wanted), TABLES_A_BATCH):
            some = wanted[start : start + TABLES_A_BATCH]
            answers = await web.batch([one for name in some for one in definition(name)])
            for place, name in enumerate(some):
                table, relationships = answers[2 * place : 2 * place + 2]
                if isinstance(table, RequestFailed):
                    if table.status == responses.NOT_FOUND:
                        continue
                    raise table
                if isinstance(relationships, RequestFailed):
                    raise relationships
                self._known[name] = read_table(table, relationships)


def shown_value(value: object) -> object:
    """A value of a choice as mappings write it, and any other value unchanged. Numbers of other columns stay numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def definition(name: str) -> tuple[Operation, Operation]:
    """The two operations that read a table and its lookups."""
    here = f"EntityDefinitions(LogicalName={quote(literal(identifier(name)), safe=chr(39))})"
    expand = f"Attributes($select={COLUMN}),Keys($select={KEY})"
    strong = {"Consistency": "Strong"}
    return (
        Operation(method="GET", target=f"{here}?$select={TABLE}&$expand={expand}", headers=strong),
        Operation(method="GET", target=f"{here}/ManyToOneRelationships?$select={RELATIONSHIP}", headers=strong),
    )


def read_table(table: Answer, relationships: Answer) -> TableInfo:
    """A table from its definition. Raises RequestFailed."""
    body = table.body if isinstance(table.body, dict) else {}
    try:
        columns = {
            one["LogicalName"]: ColumnInfo(
                name=one["LogicalName"],
                kind=str(one.get("AttributeType")),
                required=(one.get("RequiredLevel") or {}).get("Value") in REQUIRED,
            )
            for one in body["Attributes"]
        }
        lookups: dict[str, dict[str, str]] = {}
        for one in responses.rows(relationships):
            column = lookups.setdefault(str(one["ReferencingAttribute"]), {})
            column[str(one["ReferencedEntity"])] = str(one["ReferencingEntityNavigationPropertyName"])
        return TableInfo(
            name=body["LogicalName"],
            set_name=body["EntitySetName"],
            id_column=body["PrimaryIdAttribute"],
            tracked=body.get("ChangeTrackingEnabled") is True,
            columns=columns,
            keys=tuple(_key(one) for one in body.get("Keys", ())),
            lookups=lookups,
        )
    except (KeyError, TypeError, AttributeError):
        raise RequestFailed(responses.unexpected_answer("a definition of a table that lacks something")) from None


def _key(raw: Mapping[str, Any]) -> KeyInfo:
    return KeyInfo(
        name=str(raw["LogicalName"]),
        schema_name=str(raw["SchemaName"]),
        columns=tuple(str(one) for one in raw["KeyAttributes"]),
        status=str(raw.get("EntityKeyIndexStatus")),
    )
