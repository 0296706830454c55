"""Sign-in: one shared token, one sign-in at a time, renewed before it expires. The only file in this folder that does I/O."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from connector.crm.dynamics.client.oauth import (
    AppCertificate,
    AppSecret,
    SignInFailed,
    SignInUnavailable,
    Token,
    sign_in,
)

TRIES = 3  # attempts to reach the sign-in service; longer outages are left to the outbox
FIRST_PAUSE = 2.0  # seconds for which a failure is reused: Microsoft counts sign-ins
MAX_PAUSE = 30.0  # half of a sink's pause, so that its probe never gets an old failure
MARGIN = 300.0  # seconds before a token's end at which it is renewed; a short token is used for half of its life


class DynamicsCredentials:
    """The address of an org and its access token.

    `clock` gives monotonic seconds; `wall` seconds since 1970; `sleep` waits between the attempts of one sign-in.
    """

    def __init__(
        self,
        url: str,
        app: AppSecret | AppCertificate,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = url
        self._app = app
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._lock = asyncio.Lock()
        self._headers: Mapping[str, str] = {}
        self._renew_at = 0.0
        self._failure: SignInFailed | None = None
        self._pause = 0.0
        self._not_before = 0.0
        self.logins = 0  # since the start, for the metrics

    async def authorization(self) -> tuple[str, Mapping[str, str]]:
        """The base address and the headers to add; signs in if needed. Raises SignInFailed."""
        if not self._headers or self._clock() >= self._renew_at:
            await self._renew(self._headers)
        return self._url, self._headers

    async def refresh(self, stale: Mapping[str, str]) -> None:
        """Dataverse has rejected these headers: sign in again, unless that has happened meanwhile. Raises SignInFailed."""
        await self._renew(stale)

    async def _renew(self, stale: Mapping[str, str]) -> None:
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
            self._renew_at = self._clock() + max(token.seconds - MARGIN, token.seconds / 2)
            self._headers = {"Authorization": f"Bearer {token.text.get_secret_value()}"}
            self._failure, self._pause = None, 0.0
            self.logins += 1

    async def _patiently(self) -> Token:
        repeat = AsyncRetrying(
            retry=retry_if_exception_type(SignInUnavailable),
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential_jitter(multiplier=0.2, max=2),
            sleep=self._sleep,
            reraise=True,
        )
        return await repeat(asyncio.to_thread, sign_in, self._url, self._app, self._wall())
