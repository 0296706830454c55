"""`EntityDefinitions` and its neighbours: definitions are read, and tables, columns, keys and relationships are added.

Sources: "Query table definitions using the Web API", "Create and update table definitions", "… column definitions",
"Work with alternate keys".
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from connector.sandbox.dynamics.errors import RefusedError, bad_payload, no_segment
from connector.sandbox.dynamics.exchange import Answer, Call
from connector.sandbox.dynamics.odata import GUID, Segment, compile_filter, key_values, query_options
from connector.sandbox.dynamics.storage import Storage
from connector.sandbox.dynamics.tables import CRM, KEY_TYPES, Column, Key, Relationship, Table, definition_id, new_table

MOST_KEYS = 10
EXISTS = "0x80044363"  # "A component with this name already exists"


class Metadata:
    """The definitions of an org."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.writes = 0  # accepted changes of definitions
        self.pending_keys = False  # new keys stay Pending until a test activates them

    def answer(self, call: Call, parts: list[Segment]) -> Answer:
        """The answer to a call below EntityDefinitions or RelationshipDefinitions. Raises RefusedError."""
        match call.method, parts:
            case "POST", [Segment("CreateEntities")]:
                return self._create_tables(call)
            case "POST", [Segment("EntityDefinitions", None)]:
                return self._created(call, self._new_table(call.json()), "EntityDefinitions")
            case "POST", [Segment("RelationshipDefinitions", None)]:
                return self._new_relationship(call)
            case "GET", [Segment("RelationshipDefinitions", _), *_]:
                return self._relationships(call, parts)
            case "GET", [Segment("EntityDefinitions", None)]:
                return self._list(call, [one.definition() for one in self._storage.tables.values()])
            case _, [Segment("EntityDefinitions", str() as key), *rest]:
                return self._of_table(call, self._table(key), rest)
            case _:
                raise no_segment(parts[0].name)

    def filters(self, call: Call) -> Answer:
        """The bulk messages of each table: `sdkmessagefilters`."""
        rows = [
            {
                "sdkmessagefilterid": definition_id("filter", table.name, message),
                "primaryobjecttypecode": table.name,
                "sdkmessageid": {"name": message, "sdkmessageid": definition_id("message", message)},
            }
            for table in self._storage.tables.values()
            for message in ("CreateMultiple", "UpdateMultiple")
            if table.bulk
        ]
        return self._list(call, rows, keep=("sdkmessageid",))

    def activate_keys(self) -> None:
        """Finish the index of every pending key: Active, or Failed where two records have the same values."""
        for table in self._storage.tables.values():
            for name, key in list(table.keys.items()):
                if key.status == "Pending":
                    self.index(table, name)

    def index(self, table: Table, name: str) -> None:
        """Build the index of a key."""
        key = table.keys[name]
        status = "Active" if self._storage.index(table, key) else "Failed"
        table.keys[name] = Key(name=name, schema_name=key.schema_name, columns=key.columns, status=status)

    def _table(self, inside: str) -> Table:
        if GUID.fullmatch(inside):
            found = [one for one in self._storage.tables.values() if definition_id(one.name) == inside.lower()]
        else:
            name = str(key_values(inside).get("LogicalName", ""))
            found = [self._storage.tables[name]] if name in self._storage.tables else []
        if not found:
            raise RefusedError(404, "0x80060888", f"Could not find an entity with specified keys: {inside}")
        return found[0]

    def _of_table(self, call: Call, table: Table, rest: list[Segment]) -> Answer:  # noqa: C901, PLR0911, PLR0912 - one case a resource.
        match call.method, rest:
            case "GET", []:
                return Answer(body=_projected(self._expanded(call, table), query_options(call.query), ()))
            case "GET", [Segment("Attributes", None)]:
                return self._list(call, [one.definition(table.name) for one in table.columns.values()], plain=True)
            case "GET", [Segment("Attributes", None), Segment(cast, None)]:
                return self._cast(call, table, cast)
            case "GET", [Segment("Attributes", str() as key), *_]:
                return Answer(body=self._column(table, key).definition(table.name))
            case "POST", [Segment("Attributes", None)]:
                return self._add_column(call, table)
            case "GET", [Segment("Keys", None)]:
                return self._list(call, [one.definition(table.name) for one in table.keys.values()])
            case "GET", [Segment("Keys", str() as key)]:
                return Answer(body=self._key(table, key).definition(table.name))
            case "POST", [Segment("Keys", None)]:
                return self._add_key(call, table)
            case "DELETE", [Segment("Keys", str() as key)]:
                gone = self._key(table, key)
                del table.keys[gone.name]
                self._storage.drop_index(table, gone)
                return Answer(status=204)
            case "GET", [Segment("ManyToOneRelationships")]:
                return self._list(call, [one.definition(table.name) for one in table.relationships])
            case "GET", [Segment("OneToManyRelationships")]:
                return self._list(call, list(self._to_table(table)))
            case "GET", [Segment("ManyToManyRelationships")]:
                return self._list(call, [])
            case "DELETE", []:
                del self._storage.tables[table.name]
                return Answer(status=204)
            case _:
                raise no_segment(rest[0].name if rest else table.name)

    def _expanded(self, call: Call, table: Table) -> dict[str, Any]:
        body = table.definition()
        expand = query_options(call.query).get("$expand", "")
        if "Keys" in expand:
            body["Keys"] = [one.definition(table.name) for one in table.keys.values()]
        if "Attributes" in expand:
            body["Attributes"] = [one.definition(table.name) for one in table.columns.values()]
        return body

    def _to_table(self, table: Table) -> Iterable[dict[str, Any]]:
        for other in self._storage.tables.values():
            for one in other.relationships:
                if one.target == table.name:
                    yield {**one.definition(other.name), "ReferencedEntityNavigationPropertyName": one.schema_name}

    def _cast(self, call: Call, table: Table, cast: str) -> Answer:
        kind = cast.removeprefix(CRM).removesuffix("AttributeMetadata")
        if kind == "Enum" or not cast.startswith(CRM):
            raise no_segment(cast)
        found = [
            column.definition(table.name)
            for column in table.columns.values()
            if column.kind == kind or (kind == "Lookup" and column.kind in {"Owner", "Customer"})
        ]
        return self._list(call, found, keep=("OptionSet", "GlobalOptionSet"))

    @staticmethod
    def _column(table: Table, inside: str) -> Column:
        for column in table.columns.values():
            if f"LogicalName='{column.name}'" == inside or definition_id(table.name, column.name) == inside:
                return column
        raise RefusedError(404, "0x80060888", f"Could not find an attribute with specified keys: {inside}")

    @staticmethod
    def _key(table: Table, inside: str) -> Key:
        for key in table.keys.values():
            if f"LogicalName='{key.name}'" == inside or definition_id("key", table.name, key.name) == inside:
                return key
        raise RefusedError(404, "0x80060888", f"Could not find a key with specified keys: {inside}")

    def _list(
        self, call: Call, rows: list[dict[str, Any]], *, keep: tuple[str, ...] = (), plain: bool = False
    ) -> Answer:
        options = query_options(call.query)
        if "$filter" in options:
            test = compile_filter(options["$filter"], options)
            rows = [row for row in rows if test(row)]
        names = [name for name in options.get("$select", "").split(",") if name]
        for name in names:
            # A collection of attributes has only the properties that all types have; the others need a cast.
            if plain and name in {"MaxLength", "MinValue", "MaxValue", "OptionSet", "Targets", "FormatName"}:
                raise RefusedError(
                    400, "0x80060888", f"Could not find a property named '{name}' on type 'AttributeMetadata'."
                )
        return Answer(body={"value": [_projected(row, options, keep) for row in rows]})

    def _created(self, call: Call, table: Table, what: str) -> Answer:
        address = f"{call.base_url}{what}({definition_id(table.name)})"
        return Answer(status=204, headers={"OData-Version": "4.0", "OData-EntityId": address})

    def _create_tables(self, call: Call) -> Answer:
        entities = call.json().get("Entities")
        if not isinstance(entities, list):
            raise bad_payload("The parameter 'Entities' is missing.")
        made = [self._new_table(one) for one in entities]
        return Answer(body={"EntityIds": [definition_id(one.name) for one in made]})

    def _new_table(self, body: Mapping[str, Any]) -> Table:
        schema_name = _schema_name(body)
        name = schema_name.lower()
        if name in self._storage.tables:
            raise RefusedError(400, EXISTS, f"An entity with the specified name {schema_name} already exists.")
        columns = [_read_column(one) for one in body.get("Attributes", [])]
        primary = [one for one in body.get("Attributes", []) if one.get("IsPrimaryName")]
        if len(primary) != 1 or not body.get("DisplayName") or not body.get("DisplayCollectionName"):
            raise bad_payload("A table needs DisplayName, DisplayCollectionName and one attribute with IsPrimaryName.")
        table = new_table(
            name,
            schema_name,
            *columns,
            set_name=f"{name[:-1]}ies" if name.endswith("y") else f"{name}s",
            primary_name=_schema_name(primary[0]).lower(),
            custom=True,
            tracked=bool(body.get("ChangeTrackingEnabled", False)),
            display=_label(body.get("DisplayName")),
        )
        self._storage.add_table(table)
        self.writes += 1
        return table

    def _add_column(self, call: Call, table: Table) -> Answer:
        column = _read_column(call.json())
        if column.name in table.columns:
            raise RefusedError(
                400, EXISTS, f"An attribute with the specified name {column.schema_name} already exists."
            )
        table.add(column)
        for row in self._storage.rows[table.name].values():
            row.setdefault(column.stored_as, column.default if column.kind == "Boolean" else None)
        self.writes += 1
        address = f"{call.base_url}EntityDefinitions({definition_id(table.name)})/Attributes({definition_id(table.name, column.name)})"
        return Answer(status=204, headers={"OData-EntityId": address})

    def _add_key(self, call: Call, table: Table) -> Answer:
        body = call.json()
        schema_name = _schema_name(body)
        columns = tuple(str(one) for one in body.get("KeyAttributes", ()))
        for name in columns:
            if name not in table.columns or table.columns[name].kind not in KEY_TYPES:
                raise RefusedError(400, "0x80040203", f"The attribute {name} cannot be part of a key of {table.name}.")
        if schema_name.lower() in table.keys:
            raise RefusedError(400, EXISTS, f"A key with the specified name {schema_name} already exists.")
        if not columns or len(table.keys) >= MOST_KEYS:
            raise RefusedError(400, "0x80040203", f"A table has at most {MOST_KEYS} keys, each with columns.")
        key = Key(name=schema_name.lower(), schema_name=schema_name, columns=columns, status="Pending")
        table.keys[key.name] = key
        if not self.pending_keys:
            self.index(table, key.name)
        self.writes += 1
        address = f"{call.base_url}EntityDefinitions({definition_id(table.name)})/Keys({definition_id('key', table.name, key.name)})"
        return Answer(status=204, headers={"OData-EntityId": address})

    def _new_relationship(self, call: Call) -> Answer:
        body = call.json()
        raw = body.get("Lookup")
        table = self._storage.tables.get(str(body.get("ReferencingEntity")))
        target = self._storage.tables.get(str(body.get("ReferencedEntity")))
        if table is None or target is None or not isinstance(raw, dict):
            raise bad_payload("A relationship needs ReferencingEntity, ReferencedEntity and Lookup.")
        column_name = _schema_name(raw)
        if column_name.lower() in table.columns:
            raise RefusedError(400, EXISTS, f"An attribute with the specified name {column_name} already exists.")
        column = Column(
            name=column_name.lower(),
            schema_name=column_name,
            kind="Lookup",
            targets=(target.name,),
            custom=True,
            display=_label(raw.get("DisplayName")),
        )
        table.add(column)
        for row in self._storage.rows[table.name].values():
            row.setdefault(column.stored_as, None)
        navigation = str(body.get("ReferencingEntityNavigationPropertyName") or column_name)
        table.relationships.append(
            Relationship(schema_name=_schema_name(body), column=column.name, navigation=navigation, target=target.name)
        )
        self.writes += 1
        made = definition_id("relationship", _schema_name(body), table.name)
        return Answer(status=204, headers={"OData-EntityId": f"{call.base_url}RelationshipDefinitions({made})"})

    def _relationships(self, call: Call, parts: list[Segment]) -> Answer:
        rows = [one.definition(table.name) for table in self._storage.tables.values() for one in table.relationships]
        inside = parts[0].key
        if inside is None:
            return self._list(call, rows)
        for row in rows:
            if inside in {row["MetadataId"], f"SchemaName='{row['SchemaName']}'"}:
                return Answer(body=row)
        raise RefusedError(404, "0x80060888", f"Could not find a relationship with specified keys: {inside}")


