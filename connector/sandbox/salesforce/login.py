"""Sign-in by client credentials or JWT bearer, and the resulting sessions.

Salesforce Help, "OAuth 2.0 Client Credentials Flow" and "OAuth 2.0 JWT Bearer Flow"; rejections have the form of RFC
6749, 5.2.
"""

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from connector.sandbox.salesforce import org

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LONGEST_JWT_LIFE = 300.0  # maximum seconds of `exp` in the future
CLOCK_SKEW = 60.0  # maximum seconds of `exp` in the past
JWT_PARTS = 3


class LoginRefusedError(Exception):
    """The sign-in is rejected; `error` is the code and `description` the text of the response."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


class Sessions:
    """The valid access tokens."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        seconds: float,
        client_id: str,
        client_secret: str,
        public_key: str | None,
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._client_id = client_id
        self._client_secret = client_secret
        self._key = _public_key(public_key)
        self._open: dict[str, tuple[float, str]] = {}

    def user(self, authorization: str | None) -> str | None:
        """The user of an `Authorization` header, or None without a valid token."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme not in {"Bearer", "OAuth"}:
            return None
        end, user = self._open.get(token.strip(), (0.0, ""))
        return user if end > self._clock() else None

    def end(self, token: str) -> bool:
        """End this token's session; returns whether it was valid."""
        return self._open.pop(token, None) is not None

    def end_all(self) -> None:
        """End all sessions."""
        self._open.clear()

    def log_in(self, form: Mapping[str, str], authorization: str | None, url: str) -> dict[str, Any]:
        """The response to a token request that was sent to `url`.

        Raises:
            LoginRefusedError: with Salesforce's error body.
        """
        grant = form.get("grant_type", "")
        user = org.INTEGRATION_USER
        if grant == "client_credentials":
            self._check_client(form, authorization)
        elif grant == JWT_GRANT:
            user = self._check_assertion(form.get("assertion", ""), url)
        else:
            raise LoginRefusedError("unsupported_grant_type", "grant type not supported")
        now = self._clock()
        token = f"{org.ORGANIZATION[:15]}!{secrets.token_urlsafe(48)}"
        self._open[token] = (now + self._seconds, user)
        return {
            "access_token": token,
            "instance_url": url,
            "id": f"{url}/id/{org.ORGANIZATION}/{user}",
            "token_type": "Bearer",
            "scope": "api",
            "issued_at": str(int(now * 1000)),
            "signature": base64.b64encode(secrets.token_bytes(32)).decode(),
        }

    def _check_client(self, form: Mapping[str, str], authorization: str | None) -> None:
        given = (form.get("client_id", ""), form.get("client_secret", ""))
        if authorization is not None and authorization.startswith("Basic "):
            try:
                name, _, word = base64.b64decode(authorization[6:], validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise LoginRefusedError("invalid_client", "invalid client credentials") from None
            given = (name, word)
        if not _same(given[0], self._client_id):
            raise LoginRefusedError("invalid_client_id", "client identifier invalid")
        if not _same(given[1], self._client_secret):
            raise LoginRefusedError("invalid_client", "invalid client credentials")

    def _check_assertion(self, assertion: str, url: str) -> str:
        """The user named in a signed assertion; an unknown one counts as the integration user."""
        parts = assertion.split(".")
        try:
            header, claims = (orjson.loads(_decoded(part)) for part in parts[:2])
            signature = _decoded(parts[2])
            end = float(claims["exp"])
            audience, issuer, subject = claims["aud"], claims["iss"], claims["sub"]
        except (ValueError, KeyError, IndexError, TypeError):
            raise LoginRefusedError("invalid_grant", "invalid assertion") from None
        if len(parts) != JWT_PARTS or header.get("alg") != "RS256":
            raise LoginRefusedError("invalid_grant", "invalid assertion")
        if issuer != self._client_id:
            raise LoginRefusedError("invalid_client_id", "client identifier invalid")
        if not _is_ours(audience, url):
            raise LoginRefusedError("invalid_grant", "audience is invalid")
        if not self._clock() - CLOCK_SKEW <= end <= self._clock() + LONGEST_JWT_LIFE:
            raise LoginRefusedError("invalid_grant", "assertion is not within validity period")
        if not subject:
            raise LoginRefusedError("invalid_grant", "user hasn't approved this consumer")
        if self._key is not None:
            try:
                self._key.verify(signature, ".".join(parts[:2]).encode(), PKCS1v15(), SHA256())
            except InvalidSignature:
                raise LoginRefusedError("invalid_grant", "invalid assertion") from None
        return next((user for user, entry in org.USERS.items() if entry["Username"] == subject), org.INTEGRATION_USER)


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _is_ours(audience: object, url: str) -> bool:
    """Salesforce accepts its login server or the org's own address as the audience."""
    if not isinstance(audience, str):
        return False
    host = urlsplit(audience).hostname or ""
    return host.endswith(".salesforce.com") or audience.rstrip("/") == url


def _public_key(pem: str | None) -> RSAPublicKey | None:
    if pem is None:
        return None
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, RSAPublicKey):
        raise TypeError("The public key must be an RSA key in PEM form: Salesforce verifies RS256 alone.")
    return key
