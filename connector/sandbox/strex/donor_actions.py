"""The control interface under /_sandbox/ that plays subscribers: texts, sign-ups, charges, any report."""

import json

from aiohttp import web

from connector.sandbox.refused import RefusedError
from connector.sandbox.strex.body import Body, read_json
from connector.sandbox.strex.envelopes import LONE_SURROGATES, Draft, status_of
from connector.sandbox.strex.forwarder import Forwarder
from connector.sandbox.strex.keywords import SHORT_NUMBER
from connector.sandbox.strex.schedule import Kind
from connector.sandbox.strex.service import Service

SALESFORCE_ACTION = "SfMcSMS"


class DonorActions:
    """The control endpoints that play subscribers; each returns {"forwards": [numbers]}."""

    def __init__(self, service: Service, forwarder: Forwarder) -> None:
        self._service = service
        self._forwarder = forwarder

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [
            web.post("/_sandbox/phone", self._phone),
            web.post("/_sandbox/signup", self._sign_up),
            web.post("/_sandbox/charge", self._charge),
            web.post("/_sandbox/action", self._action),
            web.post("/_sandbox/emit", self._emit),
        ]

    async def _phone(self, request: web.Request) -> web.Response:
        body = Body.of(await read_json(request)).refuse_other_fields("from", "to", "text")
        return self._send(
            self._service.text(
                phone=body.text("from"), short_number=body.text("to", SHORT_NUMBER), text=body.text("text")
            )
        )

    async def _sign_up(self, request: web.Request) -> web.Response:
        body = Body.of(await read_json(request)).refuse_other_fields("phone", "short_number", "keyword", "price")
        keyword = self._service.keyword(body.text("keyword"), body.text("short_number", SHORT_NUMBER))
        return self._send(self._service.sign_up(phone=body.text("phone"), keyword=keyword, price=body.number("price")))

    async def _charge(self, request: web.Request) -> web.Response:
        body = Body.of(await read_json(request)).refuse_other_fields(
            "phone", "short_number", "keyword", "status", "detail", "price", "transaction_id"
        )
        return self._send(
            self._service.charge(
                phone=body.text("phone"),
                keyword=self._service.keyword(body.text("keyword"), body.text("short_number", SHORT_NUMBER)),
                status=status_of(body.text("status", "Ok"), body.optional_text("detail")),
                price=body.number("price"),
                transaction_id=body.optional_text("transaction_id"),
            )
        )

    async def _action(self, request: web.Request) -> web.Response:
        body = Body.of(await read_json(request)).refuse_other_fields(
            "action", "phone", "short_number", "keyword", "status", "detail", "price", "transaction_id", "properties"
        )
        action = body.text("action")
        # An SMS from Salesforce has no keyword; every other action belongs to a service.
        name = None if action == SALESFORCE_ACTION else body.text("keyword")
        return self._send(
            self._service.report_action(
                action=action,
                phone=body.text("phone"),
                keyword=None if name is None else self._service.keyword(name, body.text("short_number", SHORT_NUMBER)),
                status=status_of(body.text("status", "Ok"), body.optional_text("detail")),
                price=body.number("price"),
                transaction_id=body.optional_text("transaction_id"),
                properties=body.mapping("properties"),
            )
        )

    async def _emit(self, request: web.Request) -> web.Response:
        """Forward any JSON (`body`) or any text (`raw`) unchanged."""
        body = Body.of(await read_json(request)).refuse_other_fields("kind", "body", "raw")
        if ("body" in body.fields) == ("raw" in body.fields):
            raise RefusedError('give either "body", any JSON, or "raw", any text')
        try:
            kind = Kind(body.text("kind"))
        except ValueError:
            raise RefusedError(f"kind must be one of {', '.join(Kind)}") from None
        given = body.fields.get("body")
        raw = body.text("raw") if "raw" in body.fields else json.dumps(given, ensure_ascii=False)
        phone = given.get("sender" if kind is Kind.MESSAGE else "recipient") if isinstance(given, dict) else None
        return self._send(
            [
                Draft(
                    kind=kind,
                    phone=phone if isinstance(phone, str) else None,
                    body=given if "body" in body.fields else raw,
                    raw=raw.encode(errors=LONE_SURROGATES),
                )
            ]
        )

    def _send(self, drafts: list[Draft]) -> web.Response:
        return web.json_response({"forwards": self._forwarder.send(drafts)})
