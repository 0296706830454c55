"""Sign-in at the tenant's token endpoint, by secret or by signed assertion.

Source: "OAuth 2.0 client credentials flow on the Microsoft identity platform"; rejections have its AADSTS codes.
"""

import base64
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, Hash

TENANT = "sandbox"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_PARTS = 3
REFUSALS = {
    "wrong_secret": (401, "invalid_client", "AADSTS7000215: Invalid client secret provided."),
    "secret_expired": (401, "invalid_client", "AADSTS7000222: The provided client secret keys for app are expired."),
    "unknown_app": (400, "unauthorized_client", "AADSTS700016: Application was not found in the directory 'sandbox'."),
    "unknown_tenant": (400, "invalid_request", "AADSTS90002: Tenant was not found."),
    "wrong_scope": (400, "invalid_scope", "AADSTS500011: The resource principal was not found in the tenant."),
    "blocked": (400, "access_denied", "AADSTS53003: Access has been blocked by Conditional Access policies."),
    "bad_assertion": (
        401,
        "invalid_client",
        "AADSTS700027: The certificate used to sign the assertion is not registered.",
    ),
    "unavailable": (503, "temporarily_unavailable", "AADSTS90033: A transient error has occurred. Please try again."),
    "throttled": (429, "temporarily_unavailable", "AADSTS90025: Too many requests."),
}


class LoginRefusedError(Exception):
    """The sign-in is rejected, for one of REFUSALS."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.status, error, description = REFUSALS[reason]
        self.body = {"error": error, "error_description": f"{description} Trace ID: 0 Correlation ID: 0"}


class Sessions:
    """The valid access tokens."""

    def __init__(
        self, *, clock: Callable[[], float], seconds: float, client_id: str, client_secret: str, certificate: str | None
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._client_id = client_id
        self._client_secret = client_secret
        self._certificate = x509.load_pem_x509_certificate(certificate.encode()) if certificate else None
        self._open: dict[str, float] = {}

    def valid(self, authorization: str | None) -> bool:
        """Whether an `Authorization` header has a valid token."""
        scheme, _, token = (authorization or "").partition(" ")
        return scheme == "Bearer" and self._open.get(token.strip(), 0.0) > self._clock()

    def end_all(self) -> None:
        """End all sessions."""
        self._open.clear()

    def log_in(self, tenant: str, form: Mapping[str, str], url: str) -> dict[str, Any]:
        """The response to a token request at `url`. Raises LoginRefusedError."""
        if tenant != TENANT:
            raise LoginRefusedError("unknown_tenant")
        if form.get("client_id") != self._client_id:
            raise LoginRefusedError("unknown_app")
        if form.get("grant_type") != "client_credentials":
            raise LoginRefusedError("blocked")
        if form.get("client_assertion_type") == JWT_BEARER:
            self._check_assertion(form.get("client_assertion", ""), f"{url}/{tenant}/oauth2/v2.0/token")
        elif not secrets.compare_digest(form.get("client_secret", "").encode(), self._client_secret.encode()):
            raise LoginRefusedError("wrong_secret")
        scope = urlsplit(form.get("scope", ""))
        if f"{scope.scheme}://{scope.netloc}" != url or scope.path.lstrip("/") != ".default":
            raise LoginRefusedError("wrong_scope")
        token = secrets.token_urlsafe(48)
        self._open[token] = self._clock() + self._seconds
        return {
            "token_type": "Bearer",
            "expires_in": int(self._seconds),
            "ext_expires_in": int(self._seconds),
            "access_token": token,
        }

    def _check_assertion(self, assertion: str, audience: str) -> None:
        parts = assertion.split(".")
        try:
            header, claims = (orjson.loads(_decoded(part)) for part in parts[:2])
            signature = _decoded(parts[2])
            fits = claims["aud"] == audience and claims["iss"] == claims["sub"] == self._client_id
            fits = fits and claims["nbf"] - 300 <= self._clock() < claims["exp"] and bool(claims["jti"])
        except (ValueError, KeyError, IndexError, TypeError):
            raise LoginRefusedError("bad_assertion") from None
        if len(parts) != JWT_PARTS or not fits:
            raise LoginRefusedError("bad_assertion")
        if self._certificate is None:
            return
        key = self._certificate.public_key()
        thumbprints = {"x5t": SHA1(), "x5t#S256": SHA256()}  # noqa: S303 - the protocol's own name for a certificate.
        named = [name for name in thumbprints if name in header]
        if not named or not isinstance(key, RSAPublicKey):
            raise LoginRefusedError("bad_assertion")
        for name in named:
            if _decoded(header[name]) != self._certificate.fingerprint(thumbprints[name]):
                raise LoginRefusedError("bad_assertion")
        pss = header.get("alg") == "PS256"
        scheme = (
            padding.PSS(padding.MGF1(SHA256()), Hash(SHA256()).algorithm.digest_size) if pss else padding.PKCS1v15()
        )
        try:
            key.verify(signature, ".".join(parts[:2]).encode(), scheme, SHA256())
        except InvalidSignature:
            raise LoginRefusedError("bad_assertion") from None


def openid_configuration(url: str, tenant: str) -> dict[str, Any]:
    """What msal and azure-identity ask first."""
    return {
        "issuer": f"{url}/{tenant}/v2.0",
        "authorization_endpoint": f"{url}/{tenant}/oauth2/v2.0/authorize",
        "token_endpoint": f"{url}/{tenant}/oauth2/v2.0/token",
        "device_authorization_endpoint": f"{url}/{tenant}/oauth2/v2.0/devicecode",
    }


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
