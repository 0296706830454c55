"""The control interface under /_sandbox/: donors' windows and text messages, reports, errors, and the history."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web
from yarl import URL

from connector.sandbox.messagecloud.gateway import CALLS, STATUSES, ChargeScript, Gateway, ScriptedError, Transaction
from connector.sandbox.refused import RefusedError
from connector.sandbox.strex.body import Body, read_json

SECONDS = 30  # timeout of a callback; the real one is not documented
TRIES = 5  # attempts for a callback without 200 and OK; the real schedule is not documented


class DonorActions:
    """The control endpoints that play donors, change settings and show lists."""

    def __init__(self, gateway: Gateway, *, hooks: str | None, secret: str | None) -> None:
        self._gateway = gateway
        self._hooks = None if hooks is None else _address(hooks)
        self._secret = secret
        self._numbers = count(1_083_545_875)  # the id in the example of the gateway's documentation
        self._sent: list[dict[str, Any]] = []
        self._http: aiohttp.ClientSession | None = None

    async def session(self, _: web.Application) -> AsyncIterator[None]:
        """The HTTP session for callbacks while the application runs."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as self._http:
            yield

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [
            web.put("/_sandbox/config", self._configure),
            web.get("/_sandbox/transactions", self._transactions),
            web.get("/_sandbox/calls", self._calls),
            web.get("/_sandbox/taken", self._taken),
            web.post("/_sandbox/charges", self._script_charges),
            web.get("/_sandbox/page", self._page),
            web.get("/_sandbox/sent", self._list_sent),
            web.post("/_sandbox/window", self._finish_window),
            web.post("/_sandbox/status", self._set_status),
            web.post("/_sandbox/phone", self._phone),
            web.post("/_sandbox/report", self._report),
            web.post("/_sandbox/errors", self._script_error),
        ]

    async def _configure(self, request: web.Request) -> web.Response:
        body = Body.of(await read_json(request)).refuse_other_fields("hooks", "secret", "as_numbers", "table_names")
        if "hooks" in body.fields:
            self._hooks = _address(body.text("hooks"))
        self._secret = body.optional_text("secret") or self._secret
        self._gateway.as_numbers = body.flag("as_numbers", default=self._gateway.as_numbers)
        self._gateway.table_names = body.flag("table_names", default=self._gateway.table_names)
        return web.json_response({"hooks": self._hooks, "secret": self._secret})

    async def _transactions(self, _: web.Request) -> web.Response:
        return web.json_response([_as_json(one) for one in self._gateway.transactions.values()])

    async def _calls(self, _: web.Request) -> web.Response:
        return web.json_response(self._gateway.calls)

    async def _taken(self, _: web.Request) -> web.Response:
        """The books: what was really taken, by windows and by charges."""
        return web.json_response(self._gateway.taken)

    async def _script_charges(self, request: web.Request) -> web.Response:
        """How the next charges go: every status, a status that becomes final later, a delay, a lost answer."""
        body = Body.of(await read_json(request)).refuse_other_fields(
            "phone", "status", "then", "asks", "lost", "delay", "times"
        )
        phone, lost = body.optional_text("phone"), body.optional_text("lost")
        status, then = body.text("status", "DELIVERED"), body.optional_text("then")
        if status not in STATUSES or (then is not None and then not in STATUSES):
            raise RefusedError(f"status and then must be of {', '.join(STATUSES)}")
        if lost not in {None, "before", "after"}:
            raise RefusedError("lost must be before or after")
        script = ChargeScript(
            phone=None if phone is None else phone.lstrip("+"),
            status=status,
            then=then,
            asks=int(body.number("asks") or 1),
            lost=lost,
            delay=float(body.number("delay") or 0),
            times=int(body.number("times") or 1),
        )
        self._gateway.scripts.append(script)
        return web.json_response({})

    async def _page(self, _: web.Request) -> web.Response:
        """A merchant's page, for offers that have none yet."""
        return web.Response(text="Back on the merchant's web site.")

    async def _list_sent(self, _: web.Request) -> web.Response:
        return web.json_response(self._sent)

    async def _finish_window(self, request: web.Request) -> web.Response:
        """A donor completes a window or goes back; returns the address to which the browser is sent."""
        body = Body.of(await read_json(request)).refuse_other_fields(
            "transaction_id", "outcome", "phone", "status", "detail", "created"
        )
        one = self._gateway.find(body.text("transaction_id"))
        outcome = body.text("outcome", "success")
        if outcome not in {"success", "cancelled"}:
            raise RefusedError("outcome must be success or cancelled")
        if outcome == "success":
            one.recipient = body.text("phone").lstrip("+")
        if (created := body.optional_text("created")) is not None:
            one.created = _time(created)
        usual, detail = ("DELIVERED", "Delivered") if outcome == "success" else ("FAILED", "Cancelled")
        self._gateway.set_status(one, body.text("status", usual), body.text("detail", detail))
        query = urlencode({"id": one.own_id or one.transaction_id, "status": outcome})
        return web.json_response({"redirect": f"{self._address_of('return', secret=False)}?{query}"})

    async def _set_status(self, request: web.Request) -> web.Response:
        body = Body.of(await read_json(request)).refuse_other_fields("transaction_id", "status", "detail")
        one = self._gateway.find(body.text("transaction_id"))
        self._gateway.set_status(one, body.text("status"), body.text("detail", "Changed"))
        return web.json_response(_as_json(one))

    async def _phone(self, request: web.Request) -> web.Response:
        """A donor sends a text message."""
        body = Body.of(await read_json(request)).refuse_other_fields(
            "from", "to", "text", "id", "keyword", "country", "method"
        )
        number = body.optional_text("id") or str(next(self._numbers))
        fields = {
            "action": "mpush_ir_message",
            "message_id": number,
            "id": number,
            "billing": "MT",
            "country": body.text("country", "NO"),
            "number": body.text("from").lstrip("+"),
            "network": "TELENOR-NO",
            "shortcode": str(body.fields.get("to", self._gateway.short_number)),
            "keyword": str(body.fields.get("keyword", "")),
            "message": body.text("text"),
        }
        return web.json_response(await self._call("mo", fields, body.text("method", "POST")))

    async def _report(self, request: web.Request) -> web.Response:
        """A delivery report for a message with that id."""
        body = Body.of(await read_json(request)).refuse_other_fields("id", "phone", "report", "reason_id", "method")
        fields = {
            "action": "mp_report",
            "id": body.text("id"),
            "message_id": body.text("id"),
            "number": body.text("phone").lstrip("+"),
            "report": body.text("report"),
            "reason_id": str(body.fields.get("reason_id", "")),
        }
        return web.json_response(await self._call("dlr", fields, body.text("method", "POST")))

    async def _script_error(self, request: web.Request) -> web.Response:
        """Make the next calls of a kind fail with an error code or an HTTP status."""
        body = Body.of(await read_json(request)).refuse_other_fields("call", "code", "http", "times")
        call, times = body.text("call"), body.number("times")
        code, http = body.number("code"), body.number("http")
        if call not in CALLS or (code is None) == (http is None):
            raise RefusedError(f"give call (one of {', '.join(CALLS)}), and either code or http")
        error = ScriptedError(
            code=None if code is None else int(code),
            http=None if http is None else int(http),
            times=1 if times is None else int(times),
        )
        self._gateway.scripted_errors.setdefault(call, []).append(error)
        return web.json_response({})

    async def _call(self, endpoint: str, fields: dict[str, str], method: str) -> dict[str, Any]:
        """Call an endpoint until it responds with 200 and OK."""
        assert self._http is not None  # noqa: S101 - set while the application runs.
        if method not in {"GET", "POST"}:
            raise RefusedError("method must be GET or POST")
        url, form = self._address_of(endpoint, secret=True), None
        if method == "GET":
            url = f"{url}?{urlencode(fields)}"
        else:
            form = fields
        sent: dict[str, Any] = {"endpoint": endpoint, "fields": fields, "status": None, "answer": None, "taken": False}
        for tries in range(1, TRIES + 1):
            sent["tries"] = tries
            try:
                async with self._http.request(method, URL(url, encoded=True), data=form) as answer:
                    sent |= {"status": answer.status, "answer": await answer.text()}
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                sent["answer"] = type(error).__name__
            sent["taken"] = sent["status"] == web.HTTPOk.status_code and "OK" in str(sent["answer"])
            if sent["taken"]:
                break
        self._sent.append(sent)
        return sent

    def _address_of(self, endpoint: str, *, secret: bool) -> str:
        if self._hooks is None:
            raise RefusedError("say where the endpoints are: PUT /_sandbox/config with hooks")
        return f"{self._hooks}/{endpoint}" + (f"/{self._secret}" if secret and self._secret else "")


def _time(text: str) -> datetime:
    """When a window was begun, for subscriptions that are older than the sandbox."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise RefusedError("created must be a time such as 2026-01-31T12:00:00+00:00") from None


def _address(text: str) -> str:
    try:
        url = URL(text)
    except ValueError as error:
        raise RefusedError(f"hooks is no URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise RefusedError("hooks must be an absolute http or https URL")
    return text.rstrip("/")


def _as_json(transaction: Transaction) -> dict[str, Any]:
    return {
        **asdict(transaction),
        "created": transaction.created.isoformat(),
        "last_modified": transaction.last_modified.isoformat(),
    }
