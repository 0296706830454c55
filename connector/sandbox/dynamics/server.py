"""The org over HTTP: authenticates, counts, applies faults, and hands each request to the Web API."""

import asyncio
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web

from connector.sandbox.dynamics import org
from connector.sandbox.dynamics.api import Api
from connector.sandbox.dynamics.control import Control, refusing
from connector.sandbox.dynamics.errors import RefusedError
from connector.sandbox.dynamics.exchange import API, Answer, Call
from connector.sandbox.dynamics.faults import LIMIT_CODES, Fault, Faults, limit_refusal, record_refusals
from connector.sandbox.dynamics.limits import Limits
from connector.sandbox.dynamics.login import REFUSALS, LoginRefusedError, Sessions, openid_configuration
from connector.sandbox.dynamics.storage import Storage

VERSIONS = ("v9.0", "v9.1", "v9.2")
LARGEST_BODY = 128 * 2**20  # bytes
REQUEST_REFUSALS = {
    "server_error": RefusedError(500, "0x80040216", "An unexpected error occurred."),
    "sql_timeout": RefusedError(500, "0x80044151", "SQL timeout expired."),
    "no_privilege": RefusedError(
        403,
        "0x80040220",
        "Principal user is missing prvWriteContact privilege on OTC=2 for entity 'contact'. context.Caller=sandbox",
    ),
    "no_user": RefusedError(403, "0x80072560", "The user is not a member of the organization."),
}
PAGES = {
    "unavailable": (503, "<html><head><title>Service Unavailable</title></head><body>Try later.</body></html>"),
    "bad_gateway": (502, "<html><head><title>Bad Gateway</title></head><body>Bad gateway.</body></html>"),
    "html_401": (401, "<html><head><title>Unauthorized</title></head><body>Please sign in.</body></html>"),
}


class Server:
    """One org, with its tenant's token endpoint."""

    def __init__(
        self, storage: Storage, *, sessions: Sessions, clock: Callable[[], float], starting: Callable[[], None]
    ) -> None:
        self._storage = storage
        self._sessions = sessions
        self._clock = clock
        self._starting = starting
        self._faults = Faults()
        self._limits = Limits(clock)
        self._api = Api(storage, self._limits)

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=LARGEST_BODY, middlewares=[refusing])
        control = Control(
            storage=self._storage,
            api=self._api,
            faults=self._faults,
            sessions=self._sessions,
            limits=self._limits,
            starting=self._starting,
        )
        app.add_routes(control.routes())
        app.router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", self.openid)
        app.router.add_get("/{tenant}/.well-known/openid-configuration", self.openid)
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self.log_in)
        app.router.add_route("*", "/api/data/{version}/{rest:.*}", self.data)
        app.on_response_prepare.append(self._date)
        return app

    async def _date(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(int(self._clock()), usegmt=True)

    async def openid(self, request: web.Request) -> web.Response:
        """GET …/.well-known/openid-configuration."""
        return _json(200, openid_configuration(_url(request), request.match_info["tenant"]))

    async def log_in(self, request: web.Request) -> web.Response:
        """POST /{tenant}/oauth2/v2.0/token."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        if (struck := self._faults.strike_named("login_refused")) is not None:
            status, error, description = REFUSALS[struck.refusal]
            return _json(status, {"error": error, "error_description": description})
        try:
            body = self._sessions.log_in(request.match_info["tenant"], form, _url(request))
        except LoginRefusedError as refusal:
            return _json(refusal.status, refusal.body)
        self._limits.logins += 1
        return _json(200, body)

    async def data(self, request: web.Request) -> web.Response:
        """Answer calls below /api/data/."""
        raw = await request.read()
        if not self._sessions.valid(request.headers.get("Authorization")):
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer error=invalid_token"})
        if request.match_info["version"] not in VERSIONS:
            return _refused(RefusedError(404, "0x8006088a", "The requested API version does not exist."))
        raw_path, _, query = request.raw_path.partition("?")
        path = raw_path.partition(API)[2].partition("/")[2]
        writes = _writes(request.method, path, raw)
        struck = self._faults.strike(writes=writes, text=unquote(raw_path).encode() + raw) if self._faults.all else {}
        try:
            with self._limits.running(f"{request.method} {path.partition('(')[0] or '/'}"):
                return await self._counted(request, path, query, raw, struck)
        except RefusedError as refusal:
            return _refused(refusal)

    async def _counted(
        self, request: web.Request, path: str, query: str, raw: bytes, struck: Mapping[str, Fault]
    ) -> web.Response:
        if "slow" in struck:
            await asyncio.sleep(struck["slow"].seconds)
        if (stopped := self._stopped(request, struck)) is not None:
            return stopped
        late = struck.get("late_commit")
        call = Call(
            method=request.method,
            path=path,
            query=query,
            headers={name.lower(): value for name, value in request.headers.items()},
            raw=raw,
            base_url=f"{_url(request)}/api/data/{request.match_info['version']}/",
            user=org.INTEGRATION_USER,
            late=late.seconds if late else 0.0,
            refuse=record_refusals(struck),
        )
        answer = self._api.answer(call)
        if "held_answer" in struck:
            await struck["held_answer"].cleared.wait()
        if "dropped" in struck:
            return _hang_up(request)
        body = answer.encoded()
        if "garbage" in struck:
            body = body[: len(body) // 2]
        return self._rendered(answer, body)

    def _stopped(self, request: web.Request, struck: Mapping[str, Fault]) -> web.Response | None:
        """The response if a fault ends the request before anything is done."""
        if "dropped_before" in struck:
            return _hang_up(request)
        if "expired_session" in struck:
            self._sessions.end_all()
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer error=invalid_token"})
        for name, fault in struck.items():
            if name in PAGES:
                status, page = PAGES[name]
                return web.Response(status=status, text=page, content_type="text/html")
            if name in REQUEST_REFUSALS:
                return _refused(REQUEST_REFUSALS[name])
            if name in LIMIT_CODES:
                return _refused(limit_refusal(fault))
            if name == "redirect":
                return web.Response(status=fault.status or 301, headers={"Location": f"{fault.to}{request.raw_path}"})
            if name == "refuse" and fault.ends:
                return _refused(RefusedError(fault.status or 400, fault.code, fault.message))
        return None

    def _rendered(self, answer: Answer, body: bytes) -> web.Response:
        headers = {**answer.headers, **self._limits.headers(), "REQ_ID": "7d0c6a6e-1111-4f4f-8a3c-4f1f0a6f0000"}
        if body:
            headers.setdefault("Content-Type", "application/json; odata.metadata=minimal")
        return web.Response(status=answer.status, body=body, headers=headers)


def _refused(refusal: RefusedError) -> web.Response:
    return _json(refusal.status, refusal.body(), refusal.headers)


def _json(status: int, body: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(body), headers=headers, content_type="application/json", charset="utf-8"
    )


def _writes(method: str, path: str, raw: bytes) -> bool:
    if path == "$batch":
        return b"\nPATCH " in raw or b"\nPOST " in raw or b"\nDELETE " in raw
    return method != "GET"


def _url(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection without a response."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
