"""A receiver of signed messages, for tests and the demo. It shares no code with the sink that it tests."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TOLERANCE = 300  # seconds that the timestamp of a message may differ from our clock


@dataclass
class Receiver:
    """Checks each message, keeps it, and answers as it was told to."""

    secret: str  # whsec_ and base64
    messages: list[dict[str, Any]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)  # for the next messages; then 204

    async def receive(self, request: web.Request) -> web.Response:
        """Take one message."""
        body = await request.read()
        answer: dict[str, Any] = self.answers.pop(0) if self.answers else {"status": 204}
        verified = _verified(self.secret, request.headers, body)
        self.messages.append(
            {
                "id": request.headers.get("webhook-id"),
                "verified": verified,
                "path": request.path_qs,
                "body": json.loads(body) if body else None,
                "answer": answer.get("status"),
            }
        )
        if answer.get("lost") and request.transport is not None:
            request.transport.abort()
        if not verified:
            return web.Response(status=401)
        headers: dict[str, str] = answer.get("headers", {})
        return web.Response(status=answer.get("status", 204), headers=headers)

    async def listing(self, _request: web.Request) -> web.Response:
        """The messages in the order of their arrival, repeats too."""
        return web.json_response({"messages": self.messages})

    async def answer(self, request: web.Request) -> web.Response:
        """Set the answers of the next messages: {"answers": [{"status": 500}, {"status": 302, "headers": {…}}, {"lost": true}]}."""
        self.answers = list((await request.json())["answers"])
        return web.json_response({"answers": len(self.answers)})


def _verified(secret: str, headers: Any, body: bytes) -> bool:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    wanted = base64.b64encode(hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)).decode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(one, f"v1,{wanted}") for one in given)


def build(secret: str) -> web.Application:
    """The receiver: any path takes messages; /_sandbox/messages lists them, and /_sandbox/answers sets the answers."""
    receiver = Receiver(secret)
    app = web.Application()
    app.add_routes(
        [
            web.get("/_sandbox/messages", receiver.listing),
            web.put("/_sandbox/answers", receiver.answer),
            web.post("/{path:.*}", receiver.receive),
        ]
    )
    return app
