"""Sign-in: one shared token, one sign-in at a time, renewed before it expires. The only file in this folder that does I/O."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from connector.crm.dynamics.client.oauth import (
    AppCertificate,
    AppSecret,
    Token,
    sign_in,
)
from connector.crm.sign_in import SharedToken

MARGIN = 300.0  # seconds before a token's end at which it is renewed; a short token is used for half of its life


class DynamicsCredentials(SharedToken[Token]):
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
        super().__init__(clock=clock, sleep=sleep)
        self._url = url
        self._app = app
        self._wall = wall
        self._renew_at = 0.0

    async def authorization(self) -> tuple[str, Mapping[str, str]]:
        """The base address and the headers to add; signs in if needed. Raises SignInFailed."""
        if not self._headers or self._clock() >= self._renew_at:
            await self.refresh(self._headers)
        return self._url, self._headers

    def _sign_in(self) -> Token:
        return sign_in(self._url, self._app, self._wall())

    def _use(self, token: Token) -> str:
        self._renew_at = self._clock() + max(token.seconds - MARGIN, token.seconds / 2)
        return token.text.get_secret_value()
