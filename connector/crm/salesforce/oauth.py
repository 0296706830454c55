"""Salesforce's token service over requests: the session that simple-salesforce signs in with, and what its refusals mean.

Source: Salesforce Help, "OAuth 2.0 Client Credentials Flow", "OAuth 2.0 JWT Bearer Flow", "Identity URLs", "OAuth Authorization
Errors".
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from pydantic import SecretStr

from connector.crm.salesforce.encode import RECORD_ID
from connector.model.errors import ConnectorError, PeerMoved, PeerUnavailable

TIMEOUTS = (5.0, 30.0)  # seconds to connect and between two bytes: requests has none of its own
TRUSTED = (".salesforce.com", ".force.com")  # where an org's data may live
TOO_MANY = 429
SERVER_ERRORS = 500
MOVED_ELSEWHERE = "write the org's My Domain address as url:"

APP = "in Setup, External Client App Manager, open the app"
# What the token service says, in lower case, and what helps. The first that fits counts.
CURES: tuple[tuple[str, str], ...] = (
    (
        "no client credentials user enabled",
        f"{APP}, Policies, tick Enable Client Credentials Flow and choose a Run As user with the permissions of the integration",
    ),
    (
        "hasn't approved this consumer",
        f"{APP}, Policies, set Permitted Users to admin-approved, and add the integration user's profile or permission set",
    ),
    (
        "app must be installed",
        "install and approve the app in this org: apps from elsewhere are blocked since September 2025",
    ),
    (
        "login rate exceeded",
        "somebody signs in too often with this user: wait an hour, and give each program its own user",
    ),
    (
        "ip restricted",
        "add this server's address to the Login IP Ranges of the integration user's profile, or relax the app's policy",
    ),
    ("inactive user", "activate the integration user in Setup, Users"),
    ("inactive organization", "the org is locked or gone: ask Salesforce, or correct url:"),
    (
        "audience is invalid",
        "url: must be the org's My Domain address; for a sandbox it holds .sandbox.my.salesforce.com",
    ),
    ("not within validity period", "set this server's clock: it must be right within three minutes"),
    ("invalid assertion", "private_key: must belong to the certificate that was uploaded to the app"),
    (
        "expired access/refresh token",
        f"{APP}, Policies, and look whether the user is still permitted; then restart the connector",
    ),
    ("invalid_app_access", "give the integration user access to the app, by profile or permission set"),
    ("unsupported_grant_type", f"{APP}, Settings, and tick the flow that sign_in: uses"),
    ("invalid_client_id", "client_id: must be the app's Consumer Key; a new app needs ten minutes until it is known"),
    ("invalid_client", "client_secret: must be the app's Consumer Secret; it changes when somebody rotates it"),
    ("invalid_grant", "look at the integration user's Login History in Setup: it says why the sign-in failed"),
)


class SignInFailed(ConnectorError):  # noqa: N818 - it reads as the state it tells of.
    """Salesforce does not let us in; the message says the cure."""


class SignInUnavailable(SignInFailed, PeerUnavailable):
    """The token service cannot be reached or is out of order: nothing is wrong with the credentials."""


class SignInMoved(SignInFailed, PeerMoved):
    """The org's sign-in is at another address now."""


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
    """A session for one org alone, `url` being its address: with time limits (seconds), without redirects or proxies.

    On this machine it speaks plain HTTP, which simple-salesforce cannot be told.
    """

    def __init__(self, url: str, *, timeouts: tuple[float, float] = TIMEOUTS) -> None:
        super().__init__()
        self.trust_env = False  # no proxies, no .netrc: the secret goes where the config says
        self._timeouts = timeouts
        self._sandbox = urlsplit(url) if is_loopback(urlsplit(url).hostname) else None

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        """Send it; a redirect would carry the secret elsewhere, and is an answer like any other."""
        if self._sandbox is not None:
            # simple-salesforce writes https:// and .salesforce.com before everything; a sandbox here has neither.
            path = urlsplit(url)
            url = urlunsplit((self._sandbox.scheme, self._sandbox.netloc, path.path, path.query, ""))
        options.setdefault("timeout", self._timeouts)
        options["allow_redirects"] = False
        return super().request(method, url, *args, **options)