def _projected(row: Mapping[str, Any], options: Mapping[str, str], keep: tuple[str, ...]) -> dict[str, Any]:
    """The selected properties; expanded ones need no $select."""
    names = [name for name in options.get("$select", "").split(",") if name]
    if not names:
        return dict(row)
    expanded = [name for name in (*keep, "Keys", "Attributes") if name in options.get("$expand", "")]
    kept = {"@odata.type", "MetadataId", *names, *expanded}
    return {name: value for name, value in row.items() if name in kept}


def _schema_name(body: Mapping[str, Any]) -> str:
    name = body.get("SchemaName")
    if not isinstance(name, str) or "_" not in name:
        raise bad_payload("SchemaName must begin with the prefix of a publisher, such as new_.")
    return name


def _label(raw: Any) -> str:
    labels = raw.get("LocalizedLabels", []) if isinstance(raw, dict) else []
    return str(labels[0].get("Label", "")) if labels else ""


READERS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "String": lambda raw: {
        "length": int(raw["MaxLength"]),
        "format": (raw.get("FormatName") or {}).get("Value", "Text"),
    },
    "Memo": lambda raw: {"length": int(raw["MaxLength"]), "format": "TextArea"},
    "Boolean": lambda raw: {"default": bool(raw.get("DefaultValue", False))},
    "DateTime": lambda raw: {"format": raw.get("Format", "DateAndTime")},
    "Picklist": lambda raw: {
        "options": {one["Value"]: _label(one.get("Label")) for one in (raw.get("OptionSet") or {}).get("Options", [])}
    },
}


def _read_column(raw: Mapping[str, Any]) -> Column:
    """A column from its definition. Raises RefusedError."""
    kind = str(raw.get("@odata.type", "")).removeprefix("#").removeprefix(CRM).removesuffix("AttributeMetadata")
    kind = kind.removeprefix("Complex")
    name = _schema_name(raw)
    try:
        more = READERS.get(kind, _read_number)(raw)
    except (KeyError, TypeError, ValueError):
        raise bad_payload(f"The definition of {name} is not complete for its type '{kind}'.") from None
    return Column(
        name=name.lower(),
        schema_name=name,
        kind=kind,
        display=_label(raw.get("DisplayName")),
        required=(raw.get("RequiredLevel") or {}).get("Value", "None"),
        custom=True,
        **more,
    )


def _read_number(raw: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(raw["@odata.type"])
    if not any(one in kind for one in ("Integer", "BigInt", "Decimal", "Double", "Money")):
        raise ValueError(kind)
    return {"least": raw.get("MinValue"), "most": raw.get("MaxValue"), "precision": int(raw.get("Precision") or 2)}
