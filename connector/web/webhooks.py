"""The public webhook listener: an HTTP request becomes a request of the model, is received and answered.

Nothing here is specific to one provider. `POST /hooks/{provider}/{endpoint}`, and the same with a secret after it.
Doubled slashes and one at the end do not matter; capitals do. Every answer is 2xx, 4xx or 503: a provider repeats a 500
for days, and an error page could show internal data.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from http import HTTPStatus
from ipaddress import ip_network
from urllib.parse import unquote

from aiohttp import ClientConnectionError, ClientPayloadError, hdrs, web
from msgspec.structs import replace

from connector.model.errors import HttpRejected
from connector.model.http import HttpRequest, HttpResponse
from connector.ports import WebhookEndpoint
from connector.telemetry.error_location import place
from connector.telemetry.log_events import Emit, RequestRejected, WorkerFailed
from connector.web.body_coding import ACCEPTED, body_coding, decompress
from connector.web.body_places import BodyPlaces
from connector.web.proxies import caller, is_shared, public_base

BODY_TIME = 10.0  # seconds for a body to arrive; aiohttp itself would wait for ever
BODY_LIMIT = 64 * 1024  # bytes; what providers send is below 4 KiB
QUERY_LIMIT = 64 * 1024  # bytes; a form may come as a query, and a web form has long fields
# Bytes of an address with its path, for the listener. They are held before authentication, and the headers may be 128
# times 8 KiB.
MAX_LINE = QUERY_LIMIT + 1024
IN_FLIGHT = 256
COME_AGAIN = "30"  # seconds, in Retry-After
# RFC 9110, 15.5.2: a 401 names a way to authenticate. It is the same for every endpoint, so that it reveals nothing.
CHALLENGE = 'Basic realm="hooks", charset="UTF-8"'

Receive = Callable[[WebhookEndpoint, HttpRequest], Awaitable[HttpResponse]]


class WebhookHandler:
    """The handler of the public listener."""

    def __init__(
        self,
        endpoints: Iterable[WebhookEndpoint],
        receive: Receive,
        *,
        emit: Emit,
        now: Callable[[], datetime],
        public_url: str | None = None,
        trusted_proxies: Sequence[str] = (),
        body_limit: int = BODY_LIMIT,
        body_time: float = BODY_TIME,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self._endpoints = {f"{endpoint.provider}/{endpoint.name}": endpoint for endpoint in endpoints}
        self._receive = receive
        self._emit = emit
        self._now = now
        self._base = public_base(public_url) if public_url else ""
        self.trusted = [ip_network(text, strict=False) for text in trusted_proxies]
        self._body_limit = body_limit
        self._body_time = body_time
        self._in_flight = in_flight
        self._received = 0  # requests in `receive`
        self._places = BodyPlaces(in_flight)

    def use_listener_address(self, base: str) -> None:
        """The listener's address, used if the config names no public address. It never comes from a caller's Host header."""
        self._base = self._base or public_base(base)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. It raises nothing except cancellation."""
        target = origin_form(request.raw_path)
        path, _, query = target.partition("?")
        parts = path.split("/", 5)
        endpoint = self._endpoint_at(parts)
        if endpoint is None:
            parts = without_empty_segments(path).split("/", 5)
            endpoint = self._endpoint_at(parts)
        if endpoint is None:
            return self._reject(request, None, HttpRejected(404, "no such endpoint"))
        try:
            answer = await self._answer(request, endpoint, target, query, parts[4] if parts[4:] else None)
        except HttpRejected as refused:
            return self._reject(request, endpoint, refused)
        except Exception as error:  # noqa: BLE001 - our bug is not the caller's fault: it is asked to try again.
            self._emit(
                WorkerFailed(worker=f"hooks {endpoint.provider}/{endpoint.name}", error=place(error), seconds=0.0)
            )
            return self._reject(request, endpoint, HttpRejected(503, "bug"))
        return _response(answer)

    @property
    def bodies_awaited(self) -> int:
        """How many callbacks there are whose body has not arrived yet."""
        return self._places.taken_count

    def not_http(self, status: int, why: str) -> None:
        """Report what the HTTP parser has refused: `why` is a short constant, and the caller's bytes are never repeated."""
        self._emit(RequestRejected(provider="", endpoint="", status=status, why=why))

    def _endpoint_at(self, parts: Sequence[str]) -> WebhookEndpoint | None:
        if not 4 <= len(parts) <= 5 or parts[0] or parts[1] != "hooks":  # noqa: PLR2004 - with a secret or without.
            return None
        return self._endpoints.get(f"{parts[2]}/{parts[3]}")

    async def _answer(
        self, request: web.BaseRequest, endpoint: WebhookEndpoint, target: str, query: str, secret: str | None
    ) -> HttpResponse:
        if request.method not in endpoint.methods:
            raise HttpRejected(405, "wrong method")
        if len(query) > QUERY_LIMIT:
            raise HttpRejected(414, "query too long")
        headers = {name.lower(): value for name, value in request.headers.items()}
        if len(headers) != len(request.headers):
            headers = {name: ", ".join(request.headers.getall(name)) for name in headers}
        coding = body_coding(headers["content-encoding"]) if "content-encoding" in headers else None
        peer = request.remote or ""
        if self.trusted:
            peer = caller(peer, request.headers.getall(hdrs.X_FORWARDED_FOR, ()), self.trusted)
        if secret and "%" in secret:
            secret = unquote(secret)
        # Nearly always the complete body has come with the headers, and there is nothing to wait for.
        come = coding is None and request.content.is_eof()
        asked = HttpRequest(
            method=request.method,
            instance=endpoint.provider,
            endpoint=endpoint.name,
            secret=secret,
            url=self._base + target,
            query=query,
            headers=headers,
            body=request.content.read_nowait() if come else b"",
            peer=peer,
            received_at=self._now(),
        )
        if not come:
            body = await self._wait_for_body(request, endpoint, asked, coding)
            asked = replace(asked, body=body, received_at=self._now())
        elif len(asked.body) > self._body_limit:
            raise HttpRejected(413, "body too large")
        if self._received >= self._in_flight:
            raise HttpRejected(503, "too many at once")
        self._received += 1
        try:
            return await self._receive(endpoint, asked)
        finally:
            self._received -= 1

    async def _wait_for_body(
        self, request: web.BaseRequest, endpoint: WebhookEndpoint, head: HttpRequest, coding: str | None
    ) -> bytes:
        """The body of a request that its head does not reject."""
        if endpoint.check_head(head):
            place = self._places.authenticated()
        else:
            place = self._places.unauthenticated(None if is_shared(head.peer, self.trusted) else head.peer)
        with place:
            body = await self._body(request)
        return body if coding is None else decompress(body, coding, self._body_limit)

    async def _body(self, request: web.BaseRequest) -> bytes:
        if (request.content_length or 0) > self._body_limit:
            raise HttpRejected(413, "body too large")
        try:
            async with asyncio.timeout(self._body_time):
                await _invite(request)
                return await self._read(request)
        except TimeoutError:
            raise HttpRejected(408, "body too slow") from None
        except (web.RequestPayloadError, ClientPayloadError, ClientConnectionError, ConnectionError):
            raise HttpRejected(400, "broken body") from None

    async def _read(self, request: web.BaseRequest) -> bytes:
        body = bytearray()
        async for part in request.content.iter_any():
            body += part
            if len(body) > self._body_limit:
                raise HttpRejected(413, "body too large")
        return bytes(body)

    def _reject(
        self, request: web.BaseRequest, endpoint: WebhookEndpoint | None, refused: HttpRejected
    ) -> web.Response:
        provider, name = (endpoint.provider, endpoint.name) if endpoint else ("", "")
        self._emit(RequestRejected(provider=provider, endpoint=name, status=refused.status, why=refused.why))
        response = _response(HttpResponse(status=refused.status))
        if refused.status == HTTPStatus.METHOD_NOT_ALLOWED and endpoint:
            response.headers[hdrs.ALLOW] = ", ".join(sorted(endpoint.methods))
        if refused.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            response.headers[hdrs.ACCEPT_ENCODING] = ACCEPTED
        if not request.content.is_eof():
            # The rest of the body must not be taken for the next request. The listener reads it for a moment, and
            # closes.
            response.force_close()
        return response


