"""Sign-in: one shared token, one sign-in at a time. The only file in this folder that does I/O.

simple-salesforce implements the OAuth flows. It blocks, and therefore runs in a thread.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import requests
from jwt.exceptions import PyJWTError
from simple_salesforce.exceptions import SalesforceError
from simple_salesforce.login import SalesforceLogin
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from connector.crm.salesforce.client.oauth import (
    ClientCredentials,
    JwtBearer,
    SignInFailed,
    SignInUnavailable,
    TokenSession,
    is_loopback,
    trusted_base,
)

TRIES = 3  # attempts to reach the sign-in service; longer outages are left to the outbox
# How many seconds a failure is reused before the next attempt: Salesforce counts sign-ins and locks the user out.
FIRST_PAUSE = 2.0
MAX_PAUSE = 30.0  # half of a sink's pause, so that its probe never gets an old failure
DOMAIN = ".salesforce.com"


class SalesforceCredentials:
    """The base address of an org and its access token.

    `clock` gives monotonic seconds; `sleep` waits between the attempts of one sign-in.
    """

    def __init__(
        self,
        url: str,
        sign_in: ClientCredentials | JwtBearer,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = url
        self._sign_in = sign_in
        self._clock = clock
        self._sleep = sleep
        self._lock = asyncio.Lock()
        self._base = ""
        self._headers: Mapping[str, str] = {}
        self._failure: SignInFailed | None = None
        self._pause = 0.0
        self._not_before = 0.0
        self.user_id: str | None = None  # the signed-in user; None until Salesforce has returned it
        self.logins = 0  # since the start, for the metrics

    async def authorization(self) -> tuple[str, Mapping[str, str]]:
        """The base address and the headers to add; signs in if needed. Raises SignInFailed."""
        if not self._headers:
            await self._renew({})
        return self._base, self._headers

    async def refresh(self, stale: Mapping[str, str]) -> None:
        """Salesforce has rejected these headers: sign in again, unless that has happened meanwhile. Raises SignInFailed."""
        await self._renew(stale)

    async def _renew(self, stale: Mapping[str, str]) -> None:
        async with self._lock:
            if self._headers != stale:
                return
            if self._failure is not None and self._clock() < self._not_before:
                raise type(self._failure)(str(self._failure))
            self._headers = {}
            try:
                token, self._base, self.user_id = await self._patiently()
            except SignInFailed as failure:
                self._pause = min(max(self._pause * 2, FIRST_PAUSE), MAX_PAUSE)
                self._not_before = self._clock() + self._pause
                self._failure = failure
                raise
            self._headers = {"Authorization": f"Bearer {token}"}
            self._failure, self._pause = None, 0.0
            self.logins += 1

    async def _patiently(self) -> tuple[str, str, str | None]:
        repeat = AsyncRetrying(
            retry=retry_if_exception_type(SignInUnavailable),
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential_jitter(multiplier=0.2, max=2),
            sleep=self._sleep,
            reraise=True,
        )
        return await repeat(asyncio.to_thread, token, self._url, self._sign_in)


def token(url: str, sign_in: ClientCredentials | JwtBearer) -> tuple[str, str, str | None]:
    """Sign in, blocking; returns the access token, the base address and the user's Id. Raises SignInFailed."""
    host = urlsplit(url).hostname or ""
    # simple-salesforce appends `.salesforce.com`; for an org on this machine the session replaces the whole address.
    domain = "sandbox.my" if is_loopback(host) else host.removesuffix(DOMAIN)
    try:
        with TokenSession(url) as session:
            if isinstance(sign_in, ClientCredentials):
                access, instance = SalesforceLogin(
                    consumer_key=sign_in.client_id,
                    consumer_secret=sign_in.client_secret.get_secret_value(),
                    domain=domain,
                    session=session,
                )
            else:
                access, instance = SalesforceLogin(
                    username=sign_in.username,
                    consumer_key=sign_in.client_id,
                    privatekey=sign_in.private_key.get_secret_value(),
                    # The assertion's audience is the shared login server, but it is posted to the org's own address.
                    domain="test" if ".sandbox." in host or ".scratch." in host else "login",
                    instance_url=domain,
                    session=session,
                )
    except requests.exceptions.ChunkedEncodingError as error:
        raise SignInUnavailable(
            "Salesforce's sign-in ended in the middle of its answer: it will be tried again"
        ) from error
    except requests.RequestException as error:
        raise SignInFailed(f"the sign-in at Salesforce failed ({type(error).__name__}): check url:") from error
    except SalesforceError as error:
        raise SignInFailed("Salesforce's sign-in gives an undocumented answer: check url:") from error
    except (ValueError, TypeError, PyJWTError) as error:
        raise SignInFailed(
            "private_key: cannot be used: it must be an RSA key in PEM form, not encrypted, from -----BEGIN to -----END"
        ) from error
    return access, trusted_base(instance, url), session.user_id
