"""Salesforce's token service over requests: the session that simple-salesforce signs in with, and what its refusals mean.

Source: Salesforce Help, "OAuth 2.0 Client Credentials Flow", "OAuth 2.0 JWT Bearer Flow", "Identity URLs", "OAuth Authorization
Errors".
"""

import time
from dataclasses import dataclass
from io import BytesIO
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from pydantic import SecretStr
from urllib3.exceptions import HTTPError

from connector.crm.salesforce.client.api import RECORD_ID
from connector.crm.salesforce.client.sign_in_errors import find
from connector.delivery.response_body import AnswerBody, BodyRefused
from connector.model.errors import ConnectorError, PeerMoved, PeerUnavailable

TIMEOUTS = (5.0, 30.0)  # seconds to connect and between two bytes: requests has none of its own
TRUSTED = (".salesforce.com", ".force.com")  # where an org's data may live
LONGEST_ANSWER = 120.0  # seconds for the whole of an answer
ANSWER_LIMIT = 4 * 2**20  # bytes of an answer, decompressed: the state of a deployment may be some hundred thousand
TOO_MANY = 429
SERVER_ERRORS = 500
HTML = "text/html"
MOVED_ELSEWHERE = "write the org's My Domain address as url:"


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
        options["stream"] = True
        response = super().request(method, url, *args, **options)
        with response:
            body = _read(response, time.monotonic() + LONGEST_ANSWER)
        response.raw = BytesIO(body)
        return response


def _read(response: requests.Response, until: float) -> bytes:
    """The body. Raises requests.RequestException where it is too large, broken, or not whole in time."""
    try:
        body = AnswerBody(response.headers.get("Content-Encoding", ""), ANSWER_LIMIT)
        for piece in response.raw.stream(2**16, decode_content=False):
            body.take(piece)
            if time.monotonic() > until:
                raise requests.Timeout("the answer does not end")
        return body.whole()
    except BodyRefused as error:
        raise requests.exceptions.ContentDecodingError(str(error)) from error
    except HTTPError as error:
        raise requests.ConnectionError("the connection was lost in the middle of the answer") from error


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
    raw = body if isinstance(body, dict) else {}
    if response.ok and isinstance(raw.get("access_token"), str) and isinstance(raw.get("instance_url"), str):
        return
    if response.is_redirect:
        place = trusted_host(response.headers.get("Location", ""))
        where = f"the org's address is now {place}: write https://{place} as url:" if place else MOVED_ELSEWHERE
        raise SignInMoved(f"the sign-in at url: is sent elsewhere (HTTP {status}); {where}")
    if "error" in raw:
        raise refusal(str(raw["error"]), str(raw.get("error_description", "")))
    if HTML in response.headers.get("Content-Type", "").lower() and not response.ok:
        raise SignInUnavailable(
            f"Salesforce's sign-in answers with a web page (HTTP {status}): it is tried again; where it lasts, check url: and "
            "status.salesforce.com"
        )
    raise SignInFailed(
        f"what answers at url: is no Salesforce sign-in (HTTP {status}): write the org's My Domain address"
    )


def user_of(identity: object) -> str | None:
    """The user's Id in the identity URL of a token answer: `https://login.salesforce.com/id/<organization>/<user>`."""
    last = identity.rpartition("/")[2] if isinstance(identity, str) else ""
    return last if RECORD_ID.fullmatch(last) else None


def refusal(error: str, description: str) -> SignInFailed:
    """A refusal in words, with the cure; SignInUnavailable where it passes by itself."""
    row = find(error, description)
    words = f"Salesforce refuses the sign-in ({error}: {description}): {row.cure}"
    return SignInUnavailable(words) if row.passes else SignInFailed(words)


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
    """Whether a host is this machine: plain HTTP is for sandboxes here and nowhere else."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False
