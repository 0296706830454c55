"""Sign-in at Microsoft Entra ID: the token request, and the meaning of rejections.

Sources: "OAuth 2.0 client credentials flow on the Microsoft identity platform", "Microsoft identity platform application
authentication certificate credentials", "Microsoft Entra authentication and authorization error codes".
"""

import base64
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from connector.crm.sign_in import SignInFailed, SignInUnavailable, read_body

AUTHORITY = "https://login.microsoftonline.com"
TIMEOUTS = (5.0, 30.0)  # seconds to connect and between two bytes: requests has no default
LONGEST_ANSWER = 60.0  # seconds for a whole response
ANSWER_LIMIT = 2**20  # bytes
ASSERTION_LIFE = 300  # seconds
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOO_MANY, SERVER_ERRORS = 429, 500
CURES = {
    "AADSTS7000215": "the client secret is wrong: write its Value, and not its Secret ID",
    "AADSTS7000222": "the client secret has expired: make a new one in the app registration, Certificates & secrets",
    "AADSTS700016": "this tenant has no app with that client_id: check tenant: and client_id:",
    "AADSTS7000112": "the app is disabled: enable it in Microsoft Entra ID, Enterprise applications, Properties",
    "AADSTS7000229": "the app is not in this tenant: check tenant:, or add the app in Microsoft Entra ID, Enterprise applications",
    "AADSTS90002": "there is no such tenant: write the Directory (tenant) ID as tenant:",
    "AADSTS900023": "there is no such tenant: write the Directory (tenant) ID as tenant:",
    "AADSTS500011": "the tenant does not know this org: check url: and tenant:",
    "AADSTS700027": "the certificate is not the one that was uploaded to the app registration: upload it there",
    "AADSTS700024": "the assertion is not valid at this time: correct this server's clock (timedatectl set-ntp true)",
    "AADSTS53003": "a Conditional Access policy blocks the app: exclude its workload identity from the policy",
}
PASSING = frozenset({"AADSTS90033", "AADSTS90025", "AADSTS50196"})  # transient, too many


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSecret:
    """An app that signs in by its client secret."""

    tenant: str
    client_id: str
    client_secret: SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class AppCertificate:
    """An app that signs in by a certificate: PEM with the certificate and its private key."""

    tenant: str
    client_id: str
    certificate: SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token and its life in seconds."""

    text: SecretStr
    seconds: float


def sign_in(url: str, app: AppSecret | AppCertificate, now: float) -> Token:
    """Sign in to the org at `url`, blocking. `now` is in seconds since 1970. Raises SignInFailed."""
    authority = url if is_loopback(urlsplit(url).hostname) else AUTHORITY
    address = f"{authority}/{app.tenant}/oauth2/v2.0/token"
    form = {"grant_type": "client_credentials", "client_id": app.client_id, "scope": f"{url}/.default"}
    if isinstance(app, AppSecret):
        form["client_secret"] = app.client_secret.get_secret_value()
    else:
        form |= {"client_assertion_type": JWT_BEARER, "client_assertion": assertion(app, address, now)}
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxies, no .netrc: the secret goes where the config says
            response = session.post(address, data=form, timeout=TIMEOUTS, allow_redirects=False, stream=True)
            with response:
                raw = read_body(response, limit=ANSWER_LIMIT, seconds=LONGEST_ANSWER)
    except requests.exceptions.SSLError as error:
        raise SignInFailed(
            "the certificate of Microsoft's sign-in is not trusted: check whether something on the way opens TLS"
        ) from error
    except requests.RequestException as error:
        raise SignInUnavailable(
            f"Microsoft's sign-in does not answer ({type(error).__name__}): check the network; it is tried again"
        ) from error
    return read_token(response.status_code, raw)


def read_token(status: int, raw: bytes) -> Token:
    """The token of an answer. Raises SignInFailed."""
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError:
        parsed = None
    body: Mapping[str, Any] = parsed if isinstance(parsed, dict) else {}
    token, seconds = body.get("access_token"), body.get("expires_in")
    if isinstance(token, str) and isinstance(seconds, int | float) and not isinstance(seconds, bool):
        return Token(text=SecretStr(token), seconds=float(seconds))
    description = str(body.get("error_description", ""))
    code = description.partition(":")[0]
    if code in PASSING or status == TOO_MANY or status >= SERVER_ERRORS:
        raise SignInUnavailable(f"Microsoft's sign-in is out of order ({code or f'HTTP {status}'}): it is tried again")
    if "error" in body:
        words = description.partition(" Trace ID")[0]
        cure = CURES.get(code, "look the code up under https://login.microsoftonline.com/error")
        raise SignInFailed(f"Microsoft refuses the sign-in ({body['error']}: {words}): {cure}")
    raise SignInFailed(f"what answers is not Microsoft's sign-in (HTTP {status}): check the network and tenant:")


def assertion(app: AppCertificate, address: str, now: float) -> str:
    """A signed assertion for the token endpoint. Raises SignInFailed for a certificate that cannot be used."""
    pem = app.certificate.get_secret_value().encode()
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise SignInFailed(
            "certificate: cannot be used: the file must hold the certificate and its private key in PEM form, not encrypted"
        ) from error
    if not isinstance(key, RSAPrivateKey):
        raise SignInFailed("certificate: its private key must be an RSA key")
    header = {"alg": "PS256", "typ": "JWT", "x5t#S256": _encoded(certificate.fingerprint(SHA256()))}
    claims = {
        "aud": address,
        "iss": app.client_id,
        "sub": app.client_id,
        "jti": str(uuid.uuid4()),
        "nbf": int(now),
        "exp": int(now) + ASSERTION_LIFE,
    }
    signed = f"{_encoded(orjson.dumps(header))}.{_encoded(orjson.dumps(claims))}"
    scheme = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=SHA256.digest_size)
    return f"{signed}.{_encoded(key.sign(signed.encode(), scheme, SHA256()))}"


def expires(app: AppSecret | AppCertificate) -> float | None:
    """When the certificate expires, in seconds since 1970; None for a secret, which does not say it."""
    if isinstance(app, AppSecret):
        return None
    try:
        certificate = x509.load_pem_x509_certificate(app.certificate.get_secret_value().encode())
    except ValueError:
        return None
    return certificate.not_valid_after_utc.timestamp()


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine: a sandbox there has its own sign-in and may use plain http."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False
