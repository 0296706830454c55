"""The part of Target365's REST API for keywords and number look-ups; its key is in a separate header.

Sources: Target365 REST USERGUIDE, "Authorization", "Keywords", "Lookup" and the errors (400, 401, 404, 409);
sdk-for-net, Model/Keyword: a PUT replaces the whole keyword.
"""

import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from connector.sandbox.refused import RefusedError
from connector.sandbox.strex.body import Body, read_json
from connector.sandbox.strex.envelopes import registered
from connector.sandbox.strex.keywords import SHORT_NUMBER, Keyword
from connector.sandbox.strex.service import Service

COUNTRY = "NO-"
MODES = ("Text", "Startswith", "Exact", "Wildcard", "Regex")
MSISDN = re.compile(r"\+[1-9][0-9]{4,14}")
READ_ONLY = ("keywordId", "created", "lastModified")  # a PUT may contain them, and they are ignored
WRITABLE = (
    "shortNumberId",
    "keywordText",
    "mode",
    "forwardUrl",
    "enabled",
    "customProperties",
    "tags",
    "aliases",
    "preAuthSettings",
)
Handler = Callable[[web.Request], Awaitable[web.Response]]


class Rest:
    """The endpoints, and the key that each of them requires."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        one = "/api/keywords/{id}"
        return [
            web.get("/api/keywords", self._with_key(self._list)),
            web.post("/api/keywords", self._with_key(self._create)),
            web.get(one, self._with_key(self._show)),
            web.put(one, self._with_key(self._replace)),
            web.delete(one, self._with_key(self._delete)),
            web.get("/api/lookup", self._with_key(self._look_up)),
        ]

    def _with_key(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.Response:
            settings = self._service.settings
            if request.headers.get(settings.rest_header) != settings.api_key:
                return _error(401, f"Unauthorized: the API key belongs in the {settings.rest_header} header")
            return await handler(request)

        return guarded

    async def _list(self, request: web.Request) -> web.Response:
        shown = [_as_json(each) for each in self._service.settings.keywords]
        for name in ("shortNumberId", "mode"):
            if (wanted := request.query.get(name)) is not None:
                shown = [each for each in shown if each[name] == wanted]
        if (part := request.query.get("keywordText")) is not None:
            shown = [each for each in shown if part in each["keywordText"]]
        if (tag := request.query.get("tag")) is not None:
            shown = [each for each in shown if tag in each["tags"]]
        return web.json_response(shown)

    async def _create(self, request: web.Request) -> web.Response:
        fields = self._read(Body.of(await read_json(request)))
        if self._is_taken(fields):
            return _error(409, f"{fields['name']} is in use on {fields['short_number']}")
        keyword = Keyword(id=str(uuid.uuid4()), service_id=str(uuid.uuid4()), **fields)
        self._keep((*self._service.settings.keywords, keyword))
        return web.Response(status=201, headers={"Location": f"{request.url.origin()}/api/keywords/{keyword.id}"})

    async def _show(self, request: web.Request) -> web.Response:
        keyword = self._find(request)
        return web.json_response(_as_json(keyword)) if keyword else _no_such_keyword()

    async def _replace(self, request: web.Request) -> web.Response:
        keyword = self._find(request)
        if keyword is None:
            return _no_such_keyword()
        body = Body.of(await read_json(request))
        if body.optional_text("keywordId") not in {None, keyword.id}:
            raise RefusedError("keywordId is not that of the address")
        fields = self._read(body)
        if self._is_taken(fields, besides=keyword):
            return _error(409, f"{fields['name']} is in use on {fields['short_number']}")
        changed = replace(keyword, **fields)
        self._keep(tuple(changed if each is keyword else each for each in self._service.settings.keywords))
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        keyword = self._find(request)
        if keyword is None:
            return _no_such_keyword()
        if any(each.active and each.keyword == keyword.name for each in self._service.subscribers):
            return _error(409, "The keyword has active subscribers")
        self._keep(tuple(each for each in self._service.settings.keywords if each is not keyword))
        return web.Response(status=204)

    async def _look_up(self, request: web.Request) -> web.Response:
        msisdn = request.query.get("msisdn", "")
        if not MSISDN.fullmatch(msisdn):
            raise RefusedError("msisdn is no phone number like %2B4798079008")
        self._service.lookups.append(msisdn)
        person = registered(msisdn, self._service.settings)
        return web.json_response(person) if person else _error(404, "Nothing is known of this number")

    def _find(self, request: web.Request) -> Keyword | None:
        wanted = request.match_info["id"]
        return next((each for each in self._service.settings.keywords if each.id == wanted), None)

    def _is_taken(self, fields: dict[str, Any], besides: Keyword | None = None) -> bool:
        return any(
            each is not besides and each.short_number == fields["short_number"] and each.is_called(fields["name"])
            for each in self._service.settings.keywords
        )

    def _keep(self, keywords: tuple[Keyword, ...]) -> None:
        self._service.settings = replace(self._service.settings, keywords=keywords)

    def _read(self, body: Body) -> dict[str, Any]:
        """The fields of a Keyword: those that Model/Keyword requires must be present, other missing ones are empty."""
        body.refuse_other_fields(*WRITABLE, *READ_ONLY)
        short_number = body.text("shortNumberId").removeprefix(COUNTRY)
        known = {SHORT_NUMBER, *(each.short_number for each in self._service.settings.keywords)}
        if short_number not in known or not body.text("shortNumberId").startswith(COUNTRY):
            raise RefusedError(f"shortNumberId must be one of {', '.join(COUNTRY + each for each in sorted(known))}")
        if (mode := body.text("mode")) not in MODES:
            raise RefusedError(f"mode must be one of {', '.join(MODES)}")
        if "enabled" not in body.fields:
            raise RefusedError("enabled is missing")
        return {
            "name": body.text("keywordText"),
            "short_number": short_number,
            "mode": mode,
            "forward_url": body.text("forwardUrl"),
            "enabled": body.flag("enabled", default=True),
            "properties": body.mapping("customProperties"),
            "tags": _texts(body, "tags"),
            "aliases": _texts(body, "aliases"),
            "pre_auth": body.mapping("preAuthSettings") if body.fields.get("preAuthSettings") else None,
        }


def _texts(body: Body, name: str) -> tuple[str, ...]:
    given = body.fields.get(name) or []
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise RefusedError(f"{name} must be a list of texts")
    return tuple(given)


def _as_json(keyword: Keyword) -> dict[str, Any]:
    made = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).isoformat()
    return {
        "keywordId": keyword.id,
        "shortNumberId": f"{COUNTRY}{keyword.short_number}",
        "keywordText": keyword.name,
        "mode": keyword.mode,
        "forwardUrl": keyword.forward_url,
        "preAuthSettings": keyword.pre_auth,
        "enabled": keyword.enabled,
        "created": made,
        "lastModified": made,
        "customProperties": keyword.properties,
        "tags": keyword.tags,
        "aliases": keyword.aliases,
    }


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"Message": message}, status=status)


def _no_such_keyword() -> web.Response:
    return _error(404, "There is no such keyword")
