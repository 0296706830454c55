"""A stand-in for Marketing Cloud: tokens, rows of data extensions, journey events. It shares no code with the sinks.

Sources: Marketing Cloud developer guide, "Access token for server-to-server integrations", "Rate limiting errors"; REST
reference, "postEvent" and "postDataExtensionRowsetByKey".
"""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TOKEN_LIFE = 1200  # seconds
ROWS = 50  # in one call
INSTANCE_ID = "eventInstanceId"  # a reserved name: a value that is sent under it is ignored


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AnswerError(Exception):
    """A call is answered with an error document."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Extension:
    """A data extension."""

    key: str  # its primary key
    columns: tuple[str, ...]
    lengths: dict[str, int] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Account:
    """One business unit."""

    extensions: dict[str, Extension] = field(default_factory=dict)
    events: dict[str, tuple[str, ...]] = field(default_factory=dict)  # event key → the fields of its data extension
    inactive: set[str] = field(default_factory=set)  # contacts that no event may name
    fired: list[dict[str, Any]] = field(default_factory=list)
    tokens: dict[str, float] = field(default_factory=dict)  # token → when it expires
    token_requests: int = 0
    calls: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)  # for the next calls
    life: float = TOKEN_LIFE
    url: str = ""

    async def token(self, request: web.Request) -> web.Response:
        """Sign in with client id and secret `sandbox`."""
        self.token_requests += 1
        body = await request.json()
        if body.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        if (body.get("client_id"), body.get("client_secret")) != ("sandbox", "sandbox"):
            return web.json_response({"error": "invalid_client", "error_description": "Invalid client ID."}, status=401)
        token = uuid.uuid4().hex
        self.tokens[token] = time.monotonic() + self.life
        root = f"{request.scheme}://{request.host}/"
        reply = {"access_token": token, "token_type": "Bearer", "expires_in": 1080, "rest_instance_url": root}
        return web.json_response(
            {**reply, "soap_instance_url": root, "scope": "journeys_execute data_extensions_write"}
        )

    async def event(self, request: web.Request) -> web.Response:
        """Fire one event."""
        body = await request.json()
        key, contact, data = body.get("EventDefinitionKey", ""), body.get("ContactKey"), body.get("Data") or {}
        if "." in key or key not in self.events:
            raise AnswerError(400, 30003, "EventDefinitionKey is not valid.")
        if not contact:
            raise AnswerError(400, 30000, "ContactKey is required.")
        if contact in self.inactive:
            raise AnswerError(400, 30002, "Contact is inactive.")
        if unknown := [name for name in data if name not in (*self.events[key], INSTANCE_ID)]:
            raise AnswerError(400, 30001, f"Data extension has no field {unknown[0]}.")
        instance = str(uuid.uuid4())
        self.fired.append({"contact": contact, "event": key, "data": data, INSTANCE_ID: instance})
        return web.json_response({INSTANCE_ID: instance}, status=201)

    async def rowset(self, request: web.Request) -> web.Response:
        """Upsert rows by the primary key: all or none."""
        name = request.match_info["key"]
        extension = self.extensions.get(name)
        if extension is None:
            raise AnswerError(404, 10005, "Unable to find a data extension with this key.")
        rows = await request.json()
        if not isinstance(rows, list) or len(rows) > ROWS:
            raise AnswerError(400, 10006, f"A list of at most {ROWS} rows is expected.")
        for row in rows:
            for column, value in {**row["keys"], **row["values"]}.items():
                if column not in extension.columns:
                    raise AnswerError(400, 10006, f"Unable to save rows: column {column} does not exist.")
                if isinstance(value, str) and len(value) > extension.lengths.get(column, 4000):
                    raise AnswerError(400, 10006, f"Unable to save rows: {column} is too long.")
            if set(row["keys"]) != {extension.key}:
                raise AnswerError(400, 10006, "Unable to save rows: the primary key is missing.")
        for row in rows:
            kept = extension.rows.setdefault(str(row["keys"][extension.key]), {})
            kept.update({**row["keys"], **row["values"]})
        return web.json_response(rows)

    async def configure(self, request: web.Request) -> web.Response:
        """{"extensions": {key: {"key": …, "columns": […], "lengths": {}}}, "events": {key: [field]}, "inactive": [], "faults": []}."""
        body = await request.json()
        for name, one in body.get("extensions", {}).items():
            self.extensions[name] = Extension(one["key"], tuple(one["columns"]), one.get("lengths", {}))
        self.events |= {name: tuple(fields) for name, fields in body.get("events", {}).items()}
        self.inactive |= set(body.get("inactive", []))
        self.faults = list(body.get("faults", self.faults))
        if body.get("expire_tokens"):
            self.tokens.clear()
        return web.json_response({})

    async def state(self, _request: web.Request) -> web.Response:
        """What the account holds and has seen."""
        rows = {name: list(one.rows.values()) for name, one in self.extensions.items()}
        return web.json_response(
            {"rows": rows, "events": self.fired, "token_requests": self.token_requests, "calls": self.calls}
        )


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check the token, play the next fault, and make documents of errors."""
    account = request.app[ACCOUNT]
    if request.path.startswith("/_sandbox") or request.path == "/v2/token":
        return await handler(request)
    account.calls += 1
    fault = account.faults.pop(0) if account.faults else {}
    if fault.get("status"):
        document = {"message": fault.get("message", "fault"), "errorcode": fault.get("code", 0), "documentation": ""}
        return web.json_response(document, status=fault["status"], headers=fault.get("headers", {}))
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or account.tokens.get(token, 0.0) < time.monotonic():
        return web.json_response({"message": "Not Authorized", "errorcode": 0, "documentation": ""}, status=401)
    if fault.get("seconds"):
        await asyncio.sleep(fault["seconds"])
    try:
        response = await handler(request)
    except AnswerError as error:
        document = {"message": str(error), "errorcode": error.code, "documentation": ""}
        return web.json_response(document, status=error.status)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        return web.json_response({"message": "Bad request", "errorcode": 10006, "documentation": ""}, status=400)
    if fault.get("lost") and request.transport is not None:
        request.transport.abort()  # the work is done, and nobody hears of it
    return response


ACCOUNT = web.AppKey("account", Account)


def build() -> web.Application:
    """The account, without data extensions and events: PUT /_sandbox/config makes them, GET /_sandbox/state shows all."""
    account = Account()
    app = web.Application(middlewares=[_answer])
    app[ACCOUNT] = account
    app.add_routes(
        [
            web.post("/v2/token", account.token),
            web.post("/interaction/v1/events", account.event),
            web.post("/hub/v1/dataevents/key:{key}/rowset", account.rowset),
            web.put("/_sandbox/config", account.configure),
            web.get("/_sandbox/state", account.state),
        ]
    )
    return app
