"""Single records: by id or key, with conditions, as pages, and as changes since a delta link."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from connector.sandbox.dynamics.automation import Automation
from connector.sandbox.dynamics.errors import (
    RefusedError,
    already_exists,
    bad_key,
    bad_payload,
    bad_syntax,
    does_not_exist,
    no_record_by_key,
    no_segment,
    version_mismatch,
)
from connector.sandbox.dynamics.exchange import Answer, Call
from connector.sandbox.dynamics.odata import (
    GUID,
    AnyOf,
    Segment,
    compile_filter,
    key_values,
    query_options,
    segments,
)
from connector.sandbox.dynamics.storage import Row, Storage, new_id
from connector.sandbox.dynamics.tables import Key, Relationship, Table
from connector.sandbox.dynamics.values import read_values

LARGEST_PAGE = 5000
REFUSED_WITH_TRACKING = ("$filter", "$orderby", "$expand", "$top")
DELTA_PAGE = "$skiptoken"
EXPIRED = "Version stamp associated with the client has expired. Please perform a full sync."
SECONDS_A_DAY = 86_400.0


class Records:
    """Reads and writes of records; the caller holds the transaction."""

    def __init__(self, storage: Storage, automation: Automation) -> None:
        self._storage = storage
        self._automation = automation
        self._oldest_token = 0  # delta links with an earlier version have expired

    def expire_links(self) -> None:
        """Let all delta links that were handed out expire."""
        self._oldest_token = self._storage.version + 1
        self._storage.version += 1

    def table(self, segment: Segment) -> Table:
        """The table of an entity set. Raises RefusedError."""
        table = self._storage.by_set(segment.name)
        if table is None:
            raise no_segment(segment.name)
        return table

    def answer(self, call: Call, parts: list[Segment]) -> Answer:
        """The answer to a call on an entity set. Raises RefusedError."""
        table = self.table(parts[0])
        if len(parts) > 1:
            if parts[1].name == "$count" and call.method == "GET":
                return Answer(body=str(len(self._storage.rows[table.name])).encode())
            raise no_segment(parts[1].name)
        key = parts[0].key
        match call.method, key:
            case "GET", None:
                return self._page(call, table)
            case "GET", str():
                return self._read(call, table, str(key))
            case "POST", None:
                return self._create(call, table)
            case "PATCH", str():
                return self._patch(call, table, str(key))
            case "DELETE", str():
                return self._delete(call, table, str(key))
            case _:
                raise RefusedError(405, "0x80060888", f"The HTTP method {call.method} is not allowed here.")

    def identify(self, table: Table, inside: str) -> tuple[Row | None, str | None, dict[str, Any]]:
        """The record that parentheses name, its id if they hold one, and the key's values by property."""
        if GUID.fullmatch(inside):
            return self._storage.get(table, inside.lower()), inside.lower(), {}
        values = key_values(inside)
        if set(values) == {table.primary_id}:
            record_id = str(values[table.primary_id])
            return self._storage.get(table, record_id), record_id, {}
        key = self._key(table, values)
        return self._storage.find(table, key, values), None, values

    @staticmethod
    def _key(table: Table, values: Mapping[str, Any]) -> Key:
        for key in table.keys.values():
            if {table.columns[name].stored_as for name in key.columns} == set(values) and key.status == "Active":
                return key
        raise bad_key(table.name)

    def bound(self, relationship: Relationship, value: str) -> str:
        """The id of the record of an `@odata.bind` value. Raises RefusedError."""
        target = self._storage.tables.get(relationship.target)
        path = re.sub(r"^(https?://[^/]+)?/?(api/data/v[0-9.]+/)?", "", value)
        if "#" in path:
            raise bad_syntax("Bad Request - Error in query syntax.")
        segment = segments(path)[0]
        table = self.table(segment)
        if target is None or table.name != target.name or segment.key is None:
            raise bad_payload(
                f"The value '{segment.name}' does not fit the navigation property '{relationship.navigation}'."
            )
        row, record_id, _ = self.identify(table, segment.key)
        if row is None:
            raise does_not_exist(table.name, record_id) if record_id else no_record_by_key(table.name)
        return str(row[table.primary_id])

    def create(self, call: Call, table: Table, body: Mapping[str, Any], record_id: str | None = None) -> Row:
        """Create a record. Raises RefusedError."""
        values = read_values(table, body, self.bound, new=True)
        chosen = record_id or values.pop(table.primary_id, None) or new_id()
        values.pop(table.primary_id, None)
        if self._storage.get(table, chosen) is not None:
            raise RefusedError(412, "0x80040237", "Cannot insert duplicate key.")
        self._refuse(call, table, {table.primary_id: chosen, **values})
        saved, user = self._automation.apply(table, values, call.user)
        return self._storage.create(table, chosen, saved, user, call.late, written=values)

    def update(self, call: Call, table: Table, row: Row, body: Mapping[str, Any]) -> Row:
        """Change a record. Raises RefusedError."""
        values = read_values(table, body, self.bound, new=False)
        values.pop(table.primary_id, None)
        self._refuse(call, table, {**row, **values})
        saved, user = self._automation.apply(table, values, call.user)
        return self._storage.update(table, row, saved, user, call.late, written=values)

    @staticmethod
    def _refuse(call: Call, table: Table, row: Mapping[str, Any]) -> None:
        if call.refuse is not None and (refusal := call.refuse(table, row)) is not None:
            raise refusal

    def _create(self, call: Call, table: Table) -> Answer:
        row = self.create(call, table, call.json())
        return self._written(call, table, row, created=True, address=str(row[table.primary_id]))

    def _patch(self, call: Call, table: Table, inside: str) -> Answer:
        row, record_id, values = self.identify(table, inside)
        match, none = call.headers.get("if-match"), call.headers.get("if-none-match")
        body = call.json()
        if row is not None:
            if none == "*":
                raise already_exists()
            if match is not None and match != "*" and match != _etag(row):
                raise version_mismatch()
            body = {name: value for name, value in body.items() if name not in values}
            row = self.update(call, table, row, body)
            return self._written(call, table, row, created=False, address=inside)
        if match is not None:
            raise does_not_exist(table.name, record_id) if record_id else no_record_by_key(table.name)
        row = self.create(call, table, {**values, **body}, record_id)
        return self._written(call, table, row, created=True, address=inside)

    def _written(self, call: Call, table: Table, row: Row, *, created: bool, address: str) -> Answer:
        headers = {"OData-Version": "4.0", "OData-EntityId": f"{call.base_url}{table.set_name}({address})"}
        if call.prefers("return") == "representation":
            selected = _selected(table, query_options(call.query).get("$select"))
            body = {"@odata.context": _context(call, table), **record_json(table, row, selected)}
            headers["Preference-Applied"] = "return=representation"
            return Answer(status=201 if created else 200, body=body, headers=headers)
        return Answer(status=204, headers=headers)

    def _delete(self, call: Call, table: Table, inside: str) -> Answer:
        row, record_id, _ = self.identify(table, inside)
        if row is None:
            raise does_not_exist(table.name, record_id) if record_id else no_record_by_key(table.name)
        self._refuse(call, table, row)
        self._storage.delete(table, str(row[table.primary_id]), call.user)
        return Answer(status=204)

    def _read(self, call: Call, table: Table, inside: str) -> Answer:
        row, record_id, _ = self.identify(table, inside)
        if row is None:
            raise does_not_exist(table.name, record_id) if record_id else no_record_by_key(table.name)
        if call.headers.get("if-none-match") == _etag(row):
            return Answer(status=304)
        selected = _selected(table, query_options(call.query).get("$select"))
        return Answer(body={"@odata.context": _context(call, table), **record_json(table, row, selected)})

    def _page(self, call: Call, table: Table) -> Answer:
        options = query_options(call.query)
        for unknown in ("sql", "fetchXml"):
            if unknown in options:
                raise RefusedError(501, "0x80060888", f"The sandbox does not take {unknown}.")
        tracked = call.prefers("odata.track-changes") is not None
        if "$deltatoken" in options or tracked:
            return self._changes(call, table, options)
        found = _ordered(table, self._filtered(table, options), options.get("$orderby", ""))
        selected = _selected(table, options.get("$select"))
        start = int(options.get(DELTA_PAGE, "0") or 0)
        most = min(int(options["$top"]), LARGEST_PAGE) if "$top" in options else LARGEST_PAGE
        size = min(int(call.prefers("odata.maxpagesize") or LARGEST_PAGE), most)
        body: dict[str, Any] = {"@odata.context": _context(call, table)}
        if options.get("$count") == "true":
            body["@odata.count"] = min(len(found), LARGEST_PAGE)
        body["value"] = [record_json(table, row, selected) for row in found[start : start + size]]
        if start + size < len(found) and "$top" not in options:
            body["@odata.nextLink"] = _again(call, table, options, {DELTA_PAGE: str(start + size)})
        return Answer(body=body)

    def _filtered(self, table: Table, options: Mapping[str, str]) -> list[Row]:
        rows = self._storage.rows[table.name].values()
        if "$filter" not in options:
            return list(rows)
        test = compile_filter(options["$filter"], options)
        if isinstance(test, AnyOf) and (named := self._storage.named(table, test.name, test.values)) is not None:
            return named
        return [row for row in rows if test(row)]

    def _changes(self, call: Call, table: Table, options: dict[str, str]) -> Answer:
        for name in REFUSED_WITH_TRACKING:
            if name in options:
                raise RefusedError(
                    400,
                    "0x80060888",
                    f'The "${{{name.removeprefix("$")}}}" query parameter isn\'t supported when Change Tracking is enabled.',
                )
        if not table.tracked:
            raise RefusedError(400, "0x80072491", f"Change tracking is not enabled for the entity {table.name}.")
        selected = _selected(table, options.get("$select"))
        size = min(int(call.prefers("odata.maxpagesize") or LARGEST_PAGE), LARGEST_PAGE)
        since = self._since(options["$deltatoken"]) if "$deltatoken" in options else 0
        # A page's place is the version of its last record: what changes meanwhile is seen at the end, or by the link.
        begun, _, after = options.get(DELTA_PAGE, "").partition(".")
        start = int(begun) if begun else self._storage.version
        changed = self._storage.changed_since(table, int(after or since))
        body: dict[str, Any] = {"@odata.context": f"{_context(call, table)}/$delta"}
        rows = [record_json(table, row, selected) for row in changed[:size]]
        if len(changed) > size:
            place = f"{start}.{changed[size - 1]['versionnumber']}"
            body["value"] = rows
            body["@odata.nextLink"] = _again(call, table, options, {DELTA_PAGE: place})
            return Answer(body=body, headers={"Preference-Applied": "odata.track-changes"})
        gone = self._storage.deleted_since(table, since) if since else []
        body["value"] = rows + [
            {
                "@odata.context": f"{call.base_url}$metadata#{table.set_name}/$deletedEntity",
                "id": one,
                "reason": "deleted",
            }
            for one in gone
        ]
        token = f"{start}!{datetime.fromtimestamp(self._storage.clock(), UTC):%m/%d/%Y %H:%M:%S}"
        kept = {name: value for name, value in options.items() if name != DELTA_PAGE}
        body["@odata.deltaLink"] = _again(call, table, kept, {"$deltatoken": token})
        return Answer(body=body, headers={"Preference-Applied": "odata.track-changes"})

    def _since(self, token: str) -> int:
        version, _, made = token.partition("!")
        try:
            since = int(version)
            at = datetime.strptime(made, "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise RefusedError(400, "0x80060888", "The delta token is not valid.") from None
        organization = next(iter(self._storage.rows["organization"].values()))
        life = float(organization["expirechangetrackingindays"]) * SECONDS_A_DAY
        if since < self._oldest_token or at + life < int(self._storage.clock()):
            raise RefusedError(400, "0x80044352", EXPIRED)
        return since


def record_json(table: Table, row: Row, selected: Iterable[str]) -> dict[str, Any]:
    """A record in the API's form: the selected properties, its id and its version."""
    return {
        "@odata.etag": _etag(row),
        **{name: row.get(name) for name in selected},
        table.primary_id: row[table.primary_id],
    }


def _selected(table: Table, names: str | None) -> list[str]:
    if not names:
        return list(table.by_property)
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in table.by_property:
            raise RefusedError(
                400,
                "0x80060888",
                f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table.name}'.",
            )
    return wanted


def _ordered(table: Table, rows: list[Row], order: str) -> list[Row]:
    for part in reversed([one.strip() for one in order.split(",") if one.strip()]):
        name, _, direction = part.partition(" ")
        _selected(table, name)
        rows.sort(key=lambda row, by=name: (row.get(by) is not None, row.get(by)), reverse=direction == "desc")  # type: ignore[misc]
    return rows


def _etag(row: Row) -> str:
    return f'W/"{row["versionnumber"]}"'


def _context(call: Call, table: Table) -> str:
    return f"{call.base_url}$metadata#{table.set_name}"


def _again(call: Call, table: Table, options: Mapping[str, str], more: Mapping[str, str]) -> str:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in {**options, **more}.items())
    return f"{call.base_url}{table.set_name}?{query}"
