"""The one HTTP client: sends calls, signs in if a peer requires it, and repeats within seconds what is safe to repeat."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from io import BytesIO
from ssl import SSLCertVerificationError, SSLError
from types import TracebackType
from typing import Protocol, Self, TypeVar

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from connector.config.secrets import SecretMissing
from connector.delivery.public_addresses import NotPublic, public_socket
from connector.delivery.response_body import ACCEPTED, AnswerBody, BodyRefused
from connector.model.errors import ConnectorError, PeerMoved, PeerUnavailable
from connector.model.http import Failure, HttpCall, HttpError, HttpReply

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]  # seconds

TIMEOUT = timedelta(seconds=60)  # 200 records with the triggers of a nonprofit package take tens of seconds
CONNECT_TIMEOUT = 5.0  # seconds
ANSWER_LIMIT = 32 * 2**20  # bytes of an answer, decompressed: a page of 2,000 wide records is a tenth of it
LARGE = 4 * 2**20  # bytes; answers larger than this are read one at a time
CHUNK = 64 * 2**10  # bytes that are read at once
HEADER_LENGTH = 16 * 2**10  # bytes of the status line or of one header; there may be 128 headers
UNAUTHORIZED = 401
# What a new sign-in may fix: an expired session, and an address that the peer has left (the sign-in names the new one).
RENEWING = frozenset({UNAUTHORIZED, 301, 302, 307, 308})
TRIES = 3  # of a call that is safe to repeat; longer waits belong to the outbox
ERROR_TEXTS: Mapping[type[BaseException], str] = {
    aiohttp.ServerDisconnectedError: "the connection was closed without an answer",
    aiohttp.ClientPayloadError: "the connection was closed in the middle of the answer",
    aiohttp.InvalidURL: "the address in the config is not a URL",
}


class Credentials(Protocol):
    """The address of a peer, and the credentials for it."""

    async def authorization(self) -> tuple[str, Mapping[str, str]]:
        """The base address and the headers to add; raises ConnectorError if signing in fails."""

    async def refresh(self, stale: Mapping[str, str]) -> None:
        """The peer has refused these headers: sign in again, unless that has been done since."""


def safe_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers. Raises SecretMissing for one that HTTP cannot carry."""
    for name, value in headers.items():
        if {"\r", "\n", "\0"} & set(value):
            raise SecretMissing(f"the header {name} holds a line break: write the secret it is made of on one line")
    return dict(headers)


class FixedCredentials:
    """A base address, and headers that never change. Raises SecretMissing for a header that HTTP cannot carry."""

    def __init__(self, base: str, headers: Mapping[str, str] | None = None) -> None:
        self._base = base.rstrip("/")
        self._headers = safe_headers(headers or {})

    async def authorization(self) -> tuple[str, Mapping[str, str]]:
        """The given address and headers."""
        return self._base, self._headers

    async def refresh(self, stale: Mapping[str, str]) -> None:
        """Nothing can be renewed: the caller keeps the 401."""


