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

from connector.crm.salesforce.client.oauth import (
    ClientCredentials,
    JwtBearer,
    TokenSession,
    is_loopback,
    trusted_base,
)
from connector.crm.sign_in import SharedToken, SignInFailed, SignInUnavailable

DOMAIN = ".salesforce.com"


Token = tuple[str, str, str | None]  # the access token, the base address, the user's Id


class SalesforceCredentials(SharedToken[Token]):
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
        super().__init__(clock=clock, sleep=sleep)
        self._url = url
        self._way = sign_in
        self._base = ""
        self.user_id: str | None = None  # the signed-in user; None until Salesforce has returned it

    async def authorization(self) -> tuple[str, Mapping[str, str]]:
        """The base address and the headers to add; signs in if needed. Raises SignInFailed."""
        if not self._headers:
            await self.refresh({})
        return self._base, self._headers

    def _sign_in(self) -> Token:
        return token(self._url, self._way)

    def _use(self, token: Token) -> str:
        access, self._base, self.user_id = token
        return access


def token(url: str, sign_in: ClientCredentials | JwtBearer) -> Token:
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
