"""A real listener with one endpoint."""

import asyncio
from datetime import UTC, datetime, timedelta

from connector.model.errors import HttpRejected
from connector.model.http import HttpResponse
from connector.web.accepting import SILENCE
from connector.web.connections import Connections
from connector.web.listener import KEEPALIVE, Listener
from connector.web.webhooks import MAX_LINE, WebhookHandler

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LINGER = timedelta()
POST = b"POST /hooks/strex/mo HTTP/1.1\r\nHost: x\r\n"


class WebhookEndpoint:
    provider = "strex"
    name = "mo"
    methods = frozenset({"POST"})

    def check_head(self, head):
        """A secret makes a known caller; a wrong one is refused, and without one a caller is a stranger."""
        if head.secret == "wrong":
            raise HttpRejected(401, "wrong path secret")
        return head.secret == "s"


class Listening:
    """A real listener with one endpoint, and the requests that it received."""

    def __init__(self):
        self.requests = []
        self.facts = []
        self.waiting = 0  # requests at the gate
        self.answer = HttpResponse(status=200, body=b"OK")
        self.gate = asyncio.Event()
        self.gate.set()
        self.inside = asyncio.Event()

    async def receive(self, endpoint, request):
        self.inside.set()
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def open(self, *, most=1000, of_one=1000, keepalive=KEEPALIVE, silence=SILENCE, **settings):
        self.hooks = WebhookHandler(
            [WebhookEndpoint()], self.receive, emit=self.facts.append, now=lambda: NOW, **settings
        )
        self.listener = Listener(
            self.hooks.handle,
            host="127.0.0.1",
            port=0,
            linger=LINGER,
            max_line=MAX_LINE,
            not_http=self.hooks.not_http,
            keepalive=keepalive,
            silence=silence,
            connections=Connections(
                most=most, of_one_address=of_one, emit=self.facts.append, monotonic=asyncio.get_running_loop().time
            ),
        )
        self.base = await self.listener.start()
        self.hooks.use_listener_address(self.base)
        self.port = int(self.base.rsplit(":", 1)[1])
        return self

    def limit(self, most):
        """Take so many connections from now on."""
        self.listener._connections.most = most

    async def raw(self, data, *, end=False):
        """The status of the answer to these bytes; None where the connection was closed without one."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            if end:
                writer.write_eof()
            async with asyncio.timeout(30):
                line = await reader.readline()
            return int(line.split()[1]) if line else None
        finally:
            writer.close()


async def until(condition):
    """Let the listener go on until the condition holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the listener has no event that tells of it.
            await asyncio.sleep(0)