class Client:
    """Calls one peer: a remote system with its own address and credentials."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        credentials: Credentials,
        *,
        parallel: int = 8,
        sleep: Sleep = asyncio.sleep,
        on_end: Callable[[HttpReply | HttpError], None] = lambda _: None,
        answer_limit: int = ANSWER_LIMIT,
        large: asyncio.Lock | None = None,
    ) -> None:
        """`on_end` is called with the result of every call that has ended; `answer_limit` is in bytes, decompressed.

        `large` is held while a large answer is read.
        """
        self._session = session
        self._on_end = on_end
        self._credentials = credentials
        self._free = asyncio.Semaphore(parallel)
        self._answer_limit = answer_limit
        self._large = large or asyncio.Lock()
        self._sleep = sleep
        self.calls = 0  # sent since the start, for the metrics
        self._longest = 0.0  # seconds

    async def call(self, call: HttpCall) -> HttpReply:
        """Send one call. Raises HttpError if it got no reply."""
        async with self._free:
            if call.base is not None:
                return await self._send_with_retries(call, call.base, {})
            try:
                base, headers = await _sign_in(self._credentials.authorization())
                reply = await self._send_with_retries(call, base, headers)
                if reply.status in RENEWING:
                    await _sign_in(self._credentials.refresh(headers))
                    new_base, renewed = await _sign_in(self._credentials.authorization())
                    if renewed != headers and (reply.status == UNAUTHORIZED or new_base != base):
                        reply = await self._send_with_retries(call, new_base, renewed)
            except PeerUnavailable as error:
                raise HttpError(Failure.REFUSED, str(error)) from error
            except PeerMoved as error:
                raise HttpError(Failure.MOVED, str(error)) from error
            except ConnectorError as error:
                raise HttpError(Failure.CREDENTIALS, str(error)) from error
            return reply

    async def call_all(self, calls: Sequence[HttpCall]) -> Sequence[HttpReply | HttpError]:
        """Send several calls at the same time; their results are in the same order. All calls have ended by then."""
        if len(calls) == 1:
            return [await self._reply_or_error(calls[0])]
        # An error in one call is raised after all have ended, so that none is still under way during the next batch.
        results: list[HttpReply | HttpError] = []
        for result in await asyncio.gather(*(self._reply_or_error(call) for call in calls), return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, HttpError):
                raise result
            results.append(result)
        return results

    async def _reply_or_error(self, call: HttpCall) -> HttpReply | HttpError:
        try:
            return await self.call(call)
        except HttpError as error:
            return error

    def longest(self) -> timedelta:
        """Duration of the longest call that changes something, since the last call of this method."""
        longest, self._longest = self._longest, 0.0
        return timedelta(seconds=longest)

    async def _send_with_retries(self, call: HttpCall, base: str, headers: Mapping[str, str]) -> HttpReply:
        if not call.repeatable:
            return await self._send(call, base, headers)
        repeat = AsyncRetrying(
            retry=retry_if_exception(_worth_repeating),
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential_jitter(multiplier=0.1, max=2),
            sleep=self._sleep,
            reraise=True,
        )
        return await repeat(self._send, call, base, headers)

    async def _send(self, call: HttpCall, base: str, headers: Mapping[str, str]) -> HttpReply:
        if self._session.closed:
            raise HttpError(Failure.REFUSED, "the connector is stopping")
        self.calls += 1
        began = time.monotonic()
        result = await self._receive(call, base, headers)
        if not call.repeatable:
            self._longest = max(self._longest, time.monotonic() - began)
        self._on_end(result)
        if isinstance(result, HttpError):
            raise result
        return result

    async def _receive(self, call: HttpCall, base: str, headers: Mapping[str, str]) -> HttpReply | HttpError:
        """The reply. An error is not raised here: its traceback would keep the received part of a too large answer."""
        seconds = (call.timeout or TIMEOUT).total_seconds()
        try:
            async with self._session.request(
                call.method,
                base + call.path,
                # From a file: aiohttp warns of bytes beyond 1 MiB, and a thousand records may be that large.
                data=None if call.body is None else BytesIO(call.body),
                headers={"Accept-Encoding": ACCEPTED, **call.headers, **headers},
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_TIMEOUT),
                allow_redirects=False,
            ) as response:
                return HttpReply(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=await self._body(call, response),
                )
        except BodyRefused as error:
            return HttpError(Failure.UNREADABLE, str(error))
        except aiohttp.ConnectionTimeoutError:
            return HttpError(Failure.REFUSED, f"no connection within {CONNECT_TIMEOUT:.0f} seconds")
        except TimeoutError:
            return HttpError(Failure.TIMEOUT, f"no whole answer within {seconds:g} seconds")
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
            if isinstance(getattr(error, "os_error", None), NotPublic):
                return HttpError(Failure.NOT_PUBLIC, "the address is private or local")
            return HttpError(Failure.REFUSED, _describe_error(error))
        except aiohttp.ClientResponseError:
            return HttpError(Failure.UNREADABLE, "the answer is not HTTP, or its headers are too large")
        except (aiohttp.ClientError, OSError) as error:
            lost = error.args[0] if isinstance(error, _ConnectionLost) else error
            return HttpError(Failure.LOST, _describe_error(lost))

    async def _body(self, call: HttpCall, response: aiohttp.ClientResponse) -> bytes:
        """The body, decompressed. Raises BodyRefused; then the connection is closed and not used again."""
        limit = self._answer_limit if call.answer_limit is None else call.answer_limit
        async with AsyncExitStack() as one_at_a_time:
            try:
                body = AnswerBody(response.headers.get("Content-Encoding", ""), limit, counted=not call.table)
                async for piece in response.content.iter_chunked(CHUNK):
                    before = body.size
                    body.feed(piece)
                    if before <= LARGE < body.size:
                        # One at a time, so that memory never holds several answers that are too large.
                        await one_at_a_time.enter_async_context(self._large)
                return body.complete()
            except BodyRefused:
                response.close()
                raise


class _ConnectionLost(aiohttp.ClientError):
    """A connection was lost; its argument is aiohttp's own error."""


