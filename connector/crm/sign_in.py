"""Signing in to a CRM: one shared token and one sign-in at a time, whichever CRM it is."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

import requests
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter
from urllib3.exceptions import HTTPError

from connector.delivery.response_body import AnswerBody, BodyRefused
from connector.model.errors import ConnectorError, PeerUnavailable

T = TypeVar("T")

TRIES = 3  # attempts to reach the sign-in service; longer outages are left to the outbox
# How many seconds a failure is reused before the next attempt: CRMs count sign-ins, and may lock the user out.
FIRST_PAUSE = 2.0
MAX_PAUSE = 30.0  # half of a sink's pause, so that its probe never gets an old failure


class SignInFailed(ConnectorError):  # noqa: N818 - named after the state that it reports.
    """The CRM rejects the sign-in; the message says what to do."""


class SignInUnavailable(SignInFailed, PeerUnavailable):
    """The token service is unreachable or out of order; the credentials are not the problem."""


class SharedToken(ABC, Generic[T]):
    """The headers that a sign-in gives. `clock` gives monotonic seconds; `sleep` waits between the attempts of one sign-in."""

    def __init__(self, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = asyncio.Lock()
        self._headers: Mapping[str, str] = {}
        self._failure: SignInFailed | None = None
        self._pause = 0.0
        self._not_before = 0.0
        self.logins = 0  # since the start, for the metrics

    @abstractmethod
    def _sign_in(self) -> T:
        """Sign in. It blocks, and therefore runs in a thread. Raises SignInFailed."""

    @abstractmethod
    def _use(self, token: T) -> str:
        """Keep what else the answer says; returns the access token."""

    async def refresh(self, stale: Mapping[str, str]) -> None:
        """The CRM has rejected these headers: sign in again, unless that has happened meanwhile. Raises SignInFailed."""
        async with self._lock:
            if self._headers != stale:
                return
            if self._failure is not None and self._clock() < self._not_before:
                raise type(self._failure)(str(self._failure))
            self._headers = {}
            try:
                token = await self._patiently()
            except SignInFailed as failure:
                self._pause = min(max(self._pause * 2, FIRST_PAUSE), MAX_PAUSE)
                self._not_before = self._clock() + self._pause
                self._failure = failure
                raise
            self._headers = {"Authorization": f"Bearer {self._use(token)}"}
            self._failure, self._pause = None, 0.0
            self.logins += 1

    async def _patiently(self) -> T:
        repeat = AsyncRetrying(
            retry=retry_if_exception_type(SignInUnavailable),
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential_jitter(multiplier=0.2, max=2),
            sleep=self._sleep,
            reraise=True,
        )
        return await repeat(asyncio.to_thread, self._sign_in)


def read_body(response: requests.Response, *, limit: int, seconds: float) -> bytes:
    """The body, at most `limit` bytes when decompressed.

    Raises requests.RequestException if it is too large, broken, or incomplete after so many seconds.
    """
    until = time.monotonic() + seconds
    try:
        body = AnswerBody(response.headers.get("Content-Encoding", ""), limit)
        for piece in response.raw.stream(2**16, decode_content=False):
            body.feed(piece)
            if time.monotonic() > until:
                raise requests.Timeout("the answer does not end")
        return body.complete()
    except BodyRefused as error:
        raise requests.exceptions.ContentDecodingError(str(error)) from error
    except HTTPError as error:
        raise requests.ConnectionError("the connection was lost in the middle of the answer") from error
