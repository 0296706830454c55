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
        known = self._storage.by_set(segment.name)
        if known is None:
            raise no_segment(segment.name)
        return known

    def answer(self, call: Call, parts: list[Segment]) -> Answer:
        """The answer to a call on an entity set. Raises RefusedError."""
        known = self.table(parts[0])
        if len(parts) > 1:
            if parts[1].name == "$count" and call.method == "GET":
                return Answer(body=str(len(self._storage.rows[known.name])).encode())
            raise no_segment(parts[1].name)
        key = parts[0].key
        match call.method, key:
            case "GET", None:
                return self._page(call, known)
            case "GET", str():
                return self._read(call, known, str(key))
            case "POST", None:
                return self._create(call, known)
            case "PATCH", str():
                return self._patch(call, known, str(key))
            case "DELETE", str():
                return self._delete(call, known, str(key))
            case _:
                raise RefusedError(405, "0x80060888", f"The HTTP method {call.method} is not allowed here.")

    def identify(self, known: Table, inside: str) -> tuple[Row | None, str | None, dict[str, Any]]:
        """The record that parentheses name, its id if they hold one, and the key's values by property."""
        if GUID.fullmatch(inside):
            return self._storage.get(known, inside.lower()), inside.lower(), {}
        values = key_values(inside)
        if set(values) == {known.primary_id}:
            record_id = str(values[known.primary_id])
            return self._storage.get(known, record_id), record_id, {}
        key = self._key(known, values)
        return self._storage.find(known, key, values), None, values

    @staticmethod
    def _key(known: Table, values: Mapping[str, Any]) -> Key:
        for key in known.keys.values():
            if {known.columns[name].stored_as for name in key.columns} == set(values) and key.status == "Active":
                return key
        raise bad_key(known.name)

    def bound(self, relationship: Relationship, value: str) -> str:
        """The id of the record of an `@odata.bind` value. Raises RefusedError."""
        target = self._storage.tables.get(relationship.target)
        path = re.sub(r"^(https?://[^/]+)?/?(api/data/v[0-9.]+/)?", "", value)
        if "#" in path:
            raise bad_syntax("Bad Request - Error in query syntax.")
        segment = segments(path)[0]
        known = self.table(segment)
        if target is None or known.name != target.name or segment.key is None:
            raise bad_payload(
                f"The value '{segment.name}' does not fit the navigation property '{relationship.navigation}'."
            )
        row, record_id, _ = self.identify(known, segment.key)
        if row is None:
            raise does_not_exist(known.name, record_id) if record_id else no_record_by_key(known.name)
        return str(row[known.primary_id])

    def create(self, call: Call, known: Table, body: Mapping[str, Any], record_id: str | None = None) -> Row:
        """Create a record. Raises RefusedError."""
        values = read_values(known, body, self.bound, new=True)
        chosen = record_id or values.pop(known.primary_id, None) or new_id()
        values.pop(known.primary_id, None)
        if self._storage.get(known, chosen) is not None:
            raise RefusedError(412, "0x80040237", "Cannot insert duplicate key.")
        self._refuse(call, known, {known.primary_id: chosen, **values})
        saved, user = self._automation.apply(known, values, call.user)
        return self._storage.create(known, chosen, saved, user, call.late, written=values)

    def update(self, call: Call, known: Table, row: Row, body: Mapping[str, Any]) -> Row:
        """Change a record. Raises RefusedError."""
        values = read_values(known, body, self.bound, new=False)
        values.pop(known.primary_id, None)
        self._refuse(call, known, {**row, **values})
        saved, user = self._automation.apply(known, values, call.user)
        return self._storage.update(known, row, saved, user, call.late, written=values)

    @staticmethod
    def _refuse(call: Call, known: Table, row: Mapping[str, Any]) -> None:
        if call.refuse is not None and (refusal := call.refuse(known, row)) is not None:
            raise refusal

    def _create(self, call: Call, known: Table) -> Answer:
        row = self.create(call, known, call.json())
        return self._written(call, known, row, created=True, address=str(row[known.primary_id]))

    def _patch(self, call: Call, known: Table, inside: str) -> Answer:
        row, record_id, values = self.identify(known, inside)
        match, none = call.headers.get("if-match"), call.headers.get("if-none-match")
        body = call.json()
        if row is not None:
            if none == "*":
                raise already_exists()
            if match is not None and match != "*" and match != _etag(row):
                raise version_mismatch()
            body = {name: value for name, value in body.items() if name not in values}
            row = self.update(call, known, row, body)
            return self._written(call, known, row, created=False, address=inside)
        if match is not None:
            raise does_not_exist(known.name, record_id) if record_id else no_record_by_key(known.name)
        row = self.create(call, known, {**values, **body}, record_id)
        return self._written(call, known, row, created=True, address=inside)

    def _written(self, call: Call, known: Table, row: Row, *, created: bool, address: str) -> Answer:
        headers = {"OData-Version": "4.0", "OData-EntityId": f"{call.base_url}{known.set_name}({address})"}
        if call.prefers("return") == "representation":
            selected = _selected(known, query_options(call.query).get("$select"))
            body = {"@odata.context": _context(call, known), **shown(known, row, selected)}
            headers["Preference-Applied"] = "return=representation"
            return Answer(status=201 if created else 200, body=body, headers=headers)
        return Answer(status=204, headers=headers)

    def _delete(self, call: Call, known: Table, inside: str) -> Answer:
        row, record_id, _ = self.identify(known, inside)
        if row is None:
            raise does_not_exist(known.name, record_id) if record_id else no_record_by_key(known.name)
        self._refuse(call, known, row)
        self._storage.delete(known, str(row[known.primary_id]), call.user)
        return Answer(status=204)

    def _read(self, call: Call, known: Table, inside: str) -> Answer:
        row, record_id, _ = self.identify(known, inside)
        if row is None:
            raise does_not_exist(known.name, record_id) if record_id else no_record_by_key(known.name)
        if call.headers.get("if-none-match") == _etag(row):
            return Answer(status=304)
        selected = _selected(known, query_options(call.query).get("$select"))
        return Answer(body={"@odata.context": _context(call, known), **shown(known, row, selected)})

    def _page(self, call: Call, known: Table) -> Answer:
        options = query_options(call.query)
        for unknown in ("sql", "fetchXml"):
            if unknown in options:
                raise RefusedError(501, "0x80060888", f"The sandbox does not take {unknown}.")
        tracked = call.prefers("odata.track-changes") is not None
        if "$deltatoken" in options or tracked:
            return self._changes(call, known, options)
        found = _ordered(known, self._filtered(known, options), options.get("$orderby", ""))
        selected = _selected(known, options.get("$select"))
        start = int(options.get(DELTA_PAGE, "0") or 0)
        most = min(int(options["$top"]), LARGEST_PAGE) if "$top" in options else LARGEST_PAGE
        size = min(int(call.prefers("odata.maxpagesize") or LARGEST_PAGE), most)
        body: dict[str, Any] = {"@odata.context": _context(call, known)}
        if options.get("$count") == "true":
            body["@odata.count"] = min(len(found), LARGEST_PAGE)
        body["value"] = [shown(known, row, selected) for row in found[start : start + size]]
        if start + size < len(found) and "$top" not in options:
            body["@odata.nextLink"] = _again(call, known, options, {DELTA_PAGE: str(start + size)})
        return Answer(body=body)

    def _filtered(self, known: Table, options: Mapping[str, str]) -> list[Row]:
        rows = self._storage.rows[known.name].values()
        if "$filter" not in options:
            return list(rows)
        test = compile_filter(options["$filter"], options)
        if isinstance(test, AnyOf) and (named := self._storage.named(known, test.name, test.values)) is not None:
            return named
        return [row for row in rows if test(row)]

    def _changes(self, call: Call, known: Table, options: dict[str, str]) -> Answer:
        for name in REFUSED_WITH_TRACKING:
            if name in options:
                raise RefusedError(
                    400,
                    "0x80060888",
                    f'The "${{{name.removeprefix("$")}}}" query parameter isn\'t supported when Change Tracking is enabled.',
                )
        if not known.tracked:
            raise RefusedError(400, "0x80072491", f"Change tracking is not enabled for the entity {known.name}.")
        selected = _selected(known, options.get("$select"))
        size = min(int(call.prefers("odata.maxpagesize") or LARGEST_PAGE), LARGEST_PAGE)
        since = self._since(options["$deltatoken"]) if "$deltatoken" in options else 0
        # A page's place is the version of its last record: what changes meanwhile is seen at the end, or by the link.
        begun, _, after = options.get(DELTA_PAGE, "").partition(".")
        start = int(begun) if begun else self._storage.version
        changed = self._storage.changed_since(known, int(after or since))
        body: dict[str, Any] = {"@odata.context": f"{_context(call, known)}/$delta"}
        rows = [shown(known, row, selected) for row in changed[:size]]
        if len(changed) > size:
            place = f"{start}.{changed[size - 1]['versionnumber']}"
            body["value"] = rows
            body["@odata.nextLink"] = _again(call, known, options, {DELTA_PAGE: place})
            return Answer(body=body, headers={"Preference-Applied": "odata.track-changes"})
        gone = self._storage.deleted_since(known, since) if since else []
        body["value"] = rows + [
            {
                "@odata.context": f"{call.base_url}$metadata#{known.set_name}/$deletedEntity",
                "id": one,
                "reason": "deleted",
            }
            for one in gone
        ]
        token = f"{start}!{datetime.fromtimestamp(self._storage.clock(), UTC):%m/%d/%Y %H:%M:%S}"
        kept = {name: value for name, value in options.items() if name != DELTA_PAGE}
        body["@odata.deltaLink"] = _again(call, known, kept, {"$deltatoken": token})
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