async def _no_resend(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from resending a GET, PUT or DELETE after a lost connection: only `repeatable` decides that."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ConnectionLost(error) from error


async def _sign_in(step: Awaitable[T]) -> T:
    """Sign in. A bug counts as a failed sign-in, so that operations are retried and none becomes a dead letter."""
    try:
        return await step
    except ConnectorError:
        raise
    except Exception as error:
        raise ConnectorError(f"signing in ended with {type(error).__name__}: please report this bug") from error


def _worth_repeating(error: BaseException) -> bool:
    return isinstance(error, HttpError) and error.failure in {Failure.REFUSED, Failure.LOST}


def _describe_error(error: BaseException) -> str:
    """What failed, in our own words, because an error's text may contain the address with its query."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the host name cannot be resolved (DNS: {_system_error(error)})"
        case aiohttp.ClientConnectorCertificateError():
            cause = error.certificate_error
            why = cause.verify_message if isinstance(cause, SSLCertVerificationError) else "it does not fit"
            return f"its TLS certificate is not trusted ({why})"
        case aiohttp.ClientConnectorSSLError():
            cause = error.os_error
            why = cause.reason if isinstance(cause, SSLError) and cause.reason else "handshake failed"
            return f"TLS failed ({why})"
        case aiohttp.ClientConnectorError():
            return f"no connection ({_system_error(error)})"
        case aiohttp.ClientOSError() | OSError():
            return f"the connection was lost ({_system_error(error)})"
        case _:
            return next((text for kind, text in ERROR_TEXTS.items() if isinstance(error, kind)), type(error).__name__)


def _system_error(error: BaseException) -> str:
    """The system's text for an error. If several addresses were tried, none is named."""
    cause = getattr(error, "os_error", error)
    number = getattr(cause, "errno", None)
    if isinstance(cause, socket.gaierror):
        return str(cause.strerror or "not known")
    return os.strerror(number).lower() if isinstance(number, int) and number > 0 else type(cause).__name__


class Transport:
    """The connections of the application; every Client is made from it."""

    def __init__(self, *, sleep: Sleep = asyncio.sleep, answer_limit: int = ANSWER_LIMIT) -> None:
        self._sleep = sleep
        self._answer_limit = answer_limit
        self._large = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._public: aiohttp.ClientSession | None = None  # reaches only public addresses

    async def __aenter__(self) -> Self:
        self._session = _session(aiohttp.TCPConnector(limit=32))
        self._public = _session(aiohttp.TCPConnector(limit=32, socket_factory=public_socket))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in (self._session, self._public):
            if session is not None:
                await session.close()

    def client(
        self,
        credentials: Credentials,
        *,
        parallel: int = 8,
        on_end: Callable[[HttpReply | HttpError], None] = lambda _: None,
        only_public: bool = False,
    ) -> Client:
        """A client for one peer. `on_end` is called with the result of every call that has ended.

        `only_public`: it calls no private or local address, whatever a name resolves to.
        """
        session = self._public if only_public else self._session
        assert session is not None, "the transport is used inside its `async with`"  # noqa: S101
        return Client(
            session,
            credentials,
            parallel=parallel,
            sleep=self._sleep,
            on_end=on_end,
            answer_limit=self._answer_limit,
            large=self._large,
        )


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        trust_env=False,  # proxies of the environment are not used: a donor's data is sent only where the config says
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_no_resend,),
        auto_decompress=False,
        max_line_size=HEADER_LENGTH,
        max_field_size=HEADER_LENGTH,
    )
