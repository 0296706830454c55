"""An administrator's changes to existing fields, under /_sandbox/: rename, shorten, remove a value, remove permissions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from connector.sandbox.salesforce.control import ControlError
from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.fields import Field, SObject

FLAGS = ("required", "unique", "external_id", "restricted", "read_only", "case_sensitive")
WORDS = ("name", "length", "scale", "values", "rule", *FLAGS)


class Remodelling:
    """Changes the org's schema, and keeps the records."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hidden: dict[tuple[str, str], tuple[int, Field]] = {}  # object, lower-case field → its position

    def routes(self) -> list[web.RouteDef]:
        """The routes for the application's router."""
        return [
            web.patch("/_sandbox/fields/{object}/{field}", self.change),
            web.delete("/_sandbox/fields/{object}/{field}", self.remove),
            web.delete("/_sandbox/objects/{object}", self.hide),
        ]

    async def change(self, request: web.Request) -> web.Response:
        """Change a field: `{"name": "New__c"}`, `{"length": 20}`, `{"scale": 0}`, `{"values": ["A"], "restricted": true}`.

        Field-level security: `{"read_only": true}` removes the write permission, and `{"hidden": true}` the read
        permission; false restores it, with the values. `{"case_sensitive": true}` is for keys; `{"rule": "Not this."}`
        rejects every value by a validation rule.
        """
        try:
            changes = orjson.loads(await request.read())
        except orjson.JSONDecodeError as error:
            raise ControlError(f"The body must be JSON: {error}") from error
        if isinstance(changes, Mapping) and changes.get("hidden") is False:
            return self._show(request)
        sobject, field = self._named(request)
        if isinstance(changes, Mapping) and changes.get("hidden") is True:
            return self._hide(sobject, field)
        new = _changed(field, changes)
        with self._database.transaction():
            if field.keyed:
                self._database.connection.execute(f'DROP INDEX IF EXISTS "{sobject.name}~{field.folded}"')
            self._database.put(replace(sobject, fields=tuple(new if one is field else one for one in sobject.fields)))
            if new.name != field.name:
                self._move(sobject, field, new)
        return web.json_response({"object": sobject.name, "field": new.name})

    async def remove(self, request: web.Request) -> web.Response:
        """Delete a field, or hide it by field-level security: for the API that is the same."""
        sobject, field = self._named(request)
        self._database.put(replace(sobject, fields=tuple(one for one in sobject.fields if one is not field)))
        return web.json_response({"object": sobject.name, "removed": field.name})

    async def hide(self, request: web.Request) -> web.Response:
        """Remove the permissions on an object."""
        sobject = self._object(request)
        self._database.schema.hide(sobject)
        return web.json_response({"removed": sobject.name})

    def _hide(self, sobject: SObject, field: Field) -> web.Response:
        self._hidden[sobject.name, field.name.lower()] = sobject.fields.index(field), field
        self._database.put(replace(sobject, fields=tuple(one for one in sobject.fields if one is not field)))
        return web.json_response({"object": sobject.name, "hidden": field.name})

    def _show(self, request: web.Request) -> web.Response:
        sobject = self._object(request)
        name = request.match_info["field"]
        if (sobject.name, name.lower()) not in self._hidden:
            raise ControlError(f"{name} of {sobject.name} is not hidden.")
        place, field = self._hidden.pop((sobject.name, name.lower()))
        self._database.put(replace(sobject, fields=(*sobject.fields[:place], field, *sobject.fields[place:])))
        return web.json_response({"object": sobject.name, "shown": field.name})

    def _object(self, request: web.Request) -> SObject:
        name = request.match_info["object"]
        sobject = self._database.schema.find(name)
        if sobject is None:
            raise ControlError(f"The org has no object {name}; it has {', '.join(self._database.schema.objects)}.")
        return sobject

    def _named(self, request: web.Request) -> tuple[SObject, Field]:
        sobject = self._object(request)
        field = sobject.find(request.match_info["field"])
        if field is None:
            raise ControlError(f"{sobject.name} has no field {request.match_info['field']}.")
        return sobject, field

    def _move(self, sobject: SObject, old: Field, new: Field) -> None:
        columns = [(old.name, new.name), *([(old.folded, new.folded)] if old.keyed else [])]
        for before, behind in columns:
            self._database.connection.execute(f'UPDATE "{sobject.name}" SET "{behind}" = "{before}"')  # noqa: S608 - names are ours


def _changed(field: Field, changes: Any) -> Field:
    if not isinstance(changes, Mapping) or not changes or not set(changes) <= set(WORDS):
        raise ControlError(f"The body must be a JSON object with some of {', '.join(WORDS)}.")
    for name in FLAGS:
        if not isinstance(changes.get(name, False), bool):
            raise ControlError(f"{name} must be true or false.")
    values = changes.get("values", [])
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise ControlError("values must be a list of texts.")
    if not all(isinstance(changes.get(name, 0), int) for name in ("length", "scale")):
        raise ControlError("length and scale must be numbers.")
    if not all(isinstance(changes.get(name, ""), str) for name in ("name", "rule")):
        raise ControlError("name and rule must be texts.")
    return replace(field, **{**changes, **({"values": tuple(values)} if "values" in changes else {})})