async def _invite(request: web.BaseRequest) -> None:
    """A caller that asks first (`Expect: 100-continue`, as .NET's older clients do) is invited to send its body."""
    expected = request.headers.get(hdrs.EXPECT)
    if expected is None:
        return
    if expected.lower() != "100-continue":
        raise HttpRejected(417, "unknown expectation")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer itself has not begun


def _response(answer: HttpResponse) -> web.Response:
    headers = {hdrs.CONTENT_TYPE: answer.content_type, **answer.headers}
    if answer.status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault(hdrs.WWW_AUTHENTICATE, CHALLENGE)
    elif answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault(hdrs.RETRY_AFTER, COME_AGAIN)
    return web.Response(status=answer.status, body=answer.body, headers=headers)


SCHEMES = ("http://", "https://")


def origin_form(target: str) -> str:
    """The path and query of a request target. The absolute form is accepted too (RFC 9112, 3.2.2); its host is ignored."""
    if target.startswith("/"):
        return target
    for scheme in SCHEMES:
        if target[: len(scheme)].lower() == scheme:
            host, slash, path = target[len(scheme) :].partition("/")
            return slash + path if "?" not in host else target
    return target


def without_empty_segments(path: str) -> str:
    """The path without trailing and doubled slashes, which come from joining a base and a path."""
    return "/" + "/".join(segment for segment in path.split("/") if segment)
