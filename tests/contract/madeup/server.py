"""The made-up CRM on a socket: its API under /v1, and the control interface of tests under /_sandbox."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from aiohttp import web
from contract.madeup.faults import Fault, Faults
from contract.madeup.org import OUR_USER, PERSON, TABLES, Automation, Org, Refused, Row

SECRET = "sandbox"
LIMIT = 100_000  # calls a day
STATUSES = {"unavailable": 503, "server_error": 500, "limit_exceeded": 429, "concurrent_limit": 429, "html_401": 401}
LOCKED = web.RequestKey("locked", bool)  # some of the records of this request are locked
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """One org on a socket."""

    def __init__(self) -> None:
        self.org = Org()
        self.faults = Faults()
        self.tokens: set[str] = set()
        self.issued = 0
        self.calls: Counter[str] = Counter()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guarded], client_max_size=64 * 2**20)
        app.add_routes(
            [
                web.post("/v1/sign-in", self.sign_in),
                web.post("/v1/write", self.write),
                web.post("/v1/find", self.find),
                web.get("/v1/changes/{object}", self.changes),
                web.get("/v1/flagged/{object}", self.flagged),
                web.get("/v1/objects/{object}", self.describe),
                web.get("/_sandbox/records/{object}", self.records),
                web.post("/_sandbox/records/{object}", self.edit),
                web.post("/_sandbox/merge", self.merge),
                web.post("/_sandbox/delete", self.delete),
                web.post("/_sandbox/undelete", self.restore),
                web.get("/_sandbox/history", self.history),
                web.get("/_sandbox/stats", self.stats),
                web.get("/_sandbox/faults", self.shown_faults),
                web.post("/_sandbox/faults", self.add_fault),
                web.delete("/_sandbox/faults", self.clear_faults),
                web.post("/_sandbox/automation", self.automate),
                web.delete("/_sandbox/automation", self.no_automation),
                web.patch("/_sandbox/fields/{object}/{field}", self.define),
            ]
        )
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/v1/") or request.path == "/v1/sign-in":
            try:
                return await handler(request)
            except Refused as refused:
                return web.json_response({"error": refused.code}, status=400)
        self.calls["all"] += 1
        if request.headers.get("Authorization", "") not in self.tokens:
            return web.json_response({"code": "signed_out"}, status=401)
        fault = self.faults.strike(writes=request.path == "/v1/write", text=await request.read())
        if fault is None:
            return await handler(request)
        return await self._struck(fault, request, handler)

    async def _struck(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        match fault.fault:
            case "expired_session":
                self.tokens.clear()
                return web.json_response({"code": "signed_out"}, status=401)
            case "dropped_before" | "dropped":
                if fault.fault == "dropped":
                    await handler(request)
                request.transport.close()
                return web.Response()
            case "garbage":
                return web.Response(text="<html>welcome to our hotel</html>", content_type="text/html")
            case "bad_record":
                return web.json_response({"code": "spoiled", "message": "one record spoils this request"}, status=400)
            case "slow":
                await asyncio.sleep(fault.seconds)
            case "held_answer":
                answer = await handler(request)
                await fault.cleared.wait()
                return answer
            case "row_lock":
                request[LOCKED] = True
            case _:
                return web.json_response({"code": fault.fault}, status=STATUSES[fault.fault])
        return await handler(request)

    # The API.

    async def sign_in(self, request: web.Request) -> web.Response:
        if (await request.json())["secret"] != SECRET:
            return web.json_response({"code": "wrong_secret"}, status=403)
        self.issued += 1
        self.tokens.add(f"Bearer {self.issued}")
        return web.json_response({"token": str(self.issued), "user": OUR_USER})

    async def write(self, request: web.Request) -> web.Response:
        locked = request.get(LOCKED, False)
        results = []
        for number, one in enumerate((await request.json())["records"]):
            if locked and number % 3 == 0:
                results.append({"code": "locked", "message": "somebody else writes this record"})
                continue
            try:
                row, created = self.org.write(one["object"], one)
            except Refused as refused:
                results.append({"code": refused.code, "message": str(refused), "field": refused.field})
            else:
                results.append({"id": row.id, "created": created})
        return self._answer({"results": results})

    async def find(self, request: web.Request) -> web.Response:
        """The records with these ids or keys, in the order of the question; deleted ones too if asked by id for them."""
        body = await request.json()
        found: list[Row | None] = []
        for name, value in body["by"]:
            try:
                row = self.org.find(body["object"], name, value)
            except Refused:
                row = None
            found.append(self.org.rows.get(str(value)) if row is None and body.get("deleted") else row)
        if body.get("deleted"):
            kept = {one.id for one in found if one is not None}
            found += [one for one in self.org.rows.values() if one.merged_into in kept and one.id not in kept]
        return self._answer({"records": [one.shown() if one is not None else None for one in found]})

    async def changes(self, request: web.Request) -> web.Response:
        limit = int(request.query.get("limit", "2000"))
        rows = self.org.changes(request.match_info["object"], int(request.query["after"]), limit)
        return self._answer({"records": [one.shown() for one in rows]})

    async def flagged(self, request: web.Request) -> web.Response:
        """The latest records whose flag is set, of those that were changed after a place."""
        rows = self.org.changes(request.match_info["object"], int(request.query["after"]), 10**9)
        found = [one for one in rows if not one.deleted and one.values[request.query["flag"]] is True]
        return self._answer({"records": [one.shown() for one in reversed(found[-2000:])]})

    async def describe(self, request: web.Request) -> web.Response:
        table = TABLES.get(request.match_info["object"])
        if table is None:
            return web.json_response({"code": "no_object"}, status=404)
        return self._answer(
            {"fields": dict(table.fields), "keys": list(table.keys), "relations": dict(table.relations)}
        )

    def _answer(self, body: dict[str, Any]) -> web.Response:
        return web.json_response(body, headers={"X-Calls": f"{self.calls['all']}/{LIMIT}"})

    # What a test does and sees.

    async def records(self, request: web.Request) -> web.Response:
        rows = self.org.of(request.match_info["object"], deleted=True)
        return web.json_response({"records": [_stored(one) for one in sorted(rows, key=lambda one: one.id)]})

    async def edit(self, request: web.Request) -> web.Response:
        late, ids, before = self.faults.late(), [], []
        for record in (await request.json())["records"]:
            fields = {name: value for name, value in record.items() if name != "id"}
            if "id" in record:
                row = self.org.rows[record["id"]]
                before.append(_stored(row))
                self.org.change(row, fields, PERSON, late)
            else:
                row = self.org.add(request.match_info["object"], fields, PERSON, late)
            ids.append(row.id)
        return web.json_response({"ids": ids, "before": before})

    async def merge(self, request: web.Request) -> web.Response:
        body = await request.json()
        before = [_stored(self.org.rows[one]) for one in (body["winner"], *body["losers"])]
        self.org.merge(body["winner"], body["losers"], body["fields"])
        return web.json_response({"before": before})

    async def delete(self, request: web.Request) -> web.Response:
        self.org.delete((await request.json())["ids"])
        return web.json_response({})

    async def restore(self, request: web.Request) -> web.Response:
        self.org.restore((await request.json())["ids"])
        return web.json_response({})

    async def history(self, _: web.Request) -> web.Response:
        return web.json_response({"history": self.org.history})

    async def stats(self, _: web.Request) -> web.Response:
        return web.json_response({"api_calls": self.calls["all"]})

    async def shown_faults(self, _: web.Request) -> web.Response:
        shown = [{"fault": one.fault, "fired": one.fired, "times": one.times} for one in self.faults.all]
        return web.json_response({"faults": shown})

    async def add_fault(self, request: web.Request) -> web.Response:
        self.faults.all.append(Fault(**await request.json()))
        return web.json_response({})

    async def clear_faults(self, _: web.Request) -> web.Response:
        self.faults.clear()
        return web.json_response({})

    async def automate(self, request: web.Request) -> web.Response:
        body = await request.json()
        for name, fields in body["rewrite"].items():
            self.org.automation.append(Automation(name, fields, body.get("when", {}), body.get("of", "")))
        return web.json_response({})

    async def no_automation(self, _: web.Request) -> web.Response:
        self.org.automation.clear()
        return web.json_response({})

    async def define(self, request: web.Request) -> web.Response:
        """Sets how many decimals a field holds."""
        scale = Decimal(1).scaleb(-(await request.json())["scale"])
        self.org.scales[request.match_info["object"], request.match_info["field"]] = scale
        return web.json_response({})


def _stored(row: Row) -> dict[str, Any]:
    return {"id": row.id, **row.values, "changed_by": row.by, "deleted": row.deleted}
