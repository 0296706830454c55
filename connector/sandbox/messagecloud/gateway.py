"""MessageCloud's one-click interface: windows, their status, and further charges, as in the document's tables and examples.

Source: "Strex Norway with One-click Subscriptions".
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiohttp import web

from connector.sandbox.refused import RefusedError

STATUSES = (
    "DELIVERED", "REJECTED", "VALIDITY_EXPIRED", "INVALID_MSISDN", "NO_CREDIT", "FAILED", "UNKNOWN", "ACKNOWLEDGED",
)  # fmt: skip
ERRORS = {
    1: "Missing required parameters",
    2: "Authentication failed",
    3: "Error when communicating with Strex",
    4: "Shortcode or tariff is not available",
}
CALLS = {"new": "/no/one-click/new", "view": "/no/status/view", "send": "/no/dob/send"}


@dataclass(slots=True, kw_only=True)
class Transaction:
    """A window or a charge."""

    transaction_id: str
    service_id: str
    own_id: str | None
    price: int
    short_number: str
    created: datetime
    last_modified: datetime
    recipient: str | None = None
    status: str = "ACKNOWLEDGED"
    detail: str = ""
    charge: bool = False
    then: str | None = None
    asks: int = 0


@dataclass(slots=True, kw_only=True)
class ScriptedError:
    """The error response to a call instead of the normal one: an error code, or only an HTTP status."""

    code: int | None
    http: int | None
    times: int


@dataclass(slots=True, kw_only=True)
class ChargeScript:
    """How the next charges go.

    Attributes:
        phone: only charges of this number; None for all.
        status: what Send DOB answers.
        then: the final status, which View Status gives after `asks` questions; None: `status` is final.
        lost: the connection is closed without an answer, `before` or `after` the charge is carried out.
        delay: seconds before the answer.
        times: how many charges.
    """

    phone: str | None
    status: str
    then: str | None
    asks: int
    lost: str | None
    delay: float
    times: int


@dataclass(slots=True)
class Gateway:
    """The interface and its history.

    Attributes:
        as_numbers: shortNumber and recipient are integers, as in the document's tables, and not strings, as in its examples.
        table_names: the response names its window as in the document's table, and not as in its example.
        scripts: how the next charges go.
        taken: the books: every charge that really took money, by windows or by Send DOB.
    """

    campaign_name: str
    api_key: str
    price: int
    short_number: str
    clock: Callable[[], float]
    as_numbers: bool = False
    table_names: bool = False
    transactions: dict[str, Transaction] = field(default_factory=dict)
    scripted_errors: dict[str, list[ScriptedError]] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    scripts: list[ChargeScript] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [
            web.get(CALLS["new"], self._new),
            web.get(CALLS["view"], self._view),
            web.get(CALLS["send"], self._send),
            web.get("/service", self._window),
        ]

    def find(self, transaction_id: str) -> Transaction:
        """A transaction; RefusedError if there is no such one."""
        if transaction_id not in self.transactions:
            raise RefusedError(f"there is no transaction {transaction_id!r}")
        return self.transactions[transaction_id]

    def set_status(self, transaction: Transaction, status: str, detail: str) -> None:
        """Set the status of a transaction; RefusedError if the document does not define it."""
        if status not in STATUSES:
            raise RefusedError(f"status must be one of {', '.join(STATUSES)}")
        if status == "DELIVERED" != transaction.status:
            self.taken.append(
                {
                    "transaction_id": transaction.transaction_id,
                    "service_id": transaction.service_id,
                    "recipient": transaction.recipient,
                    "price": transaction.price,
                    "charge": transaction.charge,
                    "created": transaction.created.isoformat(),
                }
            )
        transaction.status, transaction.detail, transaction.last_modified = status, detail, self.now()

    def now(self) -> datetime:
        """The current time in whole seconds, as in the examples."""
        return datetime.fromtimestamp(int(self.clock()), UTC)

    async def _new(self, request: web.Request) -> web.Response:
        if (bad := self._refusal(request, "new")) is not None:
            return bad
        transaction = self._make(request.query["service_id"], request.query.get("id"))
        window = f"{request.url.origin()}/service?id={transaction.transaction_id}"
        if self.table_names:
            data = {"transaction_id": transaction.transaction_id, "window_url": window}
        else:
            data = {"transactionId": transaction.transaction_id, "windowUrl": window}
        # In the document's example the request's id is equal to the transaction's.
        return _envelope(0, "Success", data, request_id=transaction.transaction_id)

    async def _view(self, request: web.Request) -> web.Response:
        if (bad := self._refusal(request, "view", "transaction_id")) is not None:
            return bad
        transaction = self.transactions.get(request.query["transaction_id"])
        if transaction is None or transaction.service_id != request.query["service_id"]:
            return _envelope(1, "Transaction not found", {})
        if transaction.then is not None:
            transaction.asks -= 1
            if transaction.asks <= 0:
                self.set_status(transaction, transaction.then, "Final")
                transaction.then = None
        return _envelope(0, "Success", self._api_json(transaction))

    async def _send(self, request: web.Request) -> web.Response:
        if (bad := self._refusal(request, "send", "tariff", "shortcode", "to")) is not None:
            return bad
        tariff, short_number = request.query["tariff"], request.query["shortcode"]
        if not tariff.isdigit() or not short_number.isdigit():
            return _envelope(1, "tariff and shortcode must be integers", {})
        if short_number != self.short_number:
            return _envelope(4, ERRORS[4], {})
        script = self._script(request.query["to"])
        if script.lost == "before":
            return _hang_up(request)
        transaction = self._make(request.query["service_id"], None)
        transaction.charge, transaction.price, transaction.recipient = True, int(tariff), request.query["to"]
        self.set_status(transaction, script.status, "Delivered" if script.status == "DELIVERED" else script.status)
        transaction.then, transaction.asks = script.then, script.asks
        await asyncio.sleep(script.delay)
        if script.lost == "after":
            return _hang_up(request)
        return _envelope(0, "Success", self._api_json(transaction))

    def _script(self, phone: str) -> ChargeScript:
        """How this charge goes: by the first script for it, else it is taken at once."""
        for script in self.scripts:
            if script.phone in {None, phone}:
                script.times -= 1
                if not script.times:
                    self.scripts.remove(script)
                return script
        return ChargeScript(phone=None, status="DELIVERED", then=None, asks=0, lost=None, delay=0, times=1)

    async def _window(self, request: web.Request) -> web.Response:
        return web.Response(text=f"The window of {self.find(request.query.get('id', '')).transaction_id}")

    def _make(self, service_id: str, own_id: str | None) -> Transaction:
        now = self.now()
        made = Transaction(
            transaction_id=str(uuid4()),
            service_id=service_id,
            own_id=own_id,
            price=self.price,
            short_number=self.short_number,
            created=now,
            last_modified=now,
        )
        self.transactions[made.transaction_id] = made
        return made

    def _api_json(self, transaction: Transaction) -> dict[str, Any]:
        kind = int if self.as_numbers else str
        return {
            "price": transaction.price,
            "shortNumber": kind(transaction.short_number),
            "recipient": kind(transaction.recipient) if transaction.recipient else None,
            "transactionId": transaction.transaction_id,
            "statusCode": transaction.status,
            "detailedStatusCode": transaction.detail,
            "created": transaction.created.isoformat(),
            "lastModified": transaction.last_modified.isoformat(),
        }

    def _refusal(self, request: web.Request, call: str, *needed: str) -> web.Response | None:
        query = request.query
        shown = {name: value for name, value in query.items() if name != "api_key"}
        self.calls.append({"call": call, "query": shown})
        waiting = self.scripted_errors.get(call, [])
        if waiting:
            waiting[0].times -= 1
            bad = waiting[0] if waiting[0].times else waiting.pop(0)
            if bad.http is not None:
                return web.Response(status=bad.http, text="<html>an error page</html>", content_type="text/html")
            return _envelope(bad.code or 0, ERRORS.get(bad.code or 0, "An error that is not documented"), {})
        if any(not query.get(name) for name in ("campaign_name", "api_key", "service_id", *needed)):
            return _envelope(1, ERRORS[1], {})
        if (query["campaign_name"], query["api_key"]) != (self.campaign_name, self.api_key):
            return _envelope(2, ERRORS[2], {})
        return None


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection: the caller gets no answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _envelope(code: int, message: str, data: dict[str, Any], *, request_id: str | None = None) -> web.Response:
    return web.json_response(
        {
            "requestId": request_id or str(uuid4()),
            "status": code == 0,
            "code": code,
            "message": message,
            "data": data,
        }
    )
