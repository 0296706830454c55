"""Converts a parsed query to SQL over the object tables, and checks it against the schema."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from connector.sandbox.salesforce.fields import Field, Kind, SObject
from connector.sandbox.salesforce.identifiers import canonical
from connector.sandbox.salesforce.refusals import RequestRefusedError
from connector.sandbox.salesforce.schema import Schema
from connector.sandbox.salesforce.soql import Comparison, Condition, Literal, Not, Path, Query, pointed
from connector.sandbox.salesforce.values import parse_moment

LITERALS = {
    Kind.BOOLEAN: "boolean",
    Kind.CURRENCY: "number",
    Kind.NUMBER: "number",
    Kind.DATE: "date",
    Kind.DATETIME: "datetime",
}
WORDS = {
    Kind.BOOLEAN: "boolean",
    Kind.CURRENCY: "double",
    Kind.NUMBER: "double",
    Kind.DATE: "date",
    Kind.DATETIME: "dateTime",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One selected field: its path in the response, and the conversion from SQLite's value to JSON."""

    names: tuple[str, ...]
    parents: tuple[str, ...]
    boolean: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A query as SQL; the ids that show whether parents exist come before the columns."""

    source: SObject
    sql: str
    parameters: list[Any]
    columns: list[Column]
    parent_ids: list[tuple[tuple[str, ...], str]]
    counting: bool


@dataclass
class _Compiler:
    schema: Schema
    query: Query
    source: SObject
    joins: dict[tuple[str, ...], tuple[str, SObject, str]] = field(default_factory=dict)
    parameters: list[Any] = field(default_factory=list)

    def refuse(self, code: str, column: int, message: str) -> RequestRefusedError:
        return RequestRefusedError(400, code, pointed(self.query.text, column, message))

    def resolve(self, path: Path) -> tuple[str, Field, tuple[str, ...]]:
        """The SQL of a path, its field, and its relationships with their exact names."""
        names = path.names
        if len(names) > 1 and names[0].lower() == self.source.name.lower():
            names = names[1:]
        alias, sobject = "t0", self.source
        way: tuple[str, ...] = ()
        for name in names[:-1]:
            link = sobject.relationships.get(name.lower())
            if link is None or len(link.targets) != 1 or link.relationship is None:
                raise self.refuse(
                    "INVALID_FIELD",
                    path.column,
                    f"Didn't understand relationship '{name}' in field path. If you are attempting to use a custom "
                    "relationship, be sure to append the '__r' after the custom relationship name. Please reference your "
                    "WSDL or the describe call for the appropriate names.",
                )
            way = (*way, link.relationship)
            sobject = self.schema.objects[link.targets[0]]
            if way not in self.joins:
                joined = f"t{len(self.joins) + 1}"
                self.joins[way] = (
                    f'LEFT JOIN "{sobject.name}" {joined} ON {joined}."Id" = {alias}."{link.name}"',
                    sobject,
                    joined,
                )
            alias = self.joins[way][2]
        found = sobject.find(names[-1])
        if found is None:
            raise self.refuse(
                "INVALID_FIELD",
                path.column,
                f"No such column '{names[-1]}' on entity '{sobject.name}'. If you are attempting to use a custom field, be "
                "sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call "
                "for the appropriate names.",
            )
        return f'{alias}."{found.name}"', found, way

    def condition(self, condition: Condition) -> str:
        if isinstance(condition, Comparison):
            return self.comparison(condition)
        if isinstance(condition, Not):
            return f"(NOT {self.condition(condition.condition)})"
        return "(" + f" {condition.word} ".join(self.condition(part) for part in condition.conditions) + ")"

    def comparison(self, comparison: Comparison) -> str:
        column, found, _ = self.resolve(comparison.path)
        if found.is_long:
            raise self.refuse(
                "INVALID_FIELD",
                comparison.path.column,
                f"field '{found.name}' can not be filtered in a query call",
            )
        operator = comparison.operator
        if operator == "LIKE":
            return self.like(column, found, comparison)
        convert = self.plain
        if found.keyed and found.kind is not Kind.ID and operator in {"=", "!=", "IN", "NOT IN"}:
            # The folded column has the index.
            column = column.replace(f'"{found.name}"', f'"{found.folded}"')
            convert = found.fold
        if operator in {"IN", "NOT IN"}:
            values = [self.value(found, literal, convert) for literal in comparison.values]
            present = [value for value in values if value is not None]
            self.parameters += present
            # SOQL has no "unknown": a row with null is not in the list, so NOT IN finds it.
            inside = f"({column} IN ({', '.join('?' * len(present))}) AND {column} IS NOT NULL)"
            if len(present) < len(values):
                inside = f"({inside} OR {column} IS NULL)"
            return inside if operator == "IN" else f"(NOT {inside})"
        value = self.value(found, comparison.values[0], convert)
        if operator in {"=", "!="}:
            self.parameters.append(value)
            return f"{column} {'IS' if operator == '=' else 'IS NOT'} ?"
        self.parameters.append(value)
        return f"({column} {operator} ? AND {column} IS NOT NULL)"

    @staticmethod
    def indexed(found: Field) -> bool:
        """Whether a column is never null; a condition on nulls would stop SQLite from using its index."""
        return found.name in {"Id", "SystemModstamp", "CreatedDate", "LastModifiedDate"}

    def like(self, column: str, found: Field, comparison: Comparison) -> str:
        literal = comparison.values[0]
        if literal.kind != "string" or found.kind in WORDS or found.kind in {Kind.ID, Kind.REFERENCE}:
            raise self.refuse("INVALID_QUERY_FILTER_OPERATOR", literal.column, "invalid operator on id field or value")
        # SOQL escapes in LIKE with a backslash, which SQLite can do too; escaped quotes lose theirs.
        pattern = literal.text.replace("\\'", "'").replace('\\"', '"')
        self.parameters.append(pattern)
        return f"coalesce({column} LIKE ? ESCAPE '\\', 0)"

    @staticmethod
    def plain(text: str) -> str:
        return text

    def value(self, found: Field, literal: Literal, convert: Callable[[str], str]) -> Any:
        if literal.kind == "null":
            return None
        wanted = LITERALS.get(found.kind, "string")
        if literal.kind != wanted:
            should = "not be enclosed in quotes" if literal.kind == "string" else "be enclosed in quotes"
            raise self.refuse(
                "INVALID_FIELD",
                literal.column,
                f"value of filter criterion for field '{found.name}' must be of type {WORDS.get(found.kind, 'string')} "
                f"and should {should}",
            )
        match wanted:
            case "boolean":
                return int(literal.text == "true")
            case "number":
                return float(literal.text)
            case "date":
                return literal.text
            case "datetime":
                moment = parse_moment(literal.text)
                if moment is None:
                    raise self.refuse("MALFORMED_QUERY", literal.column, f"invalid date: {literal.text}")
                return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
            case _:
                pass
        if found.kind in {Kind.ID, Kind.REFERENCE}:
            full = canonical(literal.plain) if literal.plain else ""
            if full is None:
                raise self.refuse("INVALID_QUERY_FILTER_OPERATOR", literal.column, f"invalid ID field: {literal.plain}")
            return full or None
        # Salesforce treats an empty string as null.
        return convert(literal.plain) or None

    def order(self) -> str:
        parts = []
        for order in self.query.order:
            column, found, _ = self.resolve(order.path)
            if found.is_long:
                raise self.refuse(
                    "MALFORMED_QUERY", order.path.column, f"field '{found.name}' can not be sorted in a query call"
                )
            nulls = "NULLS LAST" if order.nulls_last else "NULLS FIRST"
            parts.append(f"{column} {'DESC' if order.descending else 'ASC'} {'' if self.indexed(found) else nulls}")
        return f" ORDER BY {', '.join(parts)}" if parts else ""


def compile_query(schema: Schema, query: Query, *, deleted: bool) -> Statement:
    """A query as SQL; `deleted` includes the recycle bin, as queryAll does.

    Raises:
        RequestRefusedError: INVALID_TYPE, INVALID_FIELD and similar, with the place.
    """
    source = schema.find(query.source.text)
    if source is None:
        message = (
            f"sObject type '{query.source.text}' is not supported. If you are attempting to use a custom object, be sure to "
            "append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
        )
        raise RequestRefusedError(400, "INVALID_TYPE", pointed(query.text, query.source.column, message))
    compiler = _Compiler(schema, query, source)
    columns, selected = [], []
    for path in query.fields:
        sql, found, way = compiler.resolve(path)
        columns.append(Column((*way, found.name), way, found.kind is Kind.BOOLEAN))
        selected.append(sql)
    where = compiler.condition(query.where) if query.where else "1"
    if not deleted:
        where = f't0."IsDeleted" = 0 AND {where}'
    order = compiler.order()
    ways = {column.parents[:depth] for column in columns for depth in range(1, len(column.parents) + 1)}
    parents = [(way, join) for way, join in compiler.joins.items() if way in ways]
    wanted = ['t0."Id"', *(f'{alias}."Id"' for _, (_, _, alias) in parents), *selected]
    joins = "".join(f" {join}" for join, _, _ in compiler.joins.values())
    limit = f" LIMIT {query.limit if query.limit is not None else -1} OFFSET {query.offset}"
    sql = f'SELECT {", ".join(wanted)} FROM "{source.name}" t0{joins} WHERE {where}{order}'  # noqa: S608 - names are checked
    if query.fields:
        sql += limit
    elif query.limit is None:
        sql = f'SELECT count(*) FROM "{source.name}" t0{joins} WHERE {where}'  # noqa: S608 - names are checked
    else:
        sql = f'SELECT count(*) FROM (SELECT 1 FROM "{source.name}" t0{joins} WHERE {where}{limit})'  # noqa: S608 - names are checked
    return Statement(
        source=source,
        sql=sql,
        parameters=compiler.parameters,
        columns=columns,
        parent_ids=[(way, sobject.name) for way, (_, sobject, _) in parents],
        counting=not query.fields,
    )
