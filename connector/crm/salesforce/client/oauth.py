"""Salesforce's token service over requests: the session used by simple-salesforce, and the meaning of rejections.

Source: Salesforce Help, "OAuth 2.0 Client Credentials Flow", "OAuth 2.0 JWT Bearer Flow", "Identity URLs", "OAuth
Authorization Errors".
"""

from dataclasses import dataclass
from io import BytesIO
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from pydantic import SecretStr

from connector.crm.salesforce.client.api import RECORD_ID
from connector.crm.salesforce.client.sign_in_errors import find
from connector.crm.sign_in import SignInFailed, SignInUnavailable, read_body
from connector.model.errors import PeerMoved

TIMEOUTS = (5.0, 30.0)  # seconds to connect and between two bytes: requests has no default
TRUSTED = (".salesforce.com", ".force.com")  # domains where an org's data may be
LONGEST_ANSWER = 120.0  # seconds for a whole response
ANSWER_LIMIT = 4 * 2**20  # bytes of a decompressed response: a deployment's state may have several hundred thousand
TOO_MANY = 429
SERVER_ERRORS = 500
HTML = "text/html"
MOVED_ELSEWHERE = "write the org's My Domain address as url:"


class SignInMoved(SignInFailed, PeerMoved):
    """The org's sign-in address has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """The client credentials flow: the app acts as its Run As user."""

    client_id: str
    client_secret: SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtBearer:
    """The JWT bearer flow: the app acts as a user who has been approved for it."""

    client_id: str
    username: str
    private_key: SecretStr  # PEM


class OrgSession(requests.Session):
    """A session for one org at the address `url`: with time limits (seconds), without redirects or proxies.

    For an org on this machine it uses plain HTTP, which simple-salesforce does not support.
    """

    def __init__(self, url: str, *, timeouts: tuple[float, float] = TIMEOUTS) -> None:
        super().__init__()
        self.trust_env = False  # no proxies, no .netrc: the secret goes where the config says
        self._timeouts = timeouts
        self._sandbox = urlsplit(url) if is_loopback(urlsplit(url).hostname) else None

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        """Send a request; a redirect is not followed, because it would send the secret elsewhere."""
        if self._sandbox is not None:
            # simple-salesforce adds https:// and .salesforce.com to every address; a local sandbox has neither.
            path = urlsplit(url)
            url = urlunsplit((self._sandbox.scheme, self._sandbox.netloc, path.path, path.query, ""))
        options.setdefault("timeout", self._timeouts)
        options["allow_redirects"] = False
        options["stream"] = True
        response = super().request(method, url, *args, **options)
        with response:
            body = read_body(response, limit=ANSWER_LIMIT, seconds=LONGEST_ANSWER)
        response.raw = BytesIO(body)
        return response


class TokenSession(OrgSession):
    """A session for token requests only.

    Raises SignInFailed unless the response is a token, so that simple-salesforce receives only valid responses.
    """

    user_id: str | None = None  # the signed-in user; None if Salesforce has not returned it

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        """Send a request and check the response."""
        try:
            response = super().request(method, url, *args, **options)
        except requests.exceptions.SSLError as error:
            raise SignInFailed(
                "Salesforce's certificate is not trusted: check url:, and whether a proxy decrypts TLS"
            ) from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise SignInUnavailable(
                f"Salesforce's sign-in does not answer ({type(error).__name__}): check the network and url:; it will be tried again"
            ) from error
        check(response)
        self.user_id = user_of(response.json().get("id"))
        return response


def check(response: requests.Response) -> None:
    """Raise SignInFailed unless the response is a token."""
    status = response.status_code
    if status >= SERVER_ERRORS or status == TOO_MANY:
        raise SignInUnavailable(
            f"Salesforce's sign-in does not work (HTTP {status}): it is tried again; see trust.salesforce.com"
        )
    try:
        body = response.json()
    except ValueError:
        body = None
    raw = body if isinstance(body, dict) else {}
    if response.ok and isinstance(raw.get("access_token"), str) and isinstance(raw.get("instance_url"), str):
        return
    if response.is_redirect:
        place = trusted_host(response.headers.get("Location", ""))
        where = f"the org's address is now {place}: write https://{place} as url:" if place else MOVED_ELSEWHERE
        raise SignInMoved(f"the sign-in at url: is redirected (HTTP {status}); {where}")
    if "error" in raw:
        raise refusal(str(raw["error"]), str(raw.get("error_description", "")))
    if HTML in response.headers.get("Content-Type", "").lower() and not response.ok:
        raise SignInUnavailable(
            f"Salesforce's sign-in answers with a web page (HTTP {status}): it will be tried again; if this lasts, check url: and "
            "status.salesforce.com"
        )
    raise SignInFailed(
        f"the server at url: is not a Salesforce sign-in (HTTP {status}): write the org's My Domain address"
    )


def user_of(identity: object) -> str | None:
    """The user's Id from the identity URL of a token response: `https://login.salesforce.com/id/<organization>/<user>`."""
    last = identity.rpartition("/")[2] if isinstance(identity, str) else ""
    return last if RECORD_ID.fullmatch(last) else None


def refusal(error: str, description: str) -> SignInFailed:
    """A rejection as an error with advice; SignInUnavailable if it goes away by itself."""
    row = find(error, description)
    words = f"Salesforce refuses the sign-in ({error}: {description}): {row.cure}"
    return SignInUnavailable(words) if row.passes else SignInFailed(words)


def trusted_host(location: str) -> str:
    """The host of a redirect if it belongs to Salesforce; else empty."""
    try:
        host = urlsplit(location).hostname or ""
    except ValueError:
        return ""
    return host if host.endswith(TRUSTED) else ""


def trusted_base(instance: str, url: str) -> str:
    """The base address of the org's data, from the token service's response and the configured address.

    Raises:
        SignInFailed: the address is not Salesforce's, and would receive donors' data and the token.
    """
    configured = urlsplit(url)
    try:
        raw = urlsplit(f"https://{instance}")
    except ValueError:
        raw = urlsplit("")
    host = raw.hostname or ""
    if raw.username is None and host:
        if host == configured.hostname and is_loopback(host):
            return f"{configured.scheme}://{raw.netloc}"
        if raw.netloc == host and (host.endswith(TRUSTED) or host == configured.hostname):
            return f"https://{host}"
    raise SignInFailed("Salesforce's sign-in names an address that is not Salesforce's: check url: and the network")


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine. Plain HTTP is allowed only for local sandboxes."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False