class TokenSession(OrgSession):
    """A session for token requests alone.

    Raises SignInFailed for whatever is no token, so that simple-salesforce sees good answers only.
    """

    user_id: str | None = None  # of the user that we are signed in as; None where Salesforce has not told it

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        """Send it, and look at the answer."""
        try:
            response = super().request(method, url, *args, **options)
        except requests.exceptions.SSLError as error:
            raise SignInFailed(
                "Salesforce's certificate is not trusted: check url:, and whether something on the way opens TLS"
            ) from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise SignInUnavailable(
                f"Salesforce's sign-in does not answer ({type(error).__name__}): check the network and url:; it is tried again"
            ) from error
        check(response)
        self.user_id = user_of(response.json().get("id"))
        return response


def check(response: requests.Response) -> None:
    """Raise SignInFailed unless the answer is a token."""
    status = response.status_code
    if status >= SERVER_ERRORS or status == TOO_MANY:
        raise SignInUnavailable(
            f"Salesforce's sign-in is out of order (HTTP {status}): it is tried again; see trust.salesforce.com"
        )
    try:
        body = response.json()
    except ValueError:
        body = None
    told = body if isinstance(body, dict) else {}
    if response.ok and isinstance(told.get("access_token"), str) and isinstance(told.get("instance_url"), str):
        return
    if response.is_redirect:
        place = trusted_host(response.headers.get("Location", ""))
        where = f"the org's address is now {place}: write https://{place} as url:" if place else MOVED_ELSEWHERE
        raise SignInMoved(f"the sign-in at url: is sent elsewhere (HTTP {status}); {where}")
    if "error" in told:
        raise SignInFailed(refusal(str(told["error"]), str(told.get("error_description", ""))))
    raise SignInFailed(
        f"what answers at url: is no Salesforce sign-in (HTTP {status}): write the org's My Domain address"
    )


def user_of(identity: object) -> str | None:
    """The user's Id in the identity URL of a token answer: `https://login.salesforce.com/id/<organization>/<user>`."""
    last = identity.rpartition("/")[2] if isinstance(identity, str) else ""
    return last if RECORD_ID.fullmatch(last) else None


def refusal(error: str, description: str) -> str:
    """A refusal in words, with the cure."""
    said = f"{error}: {description}".lower()
    cure = next(
        (cure for needle, cure in CURES if needle in said), "look at the integration user's Login History in Setup"
    )
    return f"Salesforce refuses the sign-in ({error}: {description}): {cure}"


def trusted_host(location: str) -> str:
    """The host that a redirect names, where it is one of Salesforce's; else empty."""
    try:
        host = urlsplit(location).hostname or ""
    except ValueError:
        return ""
    return host if host.endswith(TRUSTED) else ""


def trusted_base(instance: str, url: str) -> str:
    """The base address of the org's data, from what the token service said and the configured address.

    Raises:
        SignInFailed: it is not Salesforce's, so that donors' data and the token would go to somebody else.
    """
    configured = urlsplit(url)
    try:
        told = urlsplit(f"https://{instance}")
    except ValueError:
        told = urlsplit("")
    host = told.hostname or ""
    if told.username is None and host:
        if host == configured.hostname and is_loopback(host):
            return f"{configured.scheme}://{told.netloc}"
        if told.netloc == host and (host.endswith(TRUSTED) or host == configured.hostname):
            return f"https://{host}"
    raise SignInFailed("Salesforce's sign-in names an address that is not Salesforce's: check url: and the network")


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine: plain HTTP is for sandboxes here and nowhere else."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False