def shown(known: Table, row: Row, selected: Iterable[str]) -> dict[str, Any]:
    """A record in the API's form: the selected properties, its id and its version."""
    return {
        "@odata.etag": _etag(row),
        **{name: row.get(name) for name in selected},
        known.primary_id: row[known.primary_id],
    }


def _selected(known: Table, names: str | None) -> list[str]:
    if not names:
        return list(known.by_property)
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known.by_property:
            raise RefusedError(
                400,
                "0x80060888",
                f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{known.name}'.",
            )
    return wanted


def _ordered(known: Table, rows: list[Row], order: str) -> list[Row]:
    for part in reversed([one.strip() for one in order.split(",") if one.strip()]):
        name, _, direction = part.partition(" ")
        _selected(known, name)
        rows.sort(key=lambda row, by=name: (row.get(by) is not None, row.get(by)), reverse=direction == "desc")  # type: ignore[misc]
    return rows


def _etag(row: Row) -> str:
    return f'W/"{row["versionnumber"]}"'


def _context(call: Call, known: Table) -> str:
    return f"{call.base_url}$metadata#{known.set_name}"


def _again(call: Call, known: Table, options: Mapping[str, str], more: Mapping[str, str]) -> str:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in {**options, **more}.items())
    return f"{call.base_url}{known.set_name}?{query}"
