"""The org over HTTP: authenticates, counts, applies faults, and runs each API call in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web

from connector.sandbox.salesforce import describe
from connector.sandbox.salesforce.api import Api
from connector.sandbox.salesforce.bulk import LARGEST_UPLOAD, Bulk
from connector.sandbox.salesforce.bulk_work import Workers
from connector.sandbox.salesforce.control import Control, refusing
from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import Author
from connector.sandbox.salesforce.exchange import DATA, Answer, Call
from connector.sandbox.salesforce.faults import Fault, Faults, hits, limits, refusals
from connector.sandbox.salesforce.login import LoginRefusedError, Sessions
from connector.sandbox.salesforce.login_refusals import LOGIN_REFUSALS
from connector.sandbox.salesforce.metadata import Metadata
from connector.sandbox.salesforce.outbound import Outbound
from connector.sandbox.salesforce.refusals import RequestRefusedError
from connector.sandbox.salesforce.remodelling import Remodelling
from connector.sandbox.salesforce.usage import Usage
from connector.sandbox.salesforce.values import as_moment

LONGEST_URI = LARGEST_HEADERS = 16_384  # bytes
LARGEST_BODY = LARGEST_UPLOAD + 1024  # bytes: a bulk job's data, with a margin so that the job itself can reject it
EXPIRED = RequestRefusedError(401, "INVALID_SESSION_ID", "Session expired or invalid")
REFUSALS = {
    "limit_exceeded": RequestRefusedError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    "concurrent_limit": RequestRefusedError(
        403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    ),
    "long_concurrent_limit": RequestRefusedError(
        403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."
    ),
    "api_disabled": RequestRefusedError(
        403, "API_DISABLED_FOR_ORG", "The REST API is not enabled for this Organization."
    ),
    "server_unavailable": RequestRefusedError(503, "SERVER_UNAVAILABLE", "Server unavailable, please retry later"),
    "server_error": RequestRefusedError(
        500,
        "UNKNOWN_EXCEPTION",
        "An unexpected error occurred. Please include this ErrorId if you contact support: 1407516498-25913 (-1327390446)",
    ),
}
PAGES = {
    "unavailable": (
        503,
        "<html><head><title>Service Unavailable</title></head><body>Down for maintenance.</body></html>",
    ),
    "html_401": (401, "<html><head><title>Unauthorized</title></head><body>Please log in.</body></html>"),
}


class Server:
    """One org and its HTTP server."""

    def __init__(
        self,
        database: Database,
        *,
        sessions: Sessions,
        usage: Usage,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._usage = usage
        self._clock = clock
        self._faults = Faults()
        self._bulk = Bulk(database, Workers(database, self._faults, clock))
        self._metadata = Metadata(database, sessions=sessions, usage=usage, faults=self._faults, clock=clock)
        reveal = self._metadata.administration.reveal
        self._api = Api(database, clock(), lambda: (usage.used, usage.limit), self._bulk, reveal)
        reader = self._api.reader
        self._outbound = Outbound(lambda sobject, ids, fields: reader.read_several(sobject, ids, ["Id", *fields], ""))

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=LARGEST_BODY, middlewares=[refusing])
        control = Control(
            database=self._database,
            reader=self._api.reader,
            writer=self._api.writer,
            faults=self._faults,
            sessions=self._sessions,
            usage=self._usage,
            outbound=self._outbound,
            bulk=self._bulk,
            clock=self._clock,
        )
        app.add_routes(control.routes())
        app.add_routes(Remodelling(self._database).routes())
        app.router.add_post("/services/oauth2/token", self.log_in)
        app.router.add_post("/services/oauth2/revoke", self.revoke)
        app.router.add_get("/services/oauth2/userinfo", self.user_info)
        app.router.add_get("/id/{org}/{user}", self.identity)
        app.router.add_get("/services/data", self.versions)
        app.router.add_get("/services/data/", self.versions)
        app.router.add_route("*", "/services/data/{rest:.+}", self.data)
        app.router.add_post("/services/Soap/m/{rest:.+}", self._metadata.answer)
        app.on_response_prepare.append(self._date)
        app.cleanup_ctx.append(self._life)
        return app

    async def _life(self, _: web.Application) -> AsyncIterator[None]:
        yield
        await self._bulk.forget()
        await self._outbound.stop()
        self._database.close()

    async def _date(self, _: web.Request, response: web.StreamResponse) -> None:
        """Set the `Date` header from the sandbox's clock: feeds use it for their positions."""
        response.headers["Date"] = formatdate(int(self._clock()), usegmt=True)

    async def log_in(self, request: web.Request) -> web.Response:
        """POST /services/oauth2/token."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        self._usage.requests["POST /services/oauth2/token"] += 1
        if (struck := self._faults.strike_login()) is not None:
            status, error, description = LOGIN_REFUSALS[struck.refusal]
            return _json(status, {"error": error, "error_description": description})
        moved = self._faults.redirect()
        if moved is not None and moved.sign_in == "moved" and moved.to != _url(request):
            return _moved(moved, request)
        try:
            body = self._sessions.log_in(form, request.headers.get("Authorization"), _url(request))
        except LoginRefusedError as refusal:
            return _json(refusal.status, refusal.body)
        self._usage.logins += 1
        if moved is not None and moved.sign_in != "old":
            body["instance_url"] = moved.to
        return _json(200, body)

    async def revoke(self, request: web.Request) -> web.Response:
        """POST /services/oauth2/revoke: ends the session of the form's token."""
        form = await request.post()
        return web.Response(status=200 if self._sessions.end(str(form.get("token", ""))) else 400)

    async def user_info(self, request: web.Request) -> web.Response:
        """GET /services/oauth2/userinfo."""
        user = self._sessions.user(request.headers.get("Authorization"))
        if user is None:
            return web.Response(status=403, text="Bad_OAuth_Token")
        return _json(200, describe.user_info(user, _url(request), self._database.wording.language.code))

    async def identity(self, request: web.Request) -> web.Response:
        """GET /id/{org}/{user}: the same as userinfo, at the address in `identity` and in the token response."""
        return await self.user_info(request)

    async def versions(self, _: web.Request) -> web.Response:
        """GET /services/data/, which needs no session and is not counted."""
        return _json(200, describe.versions())

    async def data(self, request: web.Request) -> web.Response:
        """Answer calls below /services/data/vXX.0/."""
        too_long = _too_long(request)
        if too_long is not None:
            return too_long
        raw = await request.read()
        user = self._sessions.user(request.headers.get("Authorization"))
        if user is None:
            return self._refused(EXPIRED)
        self._usage.requests[_route(request.method, request.rel_url.raw_path)] += 1
        target = request.raw_path
        struck = self._strike(request, raw)
        if "slow" in struck:
            with self._usage.under_way(writes=_writes(request.method, target, raw)):
                await asyncio.sleep(struck["slow"].seconds)
        response = self._stopped(request, struck)
        if response is not None:
            return response
        if not self._usage.spend():
            return self._refused(REFUSALS["limit_exceeded"])
        call = Call(
            method=request.method,
            target=target,
            author=self._author(user, struck),
            base_url=_url(request),
            headers=request.headers,
            raw=raw,
            collection_upserts="no_composite_upsert" not in struck or not _is_composite(target),
        )
        response = self._answered(call)
        if "held_answer" in struck:
            await struck["held_answer"].cleared.wait()
        if "dropped" in struck:
            return _hang_up(request)
        if "garbage" in struck and isinstance(response.body, bytes):
            return _json_bytes(200, response.body[: len(response.body) // 2])
        return response

    def _strike(self, request: web.Request, raw: bytes) -> dict[str, Fault]:
        if not self._faults.all:
            return {}
        method, target = request.method, request.raw_path
        text = unquote(target).encode() + raw
        return self._faults.strike(writes=_writes(method, target, raw), text=text, at=_url(request))

    def _stopped(self, request: web.Request, struck: Mapping[str, Fault]) -> web.Response | None:
        """The response if a fault ends the request before anything is done."""
        if "dropped_before" in struck:
            return _hang_up(request)
        if "expired_session" in struck:
            self._sessions.end_all()
            return self._refused(EXPIRED)
        for name in struck:
            if name in PAGES:
                status, page = PAGES[name]
                return web.Response(status=status, text=page, content_type="text/html")
            if name in REFUSALS:
                self._usage.calls += 1
                return self._refused(REFUSALS[name])
        if (moved := struck.get("redirect")) is not None:
            return _moved(moved, request)
        return self._chosen(struck.get("refuse"))

    def _chosen(self, fault: Fault | None) -> web.Response | None:
        """A rejection of the whole request that a test has chosen."""
        if fault is None or fault.status is None:
            return None
        self._usage.calls += 1
        if not fault.code:
            return web.Response(status=fault.status, text=f"<html>{fault.message}</html>", content_type="text/html")
        return self._refused(RequestRefusedError(fault.status, fault.code, fault.message))

    def _answered(self, call: Call) -> web.Response:
        try:
            with self._database.transaction():
                answer = self._api.dispatch(call)
        except RequestRefusedError as refusal:
            return self._refused(refusal)
        return self._rendered(answer)

    def _author(self, user: str, struck: Mapping[str, Fault]) -> Author:
        now = self._clock()
        late = struck["late_commit"].seconds if "late_commit" in struck else 0.0
        return Author(
            user=user,
            time=now,
            # A transaction that commits late has the timestamp of its start; its rows become visible now with a time
            # that pollers have already passed.
            stamp=as_moment(now - late),
            locked=hits(struck.get("row_lock")),
            spoiling=hits(struck.get("bad_record")),
            overtaken=hits(struck.get("overtaken")),
            refused=refusals(struck.get("refuse")),
            limits=(*self._database.triggers.limits, *limits(struck.get("limit"))),
        )

    def _rendered(self, answer: Answer) -> web.Response:
        headers = {**answer.headers, "Sforce-Limit-Info": self._usage.header()}
        if answer.csv is not None:
            return web.Response(
                status=answer.status, body=answer.csv, headers=headers, content_type="text/csv", charset="utf-8"
            )
        if answer.body is None:
            return web.Response(status=answer.status, headers=headers)
        return _json(answer.status, answer.body, headers)

    def _refused(self, refusal: RequestRefusedError) -> web.Response:
        body = [self._database.wording.translate_error(one) for one in refusal.body()]
        return self._rendered(Answer(status=refusal.status, body=body))


def _json(status: int, body: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    return _json_bytes(status, orjson.dumps(body), headers)


def _json_bytes(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=body, headers=headers, content_type="application/json", charset="utf-8")


def _too_long(request: web.Request) -> web.Response | None:
    """The response of the server in front of the API, which limits the length of addresses and headers.

    Source: simple-salesforce issue 271, jsforce issue 1134.
    """
    if len(request.raw_path) > LONGEST_URI:
        return _bad_message(414, "URI Too Long")
    if sum(len(name) + len(value) for name, value in request.raw_headers) > LARGEST_HEADERS:
        return _bad_message(431, "Request Header Fields Too Large")
    return None


def _bad_message(status: int, reason: str) -> web.Response:
    page = f"<h1>Bad Message {status}</h1><pre>reason: {reason}</pre>"
    return web.Response(status=status, text=page, content_type="text/html")


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection without a response; the returned one is never sent."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _moved(fault: Fault, request: web.Request) -> web.Response:
    """The response at the old address of a moved org."""
    location = fault.to.rstrip("/") + request.raw_path
    page = f'The URL has moved <a href="{location}">here</a>'
    return web.Response(status=fault.status or 301, headers={"Location": location}, text=page, content_type="text/html")


def _url(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _is_composite(target: str) -> bool:
    return target.partition("?")[0].rstrip("/").endswith("/composite")


def _writes(method: str, target: str, raw: bytes) -> bool:
    """Whether a request changes records; a composite does if one of its inner calls does."""
    if method == "GET":
        return False
    if not _is_composite(target):
        return True
    try:
        parts = orjson.loads(raw).get("compositeRequest", [])
        return any(part.get("method", "").upper() != "GET" for part in parts)
    except (orjson.JSONDecodeError, AttributeError):
        return False


def _route(method: str, path: str) -> str:
    """The route for the statistics, without records and keys."""
    parts = [part for part in path.removeprefix(DATA).split("/")[1:] if part]
    match parts:
        case ["sobjects", _, "describe" | "updated" | "deleted" as what]:
            parts = ["sobjects", "{object}", what]
        case ["sobjects", *rest]:
            parts = ["sobjects", *("{object}", "{field}", "{value}")[: len(rest)]]
        case ["composite", "sobjects", *rest]:
            parts = ["composite", "sobjects", *("{object}", "{field}")[: len(rest)]]
        case ["jobs", kind, _, *what]:
            parts = ["jobs", kind, "{job}", *what]
        case ["query" | "queryAll" as what, _]:
            parts = [what, "{locator}"]
        case _:
            pass
    return f"{method} /{'/'.join(parts)}"
